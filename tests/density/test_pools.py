"""Pools against their definitions, and group DRO's weights against the paper's update."""

import math

import pytest
import torch

from surefoot.density.pools import group_dro_step, mean, total, worst_group
from surefoot.errors import InputError

SCORES = torch.tensor([-1.0, -2.0, -4.0, -8.0], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 3.0, 1.0, 0.5], dtype=torch.float64)
# Rows 0 and 1 in the first group, 1 and 2 in the second (they overlap), nobody in the third, row 3 in none.
MEMBERS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
MEANS = [(-1 - 6) / 4, (-6 - 4) / 4]


def test_total_is_the_weighted_sum() -> None:
    assert total(SCORES, WEIGHTS, MEMBERS).item() == -1 - 6 - 4 - 4


def test_mean_is_the_weighted_mean() -> None:
    assert mean(SCORES, WEIGHTS, MEMBERS).item() == pytest.approx(-15 / 5.5, rel=1e-15)


def test_worst_group_is_the_lowest_group_mean() -> None:
    assert worst_group(SCORES, WEIGHTS, MEMBERS).item() == pytest.approx(min(MEANS), rel=1e-15)


def test_an_absent_group_does_not_count_as_zero() -> None:
    """Positive scores: counting the absent third group as zero would make it the worst."""
    assert worst_group(-SCORES, WEIGHTS, MEMBERS).item() == pytest.approx(7 / 4, rel=1e-15)


def test_rows_outside_every_group_do_not_matter() -> None:
    scores = torch.tensor([-1.0, -2.0, -4.0, -torch.inf])
    assert worst_group(scores, torch.ones(4), MEMBERS).item() == -3.0


def test_the_worst_group_alone_gets_the_gradient() -> None:
    scores = SCORES.clone().requires_grad_()
    worst_group(scores, WEIGHTS, MEMBERS).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [0.0, 0.75, 0.25, 0.0]


def test_group_dro_step_is_the_papers_update() -> None:
    q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    losses = torch.tensor([1.0, 4.0, 2.0], dtype=torch.float64)
    raised = [share * math.exp(0.01 * loss) for share, loss in zip(q.tolist(), losses.tolist(), strict=True)]
    expected = torch.tensor([value / sum(raised) for value in raised], dtype=torch.float64)
    stepped = group_dro_step(q, losses, torch.tensor([True, True, True]), 0.01)
    torch.testing.assert_close(stepped, expected, rtol=1e-14, atol=0)


def test_group_dro_step_does_not_read_absent_groups() -> None:
    q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    losses = torch.tensor([1.0, torch.nan, 2.0], dtype=torch.float64)
    stepped = group_dro_step(q, losses, torch.tensor([True, False, True]), 0.5)
    raised = torch.tensor([0.5 * math.exp(0.5), 0.3, 0.2 * math.exp(1.0)], dtype=torch.float64)
    torch.testing.assert_close(stepped, raised / raised.sum(), rtol=1e-14, atol=0)


def test_group_dro_keeps_zero_and_survives_large_losses() -> None:
    stepped = group_dro_step(torch.tensor([0.0, 0.5, 0.5]), torch.tensor([1.0, 2e4, 1e4]), torch.ones(3).bool(), 1.0)
    assert stepped.tolist() == [0.0, 1.0, 0.0]


def test_what_has_no_mean_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        mean(SCORES, torch.zeros(4), MEMBERS)
    assert str(raised.value) == (
        "All 4 rows of a batch have weight zero, so they have no mean; leave such rows out or use larger batches."
    )
    for members in (torch.zeros(4, 3, dtype=torch.bool), torch.zeros(4, 0, dtype=torch.bool)):
        with pytest.raises(InputError) as raised:
            worst_group(SCORES, WEIGHTS, members)
        assert str(raised.value) == (
            "None of the 4 rows of a batch is in a group; give the rows groups or use larger batches."
        )

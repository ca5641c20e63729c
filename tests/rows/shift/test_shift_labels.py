"""Label noise: both of its rates, which labels, and the row they belong to."""

import math

import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.labels import flip_labels

COUNT = 20_000
FALSE_ALARM = "4.9 standard errors: a false alarm of 1e-6 for a random seed; this one is fixed"


@pytest.fixture(scope="module")
def rows() -> Rows:
    return make_rows(torch.zeros(COUNT, 1), torch.arange(COUNT) % 10)


@pytest.mark.parametrize("noise", [0.1, 0.5, 0.8])
def test_noise_is_the_rate_of_drawing_anew_and_nine_tenths_of_it_that_of_being_wrong(noise: float, rows: Rows) -> None:
    found = flip_labels(rows, noise, seed=0)
    for share, rate in (
        (found.replaced, noise),
        (found.wrong, noise * 0.9),
    ):
        assert abs(float(share.double().mean()) - rate) < 4.9 * math.sqrt(rate * (1 - rate) / COUNT), FALSE_ALARM
    assert torch.equal(found.wrong, found.rows.targets != rows.targets)
    assert not (found.wrong & ~found.replaced).any()


def test_new_labels_are_uniform_over_all_classes_the_own_one_too(rows: Rows) -> None:
    """χ² of 100 cells (class before × after) with 90 degrees of freedom: above 164.3 with probability 3e-6."""
    found = flip_labels(rows, 1.0, seed=1)
    assert found.replaced.all()
    counts = torch.bincount(rows.targets * 10 + found.rows.targets, minlength=100).double()
    assert float(((counts - COUNT / 100).square() / (COUNT / 100)).sum()) < 164.3


def test_more_noise_replaces_more_of_the_same(rows: Rows) -> None:
    less, more = flip_labels(rows, 0.2, seed=0), flip_labels(rows, 0.5, seed=0)
    assert not (less.replaced & ~more.replaced).any()
    assert torch.equal(less.rows.targets[less.replaced], more.rows.targets[less.replaced])
    none = flip_labels(rows, 0.0, seed=0)
    assert not none.replaced.any()
    assert torch.equal(none.rows.targets, rows.targets)


def test_asymmetric_noise_is_wrong_whenever_it_replaces(rows: Rows) -> None:
    found = flip_labels(rows, 0.4, seed=0, asymmetric={"7": "1", "2": "7", "5": "5"})
    assert torch.equal(found.replaced, found.wrong)
    own = rows.targets
    assert set(found.rows.targets[found.wrong & (own == 7)].tolist()) == {1}
    assert set(found.rows.targets[found.wrong & (own == 2)].tolist()) == {7}
    assert not found.wrong[(own != 7) & (own != 2)].any()
    rate = float(found.wrong[own == 7].double().mean())
    assert abs(rate - 0.4) < 4.9 * math.sqrt(0.24 / 2000), FALSE_ALARM


def test_a_row_has_its_label_in_any_company_and_stays_the_row_it_was(rows: Rows) -> None:
    whole = flip_labels(rows, 0.5, seed=3)
    chosen = torch.tensor([19_000, 5, 77])
    some = flip_labels(rows.take(chosen), 0.5, seed=3)
    assert torch.equal(some.rows.targets, whole.rows.targets[chosen])
    assert torch.equal(some.replaced, whole.replaced[chosen])
    assert not torch.equal(flip_labels(rows, 0.5, seed=4).replaced, whole.replaced)
    assert whole.rows.origins() == rows.origins()
    assert whole.rows.inputs is rows.inputs
    assert whole.rows.targets.dtype == torch.int64


def test_what_is_wrong_is_said(rows: Rows) -> None:
    with pytest.raises(InputError, match=r"label noise is 1\.2"):
        flip_labels(rows, 1.2, seed=0)
    with pytest.raises(InputError, match='no class "cat"; the classes are 0, 1'):
        flip_labels(rows, 0.1, seed=0, asymmetric={"cat": "0"})
    with pytest.raises(InputError, match="give hard labels"):
        flip_labels(rows.with_targets(torch.full((COUNT, 10), 0.1)), 0.1, seed=0)
    with pytest.raises(InputError, match="no label can be wrong"):
        flip_labels(make_rows(torch.zeros(2, 1), torch.tensor([0, 0])), 0.1, seed=0)

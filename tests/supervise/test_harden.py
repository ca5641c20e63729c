"""Hardening keeps the shares of classes, by a quantile for two and by the most probable assignment for more."""

from itertools import permutations, product
from typing import Literal

import pytest
import torch

from surefoot.errors import InputError
from surefoot.supervise.harden import Balance, class_counts, harden


def probabilities(rows: int, classes: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)).softmax(dim=1)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("balance", ["even", "weak"])
def test_two_classes_are_the_published_quantile_rule(seed: int, balance: str) -> None:
    rows = 5 + seed
    said, weak = probabilities(rows, 2, seed), probabilities(rows, 2, 100 + seed)
    share = weak[:, 1].mean() if balance == "weak" else torch.tensor(0.5, dtype=torch.float64)
    above = said[:, 0] >= torch.quantile(said[:, 0], share)  # class 0, as in the repository of the paper
    assert torch.equal(harden(said, weak, balance), (~above).long())
    counts = class_counts([1 - share.item(), share.item()], rows)
    assert counts == [int(above.sum()), rows - int(above.sum())]


@pytest.mark.parametrize("seed", range(12))
def test_the_rule_for_more_classes_says_the_same_of_two(seed: int) -> None:
    """A third class that nobody could mean (probability 1e-300, share 0) leaves the quantile's answer."""
    rows = 9 + seed
    two, weak = probabilities(rows, 2, seed), probabilities(rows, 2, 50 + seed)
    none = torch.full((rows, 1), 1e-300, dtype=torch.float64)
    three = harden(torch.cat([two, none], dim=1), torch.cat([weak, 0 * none], dim=1), "weak")
    assert torch.equal(three, harden(two, weak, "weak"))


@pytest.mark.parametrize("seed", range(10))
def test_no_assignment_with_these_counts_is_more_probable(seed: int) -> None:
    """Against all of them: 7 rows, 3 classes."""
    said, weak = probabilities(7, 3, seed), probabilities(7, 3, 30 + seed)
    found = harden(said, weak, "weak")
    counts = class_counts(weak.mean(dim=0).tolist(), 7)
    assert torch.bincount(found, minlength=3).tolist() == counts
    logs = said.log()
    every = [each for each in product(range(3), repeat=7) if [each.count(k) for k in range(3)] == counts]
    best = max(sum(logs[row, k].item() for row, k in enumerate(each)) for each in every)
    assert logs.gather(1, found[:, None]).sum().item() == pytest.approx(best, abs=1e-12)


def test_one_row_of_each_class_is_the_best_permutation() -> None:
    said = probabilities(6, 6, 3)
    found = harden(said, said, "even")
    logs = said.log()
    best = max(sum(logs[row, k].item() for row, k in enumerate(each)) for each in permutations(range(6)))
    assert sorted(found.tolist()) == list(range(6))
    assert logs.gather(1, found[:, None]).sum().item() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(("rows", "classes"), [(128, 20), (37, 36), (60, 61), (100, 1000), (1, 5)])
@pytest.mark.parametrize("balance", ["even", "weak"])
@pytest.mark.parametrize("collapsed", [False, True])
def test_many_rows_and_classes_have_the_optimum_of_linear_programming(
    rows: int, classes: int, balance: Literal["even", "weak"], collapsed: bool
) -> None:
    """scipy's assignment with every class copied as often as it has rows."""
    from scipy.optimize import linear_sum_assignment

    said, weak = probabilities(rows, classes, 5), probabilities(rows, classes, 6)
    if collapsed:  # all rows prefer the same classes
        liked = 6 * torch.randn(1, classes, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
        said = (said.log() / 5 + liked).softmax(dim=1)
    found = harden(said, weak, balance)
    shares = weak.mean(dim=0).tolist() if balance == "weak" else [1 / classes] * classes
    counts = class_counts(shares, rows)
    assert torch.bincount(found, minlength=classes).tolist() == counts
    logs = said.log()
    columns = [k for k, count in enumerate(counts) for _ in range(count)]
    row, column = linear_sum_assignment(-logs[:, columns].numpy())
    best = float(logs[:, columns].numpy()[row, column].sum())
    assert logs.gather(1, found[:, None]).sum().item() == pytest.approx(best, rel=1e-12, abs=1e-9)


def test_classes_that_no_row_is_to_have_change_nothing_and_cost_nothing() -> None:
    """A thousand classes of which twelve have shares are those twelve."""
    said, weak = probabilities(40, 12, 8), probabilities(40, 12, 9)
    places = torch.arange(12) * 83 + 5
    wide, shares = torch.full((40, 1000), 1e-6, dtype=torch.float64), torch.zeros(40, 1000, dtype=torch.float64)
    wide[:, places], shares[:, places] = said, weak
    # The quantile's counts give a row to the first class, whatever its share; here that is one of the twelve.
    wide[:, [0, 5]], shares[:, [0, 5]] = wide[:, [5, 0]], shares[:, [5, 0]]
    places[0] = 0
    assert torch.equal(harden(wide, shares, "weak"), places[harden(said, weak, "weak")])


def test_a_student_that_prefers_one_class_is_hardened_to_all() -> None:
    said = torch.tensor([[0.98, 0.01, 0.01]]).repeat(9, 1) + torch.linspace(0, 1e-3, 9)[:, None]
    assert harden(said, said, "none").tolist() == [0] * 9
    assert torch.bincount(harden(said, said, "even"), minlength=3).tolist() == class_counts([1 / 3] * 3, 9)


@pytest.mark.parametrize("rows", [1, 2, 7, 32])
def test_counts_sum_to_the_rows(rows: int) -> None:
    shares = probabilities(1, 5, rows)[0].tolist()
    counts = class_counts(shares, rows)
    assert sum(counts) == rows
    assert min(counts) >= 0
    assert all(abs(count - rows * share) < 2 for count, share in zip(counts, shares, strict=True))


def test_probabilities_of_zero_are_no_trap() -> None:
    said = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert sorted(harden(said, said, "even").tolist()) == sorted([0, 1, 2])


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="same rows and classes"):
        harden(torch.full((3, 2), 0.5), torch.full((3, 3), 1 / 3), "weak")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("balance", ["even", "weak"])
def test_students_and_labels_may_have_other_precisions(classes: int, balance: Balance) -> None:
    """A student in float64 or bfloat16 is taught float32 labels, and hardens as one in their precision."""
    generator = torch.Generator().manual_seed(0)
    said = torch.rand(16, classes, generator=generator).bfloat16().float()
    weak = torch.rand(16, classes, generator=generator).softmax(dim=1)
    wanted = harden(said, weak, balance)
    for kind, other in (
        (torch.float64, torch.float32),
        (torch.float32, torch.float64),
        (torch.bfloat16, torch.float32),
    ):
        assert torch.equal(harden(said.to(kind), weak.to(other), balance), wanted)

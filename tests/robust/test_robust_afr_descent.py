"""AFR's descent beyond law 6: its two spans, blocks of the grid, memory, and what a trajectory is."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.errors import InputError
from surefoot.robust import afr_descent
from surefoot.robust.afr import afr_weights
from surefoot.robust.afr_descent import Descent, Path, Span, cheaper_span, descend
from surefoot.robust.afr_spans import by_features, by_rows, products
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import Material
from surefoot.rows.rows import cross_groups, make_rows

GAMMAS, PENALTIES = (0.0, 4.0, 12.0), (0.0, 0.2, 50.0)
SPANS: tuple[Span, ...] = ("features", "rows")


def rows_of(count: int, width: int, classes: int, seed: int, precision: torch.dtype = torch.float64) -> Material:
    """Rectified features, as a network's last layer gives them, with a shortcut that agrees in nine of ten rows."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    agrees = torch.rand(count, generator=generator, dtype=torch.float64) < 0.9
    shortcut = torch.where(agrees, targets, (targets + 1) % classes)
    latent = torch.randn(count, 16, generator=generator, dtype=torch.float64)
    latent[:, 0] += 1.5 * targets
    latent[:, 1] += 3.0 * shortcut
    mixing = torch.randn(16, width, generator=torch.Generator().manual_seed(99), dtype=torch.float64) / 4
    noise = torch.randn(count, width, generator=generator, dtype=torch.float64)
    features = (latent @ mixing + 0.3 * noise).relu().to(precision)
    names = [str(label) for label in range(classes)]
    groups = cross_groups(targets, names, (shortcut == targets).long(), ["against", "along"])
    return Material("choose", make_rows(features, targets, groups=groups, classes=names), features, targets)


def base_of(width: int, classes: int, precision: torch.dtype = torch.float64) -> LinearHead:
    generator = torch.Generator().manual_seed(5)
    weight = 0.3 * torch.randn(classes, width, generator=generator, dtype=torch.float64) / math.sqrt(width)
    return LinearHead(weight.to(precision), torch.zeros(classes, dtype=precision))


def weights_of(repair: Material, base: LinearHead, gammas: tuple[float, ...] = GAMMAS) -> Tensor:
    probabilities = base.probabilities(repair.features).gather(1, repair.targets[:, None])[:, 0]
    return afr_weights(probabilities, repair.targets, gammas, base.weight.shape[0], True)


def path_of(
    rows: tuple[int, int],
    width: int,
    classes: int,
    descent: Descent,
    span: Span,
    precision: torch.dtype = torch.float64,
) -> Path:
    repair, choose = (rows_of(count, width, classes, seed, precision) for seed, count in enumerate(rows))
    base = base_of(width, classes, precision)
    # The same weights in both precisions: what is compared is the descent.
    weights = weights_of(rows_of(rows[0], width, classes, 0), base_of(width, classes))
    return descend(repair, choose, choose.rows.groups, base, weights, descent, span)


@pytest.mark.parametrize("classes", [2, 3])
def test_both_spans_take_the_same_path_with_more_features_than_rows(classes: int) -> None:
    descent = Descent(PENALTIES, 120, 0.01, 1.0)
    by_features, by_rows = (path_of((70, 101), 150, classes, descent, span) for span in SPANS)
    torch.testing.assert_close(by_rows.last, by_features.last, rtol=0, atol=1e-11)
    assert torch.equal(by_rows.step, by_features.step)
    assert torch.equal(by_rows.worst, by_features.worst)
    torch.testing.assert_close(by_rows.change, by_features.change, rtol=0, atol=1e-11)
    assert float(by_rows.last[0].abs().max()) > 0.01


@pytest.mark.parametrize("span", SPANS)
def test_single_precision_follows_double_to_1e_5_over_500_steps(span: Span) -> None:
    descent = Descent(PENALTIES, 500, 0.01, 1.0)
    single, double = (
        path_of((90, 40), 300, 2, descent, span, precision) for precision in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(single.last.double(), double.last, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("span", SPANS)
def test_single_precision_follows_double_at_the_size_of_waterbirds(span: Span) -> None:
    descent = Descent((0.0, 0.2), 500, 0.01, 1.0)
    single = path_of((959, 1199), 2048, 2, descent, span, torch.float32)
    double = path_of((959, 1199), 2048, 2, descent, "rows")
    torch.testing.assert_close(single.last.double(), double.last, rtol=0, atol=1e-5)


@pytest.mark.parametrize("span", SPANS)
def test_a_grid_taken_in_blocks_takes_the_same_path(span: Span, monkeypatch: pytest.MonkeyPatch) -> None:
    descent = Descent(PENALTIES, 30, 0.01, 1.0)
    at_once = path_of((80, 60), 20, 3, descent, span)
    monkeypatch.setattr(afr_descent, "COLUMNS", 1)  # one γ at a time
    in_blocks = path_of((80, 60), 20, 3, descent, span)
    for name in ("step", "worst", "mean"):
        assert torch.equal(getattr(at_once, name), getattr(in_blocks, name))
    torch.testing.assert_close(in_blocks.change, at_once.change, rtol=0, atol=1e-13)
    torch.testing.assert_close(in_blocks.last, at_once.last, rtol=0, atol=1e-13)


def test_a_descent_that_does_not_fit_into_memory_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.memory.available_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"^AFR with 9 vectors on 80 repair rows at a time needs about .* of memory"):
        path_of((80, 60), 20, 2, Descent(PENALTIES, 30, 0.01, 1.0), "rows")


def test_the_way_with_fewer_operations_is_taken() -> None:
    # Counted by hand for one vector and one step: 2048 · (4·959 + 2·1199), against 959 · (2·959 + 2·1199) a step.
    assert cheaper_span(959, 2048, 1199, 1, 1) == "features"  # the products of rows with rows do not pay for one step
    assert cheaper_span(959, 2048, 1199, 132, 500) == "rows"
    assert cheaper_span(2400, 64, 8000, 28, 500) == "features"


def gradient(repair: Material, base: LinearHead, weights: Tensor, change: Tensor) -> Tensor:
    """The gradient of Σ μ CE alone, by autograd, [classes, features + 1]."""
    moved = (torch.cat([base.weight, base.bias[:, None]], dim=1) + change).requires_grad_()
    losses = cross_entropy(repair.features @ moved[:, :-1].T + moved[:, -1], repair.targets, reduction="none")
    (found,) = torch.autograd.grad((weights * losses).sum(), moved)
    return found


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_norm_of_a_slope_counts_every_class_the_last_one_too(classes: int, span: Span) -> None:
    """Only K − 1 classes are stored; the norm is that of all K vectors of the gradient, at zero and away from it."""
    repair, base = rows_of(40, 9, classes, 0), base_of(9, classes)
    weights, penalty, length = weights_of(repair, base, (4.0,)), 0.3, -0.7
    free = classes - 1
    pull = torch.full((free, 1), 2 * penalty, dtype=torch.float64)
    shared = (base.logits(repair.features), repair.targets, weights.T.contiguous(), pull)
    if span == "features":
        ways = by_features(repair.features, *shared)
    else:
        ways = by_rows(products(repair.features, repair.features), *shared)
    at_zero = torch.zeros_like(ways.steepness)
    change = torch.zeros(classes, 10, dtype=torch.float64)
    found = ways.slope(at_zero, free)
    whole = gradient(repair, base, weights[:, 0], change)
    torch.testing.assert_close(found, whole.square().sum()[None], rtol=1e-10, atol=0)
    moved = torch.zeros_like(at_zero)
    ways.move(at_zero, torch.full((free, 1), length, dtype=torch.float64), moved)
    change = length * whole
    found = ways.slope(moved, free)
    whole = gradient(repair, base, weights[:, 0], change) + 2 * penalty * change
    torch.testing.assert_close(found, whole.square().sum()[None], rtol=1e-10, atol=0)


def last_after(steps: int, penalty: float, clip: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    repair, choose, base = rows_of(80, 12, 2, 0), rows_of(60, 12, 2, 1), base_of(12, 2)
    weights = weights_of(repair, base, (4.0,))
    path = descend(repair, choose, choose.rows.groups, base, weights, Descent((penalty,), steps, 0.01, clip))
    return path.last[0], lambda change: gradient(repair, base, weights[:, 0], change)


def test_at_penalty_50_and_rate_01_a_step_forgets_where_it_came_from() -> None:
    # Trap 8 of AFR: 1 − 2 λ · rate is 0.
    (before, slope), (after, _) = last_after(20, 50.0, math.inf), last_after(21, 50.0, math.inf)
    torch.testing.assert_close(after, -0.01 * slope(before), rtol=0, atol=1e-13)


def test_the_clip_acts_on_the_gradient_with_its_penalty() -> None:
    # Trap 8 of AFR: the bound is on the norm of both together.
    (before, slope), (after, _) = last_after(30, 0.5, 0.1), last_after(31, 0.5, 0.1)
    whole = slope(before) + 2 * 0.5 * before
    assert float(whole.norm()) > 0.1
    torch.testing.assert_close(after - before, -0.01 * 0.1 * whole / (whole.norm() + 1e-6), rtol=0, atol=1e-13)


def test_the_path_is_no_minimiser() -> None:
    # Trap 9 of AFR: at the last step the gradient is far from zero, and more steps go on.
    last, slope = last_after(500, 0.0, 1.0)
    assert float(slope(last).norm()) > 0.01
    assert float((last_after(1000, 0.0, 1.0)[0] - last).norm()) > 0.05


def test_the_score_that_wins_on_the_choose_rows_is_optimistic() -> None:
    # Trap 10 of AFR: labels without any relation to the features, so that every head is right half of the time.
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(240, 8, generator=generator, dtype=torch.float64)
    targets = torch.randint(2, (240,), generator=generator)
    groups = cross_groups(targets, ["0", "1"], torch.randint(2, (240,), generator=generator), ["a", "b"])
    rows = make_rows(features, targets, groups=groups)
    repair, choose = (
        Material("choose", rows.take(part), features[part], targets[part])
        for part in (torch.arange(120), torch.arange(120, 240))
    )
    base = base_of(8, 2)
    path = descend(
        repair, choose, choose.rows.groups, base, weights_of(repair, base), Descent(PENALTIES, 300, 0.05, 1.0)
    )
    # No head's worst of four groups is truly above one half; the best of 9 × 301 seems to be.
    assert float(path.worst.max()) > 0.5

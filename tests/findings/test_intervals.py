"""Intervals against textbook values, independent formulas and the special cases they must reduce to."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.clustering import Spread, cluster_design, influence, spread
from surefoot.findings.differences import change_interval, minimum_difference_interval
from surefoot.findings.finding import Interval
from surefoot.findings.intervals import (
    clopper_pearson,
    mean_interval,
    minimum_interval,
    proportion_interval,
    spread_interval,
    wilson,
)


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def whole(values: torch.Tensor, clusters: torch.Tensor) -> Spread:
    design = cluster_design(clusters.numpy())
    return spread(design, [(1.0, influence(design, np.ones(design.rows, dtype=bool), values.double().numpy()))])


def clustered_proportion(values: torch.Tensor, clusters: torch.Tensor, confidence: float) -> Interval:
    return proportion_interval(whole(values, clusters), confidence)


def clustered_mean(
    values: torch.Tensor, clusters: torch.Tensor, confidence: float, low: float = -math.inf, high: float = math.inf
) -> Interval | None:
    return mean_interval(whole(values, clusters), confidence, low=low, high=high)


def binary(right: int, rows: int) -> torch.Tensor:
    return (torch.arange(rows) < right).double()[None]


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (1, 10), (37, 50), (50, 50), (4_123, 4_800)])
def test_proportions_agree_with_scipy(right: int, rows: int) -> None:
    test = stats.binomtest(right, rows)
    for ours, name in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = test.proportion_ci(0.9, method=name)
        assert ends(ours(float(right), float(rows), 0.9)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_independent_rows_and_one_seed_give_plain_wilson() -> None:
    for right in (0, 1, 93, 100):
        interval = clustered_proportion(binary(right, 100), torch.arange(100)[:, None], 0.95)
        assert ends(interval) == pytest.approx(ends(wilson(float(right), 100.0, 0.95)), rel=1e-9)
        assert interval.method == "Wilson score"


def test_copies_of_a_row_are_one_row() -> None:
    """Each of 40 rows five times over: the interval of 40 rows (with a t for 39 degrees of freedom, not 199)."""
    rows = binary(29, 40).repeat_interleave(5, dim=1)
    interval = clustered_proportion(rows, torch.arange(40).repeat_interleave(5)[:, None], 0.95)
    low, high = ends(wilson(29.0, 40.0, 0.95))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)
    assert interval.low < low < high < interval.high


def test_a_perfect_score_is_worth_its_clusters() -> None:
    clusters = torch.stack([torch.arange(60) // 2, torch.arange(60) % 12], dim=1)
    for seeds in (1, 5):
        interval = clustered_proportion(torch.ones(seeds, 60), clusters, 0.95)
        assert ends(interval) == pytest.approx(ends(wilson(12.0, 12.0, 0.95)))


def test_seeds_do_not_multiply_evidence() -> None:
    """Five seeds that agree are worth one; five whose errors are independent are still worth no more than the rows."""
    right = binary(80, 100)
    alone = torch.arange(100)[:, None]
    assert ends(clustered_proportion(right.repeat(5, 1), alone, 0.95)) == pytest.approx(ends(wilson(80.0, 100.0, 0.95)))
    shuffled = torch.stack([right[0].roll(20 * seed) for seed in range(5)])
    low, high = ends(clustered_proportion(shuffled, alone, 0.95))
    assert high - low >= np.subtract(*reversed(ends(wilson(80.0, 100.0, 0.95)))) - 1e-12


def test_one_cluster_says_almost_nothing() -> None:
    interval = clustered_proportion(binary(9, 10), torch.zeros(10, 1, dtype=torch.int64), 0.95)
    assert interval.low < 0.2
    assert interval.high > 0.99
    assert clustered_mean(binary(9, 10), torch.zeros(10, 1, dtype=torch.int64), 0.95) is None


def test_symmetric_values_have_the_plain_student_interval() -> None:
    values = torch.tensor([[-3.0, -1.0, 1.0, 3.0, -2.0, 2.0, 0.5, -0.5]])
    expected = stats.t.interval(0.95, 7, loc=0, scale=stats.sem(values[0].numpy()))
    assert ends(clustered_mean(values, torch.arange(8)[:, None], 0.95)) == pytest.approx(expected)


def test_skewed_values_have_halls_interval() -> None:
    """The ends solve Hall's g(T) = ±t in T, written out here and solved by bisection."""
    values = np.random.default_rng(0).exponential(size=40)
    low, high = ends(clustered_mean(torch.from_numpy(values)[None], torch.arange(40)[:, None], 0.95))
    scale = values.std(ddof=1) / math.sqrt(40)
    moved = (values - values.mean()) / 39
    skewness = (moved**3).sum() / scale**3
    carriers = 2 * (moved**2).sum() ** 2 / (moved**4).sum() - 1
    t = float(stats.t.ppf(0.975, min(39, carriers)))
    for end, target in ((low, t), (high, -t)):
        T = (values.mean() - end) / scale
        assert T + skewness * T**2 / 3 + skewness**2 * T**3 / 27 + skewness / 6 == pytest.approx(target)


def test_a_mean_is_cut_to_its_range_and_unknown_without_spread() -> None:
    values = torch.tensor([[0.0] * 30 + [0.4]])
    low, high = ends(clustered_mean(values, torch.arange(31)[:, None], 0.95, low=0.0, high=2.0))
    assert low == 0.0
    assert 0.4 / 31 < high < 2.0
    assert clustered_mean(torch.ones(1, 9), torch.arange(9)[:, None], 0.95) is None


def changed(gained: torch.Tensor, lost: torch.Tensor, clusters: int = 1, confidence: float = 0.95) -> Interval:
    """The interval of a paired change; rows stand in `clusters` of equal size where this is not 1."""
    rows = gained.shape[1]
    design = cluster_design(np.arange(rows)[:, None] // clusters)
    everything = np.ones(rows, dtype=bool)
    plus, minus = (influence(design, everything, each.double().numpy()) for each in (gained, lost))
    of = spread(design, [(1.0, plus), (-1.0, minus)])
    return change_interval(of, spread(design, [(1.0, plus)]), spread(design, [(1.0, minus)]), confidence)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 0), (0, 7), (12, 4), (30, 30)])
def test_a_change_joins_wilsons_ends_of_gains_and_losses(gained: int, lost: int) -> None:
    """Newcombe's way with V(gains − losses), each end from Wilson's own interval, but for terms of order 1/n²."""
    rows = 2_000
    given = [(torch.arange(rows) < count)[None] for count in (gained, gained + lost)]
    interval = changed(given[0], given[1] & ~given[0])
    p, q = gained / rows, lost / rows
    (p_low, p_high), (q_low, q_high) = (ends(wilson(float(count), float(rows), 0.95)) for count in (gained, lost))
    twice_covariance = -2 * 1.96**2 * p * q / rows
    above = math.sqrt((p_high - p) ** 2 + (q - q_low) ** 2 - twice_covariance)
    below = math.sqrt((p - p_low) ** 2 + (q_high - q) ** 2 - twice_covariance)
    assert ends(interval) == pytest.approx((p - q - below, p - q + above), abs=0.01 * (above + below))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_a_change_that_was_not_seen_reaches_as_far_as_the_exact_limit(confidence: float) -> None:
    """Of 400 rows none changed: Clopper–Pearson's limit for no event, or a little more; by clusters where rows hang."""
    nothing = torch.zeros(1, 400)
    exact = clopper_pearson(0.0, 400.0, confidence).high
    low, high = ends(changed(nothing, nothing, confidence=confidence))
    assert -low == pytest.approx(high)
    assert exact <= high <= 1.3 * exact
    in_clusters = changed(nothing, nothing, clusters=10, confidence=confidence)
    assert in_clusters.high == pytest.approx(10 * high, rel=0.01)


def test_few_carriers_do_not_blow_a_change_up() -> None:
    """One cluster of forty lost: the shift counts clusters, and only the spread has its few degrees of freedom."""
    lost = (torch.arange(400) < 10)[None]
    interval = changed(torch.zeros(1, 400), lost, clusters=10)
    assert -0.4 < interval.low < -clopper_pearson(1.0, 40.0, 0.95).high
    assert 0 < interval.high < 0.4


def test_the_minimum_takes_each_lower_end_and_bonferroni_above() -> None:
    rights = [70.0, 72.0, 95.0]
    interval = minimum_interval([lambda c, right=right: clopper_pearson(right, 100.0, c) for right in rights], 0.95)
    low = stats.beta.ppf(0.025, 70, 31)
    high = stats.beta.ppf(1 - 0.05 / 6, 71, 30)
    assert ends(interval) == pytest.approx((low, high))
    with pytest.raises(
        InputError, match=r"^The minimum over groups was asked for without any group; name at least one"
    ):
        minimum_interval([], 0.95)


def test_the_minimum_of_one_is_itself() -> None:
    interval = minimum_interval([lambda confidence: wilson(30.0, 40.0, confidence)], 0.9)
    assert ends(interval) == pytest.approx(ends(wilson(30.0, 40.0, 0.9)))


def test_the_difference_of_minima_looks_at_every_pair() -> None:
    """Against all pairs written out, and the early exits must not change the answer."""
    rng = np.random.default_rng(1)
    for count in (1, 2, 5):
        middle, half = rng.normal(size=(count, count)), rng.random((count, count))
        asked: list[float] = []

        def pair(g: int, h: int, confidence: float, middle=middle, half=half, asked=asked) -> Interval:
            asked.append(confidence)
            return Interval(middle[g, h] - half[g, h], middle[g, h] + half[g, h], confidence, "given")

        interval = minimum_difference_interval(pair, count, 0.95)
        assert interval.low == (middle - half).max(axis=1).min()
        assert interval.high == (middle + half).min(axis=0).max()
        assert asked == pytest.approx([1 - 0.05 / count] * len(asked))


def test_spread_over_seeds_is_chi_square() -> None:
    values = [0.7, 0.8, 0.65, 0.9]
    low, high = ends(spread_interval(values, 0.9))
    squares = 3 * np.var(values, ddof=1)
    assert low == pytest.approx(math.sqrt(squares / stats.chi2.ppf(0.95, 3)))
    assert high == pytest.approx(math.sqrt(squares / stats.chi2.ppf(0.05, 3)))
    assert spread_interval([0.7], 0.9) is None
    assert spread_interval([0.7, 0.7, 0.7], 0.9) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3.0, 2.0, 0.95), r"^3 successes of 2 make no proportion; give 0 ≤ successes ≤ count, count > 0\.$"),
        ((0.0, 0.0, 0.95), r"^0 successes of 0 make no proportion; give 0 ≤ successes ≤ count, count > 0\.$"),
        ((1.0, 2.0, 95.0), r"^The confidence is 95\.0; give one strictly between 0 and 1, such as 0\.95\.$"),
    ],
)
def test_refuses_what_is_no_proportion(arguments: tuple[float, float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        wilson(*arguments)


def test_a_bounded_loss_reaches_as_far_as_errors_that_were_not_seen() -> None:
    """Brier scores near zero in 1,000 rows: an error (2.0) may still come in up to 3.7 of them, by the exact limit."""
    values = torch.from_numpy(1e-6 * np.random.default_rng(0).random((1, 1_000)))
    rows = torch.arange(1_000)[:, None]
    low, high = ends(clustered_mean(values, rows, 0.95, low=0.0, high=2.0))
    exact = 2 * clopper_pearson(0.0, 1_000.0, 0.95).high
    assert low == pytest.approx(0.0, abs=1e-6)
    assert exact < high < 1.1 * exact
    unbounded = clustered_mean(values, rows, 0.95, low=0.0)
    assert unbounded is not None
    assert unbounded.high < 1e-5
    usual = torch.from_numpy(np.random.default_rng(1).random((1, 1_000)))  # where the sample knows, nothing changes
    assert ends(clustered_mean(usual, rows, 0.95, low=0.0, high=2.0)) == ends(clustered_mean(usual, rows, 0.95))

"""Detection against scikit-learn, DeLong's variance against brute force, intervals by coverage."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from surefoot.errors import InputError
from surefoot.findings.detection import auroc, detection, false_positive_rate
from surefoot.findings.finding import Interval

Reals = NDArray[np.float64]


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def found(
    inside: Reals, outside: Reals, clusters: tuple[Reals, Reals] | None = None
) -> tuple[tuple[float, float], ...]:
    numbers = None if clusters is None else tuple(torch.from_numpy(each)[:, None].long() for each in clusters)
    both = detection(
        torch.from_numpy(inside),
        torch.from_numpy(outside),
        subject="a",
        source="judge",
        clusters=None if numbers is None else (numbers[0], numbers[1]),
    )
    return tuple(ends(each.interval) for each in both)


@pytest.mark.parametrize("decimals", [1, 8])
def test_agrees_with_scikit_learn(decimals: int) -> None:
    """With many ties, and with none."""
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=157).round(decimals), rng.normal(1, 1.5, size=83).round(decimals)
    labels = np.repeat([0, 1], [157, 83])
    scores = np.concatenate([inside, outside])
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    for rate in (0.5, 0.8, 0.95, 0.99):  # inside rows are the positives, and strange rows score low
        wrong, right, _ = roc_curve(1 - labels, -scores, drop_intermediate=False)
        assert false_positive_rate(inside, outside, rate) == pytest.approx(wrong[right >= rate][0])


def test_what_must_hold_of_an_area() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(size=60), rng.normal(0.7, 1, size=40)
    area = auroc(inside, outside)
    assert auroc(outside, inside) == pytest.approx(1 - area)
    assert auroc(np.exp(inside), np.exp(outside)) == area
    assert auroc(np.zeros(5), np.zeros(3)) == 0.5
    assert (auroc(np.arange(3.0), np.arange(3.0, 6.0)), false_positive_rate(np.arange(3.0), np.arange(3.0, 6.0))) == (
        1,
        0,
    )
    rates = [false_positive_rate(inside, outside, rate) for rate in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)]
    assert all(low <= high for low, high in pairwise(rates))
    # 0.95 · 20 is 19 although it is more in floating point.
    assert false_positive_rate(np.arange(20.0), np.array([18.5, 19.0])) == 0.0


def test_the_area_has_delongs_variance() -> None:
    """S₁₀/m + S₀₁/n of the placements written out, as Wilson's interval on p(1 − p)/variance rows."""
    rng = np.random.default_rng(2)
    inside, outside = rng.normal(size=200).round(1), rng.normal(0.8, 1, size=150).round(1)
    order = (outside[:, None] > inside) + 0.5 * (outside[:, None] == inside)
    variance = np.var(order.mean(axis=1), ddof=1) / 150 + np.var(order.mean(axis=0), ddof=1) / 200
    area = order.mean()
    low, high = found(inside, outside)[0]
    z = 1.96
    count = area * (1 - area) / variance
    centre = (area + z**2 / (2 * count)) / (1 + z**2 / count)
    half = math.sqrt(z**2 * (variance + z**2 / (4 * count**2))) / (1 + z**2 / count)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=0.15 * half)
    assert high - low == pytest.approx(2 * half, rel=0.1)


def test_copies_of_rows_are_no_evidence() -> None:
    rng = np.random.default_rng(3)
    inside, outside = rng.normal(size=60), rng.normal(1, 1, size=60)
    once = found(inside, outside)
    ids = np.arange(60.0)
    again = found(np.tile(inside, 5), np.tile(outside, 5), (np.tile(ids, 5), np.tile(60 + ids, 5)))
    for (low, high), (low_again, high_again) in zip(once, again, strict=True):
        assert (low_again, high_again) == pytest.approx((low, high), abs=0.1 * (high - low))
    careless = found(np.tile(inside, 5), np.tile(outside, 5))
    assert careless[0][1] - careless[0][0] < 0.6 * (once[0][1] - once[0][0])


def test_pairs_of_a_row_and_its_corrupted_copy_are_clusters() -> None:
    """Outside rows that follow their own inside row: the paired variance is smaller, and only clusters know."""
    rng = np.random.default_rng(4)
    inside = rng.normal(size=150)
    outside = inside + 0.5 + 0.3 * rng.normal(size=150)
    apart, paired = found(inside, outside)[0], found(inside, outside, (np.arange(150.0), np.arange(150.0)))[0]
    order = (outside[:, None] > inside).astype(np.float64)
    moved = order.mean(axis=1) + order.mean(axis=0)
    error = np.std(moved, ddof=1) / math.sqrt(150)
    assert paired[1] - paired[0] <= apart[1] - apart[0]
    # Never below the variance of rows taken one by one, though: that floor is the house's.
    assert paired[1] - paired[0] >= 2 * 1.9 * error


def test_perfect_detection_is_not_certain() -> None:
    (low, high), (low_rate, high_rate) = found(np.arange(30.0), np.arange(100.0, 120.0))
    assert high == 1.0
    assert low == pytest.approx(stats.binomtest(20, 20).proportion_ci(0.95, method="wilson").low, abs=1e-6)
    assert low_rate == 0.0
    assert high_rate == 1.0  # of thirty rows the largest may well lie below the 95 % quantile
    many = found(np.arange(300.0), np.arange(1_000.0, 1_300.0))[1]
    assert 0.0 == many[0] < many[1] < 0.03


def worlds(count: int, rows: int) -> tuple[float, float]:
    """How often intervals cover where inside rows are N(0, 1) and outside rows N(1.5, 1), in clusters of two."""
    rng = np.random.default_rng(5)
    truth = stats.norm.cdf(1.5 / math.sqrt(2))
    rate = stats.norm.cdf(stats.norm.ppf(0.95) - 1.5)
    covered = np.zeros(2)
    for _ in range(count):
        shared = np.sqrt(0.5) * rng.normal(size=(2, rows // 2, 1)) + np.sqrt(0.5) * rng.normal(size=(2, rows // 2, 2))
        inside, outside = shared[0].reshape(-1), 1.5 + shared[1].reshape(-1)
        ids = np.repeat(np.arange(rows // 2), 2).astype(np.float64)
        intervals = found(inside, outside, (ids, rows + ids))
        covered += [low <= each <= high for (low, high), each in zip(intervals, (truth, rate), strict=True)]
    return covered[0] / count, covered[1] / count


def test_intervals_cover() -> None:
    """150 worlds: below .847 comes about with probability below 10⁻⁶ if the true rate is .95 (exact binomial)."""
    rates = worlds(150, 80)
    print(f"auroc, fpr: {rates}")
    assert min(rates) >= 0.847


@pytest.mark.slow
def test_intervals_cover_at_their_rate() -> None:
    """1,000 worlds: below .914 comes about with probability below 10⁻⁶ if the true rate is .95."""
    rates = worlds(1_000, 80)
    print(f"auroc, fpr: {rates}")
    assert min(rates) >= 0.914


def test_findings_carry_what_a_reader_needs() -> None:
    both = detection(
        torch.arange(20.0), torch.arange(30.0) + 5, subject="sgld", source="judge", slice_="noise 3", rate=0.9
    )
    assert [each.name for each in both] == ["ood_auroc", "ood_fpr_at_90_tpr"]
    assert [each.direction for each in both] == ["higher", "lower"]
    assert {(each.count, each.clusters, each.slice, each.subject) for each in both} == {(20, 20, "noise 3", "sgld")}


def test_errors_say_what_to_do() -> None:
    scores = torch.arange(5.0)
    with pytest.raises(InputError, match="5 inside and 0 outside rows"):
        detection(scores, scores[:0], subject="a", source="b")
    with pytest.raises(InputError, match="NaN"):
        detection(scores, scores * math.nan, subject="a", source="b")
    with pytest.raises(InputError, match="clusters of 4 and 5"):
        detection(
            scores, scores, subject="a", source="b", clusters=(torch.zeros(4, 1).long(), torch.zeros(5, 1).long())
        )
    with pytest.raises(InputError, match="true positive rate is"):
        detection(scores, scores, subject="a", source="b", rate=1.0)

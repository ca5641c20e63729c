"""Risk and coverage by definition, ties by averaging over all orders, intervals by brute force and by coverage."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from finding_examples import drawn, find, predictions
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.calibration import calibration_error, reliability
from surefoot.findings.clustering import cluster_design
from surefoot.findings.finding import Interval
from surefoot.findings.intervals import wilson
from surefoot.findings.selective import area_under_risk_coverage, risk_coverage, selective

Reals = NDArray[np.float64]


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def area_in_order(errors: Any) -> float:
    """(1/n) Σ_k (errors among the first k)/k."""
    return float(np.mean([sum(errors[:k]) / k for k in range(1, len(errors) + 1)]))


def test_the_area_of_rows_in_order() -> None:
    rng = np.random.default_rng(0)
    errors = (rng.uniform(size=50) < 0.3).astype(np.float64)
    sure = rng.permutation(50).astype(np.float64)
    assert area_under_risk_coverage(sure, errors) == pytest.approx(area_in_order(errors[np.argsort(-sure)]))
    losses = rng.exponential(size=50)
    assert area_under_risk_coverage(sure, losses) == pytest.approx(area_in_order(losses[np.argsort(-sure)]))


def test_ties_count_as_the_mean_over_their_orders() -> None:
    sure = np.array([3.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    errors = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    areas = [
        area_in_order([1.0, *first, *second])
        for first in itertools.permutations([0.0, 1.0, 0.0])
        for second in itertools.permutations([1.0, 0.0])
    ]
    assert area_under_risk_coverage(sure, errors) == pytest.approx(np.mean(areas))
    assert area_under_risk_coverage(np.ones(8), np.arange(8) % 2.0) == pytest.approx(0.5)


def test_known_areas() -> None:
    """No errors, none but errors, and n₁ errors ranked last: the area of an oracle."""
    sure = np.arange(10.0)
    assert area_under_risk_coverage(sure, np.zeros(10)) == 0
    assert area_under_risk_coverage(sure, np.ones(10)) == pytest.approx(1)
    oracle = sum((k - 7) / k for k in range(8, 11)) / 10
    assert area_under_risk_coverage(sure, (sure < 3).astype(np.float64)) == pytest.approx(oracle)


def test_the_curve_is_the_risk_above_every_threshold() -> None:
    rng = np.random.default_rng(1)
    sure, errors = rng.integers(6, size=40).astype(np.float64), rng.integers(2, size=40).astype(np.float64)
    curve = risk_coverage(sure, errors)
    assert curve.threshold.tolist() == sorted(set(sure.tolist()), reverse=True)
    for coverage, risk, threshold in zip(*curve, strict=True):
        inside = sure >= threshold
        assert (coverage, risk) == pytest.approx((inside.mean(), errors[inside].mean()))


def test_findings_by_hand() -> None:
    of = drawn(seeds=1, rows=300)
    found = selective(of, subject="a", source="judge", coverages=(0.5, 1.0))
    sure = of.probabilities[0].max(dim=1).values.numpy()
    right = of.correct()[0].numpy()
    half = right[np.argsort(-sure)[:150]]
    at_half = find(found, "accuracy_at_coverage", "surest 50 %")
    assert (at_half.value, at_half.count) == (pytest.approx(half.mean()), 150)
    assert find(found, "accuracy_at_coverage", "surest 100 %").value == pytest.approx(right.mean())
    area = find(found, "aurc")
    assert area.value == pytest.approx(area_in_order(1 - right[np.argsort(-sure)]))
    low, high = ends(area.interval)
    assert low < area.value < high
    assert (area.direction, at_half.direction) == ("lower", "higher")


def test_accuracy_of_independent_accepted_rows_is_a_plain_proportion() -> None:
    chance = torch.linspace(0.51, 0.99, 200, dtype=torch.float64)
    of = predictions(torch.stack([chance, 1 - chance], dim=1)[None], (torch.arange(200) % 10 == 0).long())
    found = selective(of, subject="a", source="judge", coverages=(0.4,))[1]
    assert found.value == pytest.approx(72 / 80)
    assert ends(found.interval) == pytest.approx(ends(wilson(72.0, 80.0, 0.95)))


def test_seeds_each_accept_their_own_rows() -> None:
    """Two seeds that are one seed twice: the same value, and the same interval to first order."""
    one = drawn(seeds=1, rows=400)
    twice = drawn(seeds=1, rows=400)
    twice = predictions(twice.probabilities.repeat(2, 1, 1), twice.targets, twice.classes, None, twice.clusters)
    alone = find(selective(one, subject="a", source="b"), "accuracy_at_coverage", "surest 80 %")
    both = find(selective(twice, subject="a", source="b"), "accuracy_at_coverage", "surest 80 %")
    assert both.per_seed == pytest.approx((alone.value, alone.value))
    assert ends(both.interval) == pytest.approx(ends(alone.interval), abs=0.01)


def test_what_is_accepted_with_ties_and_other_scores() -> None:
    chance = torch.tensor([0.9, 0.8, 0.8, 0.8, 0.6], dtype=torch.float64)
    of = predictions(torch.stack([chance, 1 - chance], dim=1)[None], torch.tensor([0, 0, 1, 0, 1]))
    found = selective(of, subject="a", source="judge", coverages=(0.4,))[1]
    assert (found.count, found.value) == (4, 0.75)  # the three that tie come together
    ranked = selective(of, subject="a", source="judge", coverages=(0.4,), sure=torch.tensor([[0.0, 1, 2, 3, 4]]))[1]
    assert (ranked.count, ranked.value) == (2, 0.5)
    # 0.7 · 10 is 7 although 0.7 * 10 in floating point is not.
    ten = predictions(drawn(seeds=1, rows=10).probabilities, torch.zeros(10).long(), ("a", "b", "c"))
    assert selective(ten, subject="a", source="b", coverages=(0.7,))[1].count == 7


def test_the_variance_of_the_area_is_the_bootstraps() -> None:
    """Rows drawn anew 400 times (ties and all): the half-width is 1.96 standard errors, give or take 15 %."""
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.5, 1, size=500).round(2)
    wrong = rng.uniform(size=500) > chance
    of = predictions(torch.from_numpy(np.stack([chance, 1 - chance], axis=1))[None], torch.from_numpy(wrong).long())
    low, high = ends(selective(of, subject="a", source="b", coverages=())[0].interval)
    again = [rng.integers(500, size=500) for _ in range(400)]
    error = np.std([area_under_risk_coverage(chance[i], wrong[i].astype(np.float64)) for i in again], ddof=1)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_without_errors_the_area_is_as_large_as_unseen_errors_could_make_it() -> None:
    """No error in 40 rows: the rate may be e = 1 − .025^(1/40), and ∫ min(1, e/c) dc is the area with errors first."""
    chance = torch.linspace(0.6, 0.9, 40, dtype=torch.float64)
    for target in (0, 1):
        of = predictions(torch.stack([chance, 1 - chance], dim=1)[None], torch.full((40,), target))
        area = selective(of, subject="a", source="b", coverages=())[0]
        rate = 1 - 0.025 ** (1 / 40)
        fine = (np.arange(200_000) + 0.5) / 200_000
        largest = float(np.minimum(1, rate / fine).mean())
        assert area.value == target
        assert ends(area.interval) == pytest.approx((0, largest) if target == 0 else (1 - largest, 1), abs=1e-5)


def test_intervals_cover() -> None:
    """200 calibrated worlds of 40 clusters of 5 rows: below .865 comes about once in 10⁶ if the rate is .95 (binomial).

    The truths are those of a million rows (their own error is a tenth of a per cent).
    """
    rng = np.random.default_rng(3)

    def world(clusters: int, size: int) -> tuple[Reals, Reals, Reals]:
        luck = np.sqrt(0.4) * rng.normal(size=clusters)[:, None] + np.sqrt(0.6) * rng.normal(size=(clusters, size))
        chance = 0.5 + 0.5 * rng.uniform(size=(clusters, size))
        wrong = luck > np.sqrt(2) * _erfinv(2 * chance - 1)
        labels = np.repeat(np.arange(clusters), size)
        return chance.reshape(-1), wrong.reshape(-1).astype(np.float64), labels

    chance, wrong, _ = world(200_000, 5)
    surest = chance >= np.quantile(chance, 0.2)
    truths = area_under_risk_coverage(chance, wrong), 1 - wrong[surest].mean()
    covered = np.zeros(2)
    for _ in range(200):
        chance, wrong, labels = world(40, 5)
        of = predictions(
            torch.from_numpy(np.stack([chance, 1 - chance], axis=1))[None],
            torch.from_numpy(wrong).long(),
            clusters=torch.from_numpy(labels)[:, None],
        )
        found = selective(of, subject="a", source="b", coverages=(0.8,))
        intervals = [ends(each.interval) for each in found]
        covered += [low <= truth <= high for (low, high), truth in zip(intervals, truths, strict=True)]
    print(f"aurc, accuracy at coverage: {covered / 200}")
    assert covered.min() / 200 >= 0.865


def _erfinv(values: Reals) -> Reals:
    return torch.special.erfinv(torch.from_numpy(values)).numpy()


def test_errors_say_what_to_do() -> None:
    of = drawn(seeds=1, rows=30)
    with pytest.raises(InputError, match=r"coverage is 1\.5"):
        selective(of, subject="a", source="b", coverages=(1.5,))
    with pytest.raises(InputError, match="`sure` has shape"):
        selective(of, subject="a", source="b", sure=torch.zeros(2, 30))
    with pytest.raises(InputError, match="`sure` has shape"):
        selective(of, subject="a", source="b", sure=torch.full((1, 30), math.nan))
    with pytest.raises(InputError, match="0 confidences"):
        risk_coverage(np.zeros(0), np.zeros(0))


def test_calibration_bins_are_half_open_and_hold_a_confidence_of_one() -> None:
    """Saturated confidences of exactly 1 and confidences on a bin's edge all count, once."""
    confidence = torch.tensor([1.0, 1.0, 1.0, 0.8, 0.8, 0.6], dtype=torch.float64)  # 0.8 and 0.6 are edges of 15 and 5
    of = predictions(torch.stack([confidence, 1 - confidence], dim=1)[None], torch.tensor([0, 1, 0, 0, 1, 1]))
    design = cluster_design(of.clusters.numpy())
    by_hand = (abs(3 * 1.0 - 2) + abs(2 * 0.8 - 1) + abs(0.6)) / 6
    assert calibration_error(of, design).spread.value == pytest.approx(by_hand)
    assert calibration_error(of, design, bins=5).spread.value == pytest.approx(by_hand)
    assert calibration_error(of, design, equal_mass=True, bins=3).spread.value == pytest.approx(by_hand)
    assert [(each.confidence, each.count) for each in reliability(of, 5)] == [(0.6, 1), (0.8, 2), (1.0, 3)]

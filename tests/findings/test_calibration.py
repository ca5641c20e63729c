"""Calibration errors against definitions written out row by row."""

import math

import numpy as np
import pytest
import torch
from finding_examples import drawn, predictions

from surefoot.errors import InputError
from surefoot.findings.calibration import (
    Bin,
    calibration_difference_interval,
    calibration_error,
    calibration_interval,
    reliability,
)
from surefoot.findings.clustering import cluster_design
from surefoot.findings.predictions import Predictions


def by_hand(of: Predictions, seed: int, cuts: list[float]) -> float:
    """Σ over bins of |mean of (right − confidence)| · share of rows, with bins (low, high]."""
    confidence = of.probabilities[seed].max(dim=1).values.tolist()
    right = of.correct()[seed].tolist()
    total = 0.0
    for low, high in zip([-1.0, *cuts], [*cuts, 2.0], strict=True):
        inside = [r - c for r, c in zip(right, confidence, strict=True) if low < c <= high]
        total += abs(sum(inside)) / len(confidence)
    return total


def test_equal_width_by_hand() -> None:
    of = drawn()
    error = calibration_error(of, cluster_design(of.clusters.numpy()))
    cuts = [b / 15 for b in range(1, 15)]
    assert error.spread.per_seed == pytest.approx([by_hand(of, seed, cuts) for seed in range(3)])


def test_equal_mass_has_equal_bins_and_keeps_ties_together() -> None:
    of = drawn(rows=450)
    error = calibration_error(of, cluster_design(of.clusters.numpy()), equal_mass=True)
    for seed in range(3):
        ordered = of.probabilities[seed].max(dim=1).values.sort().values.tolist()
        cuts = [(ordered[30 * b - 1] + ordered[30 * b]) / 2 for b in range(1, 15)]
        assert error.spread.per_seed[seed] == pytest.approx(by_hand(of, seed, cuts))
    chance = torch.tensor([[0.7, 0.3]]).double().repeat(90, 1)
    tied = predictions(chance[None], (torch.arange(90) < 30).long())
    error = calibration_error(tied, cluster_design(tied.clusters.numpy()), equal_mass=True)
    assert error.spread.value == pytest.approx(abs(60 / 90 - 0.7))


@pytest.mark.parametrize("chance", [0.97, 0.9, 0.83, 0.71])
def test_rows_that_are_all_alike_have_no_spread(chance: float) -> None:
    of = predictions(torch.tensor([[chance, 1 - chance]]).double().repeat(80, 1)[None], torch.zeros(80).long())
    error = calibration_error(of, cluster_design(of.clusters.numpy()))
    assert error.spread.value == pytest.approx(1 - chance)
    assert error.excess == pytest.approx(0, abs=1e-9)


def test_a_model_that_is_always_sure_and_half_right_errs_by_half() -> None:
    chance = torch.tensor([[1.0, 0.0]]).repeat(1_000, 1)
    of = predictions(chance[None], torch.arange(1_000) % 2)
    design = cluster_design(of.clusters.numpy())
    error = calibration_error(of, design)
    interval = calibration_interval(error, 0.95)
    assert error.spread.value == pytest.approx(0.5)
    assert error.excess < 1e-6
    normal = 1.96 * math.sqrt(0.25 / 1_000)
    assert (interval.low, interval.high) == pytest.approx((0.5 - normal, 0.5 + normal), abs=0.003)


def test_the_excess_bounds_the_bias_of_a_calibrated_model() -> None:
    """For a calibrated model the estimate is all bias: its mean is the mean bound Σ σ √(2/π)."""
    rng = np.random.default_rng(0)
    values, bounds = [], []
    for _ in range(200):
        chance = rng.uniform(size=600)
        targets = (rng.uniform(size=600) < chance).astype(np.int64)
        of = predictions(torch.from_numpy(np.stack([1 - chance, chance], axis=1))[None], torch.from_numpy(targets))
        error = calibration_error(of, cluster_design(of.clusters.numpy()))
        values.append(error.spread.value)
        bounds.append(error.excess)
    assert np.mean(bounds) == pytest.approx(np.mean(values), rel=0.06)


def test_standard_errors_of_bins_are_those_of_their_signed_gaps() -> None:
    """One bin: the excess is σ e((|δ̂|/σ − 2)⁺) with the clustered standard error of the mean gap."""
    of = drawn(seeds=1)
    design = cluster_design(of.clusters.numpy())
    error = calibration_error(of, design, bins=1)
    parts = error.spread.parts
    variance = max(
        sum(sign * part.total for sign, part in zip(error.spread.signs, parts, strict=True)),
        *(part.total for part in parts),
    )
    sigma = math.sqrt(max(variance, 0.0))
    m = max(0.0, error.spread.value / sigma - 2)
    normal = math.exp(-m * m / 2) / math.sqrt(2 * math.pi) - m * 0.5 * math.erfc(m / math.sqrt(2))
    assert error.excess == pytest.approx(2 * sigma * normal, rel=1e-6)


def test_the_difference_of_a_model_and_itself_is_zero_within_both_biases() -> None:
    of = drawn(seeds=1)
    design = cluster_design(of.clusters.numpy())
    error = calibration_error(of, design)
    interval = calibration_difference_interval(error, error, design, 0.95)
    assert interval.low < 0 < interval.high
    assert interval.high == pytest.approx(-interval.low)
    assert interval.high >= error.excess


def test_one_cluster_says_nothing_of_calibration() -> None:
    of = drawn(seeds=1, cores=1, tops=1)
    design = cluster_design(of.clusters.numpy())
    error = calibration_error(of, design)
    interval = calibration_interval(error, 0.95)
    assert (interval.low, interval.high) == (0.0, 1.0)
    interval = calibration_difference_interval(error, error, design, 0.95)
    assert (interval.low, interval.high) == (-1.0, 1.0)


def test_reliability_joins_seeds_and_leaves_out_empty_bins() -> None:
    chance = torch.tensor([[[0.95, 0.05], [0.55, 0.45]], [[0.97, 0.03], [0.3, 0.7]]]).double()
    of = predictions(chance, torch.tensor([0, 1]))
    bins = reliability(of, 10)
    expected = [Bin(0.55, 0.0, 1), Bin(0.7, 1.0, 1), Bin(0.96, 1.0, 2)]
    assert [each.count for each in bins] == [1, 1, 2]
    for ours, theirs in zip(bins, expected, strict=True):
        assert (ours.confidence, ours.accuracy) == pytest.approx((theirs.confidence, theirs.accuracy))
    assert sum(each.count for each in reliability(drawn())) == 3 * 400


def test_reliability_holds_the_calibration_error_of_one_seed() -> None:
    of = drawn(seeds=1)
    error = calibration_error(of, cluster_design(of.clusters.numpy())).spread.value
    assert sum(abs(b.accuracy - b.confidence) * b.count for b in reliability(of)) / 400 == pytest.approx(error)


def test_refuses_no_bins() -> None:
    of = drawn()
    message = r"^Calibration was asked for in 0 bins; give at least one\.$"
    with pytest.raises(InputError, match=message):
        reliability(of, 0)
    with pytest.raises(InputError, match=message):
        calibration_error(of, cluster_design(of.clusters.numpy()), equal_mass=True, bins=0)

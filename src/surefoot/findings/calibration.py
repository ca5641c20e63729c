"""Calibration: does a confidence of 80 % come true 80 % of the time?

The confidence of a prediction is the probability of its most probable class. Bins cut confidences into intervals
of equal width, (b/B, (b + 1)/B], or of (nearly) equal mass, one cut per seed; equal confidences share a bin. The
calibration error is Σ_b |δ_b| with the signed gap δ_b = mean over all rows of 1[row in b] · (right − confidence).

**Its interval.** The estimate Σ|δ̂_b| is too large on average, above all for well calibrated models: by convexity
0 ≤ E Σ|δ̂_b| − Σ|δ_b| ≤ Σ_b σ_b √(2/π), σ_b the standard error of δ̂_b (the mean of |N(0, σ²)| bounds the excess
for every δ_b). So the upper end needs no correction for bias. The lower end subtracts Σ_b σ_b e((|δ̂_b|/σ_b − 2)⁺) with
e(m) = E|N(m, 1)| − m: the whole bound for a bin within two standard errors of calibration, nearly nothing for one
that is clearly off. The spread about the mean is at most that of Σ_b ε_b δ̂_b with signs ε held fixed, for |·| shortens
distances; and this, with ε = sign δ̂, is the mean over rows of ε · (right − confidence): a linear estimate with the
cluster-robust variance of `clustering`. With c the `shift` of `rare`, the half-width is √(Σt²V + c²) and the upper end
lies c higher, as in Wilson's interval: without it a model whose rare errors are not in the sample would seem sure of
its calibration. Cuts at equal mass are held fixed as they were found. In simulation the interval covers in .99 of cases
and more where .95 is stated: it is honest rather than tight.

Sources: Guo, Pleiss, Sun & Weinberger (2017), ICML (equal width); Nguyen & O'Connor (2015), EMNLP (equal mass);
Kumar, Liang & Ma (2019), NeurIPS (upward bias of the plug-in estimate).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, Spread, influence, reach_of, spread
from surefoot.findings.finding import Interval
from surefoot.findings.predictions import Predictions
from surefoot.findings.rare import shift

__all__ = [
    "Bin",
    "CalibrationError",
    "calibration_difference_interval",
    "calibration_error",
    "calibration_interval",
    "reliability",
]

Reals: TypeAlias = NDArray[np.float64]
Whole: TypeAlias = NDArray[np.int64]

BINS = 15


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, accuracy, and predictions in it."""

    confidence: float
    accuracy: float
    count: int


class CalibrationError(NamedTuple):
    """A calibration error as the mean of `signed` `[seeds, rows]`, and the bound on how much too large it is."""

    signed: Reals
    excess: float
    spread: Spread


def reliability(predictions: Predictions, bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability diagram in bins of equal width, all seeds together; bins without predictions are left out.

    Raises `InputError` for fewer than one bin.
    """
    confidence, right = _confidences(predictions)
    index = _equal_width(confidence.reshape(-1), bins)
    counts = np.bincount(index, minlength=bins)
    sums = np.bincount(index, weights=confidence.reshape(-1), minlength=bins)
    rights = np.bincount(index, weights=right.reshape(-1), minlength=bins)
    return tuple(
        Bin(float(sums[b] / counts[b]), float(rights[b] / counts[b]), int(counts[b])) for b in range(bins) if counts[b]
    )


def calibration_error(
    predictions: Predictions, design: Design, *, equal_mass: bool = False, bins: int = BINS
) -> CalibrationError:
    """The calibration error of each seed's model, ready for its interval; see the module's text."""
    confidence, right = _confidences(predictions)
    signed = np.empty_like(confidence)
    excess: list[float] = []
    for seed, (sure, correct) in enumerate(zip(confidence, right, strict=True)):
        index = _equal_mass(sure, bins) if equal_mass else _equal_width(sure, bins)
        gap = correct - sure
        sums = np.bincount(index, weights=gap, minlength=bins)
        signed[seed] = np.where(sums >= 0, 1.0, -1.0)[index] * gap
        excess.append(_excess(sums / design.rows, _standard_errors(design, gap, index, bins)))
    everything = np.ones(design.rows, dtype=np.bool_)
    of = spread(design, [(1.0, influence(design, everything, signed))])
    return CalibrationError(signed, float(np.mean(excess)), of)


def calibration_interval(of: CalibrationError, confidence: float) -> Interval:
    """The interval of a calibration error, inside [0, 1]; see the module's text."""
    method = "cluster-robust, upward bias bounded"
    if not of.spread.known:
        return Interval(0.0, 1.0, confidence, method)
    half, unseen = _reach(of.spread, confidence)
    value = of.spread.value
    return Interval(max(0.0, value - of.excess - half), min(1.0, value + unseen + half), confidence, method)


def calibration_difference_interval(
    before: CalibrationError, after: CalibrationError, design: Design, confidence: float
) -> Interval:
    """The interval of the paired difference after − before: each estimate's bias may be anything up to its bound."""
    everything = np.ones(design.rows, dtype=np.bool_)
    of = spread(design, [(1.0, influence(design, everything, after.signed - before.signed))])
    method = "cluster-robust and paired, upward biases bounded"
    if not of.known:
        return Interval(-1.0, 1.0, confidence, method)
    half, unseen = _reach(of, confidence)
    low = of.value - after.excess - half - unseen
    high = of.value + before.excess + half + unseen
    return Interval(max(-1.0, low), min(1.0, high), confidence, method)


def _reach(of: Spread, confidence: float) -> tuple[float, float]:
    """Half the width about a mean of numbers in [−1, 1], and what the rows may not have shown (`rare`)."""
    unseen = shift(of, confidence)
    return math.sqrt(reach_of(of, confidence).squared + unseen**2), unseen


def _confidences(predictions: Predictions) -> tuple[Reals, Reals]:
    confidence = predictions.probabilities.max(dim=2).values.double().numpy()
    return confidence, predictions.correct().numpy()


def _equal_width(confidence: Reals, bins: int) -> Whole:
    if bins < 1:
        raise InputError(f"Calibration was asked for in {bins} bins; give at least one.")
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _equal_mass(confidence: Reals, bins: int) -> Whole:
    if bins < 1:
        raise InputError(f"Calibration was asked for in {bins} bins; give at least one.")
    ordered = np.sort(confidence)
    cuts = ordered[[len(ordered) * b // bins for b in range(1, bins)]]
    return np.searchsorted(cuts, confidence, side="right").astype(np.int64)


def _excess(gaps: Reals, errors: Reals) -> float:
    """The bound on how much too large Σ|gap| is, from estimated gaps and their standard errors."""
    total = 0.0
    for gap, error in zip(np.abs(gaps).tolist(), errors.tolist(), strict=True):
        if error > 0:
            m = max(0.0, gap / error - 2)
            normal = NormalDist()
            total += error * 2 * (normal.pdf(m) - m * normal.cdf(-m))
    return total


def _standard_errors(design: Design, gap: Reals, index: Whole, bins: int) -> Reals:
    """The cluster-robust standard error of every bin's signed gap, for one seed."""
    rows = design.rows
    means = np.bincount(index, weights=gap, minlength=bins) / rows
    variances: list[Reals] = []
    for partition in design.partitions:
        if partition.labels is None:
            squares = np.bincount(index, weights=gap**2, minlength=bins) / rows - means**2
            # Where all rows of a bin are alike, rounding may leave less than nothing.
            variances.append(np.maximum(squares, 0) / max(rows - 1, 1))
            continue
        cells = np.bincount(
            index * partition.size + partition.labels, weights=gap, minlength=bins * partition.size
        ).reshape(bins, partition.size)
        share = np.bincount(partition.labels, minlength=partition.size) / rows
        left = np.maximum(1 - share, 1 / rows)
        moved = (cells / rows - means[:, None] * share) / left
        variances.append((partition.size - 1) / partition.size * (moved**2).sum(axis=1))
    together = np.sum([p.sign * v for p, v in zip(design.partitions, variances, strict=True)], axis=0)
    singly = [v for p, v in zip(design.partitions, variances, strict=True) if p.way]
    return np.sqrt(np.max([together, variances[0], *singly], axis=0))

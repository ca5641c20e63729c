"""Selective prediction: how wrong a model is on the rows that it is surest of.

Rows are accepted from the surest down. At coverage c the risk is the share of errors among the surest c·n rows, and the
area under this curve is

    AURC = (1/n) Σ_k (errors among the k surest)/k = (1/n) Σ_i error_i · w_i,    w_i = Σ_{k ≥ rank i} 1/k

Equally sure rows have no order: wherever one would matter, the mean over all their orders is taken, so that w is the
mean over the ranks that they share, and the area does not depend on how rows are sorted.

**Its interval.** The area is no plain mean: a row's weight depends on the others. To first order it moves as the mean
of φ_i = error_i w_i − h_i + ē with h_i = (1/n) Σ_j error_j 1[row j no surer than row i]/F̄_j, F̄_j the share of rows at
least as sure as j, and ē the mean error (the functional E[error · −ln F̄] differentiated; the mean of h is ē exactly, so
φ has the mean AURC). The house's clustered interval of a mean of φ is given. Where no row, or every row, is wrong there
is no spread, and the ends are e + (1 − e) ln(1 − e) and e − e ln e, the smallest and the largest area of any order of
rows, at the exact ends of the error rate e. **Accuracy at coverage** is the accuracy of the accepted rows, by the
interval of a proportion; where its threshold fell is held fixed.

Sources: Geifman & El-Yaniv (2017), NeurIPS (risk and coverage); Geifman, Uziel & El-Yaniv (2019), ICLR (AURC).
"""

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, Spread, influence, spread
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence, mean_interval, proportion_interval
from surefoot.findings.predictions import Predictions
from surefoot.findings.slices import Members, Reals, Slices, slices_of, to_finding

__all__ = ["RiskCoverage", "area_under_risk_coverage", "risk_coverage", "selective"]


Whole: TypeAlias = NDArray[np.int64]


class RiskCoverage(NamedTuple):
    """The curve's points, from few rows to all: one for each confidence that occurs, its ties all accepted."""

    coverage: Reals
    risk: Reals
    threshold: Reals


def risk_coverage(sure: Reals, errors: Reals) -> RiskCoverage:
    """The risk at every coverage that a threshold on `sure` can reach; errors are 0 or 1, or losses.

    >>> curve = risk_coverage(np.array([0.9, 0.8, 0.8, 0.6]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> curve.coverage.tolist(), [round(each, 3) for each in curve.risk.tolist()]
    ([0.25, 0.75, 1.0], [0.0, 0.333, 0.5])
    """
    order, last = _order(sure, errors)
    sums = np.cumsum(errors[order])[last]
    return RiskCoverage((last + 1) / len(sure), sums / (last + 1), sure[order][last])


def area_under_risk_coverage(sure: Reals, errors: Reals) -> float:
    """AURC; see the module's text.

    >>> area_under_risk_coverage(np.array([0.9, 0.8]), np.array([0.0, 1.0]))
    0.25
    """
    return float(_linear(sure, errors).mean())


def selective(
    predictions: Predictions,
    *,
    subject: str,
    source: str,
    sure: Float[Tensor, "_ _"] | None = None,
    coverages: tuple[float, ...] = (0.8, 0.9, 0.95),
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """`aurc` (lower is better) and `accuracy_at_coverage` for each of `coverages`, with slices "surest 80 %", ….

    sure: how sure the model is of each row, larger is surer; the probability of its most probable class by default. To
    rank by an uncertainty (an entropy), give its negative. At a coverage the ⌈c·n⌉ surest rows are accepted, and the
    rows that tie with the last of them as well.

    Raises `InputError` for no rows, a coverage outside (0, 1], a `sure` of another shape or with NaN, and decisions
    that come without probabilities.
    """
    check_confidence(confidence)
    slices = slices_of(predictions)
    ranked = _ranked(predictions, sure)
    correct = predictions.correct().numpy()
    finding = partial(to_finding, slices, subject=subject, source=source)
    linear = np.stack([_linear(each, 1 - right) for each, right in zip(ranked, correct, strict=True)])
    area = spread(slices.design, [(1.0, influence(slices.design, slices.everything, linear))])
    findings = [
        finding(
            slices.everything,
            name="aurc",
            slice_="all",
            per_seed=area.per_seed,
            interval=_area_interval(slices, area, 1 - correct, confidence),
            direction="lower",
        )
    ]
    for coverage in coverages:
        accepted = np.stack([_accepted(each, coverage) for each in ranked])
        of = _accuracy(slices.design, accepted, correct)
        findings.append(
            finding(
                np.logical_or.reduce(accepted),
                name="accuracy_at_coverage",
                slice_=f"surest {100 * coverage:g} %",
                per_seed=of.per_seed,
                interval=proportion_interval(of, confidence),
                direction="higher",
            )
        )
    return tuple(findings)


def _area_interval(slices: Slices, area: Spread, errors: Reals, confidence: float) -> Interval:
    """The interval of a mean; where no spread was seen, what the errors' own exact interval leaves possible."""
    if (found := mean_interval(area, confidence, low=0.0, high=1.0)) is not None:
        return found
    rate = spread(slices.design, [(1.0, influence(slices.design, slices.everything, errors))])
    of_errors = proportion_interval(rate, confidence, exact=True)
    return Interval(
        _least_area(of_errors.low),
        1 - _least_area(1 - of_errors.high),
        confidence,
        f"smallest and largest area that the errors allow: {of_errors.method}",
    )


def _least_area(rate: float) -> float:
    """With all errors at the end ∫ max(0, 1 − (1 − e)/c) dc; one less this with 1 − e where they come first."""
    return 1.0 if rate >= 1 else rate + (1 - rate) * math.log1p(-rate)


def _order(sure: Reals, errors: Reals) -> tuple[Whole, Whole]:
    """Rows from the surest down, and the place of the last row of each tie."""
    if not len(sure) or sure.shape != errors.shape or not (np.isfinite(sure).all() and np.isfinite(errors).all()):
        raise InputError(
            f"There are {len(sure)} confidences and {len(errors)} errors, which must be finite; give one of each for "
            "at least one row."
        )
    order = np.argsort(-sure, kind="stable")
    ordered = sure[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(sure) - 1)
    return order.astype(np.int64), last.astype(np.int64)


def _linear(sure: Reals, errors: Reals) -> Reals:
    """φ of each row, whose mean is the area; see the module's text."""
    order, last = _order(sure, errors)
    rows = len(sure)
    if errors.max() == errors.min():
        return errors.copy()  # no order matters; what rounding would leave of equal values is no spread
    sizes = np.diff(last, prepend=-1)
    weights = np.cumsum(1 / np.arange(rows, 0, -1))[::-1]  # Σ_{k ≥ rank} 1/k
    first = last - sizes + 1
    shared = np.add.reduceat(weights, first) / sizes
    wrong = errors[order]
    held = np.add.reduceat(wrong, first) * rows / (last + 1)  # Σ of a tie's errors, over F̄
    no_surer = np.cumsum(held[::-1])[::-1] / rows
    linear = np.empty(rows)
    linear[order] = wrong * np.repeat(shared, sizes) - np.repeat(no_surer, sizes) + wrong.mean()
    return linear


def _accepted(sure: Reals, coverage: float) -> Members:
    if not 0 < coverage <= 1:
        raise InputError(f"The coverage is {coverage}; give one above 0 and at most 1, such as 0.9.")
    # What rounding adds to c·n must not accept one row more.
    count = min(len(sure), math.ceil(coverage * len(sure) * (1 - 1e-12)))
    return sure >= np.partition(sure, len(sure) - count)[len(sure) - count]


def _accuracy(design: Design, accepted: Members, correct: Reals) -> Spread:
    """The accuracy of the rows that each seed accepts."""
    alone = [influence(design, mask, right[None]) for mask, right in zip(accepted, correct, strict=True)]
    if len(alone) == 1:
        return spread(design, [(1.0, alone[0])])
    # Seeds accept different rows: the ratio (right and accepted)/(accepted), to first order a mean over all rows.
    means = np.stack([each.means for each in alone])
    linear = means + accepted * (correct - means) / accepted.mean(axis=1, keepdims=True)
    of = spread(design, [(1.0, influence(design, np.ones(design.rows, dtype=np.bool_), linear))])
    each_known = [spread(design, [(1.0, each)]) for each in alone]
    return replace(
        of,
        known=all(each.known for each in each_known),
        rows=min(each.rows for each in each_known),
        effective=min(each.effective for each in each_known),
    )


def _ranked(predictions: Predictions, sure: Tensor | None) -> Reals:
    if sure is None:
        if predictions.decisions:
            raise InputError("These are predicted classes without probabilities, which rank no row; give `sure`.")
        return predictions.probabilities.max(dim=2).values.double().numpy()
    if sure.shape != predictions.probabilities.shape[:2] or not bool(torch.isfinite(sure).all()):
        raise InputError(
            f"`sure` has shape {list(sure.shape)} for predictions of {list(predictions.probabilities.shape[:2])} "
            "[seeds, rows], and must be finite; give one number for each."
        )
    return sure.double().numpy()

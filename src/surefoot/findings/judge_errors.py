"""How often a judge is wrong: its sensitivity and its specificity, on rows whose truth is known."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, Influence, Spread, cluster_design, influence, spread
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_finding
from surefoot.findings.rare import rows_variance

__all__ = ["ErrorSpreads", "Validation", "correlation_of", "design_of", "error_spreads", "judge_errors"]


@dataclass(frozen=True)
class Validation:
    """Rows of which both the judge's verdict and the truth are known. clusters: which rows hang together.

    Raises `InputError` for verdicts, truths and clusters of different rows, and where no row is truly positive, or
    none truly negative.
    """

    verdict: Bool[ndarray, "rows"]
    truth: Bool[ndarray, "_"]
    clusters: Int64[ndarray, "_ ways"] | None = None

    def __post_init__(self) -> None:
        rows = len(self.verdict)
        if len(self.truth) != rows or (self.clusters is not None and len(self.clusters) != rows):
            raise InputError(
                f"There are verdicts of {rows} labelled rows, {len(self.truth)} truths and "
                f"{'no' if self.clusters is None else len(self.clusters)} clusters; give one of each for every row."
            )
        positive = int(self.truth.sum())
        if positive in (0, rows):
            raise InputError(
                f"Of {rows} labelled rows {positive} are truly positive and {rows - positive} truly negative; label "
                "rows of both kinds, for a judge errs in two ways."
            )


@dataclass(frozen=True)
class ErrorSpreads:
    """What sensitivity and specificity vary by. together: the correlation of sensitivity and false alarms, where they
    share clusters and it is positive; 0 elsewhere."""

    sensitivity: Spread
    specificity: Spread
    together: float


def judge_errors(
    validation: Validation, *, subject: str, source: str, part: str = "all", confidence: float = 0.95
) -> tuple[Finding, Finding]:
    """Sensitivity and specificity of a judge, on the truly positive and the truly negative labelled rows.

    >>> checked = Validation(np.arange(20) < 9, np.arange(20) < 10)
    >>> [(each.name, each.value, each.count) for each in judge_errors(checked, subject="model", source="labelled")]
    [('judge_sensitivity', 0.9, 10), ('judge_specificity', 1.0, 10)]
    """

    def share(name: str, right: Bool[ndarray, "rows"], rows: Bool[ndarray, "rows"]) -> Finding:
        return mean_finding(
            right[rows].astype(np.float64)[None],
            Quantity(name),
            subject=subject,
            source=source,
            clusters=None if validation.clusters is None else validation.clusters[rows],
            part=part,
            confidence=confidence,
        )

    return (
        share("judge_sensitivity", validation.verdict, validation.truth),
        share("judge_specificity", ~validation.verdict, ~validation.truth),
    )


def error_spreads(validation: Validation) -> ErrorSpreads:
    """The variances of both, and how they go together."""
    design = design_of(len(validation.truth), validation.clusters)
    said = validation.verdict.astype(np.float64)[None]
    found = influence(design, validation.truth, said)
    alarms = influence(design, ~validation.truth, said)
    of = [spread(design, [(1.0, each)]) for each in (found, alarms)]
    return ErrorSpreads(of[0], of[1], max(0.0, correlation_of(design, found, alarms)))


def correlation_of(design: Design, one: Influence, other: Influence) -> float:
    """The correlation of the errors of two means over the same clusters; 0 where one of them does not vary.

    Σ_T (−1)^(|T|+1) (G − 1)/G Σ_k D_k D′_k over the standard errors, in the words of `clustering`.
    """
    variances = [rows_variance(spread(design, [(1.0, each)])) for each in (one, other)]
    if min(variances) <= 0:
        return 0.0
    shared = 0.0
    for at, partition in enumerate(design.partitions):
        moved = one.influences[at].mean(axis=0), other.influences[at].mean(axis=0)
        clusters = np.count_nonzero(one.shares[at] + other.shares[at])
        shared += partition.sign * (clusters - 1) / clusters * float(moved[0] @ moved[1])
    return min(1.0, max(-1.0, shared / math.sqrt(variances[0] * variances[1])))


def design_of(rows: int, clusters: Int64[ndarray, "_ ways"] | None) -> Design:
    """Of rows that hang together as `clusters` say, or not at all."""
    return cluster_design(np.arange(rows)[:, None] if clusters is None else clusters)

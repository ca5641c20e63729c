"""What a monitor that flags thoughts or answers can tell: how often it is right, and how much it misses.

On rows whose truth is known:    sensitivity, specificity, accuracy, and the share of flags that are right (PPV)
On all rows:                     the share flagged, and the share there truly is, corrected for the monitor's errors
                                 (Rogan & Gladen; `findings.corrected`)
On unflagged rows that somebody read, drawn at random: the share that should have been flagged, with its exact interval,
                                 and how many rows that is

The share of flags that are right depends on how common the thing is, so one of labelled rows holds where they were
drawn like the others. A flag rate is no prevalence, and an accuracy alone does not make it one: `prevalences_possible`
says which prevalences the two leave open. The o1 card flags 180 of 102,443 thoughts with a monitor of 92 % accuracy. So
few flags mean false alarms of .18 % at most, and nearly all of the 8 % of errors are misses. If half of the labelled
thoughts were deceptive, .00 to .21 % of all are; if a tenth, up to .88 %; if 8 %, any share; if a twentieth, the two
numbers contradict each other. Which it was is not said.

Sources: Altman & Bland (1994), BMJ 308, 1552 and 309, 102; Rogan & Gladen (1978), Am. J. Epidemiol. 107.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.corrected import Corrected, corrected_share
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence, clopper_pearson
from surefoot.findings.judge_errors import Validation
from surefoot.findings.means import Quantity, mean_finding

__all__ = [
    "Audit",
    "Prevalences",
    "audit_findings",
    "monitor_findings",
    "monitored_prevalence",
    "prevalences_possible",
]


@dataclass(frozen=True)
class Audit:
    """Unflagged rows that somebody read.

    unflagged: how many there are; read: how many of them, drawn at random; missed: how many of those should have been
    flagged. Raises `InputError` for counts that cannot be.
    """

    unflagged: int
    read: int
    missed: int

    def __post_init__(self) -> None:
        if not 0 <= self.missed <= self.read <= self.unflagged or self.read < 1:
            raise InputError(
                f"Of {self.unflagged} unflagged rows {self.read} were read and {self.missed} missed; give "
                "0 ≤ missed ≤ read ≤ unflagged, and read at least one."
            )


class Prevalences(NamedTuple):
    """The lowest and the highest that are possible, and a sentence."""

    low: float
    high: float
    sentence: str


def monitor_findings(
    labelled: Validation, *, subject: str, source: str, part: str = "all", confidence: float = 0.95
) -> tuple[Finding, ...]:
    """`monitor_sensitivity`, `_specificity`, `_accuracy` and, where anything was flagged, `_precision` (PPV).

    >>> labelled = Validation(np.array([True, True, False, False, False]), np.array([True, False, True, False, False]))
    >>> found = monitor_findings(labelled, subject="monitor", source="labelled")
    >>> [(each.name, round(each.value, 3), each.count) for each in found][2:]
    [('monitor_accuracy', 0.6, 5), ('monitor_precision', 0.5, 2)]
    """

    def share(name: str, right: Bool[ndarray, "rows"], rows: Bool[ndarray, "rows"]) -> Finding:
        return mean_finding(
            right[rows].astype(np.float64)[None], Quantity(name), subject=subject, source=source,
            clusters=None if labelled.clusters is None else labelled.clusters[rows], part=part, confidence=confidence,
        )  # fmt: skip

    flagged, truth = labelled.verdict, labelled.truth
    every = np.ones(len(truth), dtype=np.bool_)
    found = [
        share("monitor_sensitivity", flagged, truth),
        share("monitor_specificity", ~flagged, ~truth),
        share("monitor_accuracy", flagged == truth, every),
    ]
    if flagged.any():
        found.append(share("monitor_precision", truth, flagged))
    return tuple(found)


def monitored_prevalence(
    flagged: Bool[ndarray, "rows"],
    labelled: Validation,
    *,
    name: str,
    subject: str,
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> Corrected:
    """The share of rows of which `name` ("deception") is true; `observed` is the flag rate, `name_flagged`.

    Everything that `corrected_share` says of a judge holds of a monitor, its doubts too. For a rare thing its interval
    mostly reaches 0: that the monitor's false alarms are rarer than its flags has to be known from as many labelled
    negatives as that takes, or from reading the flags.

    >>> labelled = Validation(np.arange(200) % 100 < 95, np.arange(200) < 100)
    >>> labelled = Validation(np.where(labelled.truth, labelled.verdict, False), labelled.truth)
    >>> found = monitored_prevalence(np.arange(1000) < 19, labelled, name="deception", subject="model", source="all")
    >>> found.observed.name, round(found.finding.value, 3), found.finding.interval.low
    ('deception_flagged', 0.02, 0.0)
    """
    found = corrected_share(
        flagged.astype(np.float64), labelled, Quantity(f"{name}_flagged", direction="lower"), subject=subject,
        source=source, clusters=clusters, part=part, confidence=confidence,
    )  # fmt: skip
    return replace(found, finding=replace(found.finding, name=name))


def audit_findings(
    audit: Audit, flagged: int, *, name: str, subject: str, source: str, part: str = "all", confidence: float = 0.95
) -> tuple[Finding, Finding]:
    """`name_missed`, the share of unflagged rows that should have been flagged, and `name_missed_of_all`, the same as a
    share of all rows, of which `flagged` were. Clopper and Pearson's interval: each end is exact.

    >>> found = audit_findings(Audit(102_263, 500, 0), 180, name="deception", subject="model", source="audit")
    >>> [round(each.interval.high, 5) for each in found]
    [0.00735, 0.00734]
    """
    check_confidence(confidence)
    if flagged < 0:
        raise InputError(f"{flagged} rows were given as flagged; give a count.")
    interval = clopper_pearson(float(audit.missed), float(audit.read), confidence)
    scale = audit.unflagged / (audit.unflagged + flagged)
    return (
        _finding(f"{name}_missed", audit, 1.0, interval, subject, source, part),
        _finding(f"{name}_missed_of_all", audit, scale, interval, subject, source, part),
    )


def prevalences_possible(flag_rate: float, accuracy: float, labelled_share: float | None = None) -> Prevalences:
    """Which prevalences are in line with a flag rate and with an accuracy on labelled rows.

    labelled_share: of the labelled rows, how many are truly positive; None where it was not said. Sensitivity Se and
    false alarms F are any with `accuracy` = share · Se + (1 − share)(1 − F) and F ≤ `flag_rate` ≤ Se, and the
    prevalence is (flag_rate − F)/(Se − F), which rises or falls with F all the way, so its ends are at those of F.
    Sampling errors are left out: this is what would be open with any number of rows.

    Raises `InputError` for a number outside [0, 1].

    >>> found = prevalences_possible(180 / 102_443, 0.92, 0.5)
    >>> round(found.low, 5), round(found.high, 5)
    (0.0, 0.00209)
    >>> prevalences_possible(180 / 102_443, 0.92)[:2]
    (0.0, 1.0)
    """
    given = (flag_rate, accuracy, *(() if labelled_share is None else (labelled_share,)))
    if not all(0 <= each <= 1 for each in given):
        raise InputError(f"A flag rate of {flag_rate} and an accuracy of {accuracy} were given; give shares in [0, 1].")
    told = f"{flag_rate:.3%} flagged by a monitor of {accuracy:.0%} accuracy"
    if labelled_share is None:
        found = (0.0, 1.0) if accuracy >= min(flag_rate, 1 - flag_rate) else None
    else:
        found = _range(flag_rate, accuracy, labelled_share)
    composed = (
        "without the share of labelled rows that were positive"
        if labelled_share is None
        else f"with {labelled_share:.1%} of the labelled rows positive"
    )
    if found is None:
        return Prevalences(
            0.0, 1.0, f"{told}, {composed}, contradict each other, so the labelled rows are not like those flagged."
        )
    low, high = found
    return Prevalences(low, high, f"{told}, {composed}, leave every prevalence from {low:.2%} to {high:.2%} open.")


def _range(flag_rate: float, accuracy: float, share: float) -> tuple[float, float] | None:
    """For one composition of the labelled rows; None where nothing agrees."""
    if share == 0:
        alarms = 1 - accuracy
        if alarms > flag_rate:
            return None
        return (flag_rate - alarms) / (1 - alarms) if alarms < 1 else 0.0, 1.0
    at_none, slope = (accuracy - (1 - share)) / share, (1 - share) / share  # Se = at_none + slope · F
    least, most = 0.0, flag_rate
    if slope > 0:
        least, most = max(least, (flag_rate - at_none) / slope), min(most, (1 - at_none) / slope)
    if least > most or (slope == 0 and at_none < flag_rate):
        return None
    ends = [(flag_rate - alarms, at_none + slope * alarms - alarms) for alarms in (least, most)]
    if any(gap <= 0 for _, gap in ends):  # Se = F: a flag says nothing
        return 0.0, 1.0
    prevalences = [min(1.0, max(0.0, above / gap)) for above, gap in ends]
    return min(prevalences), max(prevalences)


def _finding(
    name: str, audit: Audit, scale: float, interval: Interval, subject: str, source: str, part: str
) -> Finding:
    return Finding(
        name=name,
        value=scale * audit.missed / audit.read,
        interval=Interval(scale * interval.low, scale * interval.high, interval.confidence, interval.method),
        count=audit.read,
        clusters=audit.read,
        unit="proportion",
        slice=part,
        direction="lower",
        subject=subject,
        source=source,
    )

"""What a monitor is worth, from a sample of its rows that was drawn knowing what it flagged.

A person reads (all or a random part of) the flagged rows, and a random part of the unflagged ones. Flags are rare, so
that this finds most of what there is; but sensitivity among the rows that were read is far too high, for the unflagged
ones were read one in many. Each row that was read stands for the rows of its kind:

    f    share flagged, of all rows
    a    of flagged rows that were read, those that should be: precision
    b    of unflagged rows that were read, those that should have been: missed
    p    = f a + (1 − f) b                              prevalence
    Se   = f a / p                                      sensitivity
    Sp   = (1 − f)(1 − b) / (1 − p)                     specificity

which are the means with weights (rows of the kind)/(rows of the kind that were read). With them p is what Rogan and
Gladen make of f: (f + Sp − 1)/(Se + Sp − 1).

**Intervals.** f, a and b have Wilson's, over clusters. That of p joins the three (MOVER). Se and Sp rise or fall with
each of the three all the way, so theirs are at the ends of the three, each at 1 − (1 − confidence)/3: together all
of them hold at the confidence. They are wide where few unflagged rows were read, as they have to be:
with none missed of 50, up to 7 % of all unflagged rows may have been.

Sources: Begg & Greenes (1983), Biometrics 39, 207 (rows read according to the test's result); Zou & Donner (2008),
Statistics in Medicine 27 (MOVER).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.finding import Direction, Finding, Interval
from surefoot.findings.joined import Ends
from surefoot.findings.means import Quantity, mean_finding

__all__ = ["AuditedRows", "audited_findings"]


@dataclass(frozen=True)
class AuditedRows:
    """flagged: of every row. read: who of them somebody read, drawn at random among the flagged and among the
    unflagged. truth: whether it should be flagged, told where it was read. clusters: what hangs together.

    Raises `InputError` for parts of different rows, no rows, and none read among the flagged or the unflagged.
    """

    flagged: Bool[ndarray, "rows"]
    read: Bool[ndarray, "_"]
    truth: Bool[ndarray, "_"]
    clusters: Int64[ndarray, "_ ways"] | None = None

    def __post_init__(self) -> None:
        rows = len(self.flagged)
        others = (self.read, self.truth, *(() if self.clusters is None else (self.clusters,)))
        if not rows or any(len(each) != rows for each in others):
            raise InputError(f"There are flags of {rows} rows, and labels or clusters of others; give one of each row.")
        for kind, of in (("flagged", self.flagged), ("unflagged", ~self.flagged)):
            if of.any() and not (of & self.read).any():
                raise InputError(
                    f"None of {int(of.sum())} {kind} rows was read, so nothing is known of them; read some, at random."
                )


def audited_findings(
    rows: AuditedRows, *, name: str, subject: str, source: str, part: str = "all", confidence: float = 0.95
) -> tuple[Finding, ...]:
    """`flagged`, `monitor_precision`, `missed`, `name` (the prevalence), `monitor_sensitivity`, `monitor_specificity`.

    What nothing can be said of is left out: precision where nothing is flagged, sensitivity where nothing was found.

    >>> flagged, row = np.arange(100) < 10, np.arange(100)
    >>> audited = AuditedRows(flagged, (row < 10) | (row >= 70), (row < 8) | (row == 99))  # 8 of 10, 1 of 30
    >>> found = {each.name: each for each in audited_findings(audited, name="bad", subject="m", source="audit")}
    >>> round(found["bad"].value, 3), round(found["monitor_sensitivity"].value, 3)  # (8 + 90/30)/100, 8/(8 + 3)
    (0.11, 0.727)
    """

    def share(called: str, what: Bool[ndarray, "_"], of: Bool[ndarray, "_"], level: float, way: Direction) -> Finding:
        return mean_finding(
            what[of].astype(np.float64)[None], Quantity(called, direction=way), subject=subject, source=source,
            clusters=None if rows.clusters is None else rows.clusters[of], part=part, confidence=level,
        )  # fmt: skip

    def three(level: float) -> tuple[Finding, Finding | None, Finding | None]:
        kinds = (rows.flagged & rows.read, ~rows.flagged & rows.read)
        return (
            share("flagged", rows.flagged, np.ones(len(rows.flagged), dtype=np.bool_), level, "none"),
            share("monitor_precision", rows.truth, kinds[0], level, "higher") if kinds[0].any() else None,
            share("missed", rows.truth, kinds[1], level, "lower") if kinds[1].any() else None,
        )

    flagged, right, missed = three(confidence)
    wider = tuple(_ends(each) for each in three(1 - (1 - confidence) / 3))
    count = int(rows.read.sum())
    clusters = min(each.clusters for each in (flagged, right, missed) if each is not None)

    def derived(called: str, ends: Ends, method: str, way: Direction) -> Finding:
        interval = Interval(ends.low, ends.high, confidence, method)
        return Finding(called, ends.value, interval, count, clusters, "proportion", part, way, subject, source)

    f, a, b = (_ends(each) for each in (flagged, right, missed))
    found = [flagged, *(each for each in (right, missed) if each is not None)]
    found.append(derived(name, _prevalence(f, a, b), "shares of both kinds of rows joined (MOVER)", "lower"))
    box = "ends of three intervals that hold together (Bonferroni)"
    for called, of in (("monitor_sensitivity", _sensitivity), ("monitor_specificity", _specificity)):
        value = of(f.value, a.value, b.value)
        if not math.isnan(value):
            found.append(derived(called, _box(of, value, *wider), box, "higher"))
    return tuple(found)


def _ends(of: Finding | None) -> Ends:
    """Of a kind without rows nothing is known, and nothing hangs on it but what its share of rows lets."""
    if of is None:
        return Ends(0.0, 0.0, 1.0)
    assert of.interval is not None  # a proportion always has one
    return Ends(of.value, of.interval.low, of.interval.high)


def _prevalence(f: Ends, a: Ends, b: Ends) -> Ends:
    value = f.value * a.value + (1 - f.value) * b.value
    slope = a.value - b.value
    below = abs(slope) * ((f.value - f.low) if slope > 0 else (f.high - f.value))
    above = abs(slope) * ((f.high - f.value) if slope > 0 else (f.value - f.low))
    low = math.hypot(f.value * (a.value - a.low), (1 - f.value) * (b.value - b.low), below)
    high = math.hypot(f.value * (a.high - a.value), (1 - f.value) * (b.high - b.value), above)
    return Ends(value, max(0.0, value - low), min(1.0, value + high))


def _sensitivity(f: float, a: float, b: float) -> float:
    found, missed = f * a, (1 - f) * b
    return found / (found + missed) if found + missed > 0 else math.nan


def _specificity(f: float, a: float, b: float) -> float:
    passed, alarms = (1 - f) * (1 - b), f * (1 - a)
    return passed / (passed + alarms) if passed + alarms > 0 else math.nan


def _box(of: Callable[[float, float, float], float], value: float, f: Ends, a: Ends, b: Ends) -> Ends:
    """The least and the most over all corners; where one has no value, anything is possible."""
    corners = [of(x, y, z) for x in (f.low, f.high) for y in (a.low, a.high) for z in (b.low, b.high)]
    known = [each for each in corners if not math.isnan(each)]
    if len(known) < len(corners):
        known += [0.0, 1.0]
    return Ends(value, min(value, *known), max(value, *known))

"""What a judge counts, corrected for the errors it makes.

A judge calls a share q of rows positive. On rows whose truth is known it finds Se of the positives and lets pass Sp of
the negatives; F = 1 − Sp are its false alarms. Then q = p Se + (1 − p) F, and the true share is

    p̂ = (q̂ + Sp − 1)/(Se + Sp − 1), cut to [0, 1]

**Interval.** Every p for which q̂ is in line with the judge's errors: 0 lies between the ends of

    g(p) = q̂ − p Se − (1 − p) F

which are joined from the three proportions' own intervals (MOVER: above g by √((u_q − q̂)² + p² (Se − l_Se)² +
(1 − p)² (F − l_F)²), below it the other way). It is Fieller's way of inverting a test, with Wilson's ends instead of
normal ones, so that a judge that made no error on 30 rows is not taken for one that makes none. Where Se and Sp share
clusters, a positive correlation of theirs is added; a negative one is not used.

In 392 settings (100 to 2,000 rows; 20 to 200 labelled rows of each kind; Se from .5 to 1; p from 0 to 1) it covers .934
and more where .95 is stated, .979 on average, at a mean length of .229. The delta method covers as little as .353, at a
length of .218; Lang & Reiczigel's .903, at .222 and without an end where Se + Sp is near 1; Bonferroni's over three
exact intervals .991 and more, at .337 (`pytest -m slow -s tests/findings/test_corrected_peers.py`).

**A judge that tells nothing.** Where the interval of Se + Sp − 1 reaches 0, nothing follows from what the judge says:
the interval is all of [0, 1], the value is the observed share as it stands, and a sentence says so. The same holds for
a judge that is wrong more often than right.

**What this rests on.** The labelled rows were drawn without regard to the judge's verdict (rows chosen because they
were flagged give a wrong Se), and are of the same model and kind as the counted ones: a judge that finds .94 of one
model's refusals may find .21 of another's. They may be among the counted rows; the interval is then a little too wide.

Sources: Rogan & Gladen (1978), Am. J. Epidemiol. 107, 71–76; Fieller (1954), J. R. Statist. Soc. B 16, 175–185; Zou &
Donner (2008), Statistics in Medicine 27, 1693–1702. Compared with: Lang & Reiczigel (2014), Prev. Vet. Med. 113, 13–22.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.clustering import influence, spread
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.joined import Ends, joined_difference
from surefoot.findings.judge_errors import Validation, correlation_of, design_of, error_spreads, judge_errors
from surefoot.findings.means import Quantity, mean_finding
from surefoot.findings.rare import rows_variance

__all__ = ["Corrected", "CorrectedChange", "corrected_change", "corrected_share"]

METHOD = "Rogan–Gladen, errors of the share and of the judge joined (MOVER)"


@dataclass(frozen=True)
class Corrected:
    """A corrected share, and what it was made from. doubt: a sentence where the judge tells nothing, or where what it
    says is not in line with its validation; empty otherwise."""

    finding: Finding
    observed: Finding
    sensitivity: Finding
    specificity: Finding
    doubt: str = ""


@dataclass(frozen=True)
class CorrectedChange:
    """The paired change of a corrected share, and both shares."""

    finding: Finding
    before: Corrected
    after: Corrected


def corrected_share(
    values: Float64[ndarray, "rows"],
    validation: Validation,
    of: Quantity,
    *,
    subject: str,
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> Corrected:
    """The share of rows that are truly positive, from a judge's verdicts `values` (1 or 0, or a row's share of them).

    `finding` is named after the quantity with "_corrected" behind it; see the module for its interval. Rows without a
    verdict are left out before, and counted elsewhere.

    Raises `InputError` for no rows, values outside [0, 1] and clusters of other rows.

    >>> checked = Validation(np.arange(200) % 100 < 80, np.arange(200) < 100)
    >>> checked = Validation(np.where(np.arange(200) < 100, checked.verdict, np.arange(200) < 104), checked.truth)
    >>> said = (np.arange(500) < 60).astype(np.float64)
    >>> share = corrected_share(said, checked, Quantity("unsafe", direction="lower"), subject="model", source="judge")
    >>> share.observed.value, round(share.finding.value, 4)  # (.12 + .96 − 1)/(.8 + .96 − 1)
    (0.12, 0.1053)
    >>> round(share.finding.interval.low, 3), round(share.finding.interval.high, 3)
    (0.023, 0.158)
    """
    observed = mean_finding(
        values[None], of, subject=subject, source=source, clusters=clusters, part=part, confidence=confidence
    )
    sensitivity, specificity = judge_errors(
        validation, subject=subject, source=source, part=part, confidence=confidence
    )
    ends, doubt = _corrected(
        _ends(observed), _ends(sensitivity), _ends(specificity), error_spreads(validation).together
    )
    method = METHOD if not doubt else f"{METHOD}; {doubt.rstrip('.')}"
    finding = replace(
        observed,
        name=f"{of.name}_corrected",
        value=ends.value,
        interval=Interval(ends.low, ends.high, confidence, method),
    )
    return Corrected(finding, observed, sensitivity, specificity, doubt)


def corrected_change(
    before: tuple[Float64[ndarray, "rows"], Validation],
    after: tuple[Float64[ndarray, "_"], Validation],
    of: Quantity,
    *,
    names: tuple[str, str],
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> CorrectedChange:
    """after − before of a share on the same rows, each corrected with the judge's errors on its own model.

    before, after: a judge's verdicts of the rows, and the labelled rows of that model. The interval joins both
    corrected intervals (MOVER) with the correlation that the shared rows give; that the two validations may share rows
    as well is not used, which can only make it wider. Where the judge tells nothing of one of the two it reaches from
    one's low end less the other's high end to the opposite.

    Raises `InputError` where the two are not of the same rows, and like `corrected_share`.

    >>> checked = Validation(np.arange(100) % 10 < 9, np.arange(100) % 10 < 9)
    >>> old, new = (np.arange(300) < 200).astype(np.float64), (np.arange(300) < 260).astype(np.float64)
    >>> change = corrected_change(
    ...     (old, checked), (new, checked), Quantity("not_unsafe"), names=("old", "new"), source="judge"
    ... )
    >>> round(change.finding.value, 3), change.finding.subject
    (0.2, 'new − old')
    """
    (earlier, its), (later, own) = before, after
    if len(earlier) != len(later):
        raise InputError(
            f"Before there are verdicts of {len(earlier)} rows and after of {len(later)}; give both of the same rows."
        )
    shares = [
        corrected_share(
            values, checked, of, subject=name, source=source, clusters=clusters, part=part, confidence=confidence
        )
        for values, checked, name in ((earlier, its, names[0]), (later, own, names[1]))
    ]
    low, high = (_ends(each.finding) for each in shares)
    if any(_tells_nothing(_ends(each.sensitivity), _ends(each.specificity)) for each in shares):
        ends = Ends(high.value - low.value, high.low - low.high, high.high - low.low)
    else:
        ends = joined_difference(high, low, _correlation(shares, (earlier, later), (its, own), clusters))
    doubt = "; ".join(each.doubt.rstrip(".") for each in shares if each.doubt)
    finding = replace(
        shares[1].finding,
        value=ends.value,
        interval=Interval(max(-1.0, ends.low), min(1.0, ends.high), confidence, f"{METHOD}{doubt and f'; {doubt}'}"),
        subject=f"{names[1]} − {names[0]}",
    )
    return CorrectedChange(finding, shares[0], shares[1])


def _corrected(observed: Ends, sensitivity: Ends, specificity: Ends, together: float) -> tuple[Ends, str]:
    alarms = Ends(1 - specificity.value, 1 - specificity.high, 1 - specificity.low)
    if _tells_nothing(sensitivity, specificity):
        wrong = sensitivity.value + specificity.value < 1
        return Ends(observed.value, 0.0, 1.0), (
            f"The judge tells nothing: it calls {sensitivity.value:.0%} of true positives positive and "
            f"{alarms.value:.0%} of the others{', so are its verdicts the wrong way round?' if wrong else '.'}"
        )
    q = min(max(observed.value, alarms.value), sensitivity.value)
    value = (q - alarms.value) / (sensitivity.value - alarms.value)

    def reach(p: float, share: float, found: float, alarmed: float) -> float:
        one, other = p * found, (1 - p) * alarmed
        return math.sqrt(share**2 + one**2 + other**2 + 2 * together * one * other)

    def outside(p: float) -> float:
        """Above 0 where p is not in line with what was observed."""
        g = q - p * sensitivity.value - (1 - p) * alarms.value
        if p < value:
            found, alarmed = sensitivity.high - sensitivity.value, alarms.high - alarms.value
            return g - reach(p, observed.value - observed.low, found, alarmed)
        found, alarmed = sensitivity.value - sensitivity.low, alarms.value - alarms.low
        return -g - reach(p, observed.high - observed.value, found, alarmed)

    low, high = _edge(outside, 0.0, value), _edge(outside, 1.0, value)
    doubt = ""
    if observed.value < alarms.value and observed.high < alarms.low:
        doubt = (
            f"The judge calls {observed.value:.2%} positive, fewer than its false alarms alone would be "
            f"({alarms.value:.2%}), so the labelled rows are not like these."
        )
    elif observed.value > sensitivity.value and observed.low > sensitivity.high:
        doubt = (
            f"The judge calls {observed.value:.2%} positive, more than it finds where all are "
            f"({sensitivity.value:.2%}), so the labelled rows are not like these."
        )
    return Ends(value, low, high), doubt


def _tells_nothing(sensitivity: Ends, specificity: Ends) -> bool:
    """Whether the interval of Se + Sp − 1 reaches 0."""
    below = math.hypot(sensitivity.value - sensitivity.low, specificity.value - specificity.low)
    return sensitivity.value + specificity.value - 1 <= below


def _edge(outside: Callable[[float], float], end: float, inside: float) -> float:
    """Where the interval stops between `inside` and `end`; a quadratic changes sign there once at most."""
    if outside(end) <= 0:
        return end
    near, far = inside, end
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if outside(middle) <= 0 else (near, middle)
    return near


def _correlation(
    shares: list[Corrected],
    values: tuple[Float64[ndarray, "rows"], Float64[ndarray, "rows"]],
    checked: tuple[Validation, Validation],
    clusters: Int64[ndarray, "rows ways"] | None,
) -> float:
    """Of two corrected shares, from the rows they share: Cov(q₁, q₂)/(J₁ J₂) over both standard errors."""
    rows = len(values[0])
    design = design_of(rows, clusters)
    everything = np.ones(rows, dtype=np.bool_)
    both = [influence(design, everything, each[None]) for each in values]
    correlation = correlation_of(design, both[0], both[1])
    for share, of, validation in zip(shares, both, checked, strict=True):
        errors = error_spreads(validation)
        p = share.finding.value
        counted = rows_variance(spread(design, [(1.0, of)]))
        judged = p**2 * rows_variance(errors.sensitivity) + (1 - p) ** 2 * rows_variance(errors.specificity)
        correlation *= math.sqrt(counted / (counted + judged)) if counted > 0 else 0.0
    return correlation


def _ends(finding: Finding) -> Ends:
    assert finding.interval is not None  # a proportion always has one
    return Ends(finding.value, finding.interval.low, finding.interval.high)

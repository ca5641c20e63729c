"""Claims: a bound on a finding, judged by its interval and not by its point.

A claim passes when the whole interval is on the right side of the bound, fails when the whole interval is on
the wrong side, and is undecided in between. An undecided claim says how many independent clusters would
decide it, on the usual assumption that an interval's half-width shrinks with 1/√clusters.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias

from surefoot.card.words import (
    evidence,
    finding_title,
    is_difference,
    show_apart,
    show_count,
    show_finding,
    show_level,
    show_subject,
    show_value,
)
from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval

__all__ = ["Claim", "Judged", "Status", "describe_claim", "judge_claims", "verdict_of", "verdict_sentence"]

Status: TypeAlias = Literal["passed", "failed", "undecided"]

ON_THE_BOUND = 1e-9
"""A value this close to its bound is on it: no number of rows is sure to decide."""


@dataclass(frozen=True)
class Claim:
    """`finding` of `subject` on `slice` is at least, or at most, a bound; exactly one of the two is given.

    The subject "chosen" stands for whichever model was selected on the choose rows.
    """

    finding: str
    subject: str
    slice: str = "all"
    at_least: float | None = None
    at_most: float | None = None
    confidence: float = 0.95


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    needed: the clusters that would decide an undecided claim, if known. sentence: everything in one sentence;
    reason: its part after the measured value.
    """

    claim: Claim
    status: Status
    finding: Finding | None
    needed: int | None
    sentence: str
    reason: str = ""


def judge_claims(
    claims: Sequence[Claim],
    findings: Sequence[Finding],
    *,
    chosen: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[Judged, ...]:
    """Judge every claim by the interval of the finding it names.

    `chosen` is the subject that the claim subject "chosen" stands for; `labels` are a reader's words for the
    subjects. A claim on a difference names the subject "after − before".

    Raises `InputError` for a claim that names a subject, finding or slice that was not measured, or was measured
    twice, that has no bound or two, or whose confidence is not that of the finding's interval; and for an interval
    whose ends are NaN or the wrong way round.

    >>> interval = Interval(0.85, 0.91, 0.95, "clustered")
    >>> measured = Finding("accuracy", 0.88, interval, 2400, 600, "proportion", "all", "higher", "erm", "judge")
    >>> judge_claims([Claim("accuracy", "erm", at_least=0.8)], [measured])[0].status
    'passed'
    """
    return tuple(_judge(claim, findings, chosen, labels or {}) for claim in claims)


def verdict_of(judged: Sequence[Judged]) -> Status:
    """Failed if any claim failed, else undecided if any is undecided or none was made, else passed."""
    statuses = {each.status for each in judged}
    if "failed" in statuses:
        return "failed"
    return "passed" if statuses == {"passed"} else "undecided"


def verdict_sentence(judged: Sequence[Judged]) -> str:
    """The verdict in a plain sentence or two: what decided it."""
    if not judged:
        return "No claim was made, so nothing can pass or fail; the measurements stand on their own."
    verdict = verdict_of(judged)
    deciding = [each for each in judged if each.status == verdict]
    if len(judged) == 1:
        return deciding[0].sentence
    if verdict == "passed":
        return f"All {len(judged)} claims hold: every interval lies wholly on the claimed side of its bound."
    told = "cannot be decided yet" if verdict == "undecided" else "fails" if len(deciding) == 1 else "fail"
    return f"{len(deciding)} of {len(judged)} claims {told}. {deciding[0].sentence}"


def describe_claim(claim: Claim, unit: str, label: str | None = None) -> str:
    """The claim in words: "Worst-group accuracy of “base” is at least 80.0%"; without a label, of nobody."""
    sign, bound = _bound(claim)
    return f"{_what(claim.finding, claim.slice, label)} is {sign} {show_value(bound, unit)}"


def _judge(claim: Claim, findings: Sequence[Finding], chosen: str | None, labels: Mapping[str, str]) -> Judged:
    sign, bound = _bound(claim)
    finding = _named(claim, findings, chosen)
    what = _what(finding.name, finding.slice, show_subject(finding.subject, labels))
    limit = "minimum" if sign == "at least" else "maximum"
    if finding.interval is None:
        alone = show_count(finding.clusters, f"independent {evidence(finding)}")
        reason = (
            f"it was measured on {alone} without an interval, so the claimed {limit} can be neither "
            "confirmed nor refuted; judge on more independent rows, or claim a finding that has an interval."
        )
        return Judged(claim, "undecided", finding, None, f"{what} is {show_finding(finding)}: {reason}", reason)
    interval = finding.interval
    if not math.isclose(interval.confidence, claim.confidence, abs_tol=1e-12):
        raise InputError(
            f"The claim on {claim.finding} of {claim.subject} asks for {show_level(claim.confidence)} confidence, but "
            f"its interval was measured at {show_level(interval.confidence)}; measure at the claim's confidence, or "
            f"write confidence: {interval.confidence:g} in the claim."
        )
    if not interval.low <= interval.high:  # written so that NaN is refused too
        raise InputError(
            f"The interval of {claim.finding} of {claim.subject} runs from {interval.low} to {interval.high}, which is "
            "no interval; measure again."
        )
    status = _status(sign, bound, interval)
    shown, shown_bound = show_apart(finding.value, bound, finding.unit, signed=is_difference(finding))
    needed = _needed(finding.value, bound, interval, finding.clusters) if status == "undecided" else None
    if status == "passed":
        reason = f"the whole interval is {sign} {shown_bound}, as claimed."
    elif status == "failed":
        side = "below" if sign == "at least" else "above"
        reason = f"the whole interval is {side} the claimed {limit} of {shown_bound}."
    elif needed is None:
        reason = f"the value lies on the claimed {limit} of {shown_bound}, so no number of rows is sure to decide it."
    else:
        reason = f"the interval contains the claimed {limit} of {shown_bound}. {_deciding(finding, needed)}"
    return Judged(claim, status, finding, needed, f"{what} is {show_finding(finding, value=shown)}: {reason}", reason)


def _what(name: str, part: str, label: str | None) -> str:
    """What is measured, of whom and on which rows."""
    whom = "" if label is None else f" of “{label}”"
    where = "" if part == "all" else f" on “{part}”"
    return f"{finding_title(name)}{whom}{where}"


def _bound(claim: Claim) -> tuple[Literal["at least", "at most"], float]:
    """Which way the claim points, and its bound."""
    if (claim.at_least is None) == (claim.at_most is None):
        given = "both at_least and at_most" if claim.at_least is not None else "neither at_least nor at_most"
        raise InputError(f"The claim on {claim.finding} of {claim.subject} gives {given}; give exactly one bound.")
    bound = claim.at_least if claim.at_least is not None else claim.at_most
    assert bound is not None
    if not math.isfinite(bound):
        raise InputError(
            f"The claim on {claim.finding} of {claim.subject} has the bound {bound}; give a finite number."
        )
    if not 0 < claim.confidence < 1:
        raise InputError(
            f"The claim on {claim.finding} of {claim.subject} has confidence {claim.confidence:g}; "
            "give a number between 0 and 1, such as 0.95."
        )
    return ("at least" if claim.at_least is not None else "at most"), bound


def _status(sign: Literal["at least", "at most"], bound: float, interval: Interval) -> Status:
    if sign == "at least":
        return "passed" if interval.low >= bound else "failed" if interval.high < bound else "undecided"
    return "passed" if interval.high <= bound else "failed" if interval.low > bound else "undecided"


def _needed(value: float, bound: float, interval: Interval, clusters: int) -> int | None:
    """Clusters at which the half-width that faces the bound would have shrunk to the distance from it.

    A half-width falls with the square root of the evidence: of the clusters, and of the seeds where there are several.
    """
    distance = abs(value - bound)
    if distance <= ON_THE_BOUND:
        return None
    half_width = value - interval.low if value > bound else interval.high - value
    return max(clusters + 1, math.ceil(clusters * (half_width / distance) ** 2))


def _deciding(finding: Finding, needed: int) -> str:
    """What would decide, and what there is. Seeds are spread of their own: they must grow with the clusters."""
    seeds = len(finding.per_seed)
    if seeds < 2:
        there = f"{finding.clusters:,} {'was' if finding.clusters == 1 else 'were'} judged"
        return f"About {needed:,} independent {evidence(finding)}s would decide it; {there}."
    more = math.ceil(seeds * needed / finding.clusters)
    return (
        f"About {needed:,} independent {evidence(finding)}s with {more:,} training seeds would decide it; there were "
        f"{finding.clusters:,} with {seeds:,}."
    )


def _named(claim: Claim, findings: Sequence[Finding], chosen: str | None) -> Finding:
    """The finding the claim names, looked up subject first, then name, then slice."""
    subject = claim.subject
    if subject == "chosen":
        if chosen is None:
            raise InputError(
                f"The claim on {claim.finding} names the chosen model, but none was chosen; name a subject instead."
            )
        subject = chosen
    of_subject = [finding for finding in findings if finding.subject == subject]
    if not of_subject:
        raise InputError(_unknown(claim, "subject", subject, [finding.subject for finding in findings]))
    of_name = [finding for finding in of_subject if finding.name == claim.finding]
    if not of_name:
        raise InputError(_unknown(claim, "finding", claim.finding, [finding.name for finding in of_subject]))
    of_slice = [finding for finding in of_name if finding.slice == claim.slice]
    if not of_slice:
        raise InputError(_unknown(claim, "slice", claim.slice, [finding.slice for finding in of_name]))
    if any(other != of_slice[0] for other in of_slice):
        raise InputError(
            f'The claim on {claim.finding} of {claim.subject} on "{claim.slice}" means {len(of_slice)} findings that '
            "differ; measure it once."
        )
    return of_slice[0]


def _unknown(claim: Claim, kind: str, given: str, known: Sequence[str]) -> str:
    names = list(dict.fromkeys(known))
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    listed = ", ".join(f'"{name}"' for name in names[:12]) + (", …" if len(names) > 12 else "")
    return (
        f'The claim on {claim.finding} of {claim.subject} names the {kind} "{given}", which was not measured; '
        f"{hint}Measured: {listed or 'nothing'}."
    )

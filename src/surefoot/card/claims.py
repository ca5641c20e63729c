"""Claims: a bound on a finding, judged by its interval and not by its point.

A claim passes when the whole interval is on the right side of the bound, fails when the whole interval is on
the wrong side, and is undecided in between. An undecided claim says how many independent clusters would
decide it (`deciding`), and a claim that no measurement could fail is refused (`bounds`). A claim about a subject
whose numbers are in doubt is undecided, whatever its interval says: chains that have not mixed have no interval
for what they have not seen.

The verdict is about the model that was chosen: claims that hold of other models do not pass it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, TypeAlias

from surefoot.card.bounds import bound_of, check_claim
from surefoot.card.deciding import needed_for
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
from surefoot.flex.choose import show_budget

__all__ = [
    "Claim",
    "Judged",
    "Status",
    "describe_claim",
    "judge_by_level",
    "judge_claims",
    "verdict_of",
    "verdict_sentence",
]

Status: TypeAlias = Literal["passed", "failed", "undecided"]

USUAL_LEVEL = 0.95
"""Any other confidence is said beside the claim."""


@dataclass(frozen=True)
class Claim:
    """`finding` of `subject` on `slice` is at least, or at most, a bound; exactly one of the two is given.

    The subject "chosen" stands for whichever model was selected on the choose rows. within: seconds of a pass; the
    subject is then the best model, by choose rows, that is quick enough (`card.budgets`).
    """

    finding: str
    subject: str
    slice: str = "all"
    at_least: float | None = None
    at_most: float | None = None
    confidence: float = 0.95
    within: float | None = None


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    needed: the clusters that would decide an undecided claim, if known (of the group that the reason names, where it
    names one). sentence: everything in one sentence; reason: its part after the measured value.
    """

    claim: Claim
    status: Status
    finding: Finding | None
    needed: int | None
    sentence: str
    reason: str = ""


def judge_by_level(
    claims: Sequence[Claim],
    measured: Callable[[float], tuple[Sequence[Finding], Sequence[Finding]]],
    *,
    labels: Mapping[str, str] | None = None,
    doubts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Judged, ...]:
    """Judge every claim by intervals of its own confidence; measured: findings and differences at a confidence.

    Raises `InputError` as `judge_claims` does.
    """
    levels = dict.fromkeys(claim.confidence for claim in claims)
    found = {level: tuple(each for part in measured(level) for each in part) for level in levels}
    return tuple(judge_claims([claim], found[claim.confidence], labels=labels, doubts=doubts)[0] for claim in claims)


def judge_claims(
    claims: Sequence[Claim],
    findings: Sequence[Finding],
    *,
    chosen: str | None = None,
    labels: Mapping[str, str] | None = None,
    doubts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Judged, ...]:
    """Judge every claim by the interval of the finding it names.

    `chosen` is the subject that the claim subject "chosen" stands for; `labels` are a reader's words for the
    subjects. A claim on a difference names the subject "after − before". `doubts`: by subject, why its numbers may
    not be what they claim to be, each a clause ("its chains have not mixed …").

    Raises `InputError` for a claim that names a subject, finding or slice that was not measured, or was measured
    twice, that has no bound or two or one that the finding cannot cross, whose confidence is below 50 % or is not that
    of the finding's interval; and for an interval whose ends are NaN or the wrong way round.

    >>> interval = Interval(0.85, 0.91, 0.95, "clustered")
    >>> measured = Finding("accuracy", 0.88, interval, 2400, 600, "proportion", "all", "higher", "erm", "judge")
    >>> judge_claims([Claim("accuracy", "erm", at_least=0.8)], [measured])[0].status
    'passed'
    """
    judged = (_judge(claim, findings, chosen, labels or {}) for claim in claims)
    return tuple(_doubted(each, labels or {}, doubts or {}) for each in judged)


def verdict_of(judged: Sequence[Judged], chosen: str | None = None) -> Status:
    """Failed if any claim failed, else undecided if any is undecided or none was made, else passed.

    With a model `chosen` it is also undecided where no claim is about that model, or about what it gained.
    """
    statuses = {each.status for each in judged}
    if "failed" in statuses:
        return "failed"
    return "passed" if statuses == {"passed"} and _speaks_of(judged, chosen) else "undecided"


def verdict_sentence(
    judged: Sequence[Judged], chosen: str | None = None, labels: Mapping[str, str] | None = None
) -> str:
    """The verdict in a plain sentence or two: what decided it."""
    if not judged:
        return "No claim was made, so nothing can pass or fail; the measurements stand on their own."
    verdict = verdict_of(judged, chosen)
    if chosen is not None and verdict == "undecided" and not _speaks_of(judged, chosen):
        held = sum(each.status == "passed" for each in judged)
        return (
            f"No claim is about the chosen model “{show_subject(chosen, labels or {})}”, so whether it may ship is "
            f"undecided; {held} of {len(judged)} {'claims' if len(judged) > 1 else 'claim'} about other models "
            f"{'holds' if held == 1 else 'hold'}."
        )
    deciding = [each for each in judged if each.status == verdict]
    if len(judged) == 1:
        return deciding[0].sentence
    if verdict == "passed":
        return f"All {len(judged)} claims hold: every interval lies wholly on the claimed side of its bound."
    told = "cannot be decided yet" if verdict == "undecided" else "fails" if len(deciding) == 1 else "fail"
    return f"{len(deciding)} of {len(judged)} claims {told}. {deciding[0].sentence}"


def describe_claim(claim: Claim, unit: str, label: str | None = None) -> str:
    """The claim in words: "Worst-group accuracy of “base” is at least 80.0%"; without a label, of nobody.

    A confidence other than 95 % is said: "… is at least 80.0% (at 90% confidence)".
    """
    sign, bound = bound_of(claim)
    level = "" if _usual(claim) else f" (at {show_level(claim.confidence)} confidence)"
    shown = show_value(bound, unit, signed=is_difference(claim.subject))
    return f"{_what(claim.finding, claim.slice, label, claim.within)} is {sign} {shown}{level}"


def _judge(claim: Claim, findings: Sequence[Finding], chosen: str | None, labels: Mapping[str, str]) -> Judged:
    sign, bound = bound_of(claim)
    check_claim(claim)
    finding = _named(claim, findings, chosen)
    what = _what(finding.name, finding.slice, show_subject(finding.subject, labels), claim.within)
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
    shown, shown_bound = show_apart(finding.value, bound, finding.unit, signed=is_difference(finding.subject))
    needed = needed_for(finding, bound, findings) if status == "undecided" else None
    level = "" if _usual(claim) else f"{show_level(claim.confidence)} "
    if status == "passed":
        reason = f"the whole {level}interval is {sign} {shown_bound}, as claimed."
    elif status == "failed":
        side = "below" if sign == "at least" else "above"
        reason = f"the whole {level}interval is {side} the claimed {limit} of {shown_bound}."
    elif needed is None:
        reason = f"the value lies on the claimed {limit} of {shown_bound}, so no number of rows is sure to decide it."
    else:
        reason = f"the {level}interval contains the claimed {limit} of {shown_bound}. {needed.sentence}"
    sentence = f"{what} is {show_finding(finding, value=shown)}: {reason}"
    return Judged(claim, status, finding, None if needed is None else needed.clusters, sentence, reason)


def _doubted(judged: Judged, labels: Mapping[str, str], doubts: Mapping[str, Sequence[str]]) -> Judged:
    """The same, undecided where a model it speaks of is in doubt."""
    if judged.finding is None:
        return judged
    subject = judged.finding.subject
    told = [doubt for name in subject.split(" − ") for doubt in doubts.get(name, ())]
    if not told:
        return judged
    what = _what(judged.finding.name, judged.finding.slice, show_subject(subject, labels), judged.claim.within)
    reason = f"{'; '.join(told)}, so its interval cannot decide the claim."
    sentence = f"{what} is {show_finding(judged.finding)}: {reason}"
    return replace(judged, status="undecided", needed=None, sentence=sentence, reason=reason)


def _speaks_of(judged: Sequence[Judged], chosen: str | None) -> bool:
    """Whether some claim is about the chosen model, or about a difference of which it is the later one."""
    subjects = [each.claim.subject if each.finding is None else each.finding.subject for each in judged]
    if any(each.claim.within is not None for each in judged):
        return True  # a budget chooses by the same rows
    return chosen is None or any(each.split(" − ")[0] in {chosen, "chosen"} for each in subjects)


def _usual(claim: Claim) -> bool:
    return math.isclose(claim.confidence, USUAL_LEVEL, abs_tol=1e-12)


def _what(name: str, part: str, label: str | None, within: float | None = None) -> str:
    """What is measured, of whom, on which rows, and within which time."""
    whom = "" if label is None else f" of “{label}”"
    where = "" if part == "all" else f" on “{part}”"
    when = "" if within is None else f" within {show_budget(within)}"
    return f"{finding_title(name)}{whom}{where}{when}"


def _status(sign: Literal["at least", "at most"], bound: float, interval: Interval) -> Status:
    if sign == "at least":
        return "passed" if interval.low >= bound else "failed" if interval.high < bound else "undecided"
    return "passed" if interval.high <= bound else "failed" if interval.low > bound else "undecided"


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

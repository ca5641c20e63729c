"""Claims of a safety evaluation: how they are judged, what each shows alone and among all, and what could have shown.

    p               the smallest α at which the interval at confidence 1 − α lies wholly on the claimed side
    p after Holm    of all claims of the card, `findings.several`; one that is in doubt or was not measured counts as 1
    least difference  how far beyond its bound the truth must lie for so many rows to show it four times of five

A gate needs every claim, which is an intersection–union test: each is judged at its own level, and it opens wrongly
with the chance of one interval, however many claims there are. Holm's level is for whoever reads single claims, and for
who asks for it (`holm`): then every claim is judged at 1 − α/r, where r claims are still to pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from surefoot.card.claims import Claim, Judged, Status, describe_claim, judge_by_level
from surefoot.errors import InputError
from surefoot.findings.detectable import least_change, least_difference, worth_rows
from surefoot.findings.finding import Finding
from surefoot.findings.several import Decision, holm, interval_p_value, step_down
from surefoot.study.once.safety_numbers import Numbers
from surefoot.study.once.safety_plan import Doubt, behind

__all__ = ["Shown", "Wanted", "judge_all", "refuse_mixed", "shown_changes", "shown_claims"]

Measured = Callable[[float], tuple[Sequence[Finding], Sequence[Finding]]]


@dataclass(frozen=True)
class Wanted:
    """made: the user's claims. gated: those of the gate. absent: what the gate needs and nobody measured."""

    made: tuple[Claim, ...]
    gated: tuple[Claim, ...]
    absent: tuple[Judged, ...]


@dataclass(frozen=True)
class Shown:
    """What one claim, or one difference, shows. p: None where nothing was held against its bound. adjusted: after Holm.

    least: the smallest difference that would show; None where none would. sure: it is in no doubt.
    """

    judged: Judged | None
    finding: Finding | None
    p: float | None
    adjusted: float
    least: float | None
    sure: bool = True


def refuse_mixed(claims: Sequence[Claim], confidence: float) -> None:
    """Raise `InputError` for a claim with a confidence of its own, where all are to be judged together."""
    odd = next((each for each in claims if each.confidence != confidence), None)
    if odd is not None:
        raise InputError(
            f"Claims are to be judged together by Holm at {confidence:g}, and the one on {odd.finding} asks for "
            f"{odd.confidence:g}; leave its confidence out, or give --confidence for all."
        )


def judge_all(
    wanted: Wanted,
    numbers: Numbers,
    measured: Measured,
    doubts: Sequence[Doubt],
    *,
    labels: Mapping[str, str],
    confidence: float,
    holm: bool,
) -> tuple[Judged, ...]:
    """Every claim by its interval, at its own level or at Holm's; one on what nobody measured is undecided."""
    claims = (*wanted.made, *wanted.gated)
    known = [each for each in claims if _finding(numbers, each, each.confidence) is not None]
    levels = _levels(known, numbers, doubts, confidence) if holm and known else {}
    judged = [
        judge_by_level(
            [replace(each, confidence=levels.get(id(each), each.confidence))], measured, labels=labels,
            doubts=behind(each, doubts),
        )[0] if each in known else _unmeasured(each)
        for each in claims
    ]  # fmt: skip
    return (*judged, *wanted.absent)


def shown_claims(judged: Sequence[Judged], numbers: Numbers, doubts: Sequence[Doubt]) -> tuple[Shown, ...]:
    """What every claim shows alone and among all of them."""
    sure = [each.finding is not None and not behind(each.claim, doubts) for each in judged]
    found = [each.finding or _finding(numbers, each.claim, each.claim.confidence) for each in judged]
    ps = [None if each.finding is None else interval_p_value(_passing(each.claim, numbers)) for each in judged]
    adjusted = holm([p if p is not None and certain else 1.0 for p, certain in zip(ps, sure, strict=True)])
    return tuple(
        Shown(each, number, p, after, _least(each), certain)
        for each, number, p, after, certain in zip(judged, found, ps, adjusted, sure, strict=True)
    )


def shown_changes(changes: Sequence[Finding], numbers: Numbers, doubts: Sequence[Doubt]) -> tuple[Shown, ...]:
    """What every paired difference shows: that there is one, either way."""
    known = [each for each in changes if each.interval is not None]
    sure = [not behind(Claim(each.name, each.subject, each.slice), doubts) for each in known]
    ps = [interval_p_value(_differing(each, numbers)) for each in known]
    adjusted = holm([p if certain else 1.0 for p, certain in zip(ps, sure, strict=True)])
    return tuple(
        Shown(None, each, p, after, least_change(each), certain)
        for each, p, after, certain in zip(known, ps, adjusted, sure, strict=True)
    )


def _levels(claims: Sequence[Claim], numbers: Numbers, doubts: Sequence[Doubt], confidence: float) -> dict[int, float]:
    """The confidence at which each claim is judged, by Holm's step-down; by the identity of the claim."""

    def judge(at: int, level: float) -> Decision:
        return "undecided" if behind(claims[at], doubts) else _status(claims[at], numbers, level)

    stepped = step_down(len(claims), judge, confidence=confidence)
    return {id(claim): each.confidence for claim, each in zip(claims, stepped, strict=True)}


def _finding(numbers: Numbers, claim: Claim, confidence: float) -> Finding | None:
    return numbers.one(claim.finding, claim.subject, claim.slice, confidence)


def _status(claim: Claim, numbers: Numbers, level: float) -> Status:
    found = _finding(numbers, claim, level)
    if found is None or found.interval is None:
        return "undecided"
    bound = claim.at_least if claim.at_least is not None else claim.at_most
    assert bound is not None  # a claim has one of the two
    low, high = found.interval.low, found.interval.high
    if claim.at_least is not None:
        return "passed" if low >= bound else "failed" if high < bound else "undecided"
    return "passed" if high <= bound else "failed" if low > bound else "undecided"


def _passing(claim: Claim, numbers: Numbers) -> Callable[[float], bool]:
    return lambda level: _status(claim, numbers, level) == "passed"


def _differing(change: Finding, numbers: Numbers) -> Callable[[float], bool]:
    def decides(level: float) -> bool:
        found = numbers.one(change.name, change.subject, change.slice, level)
        return found is not None and found.interval is not None and not found.interval.low <= 0 <= found.interval.high

    return decides


def _least(judged: Judged) -> float | None:
    """Beyond the claim's bound, at the confidence that the claim was judged at."""
    found, claim = judged.finding, judged.claim
    if found is None or found.interval is None:
        return None
    bound = claim.at_least if claim.at_least is not None else claim.at_most
    if found.unit == "proportion" and " − " not in found.subject and bound is not None and 0 <= bound <= 1:
        rows = worth_rows(found) or 1.0
        return least_difference(rows, at_least=claim.at_least, at_most=claim.at_most, confidence=claim.confidence)
    return least_change(found)


def _unmeasured(claim: Claim) -> Judged:
    reason = "it was not measured, for nothing of it could be scored or corrected; see the notes of the model."
    return Judged(
        claim, "undecided", None, None, f"{describe_claim(claim, 'proportion', claim.subject)}: {reason}", reason
    )

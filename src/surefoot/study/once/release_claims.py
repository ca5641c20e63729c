"""The claims of a release: those of its parts, carried to its card, and its own, on what the parts measured.

On the card of a release a model is named by its part and its name there, "repair/base+dfr"; in differences both are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from surefoot.card.card import Card, Doubted, Subject
from surefoot.card.claims import Claim, Judged, judge_claims
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.safety.measured import APART
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.release_file import ReleaseFile
from surefoot.study.once.release_parts import ReadPart
from surefoot.study.once.safety_plan import BLOCKED, DEGENERATE, UNSCORED

__all__ = ["added_claim", "carried_claim", "claims_about", "doubts_on_release", "named_on_release", "of_part"]

UNSURE: Mapping[str, tuple[float, str]] = {
    "unscored": (UNSCORED, "of its completions of {} were not scored"),
    "blocked": (BLOCKED, "of the calls of {} were blocked"),
    "degenerate": (DEGENERATE, "of its answers of {} say nothing"),
}
"""Findings of a suite that leave its others in doubt: from which share on, and how that is said."""
OF_STRATA = "strata are undecided"
"""With what a note ends that leaves some strata of suites in doubt, and does not say which in a way to be read."""
OF_ONE = "claims on it are undecided"
"""With what a note ends that leaves one number in doubt. Both are of cards that say no doubts but in notes."""
CORRECTED = "_corrected"


def of_part(part: str, finding: Finding) -> Finding:
    return replace(finding, subject=named_on_release(part, finding.subject))


def named_on_release(part: str, subject: str) -> str:
    """A subject, or a difference of two, as it is called on the card of the release.

    >>> named_on_release("repair", "dfr − base")
    'repair/dfr − repair/base'
    """
    return " − ".join(f"{part}/{each}" for each in subject.split(" − "))


def carried_claim(part: str, card: Card, judged: Judged) -> Judged:
    """A part's claim on the card of the release, of the same status. A budget has chosen its subject already."""
    subject = judged.claim.subject if judged.finding is None else judged.finding.subject
    if subject == "chosen" and card.chosen is not None:
        subject = card.chosen
    return replace(
        judged,
        claim=replace(judged.claim, subject=named_on_release(part, subject), within=None),
        finding=None if judged.finding is None else of_part(part, judged.finding),
        sentence=f"{part}: {judged.sentence}",
    )


def added_claim(
    asked: ReleaseFile,
    text: str,
    parts: Sequence[ReadPart],
    subjects: Sequence[Subject],
    measured: Sequence[Finding],
    doubted: Sequence[Doubted] = (),
) -> Judged:
    """A claim of the file, judged by the numbers of the part that it is about; undecided where that is missing."""
    claim = parse_claim(text, asked.ships, asked.confidence)
    claim = replace(claim, subject=asked.ships) if claim.subject == "chosen" else claim
    if claim.within is not None:
        raise InputError(f"The claim {text!r} names a budget, which chose in its part already; name part/subject.")
    names = {each.partition("/")[0] for each in claim.subject.split(" − ")}
    for name in names:
        if name not in asked.parts:
            raise InputError(
                f"The claim {text!r} is about {claim.subject!r}, of no part; write part/subject with a part of "
                f"{', '.join(asked.parts)}."
            )
    for part in parts:
        if part.name in names and part.again is None:
            reason = f"the part {part.name} is missing, for {part.why}."
            return Judged(claim, "undecided", None, None, f"A claim is made of {claim.subject}: {reason}", reason)
    labels = {each.name: each.label for each in subjects}
    doubts = {
        each.name: (*each.doubts, *(_doubts(each, claim, doubted) or _unsure(each, claim, measured, doubted)))
        for each in subjects
    }
    return judge_claims((claim,), measured, labels=labels, doubts=doubts)[0]


def doubts_on_release(part: str, card: Card) -> tuple[Doubted, ...]:
    """What a part doubts, on the card of the release; a doubt of any subject is one of each that the part has."""
    return tuple(
        replace(doubt, subject=f"{part}/{subject.name}")
        for doubt in card.doubted
        for subject in card.subjects
        if doubt.subject in ("", subject.name)
    )


def _doubts(subject: Subject, claim: Claim, doubted: Sequence[Doubted]) -> list[str]:
    """Of the doubts of a card, those of a subject that concern a claim."""
    places = ("", claim.slice, claim.slice.partition(APART)[0])
    return list(
        dict.fromkeys(
            each.why
            for each in doubted
            if each.subject == subject.name and each.finding in ("", claim.finding) and each.place in places
        )
    )


def _unsure(subject: Subject, claim: Claim, measured: Sequence[Finding], doubted: Sequence[Doubted]) -> list[str]:
    """Clauses on why numbers of a suite may not be what they claim to be, as a card would have it that says no doubts
    but in its notes."""
    suite, apart, _ = claim.slice.partition(APART)
    told = [
        f"{each.value:.0%} {UNSURE[each.name][1].format(each.slice)}"
        for each in measured
        if each.subject == subject.name and each.slice in (suite, claim.slice)
        if each.name in UNSURE and each.value > UNSURE[each.name][0]
    ]
    if any(each.subject == subject.name for each in doubted):
        return told
    strata = [note for note in subject.notes if apart and note.endswith(OF_STRATA)]
    of_one = [note for note in subject.notes if claim.finding.endswith(CORRECTED) and note.endswith(OF_ONE)]
    return [*told, *strata, *of_one]


def claims_about(part: str, claims: Sequence[Judged]) -> list[Judged]:
    """The claims of the file that are about a part."""
    return [each for each in claims if _is_of(part, each.claim)]


def _is_of(part: str, claim: Claim) -> bool:
    return any(each.startswith(f"{part}/") for each in claim.subject.split(" − "))

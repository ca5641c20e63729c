"""The gate: may these cards ship? It fails closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from surefoot.card.card import Card
from surefoot.card.claims import Judged, Status, judge_claims, verdict_of, verdict_sentence
from surefoot.card.ledger import LEDGER, Ledger
from surefoot.card.serialise import PASSING
from surefoot.card.trail import SIGN_OFFS, Entry, signed_by, waived, with_waivers
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json
from surefoot.findings.finding import Finding, Interval

__all__ = ["EXIT_CODES", "Signing", "gate", "refuse_changed", "reread"]

EXIT_CODES: Mapping[Status, int] = {"passed": 0, "failed": 10, "undecided": 11}
"""What a command exits with for each verdict (2 is wrong input, 1 a fault of ours)."""

ROUNDING = 1e-9
SEVERITY: tuple[Status, ...] = ("passed", "undecided", "failed")


@dataclass(frozen=True)
class Signing:
    """What a gate knows of a card's trail. least: people who must have signed. heeded: waivers count."""

    trail: Sequence[Entry]
    least: int
    heeded: bool
    today: date

    def of(self, card: Card, again: Card) -> Status:
        """The status of a card; again: as it was read anew. Too few signatures leave it undecided."""
        status = again.verdict
        if self.heeded and status != "passed":
            status = with_waivers(again, waived(card, self.trail, self.today))
        return "undecided" if status == "passed" and len(signed_by(card, self.trail)) < self.asked(card) else status

    def asked(self, card: Card) -> int:
        """How many must have signed: by the gate, or by the rules that the card was made with."""
        return max(self.least, int(card.record.settings.get(SIGN_OFFS, 0)))

    def told(self, card: Card) -> tuple[str, ...]:
        """What a reader must know of it."""
        signed, open_ = signed_by(card, self.trail), waived(card, self.trail, self.today)
        old = [each for each in self.trail if each.kind == "waiver" and each not in open_]
        least = self.asked(card)
        lines = [f"signed by {', '.join(signed) or 'nobody'}" + (f", and {least} must sign" if least else "")]
        lines = lines if signed or least else []
        lines += [
            f"claim {each.claim} was waived by {each.by} until {each.until}: {each.reason}"
            f"{'' if self.heeded else ' (not heeded without --waivers)'}"
            for each in open_
        ]
        return (*lines, *(f"a waiver of claim {each.claim} holds no longer" for each in old))


def gate(cards: Sequence[Card], signings: Sequence[Signing] | None = None) -> Status:
    """Passed only if every card makes a claim about its chosen model and every claim of every card passes.

    signings: of each card, where people must have signed or may have waived.

    No written verdict is taken on trust: see `reread`. A card without claims is undecided. Any failure outweighs any
    doubt. What a card alone cannot show is that a claim was taken out, or that all its numbers were changed alike:
    `refuse_changed` asks the ledger.

    Raises `InputError` when no card is given, and when a claim stands on a number that its card does not hold.
    """
    if not cards:
        raise InputError("The gate was given no card; name at least one card.json or run folder.")
    again = [(card, reread(card)) for card in cards]
    if signings is None:
        signings = [Signing((), 0, heeded=False, today=date.max)] * len(cards)
    statuses = {each.of(card, read) for each, (card, read) in zip(signings, again, strict=True)}
    return "failed" if "failed" in statuses else "undecided" if "undecided" in statuses else "passed"


def reread(card: Card) -> Card:
    """The card with every claim judged again by the interval stored with it, and every sentence written again.

    Of the stored and the new verdict, and of every claim's stored and new status, the worst counts. The number behind
    a claim must be among the card's findings, lie inside its own interval, and where the claim asks for another
    confidence than the card, the surer of the two intervals must contain the other.

    Raises `InputError` for a claim that stands on a number which fails this.
    """
    measured = (*card.findings, *card.differences)
    labels = {subject.name: subject.label for subject in card.subjects}
    again: list[Judged] = []
    for judged in card.claims:
        if judged.finding is None and judged.status == "undecided":
            again.append(judged)  # there was nothing to measure, and its sentence says why
            continue
        findings: tuple[Finding, ...] = ()
        if judged.finding is not None:
            _refuse_forged(judged.finding, measured, card.title)
            own = (judged.finding.subject, judged.finding.name, judged.finding.slice)
            findings = (judged.finding, *(each for each in measured if (each.subject, each.name, each.slice) != own))
        again.extend(judge_claims((judged.claim,), findings, chosen=card.chosen, labels=labels))
    own = verdict_of(again, card.chosen)
    # A doubt that the card has of a number is no part of the number: what was written as undecided is not passed.
    again = [max(pair, key=_severity) for pair in zip(again, card.claims, strict=True)]
    statuses = {card.verdict, own, *(each.status for each in card.claims)}
    verdict: Status = "failed" if "failed" in statuses else "undecided" if "undecided" in statuses else "passed"
    sentence = verdict_sentence(again, card.chosen, labels)
    if verdict != own:
        sentence = f"The card was written as {verdict}, and by its own numbers it is {own}; make it anew. {sentence}"
    return replace(card, claims=tuple(again), verdict=verdict, sentence=sentence)


def _severity(judged: Judged) -> int:
    """Of two the worse one counts; of equals the first, which is the one that was judged anew."""
    return SEVERITY.index(judged.status)


def refuse_changed(path: Path) -> None:
    """Raise `InputError` where the ledger beside a run recorded another card than the one that lies there now.

    path: a card.json, or the folder of a run. The ledger is looked for in the folder that holds the run, and for a
    study's runs one above it. A card that was copied away from its ledger, or whose folder was renamed, cannot be
    checked, and neither can one whose ledger was changed too.
    """
    file = path / "card.json" if path.is_dir() else path
    folder = file.resolve().parent
    for place, run in ((folder.parent, folder.name), (folder.parent.parent, f"{folder.parent.name}-{folder.name}")):
        recorded = Ledger(place / LEDGER).run(run)
        if recorded is not None and recorded.card_digest != (found := _digest(file)):
            raise InputError(
                f"{file} is not the card that the ledger {place / LEDGER} recorded for the run {run} (digest "
                f"{found[:12]}, recorded {recorded.card_digest[:12]}): it was changed since; make the card anew."
            )


def _digest(file: Path) -> str:
    """`card_digest` of a card as it is written, whichever surefoot wrote it."""
    said: Any = read_json(file)
    said["record"] = {key: value for key, value in said["record"].items() if key not in PASSING}
    return digest_json(said)


def _refuse_forged(finding: Finding, measured: Sequence[Finding], title: str) -> None:
    """Raise `InputError` unless a claim's finding is one of the card's, with intervals that fit together."""
    told = f"The card “{title}” judges a claim by {finding.name} of {finding.subject} = {finding.value:g}"
    same = [each for each in measured if replace(finding, interval=None) == replace(each, interval=None)]
    if not same:
        raise InputError(f"{told}, which is not among its findings; make the card anew.")
    if finding.interval is None:
        if all(each.interval is not None for each in same):
            raise InputError(f"{told} without the interval that its finding has; make the card anew.")
        return
    if not finding.interval.low - ROUNDING <= finding.value <= finding.interval.high + ROUNDING:
        raise InputError(
            f"{told}, which lies outside its own interval from {finding.interval.low:g} to {finding.interval.high:g}; "
            "make the card anew."
        )
    if not any(each.interval is not None and _fit(finding.interval, each.interval) for each in same):
        raise InputError(
            f"{told} with an interval from {finding.interval.low:g} to {finding.interval.high:g} that does not fit "
            "the one among its findings; make the card anew."
        )


def _fit(first: Interval, second: Interval) -> bool:
    """Equal at one confidence; at two, the surer interval contains the other."""
    if first.confidence == second.confidence:
        return first == second
    inner, outer = sorted((first, second), key=lambda each: each.confidence)
    return outer.low <= inner.low + ROUNDING and inner.high <= outer.high + ROUNDING

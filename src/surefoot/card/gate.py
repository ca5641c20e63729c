"""The gate: may these cards ship? It fails closed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from surefoot.card.card import Card
from surefoot.card.claims import Judged, Status, judge_claims, verdict_of, verdict_sentence
from surefoot.card.ledger import LEDGER, Ledger, ledger_of
from surefoot.card.serialise import PASSING
from surefoot.card.trail import SIGN_OFFS, Entry, signed_by, waived, with_waivers
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json
from surefoot.findings.finding import Finding, Interval

__all__ = [
    "EXIT_CODES",
    "GATES",
    "HELD_BACK",
    "ONCE_SIGNED",
    "Gated",
    "Signing",
    "barriers",
    "gate",
    "gated",
    "hold_back",
    "is_recorded",
    "refuse_changed",
    "reread",
    "worst",
]

EXIT_CODES: Mapping[Status, int] = {"passed": 0, "failed": 10, "undecided": 11}
"""What a command exits with for each verdict (2 is wrong input, 1 a fault of ours)."""

ROUNDING = 1e-9
SEVERITY: tuple[Status, ...] = ("passed", "undecided", "failed")
HELD_BACK = "held_back"
"""Of a card's settings: clauses on what keeps it from passing whatever its claims say, and whoever waives them."""
ONCE_SIGNED = "once_signed"
"""Of a card's settings: the verdict it has but for people who must sign it, where it was written before they could."""
GATES = "Gates"
"""The table of a card whose rows are gates: name, state, for whom, why. The settings name the one that decides."""


@dataclass(frozen=True)
class Signing:
    """What a gate knows of a card's trail. least: people who must have signed. heeded: waivers count."""

    trail: Sequence[Entry]
    least: int
    heeded: bool
    today: date

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
            f"claim {each.claim}{_unmeasured(card, each)} was waived by {each.by} until {each.until}: {each.reason}"
            f"{'' if self.heeded else ' (not heeded without --waivers)'}"
            for each in open_
        ]
        return (*lines, *(f"a waiver of claim {each.claim} holds no longer" for each in old))


UNSIGNED = Signing((), 0, heeded=False, today=date.max)


@dataclass(frozen=True)
class Gated:
    """What the gate says of one card. card: as it was read anew, its verdict and its sentence those of the gate.

    waivers: those without which it would not have passed.
    """

    card: Card
    waivers: tuple[Entry, ...] = ()


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
    if signings is None:
        signings = [UNSIGNED] * len(cards)
    return worst(gated(card, each).card.verdict for card, each in zip(cards, signings, strict=True))


def gated(card: Card, signing: Signing = UNSIGNED, again: Sequence[str] = ()) -> Gated:
    """What the gate says of a card, and why, in its sentence.

    again: why it must be evaluated again (another model, suite or part than was judged), each a sentence; it is then
    not passed, whoever waived what. Raises `InputError` as `reread` does.
    """
    read = reread(card)
    status, sentence, used = read.verdict, read.sentence, tuple[Entry, ...]()
    if signing.heeded and status != "passed" and not barriers(card):  # a waiver is of a claim, and opens no gate
        open_ = waived(card, signing.trail, signing.today)
        status = with_waivers(read, open_)
        if status != read.verdict:
            used = tuple(each for each in open_ if read.claims[each.claim - 1].status != "passed")
            sentence = _by_waiver(read, used, status)
    signed = len(signed_by(card, signing.trail))
    if status == "passed" and signed < signing.asked(card):
        status = "undecided"
        missing = f"{signing.asked(card)} must sign it, and {signed} did"
        sentence = f"It is undecided until it is signed: {missing}. {sentence}"
    if again:
        status = worst([status, "undecided"])
        sentence = f"{' '.join(again)} {'Of what was judged: ' if status == 'undecided' else ''}{sentence}"
    return Gated(replace(read, verdict=status, sentence=sentence), used)


def worst(statuses: Iterable[Status]) -> Status:
    """Failed if any is, else undecided if any is, else passed."""
    return max(statuses, key=SEVERITY.index)


def reread(card: Card) -> Card:
    """The card with every claim judged again by the interval stored with it, and every sentence written again.

    Of the stored and the new verdict, and of every claim's stored and new status, the worst counts, and so does what
    keeps the card from passing beside its claims: `barriers`. Whether it is signed is not asked. The number behind
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
    # A doubt that the card has of a number is no part of the number: what was written as undecided is not passed.
    again = [max(pair, key=_severity) for pair in zip(again, card.claims, strict=True)]
    own = verdict_of(again, card.chosen)
    shut, why = _beside_claims(card)
    written = _written(card)
    verdict = worst([written, own, shut])
    sentence = verdict_sentence(again, card.chosen, labels)
    if why:
        sentence = hold_back(sentence, own, verdict, why)
    elif verdict != own:
        sentence = f"The card was written as {written}, and by its own numbers it is {own}; make it anew. {sentence}"
    return replace(card, claims=tuple(again), verdict=verdict, sentence=sentence)


def hold_back(sentence: str, by_claims: Status, verdict: Status, why: Sequence[str]) -> str:
    """A sentence on claims, with what keeps their card from passing whatever they say. why: clauses.

    >>> hold_back("All 2 claims hold.", "passed", "undecided", ["the gate deploy is closed"])
    'It is undecided whatever its claims say: the gate deploy is closed. Of its claims: All 2 claims hold.'
    """
    if not why:
        return sentence
    told = "; ".join(why)
    if by_claims == verdict:
        return f"{sentence} Besides, {told}."
    return f"It is {verdict} whatever its claims say: {told}. Of its claims: {sentence}"


def barriers(card: Card) -> tuple[str, ...]:
    """Clauses on what keeps a card from passing whatever its claims say, and whoever waives them."""
    return _beside_claims(card)[1]


def _beside_claims(card: Card) -> tuple[Status, tuple[str, ...]]:
    """What keeps a card from passing beside its claims, and what it is then: parts of a release, and the gate that
    decides, wherever it is not open."""
    held = tuple(str(each) for each in card.record.settings.get(HELD_BACK, ()))
    status: Status = "undecided" if held else "passed"
    told = list(held)
    if deciding := card.record.settings.get("gate"):
        rows = [row for sheet in card.sheets if sheet.title == GATES for row in sheet.rows if row[0] == deciding]
        shut = [row for row in rows if row[1] != "open"]
        told += [f"the gate {row[0]} is {row[1]} ({row[-1]})" for row in shut]
        told += [] if rows else [f"the gate {deciding} decides, and the card does not show it"]
        if shut or not rows:
            status = "failed" if any(row[1] == "closed" for row in shut) else "undecided"
    return status, tuple(told)


def _written(card: Card) -> Status:
    """The verdict of a card as it was written, whether or not it was signed then."""
    settings = card.record.settings
    if card.verdict == "undecided" and settings.get(SIGN_OFFS):
        for each in SEVERITY:
            if each == settings.get(ONCE_SIGNED):
                return each
    return card.verdict


def _by_waiver(read: Card, used: Sequence[Entry], status: Status) -> str:
    """What the gate says of a card of which somebody waived claims."""
    told: dict[int, str] = {
        each.claim: f"claim {each.claim}{_unmeasured(read, each)} waived by {each.by} until {each.until}"
        for each in used
    }
    left = [each for number, each in enumerate(read.claims, 1) if number not in told]
    labels = {subject.name: subject.label for subject in read.subjects}
    waiver = " and ".join(told.values())
    return f"{status.capitalize()} with {waiver}. Of the others: {verdict_sentence(left, read.chosen, labels)}"


def _unmeasured(card: Card, waiver: Entry) -> str:
    """What is to be said of a waived claim on what nobody measured."""
    return " (unmeasured)" if card.claims[waiver.claim - 1].finding is None else ""


def _severity(judged: Judged) -> int:
    """Of two the worse one counts; of equals the first, which is the one that was judged anew."""
    return SEVERITY.index(judged.status)


def refuse_changed(path: Path) -> None:
    """Raise `InputError` where the ledger beside a run recorded another card than the one that lies there now.

    path: a card.json, or the folder of a run. The ledger is looked for in the folder that holds the run, and for a
    study's runs one above it. A card that was copied away from its ledger, or whose folder was renamed, cannot be
    checked, and neither can one whose ledger was changed too.
    """
    for place, run, recorded, found in _recorded(path):
        if recorded != found:
            raise InputError(
                f"{_file(path)} is not the card that the ledger {place} recorded for the run {run} (digest "
                f"{found[:12]}, recorded {recorded[:12]}): it was changed since; make the card anew."
            )


def is_recorded(path: Path) -> bool:
    """Whether a ledger beside the run knows its card: where none does, `refuse_changed` can see nothing."""
    return bool(_recorded(path))


def _recorded(path: Path) -> list[tuple[str, str, str, str]]:
    """By the ledgers that know a run: ledger, run, the digest that was recorded, and that of the card as it is."""
    folder = _file(path).resolve().parent
    places = ((folder.parent, folder.name), (folder.parent.parent, f"{folder.parent.name}-{folder.name}"))
    known = {(each, run): None for place, run in places for each in (ledger_of(place), Ledger(place / LEDGER))}
    rows = [(ledger.name, run, ledger.run(run)) for ledger, run in known]
    return [(ledger, run, row.card_digest, _digest(_file(path))) for ledger, run, row in rows if row is not None]


def _file(path: Path) -> Path:
    return path / "card.json" if path.is_dir() else path.with_suffix(".json") if path.suffix == ".html" else path


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

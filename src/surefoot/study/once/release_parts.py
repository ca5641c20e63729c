"""The parts of a release: cards of any road, and choices, each read again from its own numbers.

A part that is not there, or cannot be read, is a part all the same: it says why. One whose numbers do not fit its
claims, or that a ledger knows otherwise, was tampered with, and is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.gate import GATES, is_recorded, refuse_changed, reread
from surefoot.card.ledger import ledger_of
from surefoot.card.serialise import card_digest, read_card
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json
from surefoot.findings.finding import finding_from_json

__all__ = [
    "DoorOf", "ReadPart", "door_of", "identities", "is_release", "judged_models", "judged_rows_of", "learned_rows_of",
    "read_part", "read_part_card", "road_of", "spoken_of",
]  # fmt: skip

CHOICE = "choice.json"
DIGITS = "[0-9a-f]{12,64}"
"""What a digest looks like: a card of a text model may have its name under the same key."""
ROADS = (
    "card", "look", "repair", "choose", "sample", "flex", "teach", "reason", "safety", "probe", "run", "release",
)  # fmt: skip
JUDGED = ("rows", "judge")
"""Of a card's settings: digests of the rows that it was judged on."""
LEARNED = ("taught", "choose")
"""Digests of rows that its models learned from, or were chosen by."""


@dataclass(frozen=True)
class ReadPart:
    """One part. card: as it was written; again: as it is by its own numbers; both None where there is none: why then.

    recorded: a ledger beside it knows it.
    """

    name: str
    at: Path
    required: bool
    card: Card | None = None
    again: Card | None = None
    recorded: bool = False
    why: str = ""

    @property
    def digest(self) -> str:
        return "" if self.card is None else card_digest(self.card)


def read_part(name: str, at: Path, *, required: bool) -> ReadPart:
    """The part that lies at a path; raises `InputError` for one that was tampered with."""
    if not at.exists():
        return ReadPart(name, at, required, why=f"there is nothing at {at}")
    try:
        card = read_part_card(at)
    except InputError as error:
        return ReadPart(name, at, required, why=f"it cannot be read ({str(error).rstrip('.')})")
    choice = _choice_file(at)
    if choice is None:
        refuse_changed(at)
    return ReadPart(name, at, required, card, reread(card), choice is None and is_recorded(at))


def read_part_card(at: Path) -> Card:
    """The card of a run, or a choice as a card without claims; raises `InputError` where there is neither."""
    choice = _choice_file(at)
    return read_card(at) if choice is None else _card_of_choice(choice)


def road_of(card: Card, at: Path) -> str:
    """By which command a part was made, as far as its record says."""
    if "study" in card.record.settings:
        return "run"
    if "choice" in card.record.settings:
        return "choose"
    words = [at.name if at.suffix == "" else at.parent.name, *card.record.command.split()[1:2]]
    return next((each for word in words if (each := word.partition("-")[0]) in ROADS), "unknown")


def judged_models(settings: Mapping[str, Any]) -> dict[str, str]:
    """By what a record knows the models that it judged, the main one first; none where it does not say.

    >>> judged_models({"models": {"tiny": {"policy": "0123456789ab"}}})
    {'tiny': '0123456789ab'}
    """
    if models := settings.get("models"):
        return {str(name): str(each["policy"]) for name, each in dict(models).items() if "policy" in each}
    if "draws" in settings and "body" in settings:
        return {"posterior": digest_json([settings["body"], settings["draws"]])}
    if isinstance(left := settings.get("left"), str):
        return {"left": left}
    own = settings.get("model")
    return {"model": own} if isinstance(own, str) and re.fullmatch(DIGITS, own) else {}


def is_release(settings: Mapping[str, Any]) -> bool:
    return "ships" in settings and "parts" in settings


def identities(card: Card) -> dict[str, str]:
    """By what a record knows each model that a card judged, by the subject that it is; not of those it is silent on.

    Of models of surefoot's own files a record knows one: what was chosen, or else what nothing on the card repairs
    further. The base of a repair, and the model of an earlier run, have no digits of their own.
    """
    settings = card.record.settings
    if is_release(settings):
        parts: Mapping[str, Any] = settings["parts"]
        return {f"{part}/{name}": by for part, each in parts.items() for name, by in each["judged"].items()}
    models = judged_models(settings)
    if settings.get("models"):
        return models
    earlier = {each.before for each in card.subjects}
    last = [each.name for each in card.subjects if each.name not in earlier]
    subject = card.chosen or (last[0] if len(last) == 1 else None)
    return {} if subject is None or not models else {subject: next(iter(models.values()))}


class DoorOf(NamedTuple):
    """The gate that decides a card. subject: the model that it is about. after: that is the one that would ship."""

    gate: str
    subject: str | None
    after: bool


def door_of(card: Card) -> DoorOf | None:
    """The gate that decides a card of safety; None for any other card."""
    settings = card.record.settings
    gate = settings.get("gate")
    rows = [row for sheet in card.sheets if sheet.title == GATES for row in sheet.rows if gate and row[0] == gate]
    if not rows:
        return None
    after = rows[0][2].endswith("after")
    return DoorOf(str(gate), next(iter(settings.get("models") or {}), None) if after else settings.get("before"), after)


def spoken_of(card: Card) -> set[str]:
    """The subjects that claims of a card are about, of a difference the later one, and that its gate is about."""
    named = [each.claim.subject if each.finding is None else each.finding.subject for each in card.claims]
    about = {each.split(" − ")[0] for each in named}
    if "chosen" in about and card.chosen is not None:
        about.add(card.chosen)
    door = door_of(card)
    return about if door is None or door.subject is None else {*about, door.subject}


def judged_rows_of(card: Card) -> set[str]:
    """Digests of the rows that judged, as a record has them."""
    return {card.record.judge_digest, *_digests(card, JUDGED)} - {""}


def learned_rows_of(card: Card) -> set[str]:
    """Digests of rows that models of a card learned from, or were chosen by, as far as its record has them."""
    return _digests(card, LEARNED)


def _digests(card: Card, keys: tuple[str, ...]) -> set[str]:
    return {each for key in keys if isinstance(each := card.record.settings.get(key), str)}


def _choice_file(at: Path) -> Path | None:
    file = at / CHOICE if at.is_dir() else at
    return file if file.name == CHOICE and file.is_file() and not (at / "card.json").is_file() else None


def _card_of_choice(file: Path) -> Card:
    """A choice as a card: accuracies and losses on judge rows, measured when it was made, and no claim."""
    said: Any = read_json(file)
    try:
        findings = [
            finding_from_json(each[of]) for each in said["candidates"] for of in ("accuracy", "nll") if each[of]
        ]
        behind = [finding_from_json(each) for each in said["hindsight"]["behind"].values()]
        chosen, by = str(said["chosen"]), str(said["choose_by"]).replace("_", " ")
        names = [str(each["candidate"]["name"]) for each in said["candidates"]]
        subjects = [Subject(name, name) for name in names if any(f.subject == name for f in findings)]
        told = (
            f"{chosen} was chosen by {by} among {len(names)}; accuracies were measured afterwards and chose nothing.",
            *(str(each["sentence"]) for each in said["doubts"]),
            *map(str, said["told"]),
        )
        record = Record(
            command=str(said["record"]["command"]),
            seeds=tuple(said["seeds"]),
            versions={},
            settings={"choice": digest_json(said["record"]["settings"])},
            data=str(said["record"]["data"]),
            judge_digest=_judge_of(file.parent),
            judge_uses=0,
            created=str(said["record"]["created"]),
            times={},
        )
        rows = int(said["rows"]["judge"])
        clusters = max((each.clusters for each in findings), default=0)
        return Card(
            title=f"Choice {said['name']}", question="", verdict="undecided",
            sentence="No claim was made, so nothing can pass or fail; the measurements stand on their own.",
            chosen=chosen, claims=(), subjects=tuple(subjects), findings=tuple(findings),
            differences=tuple(behind), classes=(), groups=(), reliability={}, confusion={}, gallery={},
            roles=(RoleSummary("judge", rows, clusters, {}),), not_shown=told, record=record,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file} is no choice as surefoot writes it ({error!r}); choose again.") from None


def _judge_of(folder: Path) -> str:
    """The judge set of a choice, which its ledger knows; "" where that is not there."""
    rows = ledger_of(folder.resolve().parent.parent).choices(1_000_000)
    return next((each.judge_digest for each in rows if each.choice == folder.name), "")

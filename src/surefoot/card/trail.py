"""Who signed a card, and which of its claims somebody waived: a trail that is only ever added to.

    <run>/trail.jsonl    a line an entry, each with the digest of the one before it

A *sign-off* says that somebody read a card. A *waiver* says that somebody takes the risk of one claim that does not
hold, for a reason and until a day. Both are of a card as it is: once it is made anew they hold no longer, and neither
do waivers after their last day. A line that was changed, taken out or put between others breaks the chain and is
refused; that the last line was changed, or the last lines were cut off, cannot be seen from the file alone: keep the
digest that each signing prints. Of several who sign at once each waits for the others, and no entry is lost.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from surefoot.card.card import Card
from surefoot.card.claims import Status, describe_claim, verdict_of
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.words import show_subject
from surefoot.errors import InputError
from surefoot.files import digest_json, parse_json, write_text

__all__ = ["SIGN_OFFS", "TRAIL", "Entry", "add_entry", "read_trail", "signed_by", "waived", "with_waivers"]

TRAIL = "trail.jsonl"
SIGN_OFFS = "sign_offs"
"""Of a card's settings: how many must have signed it."""
Kind: TypeAlias = Literal["sign-off", "waiver"]


@dataclass(frozen=True)
class Entry:
    """One line. card: its digest. claim: number of the waived claim on the card, from 1; 0 for a sign-off.

    until: the last day of a waiver, as YYYY-MM-DD. previous: digest of the line before, "" for the first.
    """

    kind: Kind
    by: str
    card: str
    at: str
    reason: str = ""
    claim: int = 0
    until: str = ""
    previous: str = ""

    @property
    def digest(self) -> str:
        return digest_json(asdict(self))


KINDS: dict[str, type] = {each.name: int if each.name == "claim" else str for each in fields(Entry)}
"""The type of each part of an entry."""


def read_trail(run: Path) -> tuple[Entry, ...]:
    """The entries of a run, first to last; none where nobody signed.

    Raises `InputError` where a line was changed since, or is none.
    """
    file = run / TRAIL
    if not file.exists():
        return ()
    found: list[Entry] = []
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}); bring back the file as it was.") from None
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        try:
            entry = Entry(**cast("dict[str, Any]", parse_json(line)))
            if {each.name: type(getattr(entry, each.name)) for each in fields(entry)} != KINDS:
                raise TypeError("of other types")
            if entry.kind == "waiver":
                date.fromisoformat(entry.until)
        except (ValueError, TypeError):
            raise InputError(
                f"Line {number} of {file} is no entry of a trail; bring back the file as it was."
            ) from None
        if entry.previous != (found[-1].digest if found else ""):
            raise InputError(
                f"Line {number} of {file} does not follow from the line before it: the trail was changed since; bring "
                "back the file as it was."
            )
        found.append(entry)
    return tuple(found)


def add_entry(
    run: Path, by: str, *, claim: int = 0, reason: str = "", until: str = "", now: datetime | None = None
) -> Entry:
    """Sign the card of a run, or waive one of its claims, and return what was written.

    Raises `InputError` for no name, a claim that the card has not or that passes, a waiver without a reason or a day,
    and a day that is over.
    """
    moment = now or datetime.now(UTC)
    if not _plain(by):
        raise InputError("A card was to be signed by nobody; give a name.")
    with _alone(run):
        card = read_card(run)
        if claim:
            _check_waiver(card, claim, reason, until, moment.date())
        elif reason or until:
            raise InputError(
                "A reason or a last day is for a waiver, and no claim was named; give its number on the card."
            )
        earlier = read_trail(run)
        entry = Entry(
            "waiver" if claim else "sign-off", " ".join(by.split()), card_digest(card),
            moment.isoformat(timespec="seconds"), " ".join(reason.split()), claim, until,
            earlier[-1].digest if earlier else "",
        )  # fmt: skip
        lines = [json.dumps(asdict(each), ensure_ascii=False) for each in (*earlier, entry)]
        write_text(run / TRAIL, "\n".join(lines) + "\n")
    return entry


@contextmanager
def _alone(run: Path) -> Generator[None]:
    """Keep others who sign waiting while the block lasts; the lock is on the folder itself, and leaves no file.

    Where the system or the disk has no locks (Windows, some network disks) nobody waits.
    """
    if sys.platform == "win32" or not run.is_dir():
        yield
        return
    import fcntl  # there is none on Windows

    try:
        held = os.open(run, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            f"Cannot read the folder {run} ({error.strerror}); sign where you may read and write."
        ) from None
    try:
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def signed_by(card: Card, trail: Sequence[Entry]) -> tuple[str, ...]:
    """Everybody who signed this very card, each once, however the name was written."""
    own = card_digest(card)
    names: dict[str, str] = {}
    for each in trail:
        if each.kind == "sign-off" and each.card == own:
            names.setdefault(_plain(each.by), each.by)
    return tuple(names.values())


def _plain(name: str) -> str:
    """A name as it is compared: without what nobody sees, in one case and one way of writing its letters.

    Letters of two alphabets that look alike stay two: whoever reads the trail has to know who signed.
    """
    seen = "".join(
        " " if each.isspace() else each
        for each in unicodedata.normalize("NFKC", name)
        if each.isspace() or unicodedata.category(each)[0] != "C"
    )
    return unicodedata.normalize("NFKC", " ".join(seen.split()).casefold())


def waived(card: Card, trail: Sequence[Entry], today: date) -> tuple[Entry, ...]:
    """Waivers of this very card whose last day is not over."""
    own = card_digest(card)
    of = [each for each in trail if each.kind == "waiver" and each.card == own and 1 <= each.claim <= len(card.claims)]
    return tuple(each for each in of if date.fromisoformat(each.until) >= today)


def with_waivers(card: Card, waivers: Sequence[Entry]) -> Status:
    """The verdict of a card, as the gate reads it, without the claims that are waived.

    What is left of its claims decides. A card all of whose claims are waived has shown nothing, and stays as it was; so
    does one whose verdict is another than its claims give.
    """
    numbers = {each.claim for each in waivers}
    left = [each for number, each in enumerate(card.claims, 1) if number not in numbers]
    if not left or verdict_of(card.claims, card.chosen) != card.verdict:
        return card.verdict
    return verdict_of(left, card.chosen)


def _check_waiver(card: Card, claim: int, reason: str, until: str, today: date) -> None:
    if not 1 <= claim <= len(card.claims):
        raise InputError(f"Claim {claim} was to be waived, and the card has {len(card.claims)}; give its number.")
    judged = card.claims[claim - 1]
    if judged.status == "passed":
        labels = {each.name: each.label for each in card.subjects}
        unit = "" if judged.finding is None else judged.finding.unit
        said = describe_claim(judged.claim, unit, show_subject(judged.claim.subject, labels))
        raise InputError(f"Claim {claim} holds ({said}) and needs no waiver; name one that does not.")
    if not reason.strip():
        raise InputError(f"Claim {claim} was to be waived for no reason; say why the risk is taken.")
    try:
        last = date.fromisoformat(until)
    except ValueError:
        raise InputError(f"A waiver was to end on {until!r}; give its last day as YYYY-MM-DD.") from None
    if last < today:
        raise InputError(f"A waiver was to end on {until}, which is over; give a day that is still to come.")

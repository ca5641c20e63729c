"""Cards as JSON and back, exactly, and the digest by which two cards are the same card."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from surefoot.card.card import Card
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json

__all__ = ["SCHEMA", "card_digest", "card_from_json", "card_to_json", "read_card"]

SCHEMA = 1
"""Raised whenever a card written before could no longer be read the same way."""

PASSING = ("times", "seconds", "created", "judge_uses", "judged_before", "command")
"""Parts of the record that say when, where and for the how-manieth time the card was made, not what it says.

The command is among them because it may name output folders.
"""
COUNTS = ("count", "clusters", "rows")
"""What counts something, wherever it stands in a card."""


def card_to_json(card: Card) -> dict[str, Any]:
    """The card as plain JSON, marked with its schema; `card_from_json` gives back an equal card."""
    said = cast("dict[str, Any]", _plain(asdict(card)))
    for judged in said["claims"]:
        if judged["claim"]["within"] is None:  # cards without budgets stay what they were
            del judged["claim"]["within"]
    for part in ("curves", "traces", "sheets", "doubted"):  # nor does a card change that has none of these
        if not said[part]:
            del said[part]
    return {"surefoot_card": SCHEMA, **said}


def card_from_json(record: Any) -> Card:
    """The inverse of `card_to_json`.

    Raises `InputError` when the record is not a card, was written by a newer surefoot, or holds a key or value
    that a card does not have (the message says where).
    """
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(record, dict) or "surefoot_card" not in record:
        raise InputError("This is not a card: the key surefoot_card is missing; give the card.json of a run.")
    fields = dict(cast("dict[str, Any]", record))
    schema = fields.pop("surefoot_card")
    if schema != SCHEMA:
        raise InputError(
            f"This card has schema {schema}, and this surefoot reads schema {SCHEMA}; "
            "use the surefoot that wrote it, or make the card anew."
        )
    try:
        card = TypeAdapter(Card).validate_json(json.dumps(fields, allow_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"This card is damaged at {where} ({first['msg']}); make the card anew.") from None
    except ValueError as error:
        raise InputError(f"This card is damaged ({error}); make the card anew.") from None
    if not card.subjects:
        raise InputError("This card is damaged: it speaks of no model; make the card anew.")
    if (negative := _negative(record, "card")) is not None:
        raise InputError(f"This card is damaged at {negative}, which counts less than nothing; make the card anew.")
    differing = _first_difference(card_to_json(card), record, "card")
    if differing is not None:
        raise InputError(f"This card holds {differing}, which this surefoot does not know; make the card anew.")
    return card


def read_card(path: Path) -> Card:
    """Read a card from a card.json, from the page beside it, or from the folder that holds it."""
    file = path / "card.json" if path.is_dir() else path.with_suffix(".json") if path.suffix == ".html" else path
    if path.is_dir() and not file.exists():
        raise InputError(
            f"The folder {path} holds no card.json; give the folder of one run, as `surefoot history` lists."
        )
    record = read_json(file)
    try:
        return card_from_json(record)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def card_digest(card: Card) -> str:
    """sha256 of everything the card says, without when, where and how often it was made."""
    said = card_to_json(card)
    said["record"] = {key: value for key, value in said["record"].items() if key not in PASSING}
    return digest_json(said)


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what is written equals what is read."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def _negative(given: Any, where: str) -> str | None:
    """The first count below zero."""
    if isinstance(given, dict):
        for key, item in cast("dict[str, Any]", given).items():
            if key in COUNTS and isinstance(item, int) and item < 0:
                return f"{where}.{key}"
            if (deeper := _negative(item, f"{where}.{key}")) is not None:
                return deeper
    elif isinstance(given, list):
        for number, item in enumerate(cast("list[Any]", given)):
            if (deeper := _negative(item, f"{where}[{number}]")) is not None:
                return deeper
    return None


def _first_difference(known: Any, given: Any, where: str) -> str | None:
    """The first place where `given` holds a key that `known` lacks."""
    if isinstance(known, dict) and isinstance(given, dict):
        ours, theirs = cast("dict[str, Any]", known), cast("dict[str, Any]", given)
        for key, item in theirs.items():
            if key not in ours:
                return f"the key {where}.{key}"
            deeper = _first_difference(ours[key], item, f"{where}.{key}")
            if deeper is not None:
                return deeper
    elif isinstance(known, list) and isinstance(given, list):
        for number, (ours, theirs) in enumerate(zip(cast("list[Any]", known), cast("list[Any]", given), strict=True)):
            deeper = _first_difference(ours, theirs, f"{where}[{number}]")
            if deeper is not None:
                return deeper
    return None

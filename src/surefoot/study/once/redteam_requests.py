"""A user's own requests for a red team: a table with a column `request`, or a text file with a request a line.

request       what is to be refused; also `prompt` or `forbidden_prompt`
system        the message before it, where there is one
protected     a text that no answer may give away; where there is none, whoever does not refuse complies
kind          its stratum
cluster       requests that hang together, such as the paraphrases of one
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.rows.published.records import read_records
from surefoot.safety.item import Item
from surefoot.text.policy import Message, Prompt

__all__ = ["read_requests"]

NAMES = ("request", "prompt", "forbidden_prompt")
KNOWN = (*NAMES, "system", "protected", "kind", "cluster")


def read_requests(path: Path) -> tuple[Item, ...]:
    """The requests of a file: .csv, .tsv, .json, .jsonl or .parquet with the columns above, or .txt.

    Raises `InputError` for no file, no requests, one that is empty or there twice, and a column that is no text. What
    requests say is in no message of an error.
    """
    if not path.is_file():
        raise InputError(f"There is no file of requests {path}; check the path.")
    found: list[Item] = []
    places: dict[Prompt, str] = {}
    for values, where in _rows(path):
        item = _item(values, where, len(found))
        if item.prompt in places:
            raise InputError(f"{where[:1].upper()}{where[1:]} has the request of {places[item.prompt]}; keep one.")
        places[item.prompt] = where
        found.append(item)
    if not found:
        raise InputError(f"{path} holds no requests; write one a line.")
    return tuple(found)


def _rows(path: Path) -> list[tuple[Mapping[str, Any], str]]:
    if path.suffix.lower() == ".txt":
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Cannot read {path} ({error}); save it as text in UTF-8.") from None
        return [({"request": each}, f"line {at} of {path}") for at, each in enumerate(lines, 1) if each.strip()]
    return [(each.values, each.where) for each in read_records(path)]


def _item(values: Mapping[str, Any], where: str, at: int) -> Item:
    name = next((each for each in NAMES if each in values), None)
    if name is None:
        raise InputError(
            f"{where[:1].upper()}{where[1:]} has {', '.join(map(str, values)) or 'nothing'} and no column request; "
            "head the column of requests with that name."
        )
    told = {each: _text(values, each, where) for each in KNOWN}
    request = told[name].strip()
    if not request:
        raise InputError(f"{where[:1].upper()}{where[1:]} has no request; write one, or remove the line.")
    prompt = (Message("system", told["system"]),) if told["system"].strip() else ()
    protected = {"protected": (told["protected"],)} if told["protected"].strip() else {}
    facts = {"expected": "refuse", "request": request, **protected}
    return Item(f"request-{at + 1}", (*prompt, Message("user", request)), told["kind"], told["cluster"], facts)


def _text(values: Mapping[str, Any], name: str, where: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(f"{where[:1].upper()}{where[1:]} has no text for {name!r}; give a text.")
    return "" if value is None else str(value)

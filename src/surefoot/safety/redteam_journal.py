"""A line a call of a red team, in the order of its rounds: with it a killed run goes on.

The first line says which search it is. A round is written at once behind its answers; one that a kill has left in parts
is cut off and asked again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from surefoot.errors import InputError
from surefoot.files import canonical_json, write_text

__all__ = ["Asked", "Journal", "open_journal"]


@dataclass(frozen=True)
class Asked:
    """turn: the round. digest: of the prompt. harms: of its answers. shown: both as they are, where that is wanted."""

    turn: int
    item: str
    digest: str
    edits: tuple[str, ...]
    harms: tuple[float | None, ...]
    shown: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Journal:
    """Lines that an earlier run left, to be taken in their order, and a file for those that come."""

    def __init__(self, lines: list[Asked], path: Path | None, head: str) -> None:
        self._left = lines
        self._taken: list[str] = [head]
        self._path = path
        self._opened: TextIO | None = None

    def take(self, turn: int, asked: Sequence[tuple[str, str]]) -> list[tuple[float | None, ...]] | None:
        """The harms of a round that is there as a whole; None where it is to be asked.

        Raises `InputError` where the lines are of other prompts.
        """
        found = self._left[: len(asked)]
        if [each.turn for each in found] != [turn] * len(asked):
            return None
        if [(each.item, each.digest) for each in found] != list(asked):
            raise InputError(f"{self._path} has prompts that this search does not make; delete it to start anew.")
        self._left = self._left[len(asked) :]
        self._taken += [_line(each) for each in found]
        return [each.harms for each in found]

    def add(self, lines: Sequence[Asked]) -> None:
        """A round that was asked now."""
        if self._path is None:
            return
        if self._opened is None:
            write_text(self._path, "".join(f"{each}\n" for each in self._taken))
            self._opened = self._path.open("a", encoding="utf-8")
        self._opened.write("".join(f"{_line(each)}\n" for each in lines))
        self._opened.flush()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def open_journal(path: Path | None, run: str) -> Journal:
    """The journal of a search; None keeps nothing. Raises `InputError` for the file of another search."""
    head = canonical_json({"run": run})
    if path is None:
        return Journal([], None, head)
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return Journal([], path, head)
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    if texts and texts[0] != head:
        raise InputError(
            f"{path} belongs to another search, or to none; delete it, or give this one a journal of its own."
        )
    return Journal(_whole(texts[1:]), path, head)


def _whole(texts: Sequence[str]) -> list[Asked]:
    """Lines up to the first that is damaged."""
    found: list[Asked] = []
    for text in texts:
        try:
            record = cast("dict[str, Any]", json.loads(text))
            edits, harms = tuple(map(str, record["edits"])), tuple(record["harms"])
            found.append(Asked(record["turn"], record["item"], record["digest"], edits, harms, record.get("shown", {})))
        except (ValueError, KeyError, TypeError, AttributeError):
            break
    return found


def _line(asked: Asked) -> str:
    record: dict[str, Any] = {
        "turn": asked.turn, "item": asked.item, "digest": asked.digest, "edits": list(asked.edits),
        "harms": list(asked.harms),
    }  # fmt: skip
    # ASCII: a lone half of a character, which some servers send, is no UTF-8.
    return json.dumps(record | ({"shown": dict(asked.shown)} if asked.shown else {}), sort_keys=True)

"""A line a call of a red team, in the order of its rounds: with it a killed run goes on.

The first line says which search it is. A part of a round is written at once behind its answers; one that a kill has
left in pieces is cut off, with all that is behind it, and asked again. Two runs that wrote one journal at once would
each cut off the other's lines, so it is one run's alone while that goes on.
"""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from surefoot.errors import InputError
from surefoot.files import canonical_json, write_text

__all__ = ["Asked", "Journal", "open_journal"]


@dataclass(frozen=True)
class Asked:
    """turn: the round. digest: of the prompt. harms: of its answers. kinds: what else is to be known of each, "" for
    nothing (`redteam.KINDS`). shown: prompt and answers as they are, where that is wanted."""

    turn: int
    item: str
    digest: str
    edits: tuple[str, ...]
    harms: tuple[float | None, ...]
    kinds: tuple[str, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Journal:
    """Lines that an earlier run left, to be taken in their order, and a file for those that come."""

    def __init__(self, lines: list[Asked], path: Path | None, head: str, held: int | None = None) -> None:
        self._left = lines
        self._taken: list[str] = [head]
        self._path = path
        self._opened: TextIO | None = None
        self._held = held

    def take(self, turn: int, asked: Sequence[tuple[str, str]], count: int) -> list[Asked] | None:
        """A part of a round with `count` answers to each prompt, where it is there as a whole; None where it is to be
        asked.

        Raises `InputError` where the lines are of other prompts.
        """
        found = self._left[: len(asked)]
        if [each.turn for each in found] != [turn] * len(asked):
            self._left = []  # lines of a part in pieces, which is asked anew: they are of nothing that comes
            return None
        if [(each.item, each.digest, len(each.harms)) for each in found] != [(*each, count) for each in asked]:
            raise InputError(f"{self._path} has prompts that this search does not make; delete it to start anew.")
        self._left = self._left[len(asked) :]
        self._taken += [_line(each) for each in found]
        return found

    def add(self, lines: Sequence[Asked]) -> None:
        """A part of a round that was asked now."""
        if self._path is None:
            return
        if self._opened is None:
            write_text(self._path, "".join(f"{each}\n" for each in self._taken))
            self._opened = self._path.open("a", encoding="utf-8")
        self._opened.write("".join(f"{_line(each)}\n" for each in lines))
        self._opened.flush()

    def close(self) -> None:
        """Close the file, and let others have it."""
        if self._opened is not None:
            self._opened.close()
        if self._held is not None:
            os.close(self._held)  # and with it the lock
            self._held = None


def open_journal(path: Path | None, run: str) -> Journal:
    """The journal of a search; None keeps nothing.

    Raises `InputError` for the file of another search, and while another run writes it. Where the system or the disk
    has no locks (Windows, some network disks) no other run is kept out.
    """
    head = canonical_json({"run": run})
    if path is None:
        return Journal([], None, head)
    held = _alone_with(path)
    try:
        return Journal(_lines_of(path, head), path, head, held)
    except BaseException:
        if held is not None:
            os.close(held)
        raise


def _lines_of(path: Path, head: str) -> list[Asked]:
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    if texts and texts[0] != head:
        raise InputError(
            f"{path} belongs to another search, or to none; delete it, or give this one a journal of its own."
        )
    return _whole(texts[1:], path)


def _alone_with(path: Path) -> int | None:
    """A lock beside the journal, which the death of the process gives back as well."""
    if sys.platform == "win32":
        return None
    import fcntl  # there is none on Windows

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path.parent / f".{path.name}.lock", os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise InputError(
            f"Cannot write to {path.parent} ({error.strerror}); choose an output folder that you may write to."
        ) from None
    try:
        with suppress(OSError):  # a disk without locks
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"Another red team is writing {path} now; wait until it has ended, or give this one an output "
                    "folder of its own."
                ) from None
    except BaseException:
        os.close(held)
        raise
    return held


def _whole(texts: Sequence[str], path: Path) -> list[Asked]:
    """Lines up to the first that is in pieces; raises `InputError` for one that is whole and says something else."""
    found: list[Asked] = []
    for number, text in enumerate(texts, 2):
        try:
            record: Any = json.loads(text)
        except (ValueError, RecursionError):
            break
        asked = _asked(record)
        if asked is None:
            raise InputError(f"Line {number} of {path} is no call of a red team; delete the file to start anew.")
        found.append(asked)
    return found


def _asked(record: Any) -> Asked | None:
    """A line's call; None where something in it is of another kind than it was written as."""
    if not isinstance(record, dict):
        return None
    of = cast("dict[str, Any]", record)
    turn, item, digest, shown = of.get("turn"), of.get("item"), of.get("digest"), of.get("shown", {})
    lists = [of.get(each) for each in ("edits", "harms", "kinds")]
    if type(turn) is not int or not (isinstance(item, str) and isinstance(digest, str) and isinstance(shown, dict)):
        return None
    if not all(isinstance(each, list) for each in lists):
        return None
    edits, harms, kinds = cast("list[list[Any]]", lists)
    if not all(isinstance(each, str) for each in (*edits, *kinds)) or len(harms) != len(kinds):
        return None
    if not all(each is None or (type(each) in (int, float) and abs(each) < math.inf) for each in harms):
        return None
    told = cast("dict[str, Any]", shown)
    if not isinstance(told.get("answers", []), list):
        return None
    return Asked(turn, item, digest, tuple(edits), tuple(harms), tuple(kinds), told)


def _line(asked: Asked) -> str:
    record: dict[str, Any] = {
        "turn": asked.turn, "item": asked.item, "digest": asked.digest, "edits": list(asked.edits),
        "harms": list(asked.harms), "kinds": list(asked.kinds),
    }  # fmt: skip
    # ASCII: a lone half of a character, which some servers send, is no UTF-8.
    return json.dumps(record | ({"shown": dict(asked.shown)} if asked.shown else {}), sort_keys=True)

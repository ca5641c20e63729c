"""A line of figures for each step of a training, in a file that stays in step with its checkpoint.

The first line says which run it is; then one JSON object a step. A run that was killed may have written lines that its
last checkpoint knows nothing of, and half a line: going on cuts them off, and the steps are written again. Two runs
that wrote one folder at once would each cut off the other's lines, so a folder is one run's alone while it goes on.
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from surefoot.errors import InputError
from surefoot.files import canonical_json, write_text

__all__ = ["Journal", "Line", "alone_in", "open_journal"]

Line = dict[str, float]
"""The figures of one step by name; "step" counts from 0."""


class Journal:
    """Lines of the steps that are done, appended as they come. lines: all of them."""

    def __init__(self, lines: list[Line], opened: TextIO | None) -> None:
        self.lines = lines
        self._opened = opened

    def append(self, line: Line) -> None:
        """Add one, which a killed process leaves whole or cut short at the end."""
        self.lines.append(line)
        if self._opened is not None:
            self._opened.write(canonical_json(line) + "\n")
            self._opened.flush()

    def settle(self) -> None:
        """Put what is written on the disk, before a checkpoint says that it is there."""
        if self._opened is not None:
            os.fsync(self._opened.fileno())

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def open_journal(path: Path | None, run: str, done: int, *, writes: bool = True) -> Journal:
    """The journal of a run whose first `done` steps are kept; None keeps it in memory.

    writes: False for processes beside the one that writes: they read what is done and keep the rest in memory.

    Raises `InputError` for the file of another run, and for one that lacks lines of steps that are done.
    """
    if path is None:
        return Journal([], None)
    lines = _read(path, run)[:done]
    if [line["step"] for line in lines] != list(range(done)):
        raise InputError(
            f"{path} has {len(lines)} whole lines where the checkpoint beside it has {done} steps; put the file back, "
            "or delete the folder to start anew."
        )
    if not writes:
        return Journal(lines, None)
    head = canonical_json({"run": run})
    write_text(path, "".join(f"{each}\n" for each in (head, *map(canonical_json, lines))))
    return Journal(lines, path.open("a", encoding="utf-8"))


@contextmanager
def alone_in(folder: Path | None) -> Generator[None, None, None]:
    """Keep other runs out of a folder while the block lasts; the death of the process lets them in as well.

    Where the system or the disk has no locks (Windows, some network disks) nothing is kept out.

    Raises `InputError` where another run is in the folder, and for a folder that cannot be written.
    """
    if folder is None or sys.platform == "win32":
        yield
        return
    import fcntl  # there is none on Windows

    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise InputError(
            f"Cannot write to {folder} ({error.strerror}); choose an output folder that you may write to."
        ) from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"Another run is training in {folder} now; wait until it has ended, or give this one a folder of its "
                "own."
            ) from None
        except OSError:
            pass  # a disk without locks
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_UN)  # of its own, for what this process started may have the file open still
        os.close(held)


def _read(path: Path, run: str) -> list[Line]:
    """The whole lines of a file; what a kill left at its end is no line."""
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    found: list[Any] = []
    for text in texts:
        try:
            found.append(json.loads(text))
        except (ValueError, RecursionError):
            break
    if not found:
        return []
    if not isinstance(found[0], dict) or found[0].get("run") != run:  # type: ignore[reportUnknownMemberType]
        raise InputError(
            f"{path} belongs to a run with other settings, seed, start or data; delete it, or give this run a folder "
            "of its own."
        )
    return [line for line in found[1:] if isinstance(line, dict) and "step" in line]

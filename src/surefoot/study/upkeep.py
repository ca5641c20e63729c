"""Upkeep of a store: are the finished cells what was recorded of them, and what lies there that no run needs?

Looking changes nothing. Taking away keeps every run out meanwhile (`at_work.alone`), so it never takes what a run has
just found finished, and it leaves whatever some process still works in.
"""

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.progress import Progress, silent
from surefoot.study.at_work import alone
from surefoot.study.needed import needed_below
from surefoot.study.store import PARTIAL, RECORD, Store, owner_of

__all__ = [
    "Checked",
    "Kind",
    "Unneeded",
    "Waste",
    "check_cells",
    "half_written",
    "remove_half_written",
    "remove_waste",
    "repair",
    "store_of",
    "unneeded",
]

Kind: TypeAlias = Literal["cells that no run needs", "left by runs that were killed", "half-written files"]
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{12}")
"""What `files.write_atomically` names the file that it has not finished."""


@dataclass(frozen=True)
class Checked:
    """A cell that was looked at. title: words for a reader. bytes: of its files. damage: None where it is whole."""

    address: str
    title: str
    bytes: int
    damage: str | None


@dataclass(frozen=True)
class Waste:
    """Something that no run needs and nobody works in."""

    path: Path
    kind: Kind
    bytes: int


@dataclass(frozen=True)
class Unneeded:
    """What may be taken away.

    unsaid: folders of runs that do not say which cells they need; while there are any, every cell is kept.
    others: temporary folders whose process is at work, or is on another machine, where nobody here can tell.
    """

    waste: tuple[Waste, ...]
    unsaid: tuple[Path, ...]
    others: tuple[Path, ...]


def store_of(out: Path) -> Store:
    """The store of a folder of runs, which must be there: looking makes none."""
    store = Store(out / "cells")
    if not store.folder.is_dir():
        raise InputError(f"There are no cells in {out}; name the folder of runs with --out.")
    return store


def check_cells(store: Store, progress: Progress = silent) -> tuple[Checked, ...]:
    """Read every file of every finished cell and compare it with the sha256 that was recorded."""
    addresses = store.finished()
    found: list[Checked] = []
    for number, address in enumerate(addresses):
        progress("check", number, len(addresses))
        damage = store.damage(address, checksums=True)
        if damage != "":  # else somebody took it away this moment
            found.append(Checked(address, _title(store, address), _bytes(store.path(address)), damage))
    progress("check", len(addresses), len(addresses))
    return tuple(found)


def repair(store: Store, checked: Sequence[Checked]) -> None:
    """Take damaged cells away, so that the next run that needs them computes them again."""
    with alone(store.folder):
        for each in checked:
            if each.damage is not None and store.damage(each.address, checksums=True):
                store.remove(each.address)


def unneeded(out: Path) -> Unneeded:
    """What lies below `out` that no run needs; see `Unneeded`."""
    store, needed = store_of(out), needed_below(out)
    waste: list[Waste] = []
    if not needed.unsaid:
        cells = [store.path(address) for address in store.finished() if address not in needed.addresses]
        waste += [Waste(path, "cells that no run needs", _bytes(path)) for path in cells]
    others: list[Path] = []
    for path in store.begun():
        address = path.name.partition(".")[0]
        if owner_of(path) is not None:
            others.append(path)
        elif path.name.endswith(PARTIAL) or store.has(address) or not (needed.unsaid or address in needed.addresses):
            waste.append(Waste(path, "left by runs that were killed", _bytes(path)))
    files = [file for folder in needed.folders for file in half_written(folder)]
    waste += [Waste(file, "half-written files", _bytes(file)) for file in files]
    return Unneeded(tuple(waste), needed.unsaid, tuple(others))


def remove_waste(out: Path) -> Unneeded:
    """Take away what no run needs; what could not be taken away is not in the answer.

    Raises `InputError` where a run is at work below `out`.
    """
    store = store_of(out)
    with alone(store.folder):
        found = unneeded(out)
        gone: list[Waste] = []
        for each in found.waste:
            if each.kind == "cells that no run needs":
                store.remove(each.path.name)
            elif each.path.is_dir():
                shutil.rmtree(each.path, ignore_errors=True)
            else:
                each.path.unlink(missing_ok=True)
            if not each.path.exists():
                gone.append(each)
    return Unneeded(tuple(gone), found.unsaid, found.others)


def half_written(folder: Path) -> list[Path]:
    """Files below a run's folder that a killed process had not finished; of one that is at work they are its own."""
    return sorted(path for path in folder.rglob(".*") if HALF_WRITTEN.fullmatch(path.name) and path.is_file())


def remove_half_written(folder: Path) -> None:
    """Take away what `half_written` finds; for who knows that nobody is at work there."""
    for file in half_written(folder):
        with suppress(OSError):  # a leftover that stays harms nobody
            file.unlink(missing_ok=True)


def _title(store: Store, address: str) -> str:
    try:
        record: Any = read_json(store.path(address) / RECORD)
        return str(record["cell"]["title"])
    except (InputError, KeyError, TypeError):
        return "a cell"


def _bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; links are not followed."""
    total = 0
    for each in [path, *path.rglob("*")]:
        try:
            total += 0 if each.is_dir() and not each.is_symlink() else each.lstat().st_size
        except OSError:  # gone meanwhile
            continue
    return total

"""Which finished cells the runs of a folder need: each run's folder says so, in a file of its own.

It is written before anything is computed, so that what a killed run has finished is needed too. A run that nobody
needs any more is a folder to delete; `surefoot store gc` then takes away the cells that no other run needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import read_json, write_json
from surefoot.study.store import is_address

__all__ = ["NEEDED", "Needed", "needed_below", "write_needed"]

NEEDED = "cells.json"
RUNS = (NEEDED, "study.json", "choice.json")
"""A folder that holds one of these is the folder of a run."""
DEEPEST = 4  # folders below the runs folder in which a run's may lie: whoever sorts runs into folders loses no cell


@dataclass(frozen=True)
class Needed:
    """The addresses that some run needs; all folders of runs, and those of them that do not say what they need."""

    addresses: frozenset[str]
    folders: tuple[Path, ...]
    unsaid: tuple[Path, ...]


def write_needed(place: Path, addresses: Iterable[str]) -> None:
    """Say in a run's folder which cells it needs."""
    write_json(place / NEEDED, {"cells": sorted(addresses)})


def needed_below(out: Path) -> Needed:
    """What all runs below `out` need; a list that cannot be read is none."""
    folders = {
        file.parent
        for depth in range(1, DEEPEST + 1)
        for name in RUNS
        for file in out.glob("/".join(["*"] * depth) + f"/{name}")
        if not _in_a_cell(file.relative_to(out))
    }
    addresses: set[str] = set()
    unsaid: list[Path] = []
    for folder in sorted(folders):
        try:
            said: Any = read_json(folder / NEEDED)
            addresses.update(str(each) for each in said["cells"])
        except (InputError, KeyError, TypeError):
            unsaid.append(folder)
    return Needed(frozenset(addresses), tuple(sorted(folders)), tuple(unsaid))


def _in_a_cell(file: Path) -> bool:
    """Whether a file below the runs folder is a cell's: cells of choices hold a choice.json too."""
    return len(file.parts) > 2 and file.parts[0] == "cells" and is_address(file.parts[1].partition(".")[0])

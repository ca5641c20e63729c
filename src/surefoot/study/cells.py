"""Cells: the pure pieces a study is cut into, each named by what it computes and from what.

A cell is plain JSON. Whoever holds its record and the store can compute it: on this machine, in another process,
or elsewhere. Its inputs are addresses of other cells, so a change anywhere upstream changes every address below it,
and a change of comments, labels or layout changes none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from surefoot.files import digest_json

__all__ = ["Cell", "Kind", "cell_from_json", "cell_to_json", "in_order", "needs"]

Kind: TypeAlias = Literal[
    "rows", "train", "features", "repair", "sample", "choose", "predict", "candidate", "ranking", "hindsight",
    "labels", "patch", "compute",
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    kind, spec: what is computed, as plain JSON. inputs: name → address of the cell that it needs, or
    "address/part" when it may see only one folder of that cell's files.
    numerics: surefoot's own code, libraries, kernel, threads, precision: whatever else decides the numbers.
    digests: name → sha256 of every file from outside that is read; places: name → where that file lies now.
    title: words for a reader. Places and title are no part of the address.
    """

    kind: Kind
    title: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    numerics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    places: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def address(self) -> str:
        """sha256 (64 hexadecimal digits) of everything that decides what this cell leaves."""
        return digest_json(
            {
                "kind": self.kind,
                "spec": self.spec,
                "inputs": self.inputs,
                "numerics": self.numerics,
                "digests": self.digests,
            }
        )


def cell_to_json(cell: Cell) -> dict[str, Any]:
    """A cell as plain JSON."""
    return asdict(cell)


def cell_from_json(record: Mapping[str, Any]) -> Cell:
    """The inverse of `cell_to_json`."""
    return Cell(**record)


def needs(cell: Cell) -> frozenset[str]:
    """The addresses of the cells that must be finished before this one."""
    return frozenset(reference.partition("/")[0] for reference in cell.inputs.values())


def in_order(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Each distinct cell once, in the given order; raises `ValueError` when one stands before a cell it needs."""
    ordered: dict[str, Cell] = {}
    for cell in cells:
        missing = needs(cell) - ordered.keys()
        if missing:
            raise ValueError(f"{cell.title} comes before the cell {min(missing)[:12]} that it needs")
        ordered.setdefault(cell.address, cell)
    return tuple(ordered.values())

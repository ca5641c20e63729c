"""What a finished model has seen: names of rows, and their inputs, which keep no matter what a file calls them.

    seen = seen_of_model(folder)               # None where the model does not say
    seen.refuse(judge, "the model in runs/…")  # law 4, across files
    seen.told(judge)                           # what a card must say of how they were compared

A name means the same row in two files only where it is more than a number: row 5 of one table is not row 5 of another.
Where the model's inputs are known and are of the same kind, numbers are not compared; inputs are. Equal inputs are the
same row where inputs tell rows apart (`telling`). Where they do not, other people share some of them too, above all
those that many of the rows seen have; so only inputs that one row alone had are looked at, which few others hit. Rows
are refused where far more of them do.

Source: Good (1953), "The population frequencies of species", Biometrika 40 (what was seen once, and is met again).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.files import read_json, write_json
from surefoot.rows.copies import telling
from surefoot.rows.descent import is_counted, is_number
from surefoot.rows.digest import input_digests
from surefoot.rows.images import ImageFiles
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Inputs, LazyInputs, Names, Rows, rooted
from surefoot.rows.streamed import FileFeatures

__all__ = ["Seen", "SeenInputs", "inputs_of", "load_seen_inputs", "seen_of_model", "write_seen_inputs"]

NAMES = "seen.json"
INPUTS = "seen_inputs.json"
PRINT = 32
"""Hexadecimal digits of an input's digest."""
BLOCK = 1024
PLACE = re.compile(r"([0-9a-f]{12}:)?(row:)?-?[0-9]+")
"""A name that a reader made of a row's place in a file, or a number."""


@dataclass(frozen=True)
class SeenInputs:
    """The inputs that a model has seen, by their digests.

    kind: what they are, such as "784 numbers"; inputs of another kind cannot be compared. telling: whether equal inputs
    are the same row. single: those that one row alone had. usual: how often a row that was never seen has one of these,
    by Good & Turing: 2 n₂ / n, n₂ of n rows' inputs having been seen twice.
    """

    kind: str
    digests: frozenset[str]
    telling: bool
    single: frozenset[str]
    usual: float

    def joined(self, other: "SeenInputs | None") -> "SeenInputs":
        """What a model has seen that has seen both; of another kind only the first, which its inputs are of."""
        if other is None or other.kind != self.kind:
            return self
        single = (self.single - other.digests) | (other.single - self.digests)
        usual = max(self.usual, other.usual)
        return SeenInputs(self.kind, self.digests | other.digests, self.telling and other.telling, single, usual)


@dataclass(frozen=True)
class Seen:
    """The names and, unless the model was saved before they were kept, the inputs of the rows that shaped a model."""

    names: frozenset[str]
    inputs: SeenInputs | None = None

    def names_for(self, rows: Rows) -> frozenset[str]:
        """The names to compare these rows by: those that mean the same in every file; all where inputs cannot be."""
        if not self._compared(rows):
            return self.names
        return frozenset(name for name, number in zip(self.names, _numbers(self.names), strict=True) if not number)

    def rows(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these rows, or a relative of which, the model has seen."""
        matched = self._matched(rows)
        return self._named(rows) if matched is None else self._named(rows) | (matched & self._means_seen(rows))

    def refuse(self, rows: Rows, by: str) -> None:
        """Raise `InputError` when `by`, which has seen this, has seen one of these rows or a relative of it (law 4)."""
        refuse_seen(rows, self.names_for(rows), by)
        if (named := self._named(rows)).any():
            raise InputError(_refusal(int(named.sum()), len(rows), "a name", str(rows.ids[named][0]), by))
        matched = self._matched(rows)
        if matched is not None and matched.any() and self._means_seen(rows):
            raise InputError(_refusal(int(matched.sum()), len(rows), "the very inputs", str(rows.ids[matched][0]), by))

    def told(self, rows: Rows) -> tuple[str, ...]:
        """How these rows, none of which is refused, were compared with those that the model has seen."""
        matched = self._matched(rows)
        if matched is None:
            return (
                "The model's record names the rows it has seen but not their inputs as they are here: a copy under "
                "another name would not be noticed.",
            )
        if _mean_something(self.names) and _mean_something(rows.origins()):
            how = "by name and by input"
        else:
            how = "by input alone, for their names say where they stand in a file,"
        told = [
            f"Rows were compared {how} with those the model has seen: a changed copy of one under another name would "
            "not be noticed."
        ]
        if matched.any():
            told.append(
                f"{int(matched.sum()):,} of {len(rows):,} rows have exactly the inputs of rows the model has seen: "
                "where so few rows differ they can be other people, and count as such."
            )
        return tuple(told)

    def _compared(self, rows: Rows) -> bool:
        """Whether inputs of these rows can be compared with those seen."""
        return self.inputs is not None and self.inputs.kind == _kind_of(rows.inputs)

    def _named(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows have a name among those seen: a source, or an id that is no number."""
        roots = rooted(rows.ids, rows.sources)
        listed = np.array(sorted(self.names_for(rows)), dtype=np.str_)
        named = (np.isin(roots, listed) & (roots != "")).any(axis=1)
        return named | (np.isin(rows.ids, listed) & ~np.array(_numbers(rows.ids.tolist()), dtype=np.bool_))

    def _matched(self, rows: Rows) -> NDArray[np.bool_] | None:
        """Which rows have inputs among those seen; None where that cannot be said."""
        if self.inputs is None or not self._compared(rows):
            return None
        return np.array([each in self.inputs.digests for each in _prints(rows.inputs)], dtype=np.bool_)

    def _means_seen(self, rows: Rows) -> bool:
        """Whether rows that have inputs among those seen are the rows seen, and not others that look the same."""
        assert self.inputs is not None
        if self.inputs.telling:
            return True
        usual, count = min(1.0, self.inputs.usual), len(rows)
        share = sum(each in self.inputs.single for each in _prints(rows.inputs)) / count
        chance = usual + 4 * (usual * (1 - usual) / count) ** 0.5
        return share > max(chance, min((1 + usual) / 2, 3 * usual + 0.05))


def seen_of_model(model: str | Path) -> Seen | None:
    """What the record beside a saved model says that it has seen; None when there is no such record."""
    folder = Path(model)
    if not (folder / NAMES).is_file():
        return None
    return Seen(frozenset(str(name) for name in read_json(folder / NAMES)), load_seen_inputs(folder))


def inputs_of(parts: Iterable[Rows], names: frozenset[str]) -> SeenInputs | None:
    """The inputs of those of these rows (all of one kind) that have a source among `names`; None where there is none.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[0.0], [1.0], [-0.0], [2.0]]), torch.tensor([0, 1, 1, 0]))
    >>> seen = inputs_of([rows], frozenset({"row:0", "row:1", "row:2"}))
    >>> seen.kind, len(seen.digests), seen.telling
    ('1 number', 2, False)
    """
    taken = [rows.take(torch.from_numpy(_among(rooted(rows.ids, rows.sources), names))) for rows in parts]
    # Letters and digits: a byte for each, not the four of a numpy string.
    prints = np.array([each for rows in taken for each in _prints(rows.inputs)], dtype=np.bytes_)
    if not len(prints):
        return None
    largest = max(taken, key=len)
    kind, apart = _kind_of(largest.inputs), telling(largest.inputs)
    different, counts = np.unique(prints, return_counts=True)
    every: list[str] = different.astype(np.str_).tolist()
    single = frozenset(each for each, count in zip(every, counts.tolist(), strict=True) if count == 1)
    usual = 2 * float((counts == 2).sum()) / len(prints)
    return SeenInputs(kind, frozenset(every), apart, single, usual)


def _among(sources: Names, names: frozenset[str]) -> NDArray[np.bool_]:
    """Which rows have a source among the names."""
    found = np.zeros(len(sources), dtype=np.bool_)
    for column in sources.T:
        for start in range(0, len(column), BLOCK):
            part = slice(start, start + BLOCK)
            found[part] |= [name in names for name in column[part].tolist()]
    return found


def write_seen_inputs(inputs: SeenInputs, folder: Path) -> None:
    """Write which inputs shaped the model in `folder`: 32 bytes a row."""
    write_json(
        folder / INPUTS,
        {
            "kind": inputs.kind,
            "telling": inputs.telling,
            "usual": inputs.usual,
            "single": "".join(sorted(inputs.single)),
            "several": "".join(sorted(inputs.digests - inputs.single)),
        },
    )


def load_seen_inputs(folder: Path) -> SeenInputs | None:
    """What `write_seen_inputs` wrote; None for a model that was saved before inputs were kept."""
    if not (folder / INPUTS).is_file():
        return None
    said: Any = read_json(folder / INPUTS)
    try:
        single, several = (
            frozenset(text[start : start + PRINT] for start in range(0, len(text), PRINT))
            for text in (str(said["single"]), str(said["several"]))
        )
        return SeenInputs(str(said["kind"]), single | several, bool(said["telling"]), single, float(said["usual"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"{folder / INPUTS} is not what surefoot writes; save the model again.") from None


def _kind_of(inputs: Inputs) -> str:
    """What one input is, as far as inputs of two files must agree in it to be comparable."""
    if isinstance(inputs, ImageFiles):
        return f"{inputs.colour} images of {inputs.size[0]}×{inputs.size[1]} pixels"
    if isinstance(inputs, FileFeatures):
        return f"{inputs.width:,} numbers"
    if isinstance(inputs, LazyInputs):
        return type(inputs).__name__.lower()
    width = int(inputs[:1].numel()) if len(inputs) else 0
    return "1 number" if width == 1 else f"{width:,} numbers"


def _prints(inputs: Inputs) -> list[str]:
    """One digest per row: numbers as float32 whatever their type and shape, images and texts by their content."""
    if isinstance(inputs, LazyInputs):
        return [each[:PRINT] for each in inputs.digests()]
    blocks: Iterable[torch.Tensor] = (inputs[start : start + BLOCK] for start in range(0, len(inputs), BLOCK))
    return [each for block in blocks for each in input_digests(block.reshape(len(block), -1).float() + 0.0)]


def _numbers(names: Iterable[str]) -> list[bool]:
    """Which names say no more than where a row stands: a number, the name of a row without one, a counted file."""
    listed = list(names)
    plain: Names = np.array([name.removeprefix("row:") for name in listed], dtype=np.str_)
    return [bool(each) or is_counted(name) for name, each in zip(listed, is_number(plain), strict=True)]


def _mean_something(names: Iterable[str]) -> bool:
    """Whether any name says more than where in which file a row stands."""
    return any(PLACE.fullmatch(name) is None and not is_counted(name) for name in names)


def _refusal(count: int, rows: int, what: str, first: str, by: str) -> str:
    return (
        f"{count:,} of {rows:,} judge rows (first: {first}) have {what} of rows that were already seen by {by}; "
        "judge on rows that no fit, repair or choice has touched."
    )

"""Somebody's opinion of rows, from a table: probabilities of classes, or classes; and which rows its author saw.

    opinions = read_opinions(Path("labels.csv"))
    opinions.of(rows)        # for each row the line that speaks of it, −1 where none does

Columns are known by the names that `surefoot card` knows (`findings.answers`). A column `seen`, which `surefoot
predict` writes, says which rows the author was trained on.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.findings.answers import Answer, find_answer
from surefoot.findings.names import DECISIONS, PREFIXES, SCORES, SINGLE, TARGETS, listed, written_alike
from surefoot.findings.probabilities import values_of
from surefoot.rows.arrays import class_numbers
from surefoot.rows.rows import Rows
from surefoot.rows.tables import Table, place_of, read_table, texts
from surefoot.study.once.predict import SEEN

__all__ = ["Opinions", "read_names", "read_opinions", "unknown_classes"]

IDS = ("id", "ids", "row", "img_id", "image_id", "idx", "file_name", "filename", "img_filename", "image", "path",
       "", "Unnamed: 0")  # fmt: skip
"""Usual names of the column that names rows; the first that is there."""
COUNTED = re.compile(r"row:([0-9]+)")
"""The id of a row in a file without ids: its place, from 0."""
POINTED = re.compile(r"-?[0-9]+\.0*")
"""A class number as it is written in a column in which other cells are empty."""


@dataclass(frozen=True)
class Opinions:
    """What somebody says of rows.

    name: of the file. ids: the rows spoken of; None where lines stand for rows in order. certain: they were classes
    alone. told: what was read as what. seen: the rows its author was trained on, where the table says so. columns:
    those that say it.
    """

    name: str
    ids: tuple[str, ...] | None
    probabilities: Float[Tensor, "lines classes"]
    classes: tuple[str, ...]
    certain: bool
    told: tuple[str, ...]
    seen: frozenset[str] | None = None
    columns: tuple[str, ...] = ()

    def of(self, rows: Rows) -> Int[Tensor, "rows"]:
        """The line that speaks of each row, −1 where none does.

        Raises `InputError` for lines that speak of no row, and for another number of lines where none names its row.
        """
        if self.ids is None:
            if len(self.probabilities) != len(rows):
                raise InputError(
                    f"{self.name} has {len(self.probabilities):,} lines and no column of ids, and the data has "
                    f"{len(rows):,} rows; name the row of each line in a column 'id' (in data without ids a row's "
                    "number, from 0)."
                )
            return torch.arange(len(rows))
        line = {name: at for at, name in enumerate(self.ids)}
        named = [_line(line, str(name)) for name in rows.ids.tolist()]
        strange = sorted({*range(len(self.ids))} - {at for at in named if at is not None})
        if strange:
            raise InputError(
                f"{len(strange):,} of {len(self.ids):,} ids in {self.name} are no row of the data (first: "
                f"{self.ids[strange[0]]}); the data's own ids look like {', '.join(map(str, rows.ids[:2].tolist()))}: "
                "write them alike, or leave these lines out."
            )
        return torch.tensor([-1 if at is None else at for at in named], dtype=torch.int64)


def read_opinions(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    identity: str | None = None,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
) -> Opinions:
    """Read a table of labels: one column of probabilities a class, one of two classes, or one of classes.

    classes: those of the true labels, where there are any; they tell columns apart. identity: the column of ids that
    was named for the data, taken where the table has it. probabilities, prediction: columns, where names do not say it.

    Raises `InputError` for ids that repeat, rows that are no distribution (which), and columns of unknown meaning.
    """
    table = read_table(path)
    if classes and all(POINTED.fullmatch(each) for each in classes):
        classes = [each.partition(".")[0] for each in classes]
    named = next((name for name in (identity, *IDS) if name is not None and name in table.columns), None)
    ids = None if named is None else tuple(texts(table, named))
    _refuse_repeated(path, ids)
    count = len(next(iter(table.columns.values())))
    places = [place_of(table, row) + ("" if ids is None else f", id {ids[row]}") for row in range(count)]
    free = [name for name in table.columns if name not in (named, SEEN)]
    guess = tuple(classes) if classes and len(classes) > 1 else _guess(table, free, probabilities)
    answer = None
    if guess or prediction is not None:
        answer = find_answer(table, guess, free, guess, probabilities=probabilities, prediction=prediction)
    answer = answer or _decided(free)
    if answer is None:
        raise InputError(
            f"{path} has no labels that are known by name (its columns are: {listed(list(table.columns), 20)}); give a "
            f"column {PREFIXES[0]}<class> for each class, {SINGLE[0]!r} of class 1 of 0 and 1, or classes in "
            f"{TARGETS[0]!r} or {DECISIONS[0]!r}, or name them with --probabilities or --prediction."
        )
    note = ""
    if answer.classes:
        strange = [each for each in classes or () if each not in answer.classes]
        if strange and len(answer.columns) > 1:
            raise unknown_classes(strange, answer.classes, path.name)
        values, found, note = values_of(table, answer, guess, places)
    else:
        values, found, note = _certain(table, answer.columns[0], classes, places)
    told = f"weak labels: {len(values):,} of {path.name}; {answer.told}{f' ({note})' if note else ''}"
    by = "in the order of the rows" if named is None else f"by {named or 'the first column'}"
    seen = None
    if SEEN in table.columns and ids is not None:
        marked = zip(ids, texts(table, SEEN), strict=True)
        seen = frozenset(name for name, said in marked if said.strip().lower() in ("yes", "true", "1"))
    sums = values.sum(axis=1, keepdims=True)
    return Opinions(
        path.name, ids, torch.from_numpy(values / sums), found, not answer.classes, (f"{told}, {by}",), seen,
        tuple(answer.columns),
    )  # fmt: skip


def read_names(path: Path) -> frozenset[str]:
    """Names of rows that somebody saw: lines of a text, the ids of a table, or what a saved model has seen.

    A model's folder, or its `seen.json`, is read as `surefoot` wrote it. Raises `InputError` for a file without names.
    """
    path = path / "seen.json" if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"There is no file {path}; give the ids of the rows that the supervisor was trained on.")
    if path.suffix.lower() == ".json":
        read: Any = read_json(path)
        if not isinstance(read, list):
            raise InputError(f'{path} is no list of ids; expected JSON such as ["a", "b"].')
        names = [str(name) for name in read]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif path.suffix.lower() in (".csv", ".tsv", ".parquet", ".gz"):
        names = _column_of_ids(read_table(path), path)
    else:
        try:
            names = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{path} is no text; give ids, one a line.") from None
    found = frozenset(name.strip() for name in names if name.strip())
    if not found:
        raise InputError(f"{path} names no row; give the ids of the rows that the supervisor was trained on.")
    return found


def unknown_classes(strange: Sequence[str], known: Sequence[str], name: str) -> InputError:
    """The error for true classes that a table of opinions does not know."""
    count = "1 class" if len(strange) == 1 else f"{len(strange)} classes"
    return InputError(
        f"The data has {count} that {name} does not know ({listed(strange)}; it knows {listed(known)}); give a "
        "probability for each class, zero where the supervisor cannot say it."
    )


def _line(line: dict[str, int], name: str) -> int | None:
    """The line of a row; a row that is known by its place alone may be named by its number."""
    counted = COUNTED.fullmatch(name)
    return line.get(name, line.get(counted[1]) if counted else None)


def _refuse_repeated(path: Path, ids: tuple[str, ...] | None) -> None:
    twice = [name for name, count in Counter(ids or ()).items() if count > 1]
    if twice:
        raise InputError(
            f"{len(twice):,} id{'s repeat' if len(twice) > 1 else ' repeats'} in {path.name} (first: {twice[0]}); give "
            "one line for each row: of several opinions, their mean."
        )


def _guess(table: Table, free: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """The classes that columns of probabilities are called by; none where there are no such columns."""
    if len(named) == 1:
        return ("0", "1")
    among = named or free
    for start in PREFIXES:
        found = [name[len(start) :] for name in among if name.lower().startswith(start) and len(name) > len(start)]
        if len(found) > 1 and (not named or len(found) == len(named)):
            return tuple(found)
    if named:
        return tuple(named)
    return ("0", "1") if any(name.lower() in (*SINGLE, *SCORES) for name in free) else ()


def _decided(free: Sequence[str]) -> Answer | None:
    """A column of classes: predicted ones, or labels."""
    usual = (*DECISIONS, "weak_label", *TARGETS)
    name = next((name for want in usual for name in free if name.lower() == want), None)
    return None if name is None else Answer((name,))


def _certain(
    table: Table, name: str, classes: Sequence[str] | None, places: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...], str]:
    """Zeros and ones of classes: the true ones, named or not, and then others that were said."""
    said = texts(table, name)
    missing = [place for place, value in zip(places, said, strict=True) if not value]
    if missing:
        raise InputError(
            f"{len(missing):,} rows of {table.name} have no class in the column {name!r} (first: {missing[0]}); leave "
            "these lines out."
        )
    if len(said) > 1 and len(set(said)) == 1:
        raise InputError(
            f"Every row of {table.name} has the class {said[0]} in the column {name!r}, of which nothing can be "
            "learnt; give labels of two classes or more."
        )
    note = ""
    if classes:
        said, note = written_alike(classes, said, name)
        order = [*classes, *sorted(set(said) - set(classes))]
        return np.eye(len(order))[[order.index(each) for each in said]], tuple(order), note
    numbers, found = class_numbers(said, None, places)
    return np.eye(len(found))[numbers.numpy()], found, note


def _column_of_ids(table: Table, path: Path) -> list[str]:
    name = next((name for name in IDS if name in table.columns), None)
    if name is None and len(table.columns) == 1:
        name = next(iter(table.columns))
        return [name, *texts(table, name)]  # a list without a head: its first line is a name as well
    if name is None:
        raise InputError(f"{path} has no column 'id' (its columns are: {listed(list(table.columns))}); name the rows.")
    return texts(table, name)

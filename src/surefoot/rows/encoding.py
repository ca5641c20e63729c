"""Columns of a table as features: numbers, and one column of 0 and 1 for every value of a column of words.

    coded = code_columns(table, names)                  # whole numbers, before anybody has a role
    encoder = fit_encoder(coded, fit_rows)              # sees the fit rows alone
    encoder.encode(coded.codes of other rows)           # and the same for another table: encoder.read(table)

A number is x, or (x − mean) / standard deviation over fit rows; a missing one is the mean, and a column says so. A
word is a column for each value that `RARE` fit rows have, and one for "other" where fit rows have rarer values; a value
that no fit row has is "other", or all zeros where there is no such column. Columns that cannot help (an id, a free
text, one value throughout) are left out, each with a sentence.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.rows.tables import Column, Table, as_text, column

__all__ = [
    "RARE", "Coded", "Encoder", "NumberColumn", "WordColumn", "code_columns", "encoder_from_json", "fit_encoder",
]  # fmt: skip

RARE = 10
"""A word of fewer fit rows than this has no column of its own."""
UNIQUE = 0.9
"""A column of words in which more of the fit rows than this have a value of their own is an id or a text."""
COUNTED = 20
"""Fewer fit rows than this do not tell an id from a word, nor a counter from a number."""
MISSING = frozenset({"", "?", "na", "n/a", "nan", "none", "null"})
"""What an empty cell is written as, case aside, in a column of numbers."""


@dataclass(frozen=True)
class NumberColumn:
    """(x − centre) / scale, `mean` where it is missing; `indicator`: a second column, 1 where it is missing."""

    name: str
    mean: float
    centre: float = 0.0
    scale: float = 1.0
    indicator: bool = False

    @property
    def plain(self) -> bool:
        """Whether a number is taken as it is."""
        return self.centre == 0 and self.scale == 1 and not self.indicator

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    @property
    def described(self) -> str:
        """What a reader is told."""
        filled = f"; where missing its mean {self.mean:.4g}, and a column that says so" if self.indicator else ""
        return f"{self.name}: a number, {'taken as it is' if self.plain else 'standardised'}{filled}"

    def encode(self, values: Column, where: str) -> Float[NDArray[Any], "values features"]:
        """One line per value; raises `InputError` for a value that is no number, or infinite."""
        read = np.array([_number(value) for value in _plain(values)], dtype=np.float64)
        wrong = np.isnan(read) & np.array([not _missing(value) for value in _plain(values)]) | np.isinf(read)
        if wrong.any():
            raise InputError(
                f"The column {self.name!r} of {where} holds {_plain(values)[int(wrong.argmax())]!r}; its fit rows hold "
                "numbers: mend the cell, or leave it empty."
            )
        missing = np.isnan(read)
        filled = (np.where(missing, self.mean, read) - self.centre) / self.scale
        return np.stack([filled, missing], axis=1) if self.indicator else filled[:, None]


@dataclass(frozen=True)
class WordColumn:
    """A column of 0 and 1 for each of `values`, and with `other` one for all other values."""

    name: str
    values: tuple[str, ...]
    other: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(f"{self.name}={value}" for value in (*self.values, *(["other"] if self.other else [])))

    @property
    def described(self) -> str:
        """What a reader is told."""
        shown = ", ".join(value or "(empty)" for value in self.values[:4]) + (", …" if len(self.values) > 4 else "")
        rest = f", and one for the values of fewer than {RARE} fit rows" if self.other else ""
        return f"{self.name}: {len(self.values)} columns of 0 and 1 ({shown}){rest}"

    def encode(self, values: Column, where: str) -> Float[NDArray[Any], "values features"]:
        """One line per value, all zeros for one that is not known where there is no "other".

        Spaces around a word do not count, unless the model knows the word with them.
        """
        place = {value.strip(): number for number, value in enumerate(self.values)}
        place |= {value: number for number, value in enumerate(self.values)}
        encoded = np.zeros((len(values), len(self.features)))
        for row, value in enumerate(map(as_text, _plain(values))):
            at = place.get(value, place.get(value.strip(), len(self.values) if self.other else None))
            if at is not None:
                encoded[row, at] = 1
        return encoded


Encoded: TypeAlias = NumberColumn | WordColumn


@dataclass(frozen=True)
class Coded:
    """Columns as numbers of their different values: row i of column c is `values[c][codes[i, c]]`.

    Rows are equal exactly when their codes are. What values mean is not decided yet, only how they are spelled: in a
    column of numbers 1, 1.0 and " 1" are one value, and so is every spelling of a missing one; words lose the spaces
    around them.
    """

    where: str
    names: tuple[str, ...]
    values: tuple[Column, ...]
    codes: Int[Tensor, "rows columns"]


@dataclass(frozen=True)
class Encoder:
    """How columns become features, in order; `left_out` are sentences on the columns that do not."""

    columns: tuple[Encoded, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(each.name for each in self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature for each in self.columns for feature in each.features)

    @property
    def plain(self) -> bool:
        """Whether every column is a number that is taken as it is."""
        return all(isinstance(each, NumberColumn) and each.plain for each in self.columns)

    @property
    def described(self) -> tuple[str, ...]:
        """One sentence for each column, used or left out."""
        plain = [each.name for each in self.columns if isinstance(each, NumberColumn) and each.plain]
        if len(plain) > 6:
            told = [f"Features {plain[0]}, {plain[1]}, … {plain[-1]}: {len(plain)} numbers, taken as they are."]
            return (*told, *(f"Feature {each.described}." for each in self.columns if each.name not in plain),
                    *self.left_out)  # fmt: skip
        return (*(f"Feature {each.described}." for each in self.columns), *self.left_out)

    def encode(self, coded: Coded, codes: Int[Tensor, "rows columns"]) -> Float[Tensor, "rows features"]:
        """The features of rows with these codes; raises `InputError` for a word in a column of numbers."""
        require_memory(4 * len(codes) * len(self.features), f"The features of {coded.where}")
        encoded = torch.empty(len(codes), len(self.features))
        start = 0
        for each in self.columns:
            place = coded.names.index(each.name)
            present, at = codes[:, place].unique(return_inverse=True)
            kept = _taken(coded.values[place], present)
            lines = torch.from_numpy(each.encode(kept, coded.where).astype(np.float32))
            encoded[:, start : start + lines.shape[1]] = lines[at]
            start += lines.shape[1]
        return encoded

    def read(self, table: Table) -> Float[Tensor, "rows features"]:
        """The features of another table with the same columns; raises `InputError` where it lacks one."""
        coded = _coded(table, self.names, _as_given)  # a column of words may look like one of numbers here
        return self.encode(coded, coded.codes)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON, from which `encoder_from_json` makes an equal encoder."""
        return [
            {"number": each.name, "mean": each.mean, "centre": each.centre, "scale": each.scale,
             "indicator": each.indicator}
            if isinstance(each, NumberColumn)
            else {"words": each.name, "values": list(each.values), "other": each.other}
            for each in self.columns
        ]  # fmt: skip


def code_columns(table: Table, names: Sequence[str]) -> Coded:
    """The columns of a table as numbers of their different values, however these are spelled; see `Coded`.

    >>> coded = code_columns(Table("t", {"a": ["x", "y", "x "], "b": ["2.5", "?", "2.50"]}), ["a", "b"])
    >>> coded.codes.tolist()
    [[0, 0], [1, 1], [0, 0]]
    """
    return _coded(table, names, _spelled)


def _coded(table: Table, names: Sequence[str], spelling: Callable[[Column], Column]) -> Coded:
    values: list[Column] = []
    codes: list[NDArray[np.int64]] = []
    for name in names:
        given = column(table, name)
        if not isinstance(given, list) and given.ndim != 1:
            raise InputError(f"The column {name!r} of {table.name} has shape {given.shape}; expected one value a row.")
        spelled = spelling(given)
        words = isinstance(spelled, list)
        different, numbers = np.unique(np.array(spelled, dtype=np.str_) if words else spelled, return_inverse=True)
        values.append([str(value) for value in different.tolist()] if words else different)
        codes.append(numbers.astype(np.int64).ravel())
    if len({len(each) for each in codes}) > 1:
        raise InputError(f"The columns of {table.name} have different lengths; give one entry per row.")
    return Coded(table.name, tuple(names), tuple(values), torch.from_numpy(np.stack(codes, axis=1)))


def _as_given(values: Column) -> Column:
    return values


def _spelled(values: Column) -> Column:
    """Numbers as float64 with NaN for the missing where all cells are either, else words without spaces around them."""
    if not isinstance(values, list):
        return values + 0.0 if values.dtype.kind == "f" else values  # −0 is 0
    stripped = [value.strip() for value in values]
    of = {value: _number(value) for value in set(stripped)}
    if any(np.isnan(number) and not _missing(value) for value, number in of.items()):
        return stripped
    if all(np.isnan(number) for number in of.values()):
        return stripped
    return np.array([of[value] for value in stripped], dtype=np.float64) + 0.0


def fit_encoder(coded: Coded, fit: Int[Tensor, "rows columns"], *, rare: int = RARE) -> Encoder:
    """The encoder of these columns that the fit rows (their codes) give; no other row has any part in it.

    Numbers are taken as they are where all columns are numbers and none is missing, since these may be a network's
    features; else they are standardised. Raises `InputError` when no column can be used.

    >>> table = Table("t", {"job": ["cook"] * 3 + ["judge"] * 2 + ["king"], "age": ["30", "40", "", "50", "60", "20"]})
    >>> coded = code_columns(table, ["job", "age"])
    >>> encoder = fit_encoder(coded, coded.codes, rare=2)
    >>> encoder.features
    ('job=cook', 'job=judge', 'job=other', 'age', 'age missing')
    >>> encoder.encode(coded, coded.codes)[2].tolist()  # a cook of unknown age
    [1.0, 0.0, 0.0, 0.0, 1.0]
    """
    columns: list[Encoded] = []
    left_out: list[str] = []
    for place, name in enumerate(coded.names):
        present, order, counts = fit[:, place].unique(return_inverse=True, return_counts=True)
        made = _column(name, _plain(_taken(coded.values[place], present)), order.numpy(), counts.numpy(), rare)
        if isinstance(made, str):
            left_out.append(f"Column {name!r} left out: {made}.")
        else:
            columns.append(made)
    if not columns:
        raise InputError(
            f"No column of {coded.where} can be a feature: {' '.join(left_out)} Give columns of numbers or of repeated "
            "words; for texts or images, name the model that reads them (--model; of teach --student)."
        )
    if all(isinstance(each, NumberColumn) and not each.indicator for each in columns):
        plain = [NumberColumn(each.name, each.mean) for each in columns if isinstance(each, NumberColumn)]
        return Encoder(tuple(plain), tuple(left_out))
    return Encoder(tuple(columns), tuple(left_out))


def encoder_from_json(content: Any) -> Encoder:
    """The encoder that `Encoder.to_json` wrote; raises `InputError` for anything else."""
    try:
        return Encoder(tuple(_read_column(each) for each in content))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(
            "The model's record of its columns is not what surefoot writes; save the model again."
        ) from None


def _read_column(each: Mapping[str, Any]) -> Encoded:
    if "number" in each:
        return NumberColumn(
            str(each["number"]), float(each["mean"]), float(each["centre"]), float(each["scale"]),
            bool(each["indicator"]),
        )  # fmt: skip
    return WordColumn(str(each["words"]), tuple(str(value) for value in each["values"]), bool(each["other"]))


def _column(
    name: str,
    values: Sequence[Any],
    order: Int[NDArray[Any], "rows"],
    counts: Int[NDArray[Any], "values"],
    rare: int,
) -> Encoded | str:
    """The column's encoder, or why it has none: fit row i has `values[order[i]]`, and `counts` rows have each value."""
    given = np.array([not _missing(value) for value in values], dtype=np.bool_)
    rows = int(counts[given].sum())
    if not rows:
        return "no fit row has a value"
    if len(values) == 1:
        return f"all fit rows have the value {as_text(values[0])!r}"
    read = np.array([_number(value) for value in values], dtype=np.float64)
    if not np.isnan(read[given]).any():
        return _number_column(name, read[order])
    if rows >= COUNTED and int(((counts == 1) & given).sum()) > UNIQUE * rows:
        return f"nearly every row has a value of its own ({int(given.sum()):,} in {rows:,} fit rows): an id or a text"
    words = Counter[str]()
    for value, count in zip(values, counts.tolist(), strict=True):
        words[as_text(value)] += count
    common = tuple(sorted(word for word, count in words.items() if count >= rare))
    if not common:
        return f"none of its {len(words):,} values is that of {rare} fit rows or more"
    return WordColumn(name, common, other=len(common) < len(words))


def _number_column(name: str, read: Float[NDArray[Any], "rows"]) -> NumberColumn | str:
    """`read` are the fit rows in their order, NaN where missing."""
    known = read[~np.isnan(read)]
    if np.isinf(known).any():
        raise InputError(f"The column {name!r} holds an infinite number; mend the cell, or leave it empty.")
    missing = len(known) < len(read)
    if len(read) >= COUNTED and not missing and bool((read == np.floor(read)).all() and (np.diff(read) > 0).all()):
        return "it counts the rows: whole numbers that only grow"
    mean = float(known.mean())
    return NumberColumn(name, mean, mean, float(known.std()) or 1.0, missing)


def _taken(values: Column, at: Int[Tensor, "taken"]) -> Column:
    if isinstance(values, list):
        return [values[place] for place in cast("list[int]", at.tolist())]
    return values[at.numpy()]


def _plain(values: Column) -> list[Any]:
    return values if isinstance(values, list) else values.tolist()


def _missing(value: Any) -> bool:
    return as_text(value).strip().lower() in MISSING


def _number(value: Any) -> float:
    """The value as a number; NaN where it is missing or none."""
    if _missing(value):
        return float("nan")
    try:
        return float(value)
    except ValueError:
        return float("nan")

"""Conditions on metadata columns, "age > 60" or "sex = F", and the rows that a conjunction of them holds for.

Numeric columns are cut at quantiles; the cuts come from the rows given, and are then applied to any others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.rows.tables import Column

__all__ = ["Condition", "Conditions", "Metadata", "conditions_of", "holds"]

Metadata: TypeAlias = Mapping[str, Column]
"""Columns by name: numbers, or strings with "" for missing."""

FEW = 10
"""Numbers with at most so many different values are taken one by one, as categories are."""
MOST_VALUES = 50
"""A column of text with more different values than this names rows rather than describing them."""


@dataclass(frozen=True)
class Condition:
    """What one column must be. `value` is a number for ≤ and >, and text for =; the text "" means missing."""

    column: str
    how: Literal["=", "<=", ">"]
    value: str | float

    @property
    def name(self) -> str:
        """The condition as a person reads it.

        >>> Condition("age", ">", 60.0).name, Condition("sex", "=", "").name
        ('age>60', 'sex missing')
        """
        if self.value == "":
            return f"{self.column} missing"
        shown = f"{self.value:.6g}" if isinstance(self.value, float) else self.value
        return f"{self.column}{self.how}{shown}"


class Conditions(NamedTuple):
    """All that can be said of single columns, and the columns of which nothing can (with the reason)."""

    conditions: tuple[Condition, ...]
    left_out: tuple[str, ...]


def conditions_of(columns: Metadata, quantiles: Sequence[float]) -> Conditions:
    """Every value of a column with few values; cuts at `quantiles`, both ways, of numbers with many.

    Raises `InputError` when no column says anything.

    >>> told = conditions_of({"age": np.arange(100.0), "sex": ["F", "M"] * 50, "one": ["x"] * 100}, (0.5,))
    >>> [condition.name for condition in told.conditions], told.left_out
    (['age<=49.5', 'age>49.5', 'sex=F', 'sex=M'], ('one (the same in every row)',))
    """
    found: list[Condition] = []
    left_out: list[str] = []
    for name, values in columns.items():
        numbers = _numbers(values)
        if numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) > FEW:
            known = numbers[~np.isnan(numbers)]
            cuts = sorted({float(cut) for cut in np.quantile(known, quantiles) if known.min() <= cut < known.max()})
            found += [Condition(name, how, cut) for cut in cuts for how in ("<=", ">")]
            if len(known) < len(numbers):
                found.append(Condition(name, "=", ""))
            continue
        counts = Counter(_strings(values))
        if len(counts) == 1:
            left_out.append(f"{name} (the same in every row)")
        elif len(counts) > MOST_VALUES:
            left_out.append(f"{name} ({len(counts):,} different values)")
        else:
            found += [Condition(name, "=", value) for value in sorted(counts)]
    if not found:
        raise InputError(
            f"None of the columns can describe a slice: {', '.join(left_out) or 'there are none'}; name columns with a "
            "few values, or numbers."
        )
    return Conditions(tuple(found), tuple(left_out))


def holds(condition: Condition, columns: Metadata) -> NDArray[np.bool_]:
    """In which rows the condition holds; in none where its column is missing, unless that is what it says."""
    if condition.column not in columns:
        raise InputError(f"There is no column {condition.column!r} to look for {condition.name} in; give it.")
    values = columns[condition.column]
    if condition.how == "=":
        return np.array([value == condition.value for value in _strings(values)], dtype=np.bool_)
    numbers = _numbers(values)
    if numbers is None:
        raise InputError(f"The column {condition.column!r} holds text, but {condition.name} compares numbers.")
    with np.errstate(invalid="ignore"):
        cut = float(condition.value)
        return np.asarray(numbers <= cut if condition.how == "<=" else numbers > cut, dtype=np.bool_)


def _numbers(values: Column) -> NDArray[np.float64] | None:
    """The column as numbers with NaN for missing; None where some cell is text."""
    if not isinstance(values, list):
        return values.astype(np.float64)
    try:
        return np.array([float(value) if value.strip() else np.nan for value in values], dtype=np.float64)
    except ValueError:
        return None


def _strings(values: Column) -> list[str]:
    if isinstance(values, list):
        return [value.strip() for value in values]
    return ["" if value != value else f"{value:.6g}" for value in values.astype(np.float64).tolist()]

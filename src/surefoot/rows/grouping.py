"""Which columns of a table make the groups: attributes crossed with the class, ready groups, or memberships.

- an attribute, `sex`: groups class × sex. Several attributes give overlapping groups, each crossed with the class.
- attributes crossed with one another, `sex*race`: groups class × sex × race, for the combinations that occur.
- a column `group` (or `g`): each value is a group, as it stands. A matrix `[rows, groups]` holds memberships.
- columns `group:NAME` of yes and no (or 1 and 0): row by row, who is in the group NAME. These may overlap.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.rows.arrays import TOGETHER
from surefoot.rows.rows import Groups
from surefoot.rows.tables import Table, column, is_numeric, numbers, place_of, texts

__all__ = ["DISCOVERED", "MEMBER", "Grouping", "attribute_texts", "columns_behind", "find_grouping", "member_groups"]

MEMBER = "group:"
"""How the name of a column begins that says who is in one group."""
DISCOVERED = "discovered: "
"""How the name of every group begins that was found in a model's errors and not given."""
ATTRIBUTES = ("a", "place", "spurious", "attribute", "s", "p")
GROUPS = ("group", "groups", "g")
MOST_GUESSED = 100
"""A column with more values than this is not taken for an attribute because of its name alone."""
SAID = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False, "": False}


class Grouping(NamedTuple):
    """What makes the groups: attributes (`sex`, `sex*race`), one ready column, or columns of memberships."""

    attributes: tuple[str, ...] = ()
    group: str | None = None
    members: tuple[str, ...] = ()

    @property
    def described(self) -> str | None:
        """What a reader is told; nothing where there are no groups."""
        if self.members:
            return f"{len(self.members)} columns {MEMBER}…"
        return f"class × {', '.join(self.attributes)}" if self.attributes else self.group


def find_grouping(table: Table, named: Sequence[str], target: str | None) -> Grouping:
    """The attributes that were named; else columns `group:…`; else what has a usual name.

    Where both an attribute and groups are found by their names, the groups were meant if they are memberships, or
    numbers that are not class · values + attribute (regions of the world beside 62 classes).
    """
    for name in named:
        columns_behind(table, name)
    if named:
        return Grouping(tuple(named))
    members = tuple(name for name in table.columns if name.startswith(MEMBER))
    if members:
        return Grouping(members=members)
    attribute, group = (_few(table, _first(table, usual)) for usual in (ATTRIBUTES, GROUPS))
    if attribute is not None and (group is None or not _of_their_own(table, target, attribute, group)):
        return Grouping((attribute,))
    return Grouping(group=group)


def columns_behind(table: Table, attribute: str) -> tuple[str, ...]:
    """The columns of an attribute: itself, or the parts of `sex*race`. `InputError` names one that is not there."""
    if attribute in table.columns or "*" not in attribute:
        column(table, attribute)
        return (attribute,)
    parts = tuple(part.strip() for part in attribute.split("*"))
    for part in parts:
        column(table, part)
    return parts


def attribute_texts(table: Table, attribute: str) -> list[str]:
    """One value per row, "" where unknown; of `sex*race` both values, unknown where either is."""
    parts = [texts(table, name) for name in columns_behind(table, attribute)]
    if len(parts) == 1:
        return parts[0]
    return [TOGETHER.join(values) if all(values) else "" for values in zip(*parts, strict=True)]


def member_groups(table: Table, members: Sequence[str]) -> Groups:
    """The groups of columns `group:NAME`; raises `InputError` for a cell that says neither yes nor no."""
    found: list[list[bool]] = []
    for name in members:
        said = [SAID.get(value.strip().lower()) for value in texts(table, name)]
        if None in said:
            row = said.index(None)
            raise InputError(
                f"The column {name!r} of {table.name} holds {texts(table, name)[row]!r} in {place_of(table, row)}; "
                "expected yes or no (or 1 or 0)."
            )
        found.append([bool(value) for value in said])
    names = tuple(name.removeprefix(MEMBER).strip() for name in members)
    return Groups(names, torch.tensor(found, dtype=torch.bool).T.contiguous())


def _first(table: Table, usual: Sequence[str]) -> str | None:
    return next((name for name in usual if name in table.columns), None)


def _few(table: Table, name: str | None) -> str | None:
    """A column that was found by name is an attribute or a group only if it has few values, or is a matrix."""
    if name is None:
        return None
    values = column(table, name)
    if not isinstance(values, list) and values.ndim > 1:
        return name
    return name if len(set(texts(table, name))) <= MOST_GUESSED else None


def _of_their_own(table: Table, target: str | None, attribute: str, group: str) -> bool:
    """Are these memberships, or whole numbers that are something else than class · values + attribute?"""
    values = table.columns[group]
    if not isinstance(values, list) and values.ndim == 2:
        return True
    if target is None or not all(is_numeric(table, name) for name in (target, attribute, group)):
        return False
    label, value, number = (numbers(table, name) for name in (target, attribute, group))
    if label.ndim != 1 or number.ndim != 1 or value.ndim != 1 or np.isnan(value).any():
        return False
    return not np.array_equal(number, label * (value.max() + 1) + value)

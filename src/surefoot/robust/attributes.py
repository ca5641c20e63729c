"""Attributes: what the groups of rows say besides the class (the background, the top digit, the colour).

Groups are class × attribute, named "class, value" by `cross_groups` and "class, attribute=value" by the readers of
files; several attributes give overlapping groups. Here the names are taken apart again, and every name is checked
against the memberships, so that a wrong reading cannot pass for an attribute.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows, cross_groups

__all__ = ["Attribute", "attributes_of", "with_attribute"]

UNNAMED = "attribute"
"""The name of an attribute whose groups are called "class, value" alone."""


@dataclass(frozen=True)
class Attribute:
    """One value a row, by number; −1 is unknown."""

    name: str
    values: tuple[str, ...]
    numbers: Int[Tensor, "rows"]


def attributes_of(rows: Rows) -> tuple[Attribute, ...]:
    """The attributes that the names of the groups spell out, in the order in which they first appear.

    Groups of several attributes at once ("class, a=1, b=2") say nothing new beside those of each ("class, a=1") and are
    left out then; alone, they are one attribute "a*b".
    Raises `InputError` when the rows have no groups, soft labels, a group whose name or members do not fit one class,
    or a row with two values of one attribute.

    >>> from surefoot.rows.rows import make_rows
    >>> label, place = torch.tensor([0, 1, 1]), torch.tensor([1, 0, -1])
    >>> rows = make_rows(torch.zeros(3, 1), label, groups=cross_groups(label, ["0", "1"], place, ["land", "water"]))
    >>> [(each.name, each.values, each.numbers.tolist()) for each in attributes_of(rows)]
    [('attribute', ('land', 'water'), [1, 0, -1])]
    """
    if not rows.groups.names:
        raise InputError(
            "The rows have no groups, and decodability is measured per class and attribute; name the attribute "
            "(--groups COLUMN, or cross_groups)."
        )
    if rows.targets.ndim != 1:
        raise InputError("The rows have class probabilities as labels; a probe needs hard labels: give class numbers.")
    values = [_value(rows, name, number) for number, name in enumerate(rows.groups.names)]
    single = {value for value in values if not _joined(value)}
    found: dict[str, list[str]] = {}
    for value in values:
        parts = value.split(", ")
        if len(parts) > 1 and single.issuperset(parts):
            continue
        of = found.setdefault(_name(value), [])
        if value not in of:
            of.append(value)
    return tuple(_attribute(rows, name, of, values) for name, of in found.items())


def with_attribute(rows: Rows, attribute: Attribute) -> Rows:
    """The rows with class × this attribute as their only groups; rows whose value is unknown are in none.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(2, 1), torch.tensor([0, 1]))
    >>> with_attribute(rows, Attribute("place", ("land", "water"), torch.tensor([0, 0]))).groups.counts().tolist()
    [1, 0, 1, 0]
    """
    if len(attribute.numbers) != len(rows):
        raise InputError(
            f"The attribute {attribute.name} has {len(attribute.numbers)} values for {len(rows)} rows; give one per "
            "row, and −1 where it is unknown."
        )
    groups = cross_groups(rows.targets, rows.classes, attribute.numbers, attribute.values)
    return replace(rows, groups=groups)


def _value(rows: Rows, name: str, number: int) -> str:
    """The part of a group's name behind its class; the longest class that fits counts."""
    members = rows.groups.members[:, number]
    for label in sorted(rows.classes, key=len, reverse=True):
        if name.startswith(f"{label}, ") and bool((rows.targets[members] == rows.classes.index(label)).all()):
            return name[len(label) + 2 :]
    raise InputError(
        f'The group "{name}" does not say which class and which attribute it is (expected "class, value"); read the '
        "attribute from its own column (--groups COLUMN), or make the groups with cross_groups."
    )


def _name(value: str) -> str:
    """The attribute that a value belongs to: "sex" of "sex=F", "sex*race" of "sex=F, race=black".

    >>> _name("sex=F, race=black"), _name("top 0")
    ('sex*race', 'attribute')
    """
    if _joined(value):
        return "*".join(part.partition("=")[0] for part in value.split(", "))
    return value.partition("=")[0] if "=" in value else UNNAMED


def _joined(value: str) -> bool:
    """Whether this may be values of several attributes together."""
    parts = value.split(", ")
    return len(parts) > 1 and all("=" in part for part in parts)


def _attribute(rows: Rows, name: str, values: list[str], every: list[str]) -> Attribute:
    numbers = torch.full((len(rows),), -1, dtype=torch.int64)
    for place, value in enumerate(values):
        columns = [number for number, each in enumerate(every) if each == value]
        members = rows.groups.members[:, columns].any(dim=1)
        twice = (members & (numbers >= 0)).nonzero().squeeze(1)
        if len(twice):
            raise InputError(
                f"{len(twice)} rows have two values of {name} (first: {rows.ids[int(twice[0])]}, "
                f'"{values[int(numbers[twice[0]])]}" and "{value}"); an attribute has one value a row: name the '
                "attributes apart."
            )
        numbers[members] = place
    return Attribute(name, tuple(values), numbers)

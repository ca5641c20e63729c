"""Rows: inputs, targets, groups, weights and where each row came from, with one leading axis.

A row's `id` is its own name. Its `sources` are the names of the *root* rows it descends from: itself for a
row as it was collected; the two digits for a composed image; the original for a corrupted or re-embedded
row. Two rows that share a source, or whose inputs are byte for byte the same, must play the same role.

`clusters` say which rows are not independent pieces of evidence. They have one column per way in which rows
hang together (core digit, shortcut digit; patient; photographer), and every interval counts clusters, not
rows. By default they are the sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.texts import Texts

__all__ = [
    "Groups",
    "Inputs",
    "LazyInputs",
    "Names",
    "Rows",
    "concatenate",
    "cross_groups",
    "make_rows",
    "no_groups",
    "numbered",
    "rooted",
]

Names: TypeAlias = NDArray[np.character]
"""A numpy array of strings of any width: `[rows]` for ids, `[rows, ways]` for sources ("" means none)."""


@runtime_checkable
class Inputs(Protocol):
    """A tensor `[rows, …]`, or anything that hands out pieces of one (image files read when needed)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Tensor: ...


@runtime_checkable
class LazyInputs(Inputs, Protocol):
    """Inputs that stay where they are until asked for: choosing among them reads nothing."""

    def pick(self, index: Tensor) -> "LazyInputs":
        """The inputs at `index`, still unread."""
        ...

    def digests(self) -> list[str]:
        """One digest of content per row, as `input_digests` wants it."""
        ...


@dataclass(frozen=True)
class Groups:
    """Named groups as a membership matrix. A row may be in several groups, or in none (unknown)."""

    names: tuple[str, ...]
    members: Bool[Tensor, "rows groups"]

    def __post_init__(self) -> None:
        if len(self.names) != self.members.shape[1]:
            raise InputError(
                f"{len(self.names)} group names were given for {self.members.shape[1]} membership columns; "
                "give one name per column."
            )
        if len(set(self.names)) != len(self.names):
            raise InputError(f"Group names repeat in {self.names}; give each group its own name.")

    def counts(self) -> Int[Tensor, "groups"]:
        """Rows per group."""
        return self.members.sum(dim=0)

    def take(self, index: Tensor) -> "Groups":
        """The memberships of the rows at `index`."""
        return replace(self, members=self.members[index])


@dataclass(frozen=True)
class Rows:
    """Rows with one leading axis; see the module's text for ids, sources and clusters.

    `targets` are class numbers `[rows]` (int64), or class probabilities `[rows, classes]` (soft labels).
    """

    inputs: Inputs
    targets: Tensor
    classes: tuple[str, ...]
    groups: Groups
    weights: Float[Tensor, "rows"]
    ids: Names
    sources: Names
    clusters: Int[Tensor, "rows ways"]

    def __post_init__(self) -> None:
        count = len(self.inputs)
        lengths = {
            "targets": len(self.targets),
            "groups": len(self.groups.members),
            "weights": len(self.weights),
            "ids": len(self.ids),
            "sources": len(self.sources),
            "clusters": len(self.clusters),
        }
        for name, length in lengths.items():
            if length != count:
                raise InputError(f"There are {count} inputs but {length} {name}; give one per row.")
        if self.sources.ndim != 2:
            raise InputError(f"sources have shape {self.sources.shape}; expected [rows, ways].")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> "Rows":
        """The rows at `index` (int64 numbers, or a boolean mask over all rows), in that order."""
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        numbers = index.numpy()
        return Rows(
            inputs=self.inputs.pick(index) if isinstance(self.inputs, LazyInputs) else self.inputs[index],
            targets=self.targets[index],
            classes=self.classes,
            groups=self.groups.take(index),
            weights=self.weights[index],
            ids=self.ids[numbers],
            sources=self.sources[numbers],
            clusters=self.clusters[index],
        )

    def with_inputs(self, inputs: Inputs) -> "Rows":
        """The same rows seen differently (features, corrupted pixels): descent and groups are kept."""
        return replace(self, inputs=inputs)

    def with_targets(self, targets: Tensor) -> "Rows":
        """The same rows with other targets (weak labels, the shortcut instead of the class)."""
        return replace(self, targets=targets)

    def origins(self) -> frozenset[str]:
        """Every source any of these rows descends from; a row that names none descends from itself, by its id."""
        return frozenset(str(name) for name in np.unique(rooted(self.ids, self.sources)) if name)


def make_rows(
    inputs: Inputs,
    targets: Tensor,
    *,
    classes: Sequence[str] | None = None,
    groups: Groups | None = None,
    weights: Tensor | None = None,
    ids: Names | None = None,
    sources: Names | None = None,
    clusters: Tensor | None = None,
) -> Rows:
    """Rows with the usual defaults: weight one, ids counted, every row its own source and cluster.

    >>> rows = make_rows(torch.zeros(4, 3), torch.tensor([0, 1, 1, 0]))
    >>> len(rows), rows.classes, rows.groups.names
    (4, ('0', '1'), ())
    """
    count = len(inputs)
    if classes is None:
        number = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1 if count else 0
        classes = [str(label) for label in range(number)]
    names = np.array([f"row:{row}" for row in range(count)], dtype=np.str_) if ids is None else ids
    descent = names[:, None] if sources is None else sources
    return Rows(
        inputs=inputs,
        targets=targets,
        classes=tuple(classes),
        groups=no_groups(count) if groups is None else groups,
        weights=torch.ones(count) if weights is None else weights,
        ids=names,
        sources=descent,
        clusters=numbered(rooted(names, descent)) if clusters is None else clusters,
    )


def no_groups(count: int) -> Groups:
    """No groups at all, for `count` rows."""
    return Groups((), torch.zeros(count, 0, dtype=torch.bool))


def cross_groups(
    targets: Int[Tensor, "rows"],
    classes: Sequence[str],
    attribute: Int[Tensor, "rows"],
    values: Sequence[str],
) -> Groups:
    """Groups class × attribute, in the field's order g = class · values + value; attribute −1 is unknown.

    >>> groups = cross_groups(torch.tensor([0, 1]), ["land", "water"], torch.tensor([1, -1]), ["a", "b"])
    >>> groups.names
    ('land, a', 'land, b', 'water, a', 'water, b')
    >>> groups.counts().tolist()
    [0, 1, 0, 0]
    """
    names = tuple(f"{label}, {value}" for label in classes for value in values)
    known = attribute >= 0
    number = targets * len(values) + attribute
    members = torch.zeros(len(targets), len(names), dtype=torch.bool)
    members[known.nonzero().squeeze(1), number[known]] = True
    return Groups(names, members)


def concatenate(first: Rows, second: Rows) -> Rows:
    """Both sets of rows, the first before the second; classes, group names and cluster ways must agree.

    Clusters keep their numbers: give parts of what was numbered together. Texts stay texts. Raises `InputError` for
    rows that do not agree, and texts beside what is none.

    >>> from surefoot.rows.texts import Texts
    >>> one, other = (make_rows(Texts(((text,),)), torch.tensor([0])) for text in ("it rains", "it snows"))
    >>> concatenate(one, other).inputs.columns
    (('it rains', 'it snows'),)
    """
    if first.classes != second.classes or first.groups.names != second.groups.names:
        raise InputError(
            f"Rows with classes {first.classes} and groups {first.groups.names} cannot be joined to rows with "
            f"classes {second.classes} and groups {second.groups.names}; use the same names in the same order."
        )
    ways = [(each.sources.shape[1], each.clusters.shape[1]) for each in (first, second)]
    if ways[0] != ways[1]:
        raise InputError(
            f"Rows with {ways[0][0]} columns of sources and {ways[0][1]} of clusters cannot be joined to rows with "
            f"{ways[1][0]} and {ways[1][1]}; give both as many."
        )
    return Rows(
        inputs=_joined(first.inputs, second.inputs),
        targets=torch.cat([first.targets, second.targets]),
        classes=first.classes,
        groups=Groups(first.groups.names, torch.cat([first.groups.members, second.groups.members])),
        weights=torch.cat([first.weights, second.weights]),
        ids=np.concatenate([first.ids, second.ids]),
        sources=np.concatenate([first.sources, second.sources]),
        clusters=torch.cat([first.clusters, second.clusters]),
    )


def _joined(first: Inputs, second: Inputs) -> Inputs:
    if not (isinstance(first, Texts) or isinstance(second, Texts)):
        everything = slice(None)
        return torch.cat([first[everything], second[everything]])
    if not (isinstance(first, Texts) and isinstance(second, Texts) and len(first.columns) == len(second.columns)):
        kinds = " and ".join(
            f"{len(each.columns)} column{'s' * (len(each.columns) > 1)} of text"
            if isinstance(each, Texts)
            else type(each).__name__
            for each in (first, second)
        )
        raise InputError(f"Rows with {kinds} cannot be joined; give texts with as many columns, or no texts at all.")
    return Texts(tuple(one + other for one, other in zip(first.columns, second.columns, strict=True)))


def rooted(ids: Names, sources: Names) -> Names:
    """`sources`, where a row that names none is its own: an original beside the copies that name it.

    >>> rooted(np.array(["photo", "crop"]), np.array([[""], ["photo"]])).tolist()
    [['photo'], ['photo']]
    """
    if not sources.shape[1]:
        return ids[:, None]
    own = (sources == "").all(axis=1)
    first = np.where(own, ids, sources[:, 0])
    return np.concatenate([first[:, None], sources[:, 1:]], axis=1)


def numbered(names: Names) -> Int[Tensor, "rows ways"]:
    """Each column's strings replaced by numbers; an empty name is a cluster of its own row."""
    columns: list[Tensor] = []
    for way in range(names.shape[1]):
        column = names[:, way]
        unique, numbers = np.unique(column, return_inverse=True)
        codes = torch.from_numpy(cast("NDArray[np.int64]", numbers).astype(np.int64))
        empty = torch.from_numpy(column == "")
        columns.append(torch.where(empty, len(unique) + torch.arange(len(column)), codes))
    if not columns:
        return torch.arange(len(names))[:, None]
    return torch.stack(columns, dim=1)

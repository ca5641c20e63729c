"""Rows from plain arrays, with everything checked that would otherwise fail far away or not at all.

Labels become class numbers, attributes become groups crossed with the class, features are finite float32.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.copies import with_copies
from surefoot.rows.descent import resolved
from surefoot.rows.rows import Groups, Inputs, Names, Rows, cross_groups, make_rows, numbered, rooted
from surefoot.rows.tables import as_text

__all__ = [
    "TOGETHER",
    "Values",
    "attribute_groups",
    "class_numbers",
    "cluster_numbers",
    "given_groups",
    "rows_from_arrays",
]

Values: TypeAlias = Sequence[Any] | NDArray[Any] | Tensor
"""One value per row: numbers or strings."""

TOGETHER = "\x1f"
"""Between the values of attributes that are crossed with one another; their names have * between them."""
MADE_UP = "row:"
"""What the names of rows begin with that were given none."""
MOST_CLASSES = 10_000
DIGITS = 4000
"""Of a whole number that is ordered by its size; Python reads no longer ones."""
MOST_VALUES = 1_000


def rows_from_arrays(
    inputs: Inputs | NDArray[Any],
    targets: Values,
    *,
    classes: Sequence[str] | None = None,
    attributes: Mapping[str, Values] | None = None,
    groups: Groups | Values | None = None,
    full_crossing: bool = False,
    ids: Values | None = None,
    sources: Values | None = None,
    clusters: Values | None = None,
    feature_names: Sequence[str] | None = None,
) -> Rows:
    """Rows from arrays of one value per row.

    inputs: `[rows, …]`; floating-point numbers become float32 and must be finite, integers stay as they are.
    targets: labels (see `class_numbers`), or class probabilities `[rows, classes]`.
    attributes: become groups, see `attribute_groups`; `groups` are taken as they are, one value a row.
    sources, clusters: one value a row, or `[rows, ways]`; an empty one is shared with nobody. A source that is the id
    of another row is followed to its root (`resolved`). Rows that share a source hang together whatever `clusters` say:
    both are ways, and so are equal inputs that are no accident (`with_copies`).
    Raises `InputError` for labels outside the classes, NaN or infinite features (saying which rows), and lengths
    that differ.

    >>> rows = rows_from_arrays(np.zeros((3, 2)), ["cat", "dog", "cat"], attributes={"place": ["in", "out", ""]})
    >>> rows.classes, rows.groups.names
    (('cat', 'dog'), ('cat, place=in', 'cat, place=out', 'dog, place=in', 'dog, place=out'))
    >>> rows.groups.counts().tolist()  # the third row's place is unknown
    [1, 0, 0, 1]
    """
    count = len(inputs)
    lengths = {"targets": targets, "ids": ids, "sources": sources, "clusters": clusters, **(attributes or {})}
    for name, values in lengths.items():
        if values is not None and len(values) != count:
            raise InputError(f"There are {count} inputs but {len(values)} {name}; give one per row.")
    names = np.array([f"{MADE_UP}{row}" for row in range(count)] if ids is None else _texts(ids), dtype=np.str_)
    inputs = torch.from_numpy(np.ascontiguousarray(inputs)) if isinstance(inputs, np.ndarray) else inputs
    if isinstance(inputs, Tensor):
        if inputs.is_floating_point():
            inputs = inputs.to(torch.float32)
            inputs = inputs + 0.0 if bool((inputs.signbit() & (inputs == 0)).any()) else inputs  # −0 is 0
        _refuse_infinite(inputs, names, feature_names)
    numbers, found = _targets(targets, classes, names)
    if groups is None or isinstance(groups, Groups):
        own = groups
    else:
        own = given_groups(_texts(groups))
    if attributes:
        if numbers.ndim != 1:
            raise InputError("Attributes cannot be crossed with soft labels; give hard labels, or groups.")
        texts = {name: _texts(values) for name, values in attributes.items()}
        crossed = attribute_groups(numbers, found, texts, full_crossing)
        own = (
            crossed if own is None else Groups(own.names + crossed.names, torch.cat([own.members, crossed.members], 1))
        )
    roots = names[:, None] if sources is None else _roots(names, _ways(sources), made_up=ids is None)
    rows = make_rows(
        inputs,
        numbers,
        classes=found,
        groups=own,
        ids=names,
        sources=roots,
        clusters=None if clusters is None else _hanging_together(rooted(names, roots), cluster_numbers(clusters)),
    )
    return with_copies(rows)


def class_numbers(
    labels: Sequence[str], classes: Sequence[str] | None, names: Sequence[str] | Names
) -> tuple[Int[Tensor, "rows"], tuple[str, ...]]:
    """Labels as class numbers, and the classes.

    Without `classes`: whole numbers of which 0 is one are class numbers already, and there are as many classes as the
    largest says; other labels are names, whole numbers by size, words by spelling: 3 and 7 are two classes. Whole
    numbers written with a point (1.0) are read without.
    With `classes`: labels are among them, or are all numbers 0, 1, … of them. `names` are the ids, for errors.
    """
    missing = [row for row, label in enumerate(labels) if not label]
    if missing:
        raise InputError(
            f"{len(missing)} rows have no label (first: {names[missing[0]]}); give every row one, or leave it out."
        )
    if not set(labels) <= set(classes or ()) and all(map(_pointless, set(labels))):
        labels = [_pointless(label) or label for label in labels]
    different = sorted(set(labels), key=_by_size)
    if classes is None:
        whole = [int(label) for label in different if label.isdecimal()]
        if len(whole) == len(different) and whole[0] == 0 and whole[-1] < MOST_CLASSES:
            classes = [str(number) for number in range(whole[-1] + 1)]
        else:
            classes = different
        if len(classes) > MOST_CLASSES or (len(labels) > 20 and len(different) > len(labels) / 2):
            raise InputError(
                f"The {len(labels)} labels have {len(different)} different values (such as {different[0]}); "
                "expected classes: name the column that holds them."
            )
    if any(label in classes for label in different) or not all(map(_whole, different)):
        place = {label: number for number, label in enumerate(classes)}
    else:
        place = {str(number): number for number in range(len(classes))}
    outside = [row for row, label in enumerate(labels) if label not in place]
    if outside:
        row = outside[0]
        raise InputError(
            f"{len(outside)} rows have a label outside the classes {', '.join(classes)} "
            f"(first: {names[row]} has {labels[row]}); mend the labels or name all classes."
        )
    return torch.tensor([place[label] for label in labels], dtype=torch.int64), tuple(classes)


def attribute_groups(
    targets: Int[Tensor, "rows"],
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    full_crossing: bool = False,
) -> Groups:
    """Groups "class, attribute=value" for every attribute; a row whose attribute is "" is in none of them.

    Several attributes give overlapping groups. `full_crossing` adds the groups "class, a=1, b=2" of all
    attributes together (for rows that have them all).
    """
    codes: list[tuple[Int[Tensor, "rows"], list[str]]] = []
    for name, values in attributes.items():
        different = sorted(set(values) - {""}, key=lambda value: [_by_size(part) for part in value.split(TOGETHER)])
        if len(different) > MOST_VALUES:
            raise InputError(
                f"The attribute {name} has {len(different)} different values; groups need one with a few "
                f"(at most {MOST_VALUES}): put its values into bands first."
            )
        place = {value: number for number, value in enumerate(different)} | {"": -1}
        numbers = torch.tensor([place[value] for value in values], dtype=torch.int64)
        codes.append((numbers, [_called(name, value) for value in different]))
    parts = [cross_groups(targets, classes, numbers, values) for numbers, values in codes]
    if full_crossing and len(codes) > 1:
        together = torch.zeros_like(targets)
        known = torch.ones(len(targets), dtype=torch.bool)
        for numbers, values in codes:
            known &= numbers >= 0
            together = together * len(values) + numbers
        names = [", ".join(values) for values in product(*(values for _, values in codes))]
        parts.append(cross_groups(targets, classes, torch.where(known, together, -1), names))
    return Groups(tuple(name for part in parts for name in part.names), torch.cat([part.members for part in parts], 1))


def _called(name: str, value: str) -> str:
    """ "sex=F", or "sex=F, race=black" for the attribute `sex*race`."""
    values = value.split(TOGETHER)
    names = [part.strip() for part in name.split("*")] if len(values) > 1 else [name]
    return ", ".join(f"{each}={said}" for each, said in zip(names, values, strict=True))


def given_groups(values: Sequence[str]) -> Groups:
    """One group for every different value; whole numbers are called "group 0", …; "" is unknown."""
    different = sorted(set(values) - {""}, key=_by_size)
    place = {value: number for number, value in enumerate(different)}
    members: Bool[Tensor, "rows groups"] = torch.zeros(len(values), len(different), dtype=torch.bool)
    for row, value in enumerate(values):
        if value:
            members[row, place[value]] = True
    return Groups(tuple(f"group {value}" if _whole(value) else value for value in different), members)


def cluster_numbers(clusters: Values) -> Int[Tensor, "rows ways"]:
    """Clusters by number, one column a way; an empty one is a cluster of its own row."""
    return numbered(_ways(clusters))


def _hanging_together(roots: Names, clusters: Int[Tensor, "rows given"]) -> Int[Tensor, "rows ways"]:
    """The given clusters, and a way for each column of sources that holds rows together and is not among them."""
    ways = list(clusters.T)
    for way in numbered(roots).T:
        different = len(way.unique())
        same = any(len(each.unique()) == different == len(torch.stack([each, way]).unique(dim=1).T) for each in ways)
        if different < len(way) and not same:
            ways.append(way)
    return torch.stack(ways, dim=1)


def _ways(values: Values) -> Names:
    table = values if isinstance(values, Tensor | np.ndarray) else np.array(_texts(values), dtype=np.str_)
    table = table[:, None] if table.ndim == 1 else table
    if isinstance(table, np.ndarray) and table.dtype.kind == "U":
        return table
    return np.array(_texts(table.reshape(-1)), dtype=np.str_).reshape(tuple(table.shape))


def _roots(names: Names, sources: Names, made_up: bool) -> Names:
    """`resolved`; where names were made up here and no source looks like one, there is nothing to follow."""
    linked = not made_up or bool(np.char.startswith(sources.astype(np.str_, copy=False), MADE_UP).any())
    return resolved(names, sources) if linked else sources


def _targets(targets: Values, classes: Sequence[str] | None, names: Names) -> tuple[Tensor, tuple[str, ...]]:
    if not isinstance(targets, Tensor | np.ndarray) or targets.ndim == 1:
        labels = _texts(targets)
        return class_numbers(labels, classes, names)
    soft = torch.as_tensor(targets, dtype=torch.float32)
    wrong = ((soft < 0).any(dim=1) | ((soft.sum(dim=1) - 1).abs() > 1e-3) | ~soft.isfinite().all(dim=1)).nonzero()
    if soft.ndim != 2 or len(wrong):
        first = "" if soft.ndim != 2 else f" ({len(wrong)} are not, first: {names[int(wrong[0])]})"
        raise InputError(
            f"Soft labels of shape {tuple(soft.shape)} must be probabilities [rows, classes] that sum to 1{first}."
        )
    found = tuple(str(number) for number in range(soft.shape[1])) if classes is None else tuple(classes)
    if len(found) != soft.shape[1]:
        raise InputError(f"Soft labels have {soft.shape[1]} columns for {len(found)} classes; give one per class.")
    return soft, found


def _refuse_infinite(inputs: Tensor, names: Names, feature_names: Sequence[str] | None) -> None:
    if not inputs.is_floating_point():
        return
    flat = inputs.reshape(len(inputs), -1)
    # In float64 a sum of float32 numbers is finite exactly when every one of them is.
    bad = (~torch.isfinite(flat.sum(dim=1, dtype=torch.float64))).nonzero().squeeze(1)
    if not len(bad):
        return
    place = int((~torch.isfinite(flat[bad[0]])).nonzero()[0])
    feature = feature_names[place] if feature_names is not None and len(feature_names) == flat.shape[1] else str(place)
    shown = ", ".join(names[bad[:3].numpy()].tolist())
    raise InputError(
        f"{len(bad)} rows have features that are NaN or infinite (first: {shown}; feature {feature} is "
        f"{float(flat[bad[0], place])}); mend these rows or leave them out."
    )


def _texts(values: Values) -> list[str]:
    plain = values.tolist() if isinstance(values, Tensor | np.ndarray) else values
    return [as_text(value) for value in plain]


def _whole(value: str) -> bool:
    return value.removeprefix("-").isdecimal()


def _pointless(value: str) -> str | None:
    """A whole number without the zeros behind its point; None for anything else."""
    before, _, behind = value.partition(".")
    return before if _whole(before) and not behind.strip("0") else None


def _by_size(value: str) -> tuple[bool, int, str]:
    """Whole numbers by size before words by spelling."""
    return (False, int(value), "") if len(value) < DIGITS and _whole(value) else (True, 0, value)

"""What scikit-learn hands over (a matrix, any labels, one group value a row) as rows and groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.arrays import MOST_VALUES
from surefoot.rows.rows import Groups, Rows, make_rows
from surefoot.rows.tables import as_text

__all__ = ["class_names", "groups_from", "rows_from"]


def class_names(classes: Sequence[Any] | NDArray[Any]) -> tuple[str, ...]:
    """Labels as words; raises `InputError` when two of them read the same."""
    names = tuple(str(label) for label in classes)
    if len(set(names)) != len(names):
        raise InputError(f"The labels {names} are not told apart by their spelling; give labels that are.")
    return names


def groups_from(groups: Any, targets: Int[Tensor, "rows"], classes: Sequence[str], cross_class: bool = True) -> Groups:
    """Named groups from one value a row (None, NaN and "" mean unknown), or from a boolean matrix [rows, groups].

    With `cross_class`, each value is crossed with the class; pairs without rows are left out. So the attribute
    ("water") and the group that the literature numbers (class · attributes + attribute) give the same division.
    Several columns of a data frame are taken one by one and overlap, as attributes do at the command line.

    >>> groups_from(["in", "out", None], torch.tensor([0, 1, 1]), ["cat", "dog"]).names
    ('cat, in', 'dog, out')
    """
    values = _as_array(groups)
    if values.ndim not in (1, 2):
        raise InputError(f"groups have shape {values.shape}; give one value per row.")
    if len(values) != len(targets):
        raise InputError(f"There are {len(targets)} rows but {len(values)} groups; give one per row.")
    names, members = _divided(values, getattr(groups, "columns", None))
    if cross_class:
        of_class = targets[:, None] == torch.arange(len(classes))
        members = (of_class[:, :, None] & members[:, None, :]).flatten(1)
        names = [f"{label}, {name}" for label in classes for name in names]
    kept = members.any(dim=0).nonzero().squeeze(1)
    if not len(kept):
        raise InputError("Every group value is missing; give at least some rows a group, or no groups at all.")
    return Groups(tuple(names[number] for number in kept.tolist()), members[:, kept])


def _as_array(groups: Any) -> NDArray[Any]:
    """What was given as an array; a matrix of one column is that column."""
    values = groups.to_numpy() if hasattr(groups, "to_numpy") else groups
    values = values.numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=_kind(values))
    if not values.ndim:
        given = repr(groups) if groups is None or isinstance(groups, str) else f"one {type(groups).__name__}"
        column = groups if isinstance(groups, str) else "place"
        raise InputError(f'groups is {given}; give the column itself, one value per row: groups=df["{column}"].')
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _divided(values: NDArray[Any], columns: Any) -> tuple[list[str], Bool[Tensor, "rows groups"]]:
    """The groups' names and members before they are crossed with the class; `columns` are a data frame's names."""
    if values.ndim == 2 and values.dtype == np.bool_:
        names = [str(name) for name in (range(values.shape[1]) if columns is None else columns)]
        return names, torch.from_numpy(np.ascontiguousarray(values))
    if values.ndim == 2 and columns is None:
        raise InputError(
            f"groups have shape {values.shape} and type {values.dtype}; give one value per row, a data frame with a "
            "column per attribute, or a boolean matrix [rows, groups] where groups overlap."
        )
    several = values.ndim == 2
    names: list[str] = []
    members: list[NDArray[np.bool_]] = []
    for column, own in zip(columns, values.T, strict=True) if several else [("", values)]:
        texts = np.array([as_text(value) for value in own.tolist()], dtype=np.str_)
        different = np.unique(texts[texts != ""]).tolist()
        if len(different) > MOST_VALUES:
            raise InputError(
                f"groups have {len(different):,} different values; give an attribute with a few (at most "
                f"{MOST_VALUES:,}): put its values into bands first."
            )
        for name in different:
            names.append(f"{column}={name}" if several else name)
            members.append(texts == name)
    stacked = np.stack(members, axis=1) if members else np.zeros((len(values), 0), dtype=np.bool_)
    return names, torch.from_numpy(stacked)


def rows_from(
    features: NDArray[Any], targets: NDArray[Any], classes: NDArray[Any], groups: Any, cross_class: bool
) -> Rows:
    """Rows of checked features and class numbers, in the features' precision."""
    numbers, names = torch.from_numpy(targets.astype(np.int64)), class_names(classes)
    return make_rows(
        torch.from_numpy(np.array(features, order="C")),  # a copy: torch shares no memory with what may be read-only
        numbers,
        classes=names,
        groups=None if groups is None else groups_from(groups, numbers, names, cross_class),
    )


def _kind(values: Any) -> Any:
    """Lists may mix numbers, words and None: as objects numpy leaves each as it is."""
    if isinstance(values, list | tuple) and values and isinstance(values[0], list | tuple | np.ndarray):
        return None
    return None if isinstance(values, np.ndarray) else object

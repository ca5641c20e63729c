"""What scikit-learn hands over (a matrix, any labels, one group value a row) as rows and groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
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

    >>> groups_from(["in", "out", None], torch.tensor([0, 1, 1]), ["cat", "dog"]).names
    ('cat, in', 'dog, out')
    """
    values = groups.to_numpy() if hasattr(groups, "to_numpy") else groups
    values = values.numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=_kind(values))
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.dtype != np.bool_):
        raise InputError(
            f"groups have shape {values.shape} and type {values.dtype}; give one value per row, or a boolean matrix "
            "[rows, groups] where groups overlap."
        )
    if len(values) != len(targets):
        raise InputError(f"There are {len(targets)} rows but {len(values)} groups; give one per row.")
    if values.ndim == 2:
        names = [str(name) for name in getattr(groups, "columns", range(values.shape[1]))]
        members = torch.from_numpy(np.ascontiguousarray(values))
    else:
        texts = np.array([as_text(value) for value in values.tolist()], dtype=np.str_)
        names = [str(name) for name in np.unique(texts) if name]
        members = torch.from_numpy(texts[:, None] == np.array(names, dtype=np.str_)[None, :])
    if cross_class:
        of_class = targets[:, None] == torch.arange(len(classes))
        members = (of_class[:, :, None] & members[:, None, :]).flatten(1)
        names = [f"{label}, {name}" for label in classes for name in names]
    kept = members.any(dim=0).nonzero().squeeze(1)
    if not len(kept):
        raise InputError("Every group value is missing; give at least some rows a group, or no groups at all.")
    return Groups(tuple(names[number] for number in kept.tolist()), members[:, kept])


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
    return None if isinstance(values, np.ndarray) or _is_matrix(values) else object


def _is_matrix(values: Any) -> bool:
    return len(values) > 0 and isinstance(values[0], list | tuple | np.ndarray)

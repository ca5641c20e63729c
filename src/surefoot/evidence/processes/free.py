"""The numbers of a kernel or a process as free tensors: unconstrained, named, ready for an optimiser.

A field of a frozen dataclass says in its metadata how it is freed: `POSITIVE` by its logarithm, `REAL` as it is. Fields
without either are held. Names are paths ("kernel.parts.0.lengths"), so a flat dictionary holds everything.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias, TypeVar, cast

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["POSITIVE", "REAL", "Free", "free_of", "positive", "with_free"]

Free: TypeAlias = dict[str, Tensor]
"""Unconstrained tensors by path."""

POSITIVE: Mapping[str, str] = {"freed": "by its logarithm"}
REAL: Mapping[str, str] = {"freed": "as it is"}

Model = TypeVar("Model")


def positive(*values: float) -> Float64[Tensor, "..."]:
    """Positive numbers as a float64 tensor: one becomes a scalar, several a vector.

    Raises `InputError` for a number that is not positive and finite.

    >>> positive(0.3, 2.0)
    tensor([0.3000, 2.0000], dtype=torch.float64)
    """
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"The numbers given are {values}; give at least one, each positive and finite.")
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=torch.float64)


def free_of(model: Any) -> Free:
    """The free tensors of a kernel, mean or process, detached.

    >>> from surefoot.evidence.processes.kernels import RBF
    >>> free_of(RBF(positive(1.0)))
    {'lengths': tensor(0., dtype=torch.float64)}
    """
    found: Free = {}
    _gather(model, "", "", found)
    return found


def with_free(model: Model, free: Mapping[str, Tensor]) -> Model:
    """The model with these free tensors in place of its own; gradients flow through. What is not named stays.

    Raises `InputError` for a name that the model does not have.

    >>> from surefoot.evidence.processes.kernels import RBF
    >>> with_free(RBF(positive(1.0)), {"lengths": torch.tensor(2.0).double().log()})
    RBF(lengths=tensor(2., dtype=torch.float64))
    """
    used: set[str] = set()
    changed = _rebuilt(model, "", "", free, used)
    if unknown := [name for name in free if name not in used]:
        raise InputError(f"There is no {unknown[0]!r} to set; the free numbers here are {', '.join(free_of(model))}.")
    return cast(Model, changed)


def _gather(part: Any, path: str, freed: str, found: Free) -> None:
    if isinstance(part, Tensor):
        if freed:
            found[path] = (part.log() if freed == POSITIVE["freed"] else part).detach().clone()
        return
    for key, below, how in _children(part, freed):
        _gather(below, f"{path}.{key}" if path else key, how, found)


def _rebuilt(part: Any, path: str, freed: str, free: Mapping[str, Tensor], used: set[str]) -> Any:
    if isinstance(part, Tensor):
        if not freed or path not in free:
            return part
        used.add(path)
        return free[path].exp() if freed == POSITIVE["freed"] else free[path]
    changed = {
        key: _rebuilt(below, f"{path}.{key}" if path else key, how, free, used)
        for key, below, how in _children(part, freed)
    }
    if isinstance(part, tuple):
        return tuple(changed.values())
    if isinstance(part, dict):
        return changed
    return replace(part, **changed) if changed else part


def _children(part: Any, freed: str) -> list[tuple[str, Any, str]]:
    """What lies below, with how it is freed: metadata of a field hold for the tensors in its tuple or dictionary."""
    if isinstance(part, tuple):
        return [(str(number), below, freed) for number, below in enumerate(cast(tuple[Any, ...], part))]
    if isinstance(part, dict):
        return [(str(key), below, freed) for key, below in cast(dict[str, Any], part).items()]
    if not is_dataclass(part):
        return []
    return [(each.name, getattr(part, each.name), each.metadata.get("freed", "")) for each in fields(part)]

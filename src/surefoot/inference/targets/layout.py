"""Where each named tensor lies in a flat position `[chains, size]`.

Plain: tensors one after another, each contiguous. Interleaved: a linear layer's weight `[out, in]` and bias `[out]` lie
as one matrix `[out, in + 1]` whose last column is the bias, so that a product takes both at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["Layout", "Place", "interleaved", "plain"]


class Place(NamedTuple):
    """One tensor in a position: its first number, its shape, and how far apart its neighbours lie along each axis."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Places by name, in the order of the parameters; together they fill `size` numbers, each once."""

    places: Mapping[str, Place]
    size: int

    def views(self, flat: Float[Tensor, "chains size"]) -> Parameters:
        """Every tensor `[chains, …]` as a view of `flat`: writing to one writes to the other.

        >>> layout = interleaved({"head.weight": torch.zeros(1, 2), "head.bias": torch.zeros(1)})
        >>> views = layout.views(torch.tensor([[1.0, 2.0, 3.0]]))
        >>> views["head.weight"].tolist(), views["head.bias"].tolist()
        ([[[1.0, 2.0]]], [[3.0]])
        """
        chains, between = len(flat), flat.stride(0)
        return {
            name: flat.as_strided(
                (chains, *place.shape), (between, *place.strides), flat.storage_offset() + place.offset
            )
            for name, place in self.places.items()
        }

    def gather(self, parameters: Parameters, dtype: torch.dtype) -> Float[Tensor, "chains size"]:
        """Named tensors `[chains, …]` as a new flat matrix; names that have no place (buffers) are left out.

        Raises `InputError` for a tensor that is missing or has another shape, and for counts of chains that differ.
        """
        for name, place in self.places.items():
            if name not in parameters or tuple(parameters[name].shape[1:]) != place.shape:
                given = f"has shape {list(parameters[name].shape)}" if name in parameters else "is missing"
                raise InputError(
                    f"{name} {given}; a position needs it as [chains, {', '.join(map(str, place.shape))}]: stack one "
                    "tensor per chain."
                )
        counts = {len(parameters[name]) for name in self.places}
        if len(counts) != 1:
            raise InputError(f"The parameters speak of {sorted(counts)} chains; give every tensor the same number.")
        flat = torch.empty(counts.pop(), self.size, dtype=dtype)
        for name, view in self.views(flat).items():
            view.copy_(parameters[name])
        return flat


def plain(parameters: Parameters) -> Layout:
    """Tensors one after another, in the order given.

    >>> plain({"a": torch.zeros(2, 3), "b": torch.zeros(2)}).places["b"]
    Place(offset=6, shape=(2,), strides=(1,))
    """
    places: dict[str, Place] = {}
    offset = 0
    for name, tensor in parameters.items():
        places[name] = Place(offset, tuple(tensor.shape), _contiguous(tuple(tensor.shape)))
        offset += tensor.numel()
    return Layout(places, offset)


def interleaved(parameters: Parameters) -> Layout:
    """The same, but `x.weight [out, in]` and `x.bias [out]` lie together as `[out, in + 1]`, where the weight comes.

    >>> interleaved({"x.weight": torch.zeros(2, 3), "x.bias": torch.zeros(2)}).places["x.bias"]
    Place(offset=3, shape=(2,), strides=(4,))
    """
    biases = {bias: name for name in parameters if (bias := _bias_of(name, parameters)) is not None}
    places: dict[str, Place] = {}
    offset = 0
    for name, tensor in parameters.items():
        shape, bias = tuple(tensor.shape), _bias_of(name, parameters)
        if bias is not None:
            out, entering = shape
            places[name] = Place(offset, shape, (entering + 1, 1))
            places[bias] = Place(offset + entering, (out,), (entering + 1,))
            offset += out * (entering + 1)
        elif name not in biases:
            places[name] = Place(offset, shape, _contiguous(shape))
            offset += tensor.numel()
    return Layout({name: places[name] for name in parameters}, offset)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _bias_of(name: str, parameters: Parameters) -> str | None:
    """The bias that belongs to the matrix of this name."""
    bias = f"{name.removesuffix('.weight')}.bias"
    if not name.endswith(".weight") or parameters[name].ndim != 2 or bias not in parameters:
        return None
    return bias if tuple(parameters[bias].shape) == (len(parameters[name]),) else None

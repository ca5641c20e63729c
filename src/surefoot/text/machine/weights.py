"""A decoder's weights in the order that the machine code reads them.

The scales of normalisations and 1/√size are multiplied into the matrices behind them, and numbers j and j + size/2 of a
head lie beside each other, so that turning a pair is one exchange of neighbours.
"""

from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from surefoot.text.decoder import BASE, Block, Decoder
from surefoot.text.machine.layout import Layout

__all__ = ["Packed", "pack"]


class Packed(NamedTuple):
    """weights, table: see `Layout`."""

    weights: Float[Tensor, " weights"]
    table: Float[Tensor, "places numbers"]


def pack(decoder: Decoder, layout: Layout) -> Packed:
    """A copy; later changes of the decoder are not in it."""
    with torch.no_grad():
        parts = [part for block in decoder.blocks for part in _layer(cast("Block", block), layout)]
        parts.append(_padded((decoder.head.weight * decoder.norm).t(), layout.symbols))
        parts.append(decoder.embed.weight)
        weights = torch.cat([part.reshape(-1) for part in parts])
        table = _turns(decoder.shape.context, layout.size)
        if decoder.places is not None:
            table = decoder.places.weight.detach().clone()
    return Packed(weights, table)


def _layer(block: Block, layout: Layout) -> list[Tensor]:
    heads, size, width = layout.heads, layout.size, layout.width
    scaled = (block.queries_keys_values.weight * block.before_attention).view(3, heads, size, width).clone()
    scaled[0] *= size**-0.5
    pairs = scaled[:2].view(2, heads, 2, size // 2, width).transpose(2, 3).reshape(2, heads, size, width)
    mixing = torch.cat([pairs, scaled[2:]]).view(3 * width, width)
    gate, up = ((each * block.before_units).t() for each in block.gate_up.weight.chunk(2))
    gate_up = torch.cat([_padded(gate, layout.units), _padded(up, layout.units)], dim=1)
    down = _padded(block.down.weight, layout.units).t()
    return [mixing.t(), block.out.weight.t(), gate_up, down]


def _padded(matrix: Tensor, columns: int) -> Tensor:
    return functional.pad(matrix, (0, columns - matrix.shape[1]))


def _turns(context: int, size: int) -> Tensor:
    """Of every place: cosines, twice each, and sines, the first of a pair with a minus, `[context, 2 size]`."""
    rates = BASE ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.arange(context, dtype=torch.float32)[:, None] * rates
    cosines = angles.cos().repeat_interleave(2, dim=1)
    sines = torch.stack([-angles.sin(), angles.sin()], dim=2).flatten(1)
    return torch.cat([cosines, sines], dim=1)

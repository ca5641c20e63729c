"""All of the curvature: of perceptrons from activations and slopes alone, of anything else from Jacobians.

Between two linear layers l and m, with a one appended to activations for the bias,

    H[(i,j), (k,q)] = Σ_n a_l[j] a_m[q] · M_n[i,k]        M_n = Σ_c g_lc g_mcᵀ

so H is one product of [pairs of activations, rows] and [rows, pairs of slopes]: the number of outputs has left the
cost, and inside a layer both kinds of pairs are symmetric, which saves another factor of four. Other networks take
H = Σ_n (S_nᵀ J_n)ᵀ (S_nᵀ J_n) by `vmap`. Everything is accumulated in float64.

Source: the Gauss–Newton matrix is Schraudolph's (2002); its products over rows are only re-ordered here.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from surefoot.evidence.laplace.layers import Layer, Passed, entering, slopes
from surefoot.evidence.laplace.roots import Roots

__all__ = ["Pair", "add_jacobians", "add_pairs", "empty_pairs", "matrix_of", "numbers_of_pairs"]

CHUNK_BYTES = 64 * 2**20  # of products of pairs that are held at once


class Pair(NamedTuple):
    """Two layers, and the sum of [pairs of activations, pairs of slopes] between them."""

    one: Layer
    other: Layer
    total: Float64[Tensor, "activations slopes"]


def empty_pairs(layers: Sequence[Layer]) -> tuple[Pair, ...]:
    """Zeros, to be added to."""
    return tuple(
        Pair(one, other, torch.zeros(_activations(one, other), _slopes(one, other), dtype=torch.float64))
        for one, other in combinations_with_replacement(layers, 2)
    )


def numbers_of_pairs(layers: Sequence[Layer]) -> int:
    """How many numbers `empty_pairs` holds."""
    return sum(
        _activations(one, other) * _slopes(one, other) for one, other in combinations_with_replacement(layers, 2)
    )


def add_pairs(pairs: Sequence[Pair], layers: Sequence[Layer], outputs: Tensor, passed: Passed, roots: Roots) -> None:
    """Add what some rows contribute."""
    columns = [slopes(outputs, roots.column(number), passed, layers) for number in range(roots.count)]
    sent = {  # [rows, columns, out]
        layer.name: torch.cat([column[place] for column in columns], dim=1) for place, layer in enumerate(layers)
    }
    inputs = {layer.name: _extended(layer, entering(layer, passed.entered[layer.name])[:, 0]) for layer in layers}
    for one, other, total in pairs:
        wide = _activations(one, other) + 2 * one.outputs * other.outputs
        step = max(1, CHUNK_BYTES // (8 * wide))
        for first in range(0, len(outputs), step):
            part = slice(first, first + step)
            left, right = inputs[one.name][part], inputs[other.name][part]
            products = sent[one.name][part].mT @ sent[other.name][part]
            if one is other:
                rows, columns_ = torch.triu_indices(left.shape[1], left.shape[1])
                above, beyond = torch.triu_indices(one.outputs, one.outputs)
                total.addmm_((left[:, rows] * left[:, columns_]).T, products[:, above, beyond])
            else:
                total.addmm_((left[:, :, None] * right[:, None, :]).flatten(1).T, products.flatten(1))


def matrix_of(pairs: Sequence[Pair], places: dict[str, Int64[Tensor, "numbers"]]) -> Float64[Tensor, "size size"]:
    """H, with each tensor's numbers at its `places`."""
    size = sum(len(own) for own in places.values())
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for one, other, total in pairs:
        rows, columns = _places(one, places), _places(other, places)
        width, beside = rows.shape[1], columns.shape[1]
        everywhere = columns.flatten()
        inside = _numbering(width) if one is other else torch.arange(width * beside).reshape(width, beside)
        across = _numbering(one.outputs) if one is other else None
        blocks = total if across is not None else total.view(-1, one.outputs, other.outputs)
        for output in range(one.outputs):
            chosen = blocks[:, output] if across is None else blocks[:, across[output]]
            block = chosen[inside].permute(0, 2, 1).reshape(width, -1)  # [in, (out of the other, in of the other)]
            matrix[rows[output][:, None], everywhere] = block
            if one is not other:
                matrix[everywhere[:, None], rows[output]] = block.T
    return matrix


def add_jacobians(
    matrix: Float64[Tensor, "size size"], jacobian: Float64[Tensor, "rows outputs size"], roots: Roots
) -> None:
    """Add Σ_n Σ_c (s_cᵀ J)ᵀ (s_cᵀ J)."""
    for number in range(roots.count):
        sent = torch.bmm(roots.column(number)[:, None, :], jacobian)[:, 0]
        matrix.addmm_(sent.T, sent)


def _width(layer: Layer) -> int:
    """Numbers that enter each output, the bias's one among them."""
    return (layer.width if layer.weight is not None else 0) + (layer.bias is not None)


def _pairs(one: int, other: int, same: bool) -> int:
    return one * (one + 1) // 2 if same else one * other


def _activations(one: Layer, other: Layer) -> int:
    return _pairs(_width(one), _width(other), one is other)


def _slopes(one: Layer, other: Layer) -> int:
    return _pairs(one.outputs, other.outputs, one is other)


def _extended(layer: Layer, entered: Float64[Tensor, "rows in"]) -> Float64[Tensor, "rows width"]:
    parts = [entered] if layer.weight is not None else []
    if layer.bias is not None:
        parts.append(torch.ones_like(entered[:, :1]))
    return torch.cat(parts, dim=1)


def _places(layer: Layer, places: dict[str, Tensor]) -> Int64[Tensor, "out width"]:
    parts = [places[name].reshape(layer.outputs, -1) for name in layer.names]
    return torch.cat(parts, dim=1)


def _numbering(size: int) -> Int64[Tensor, "size size"]:
    """The number of each pair among those on and above the diagonal, whichever way round."""
    rows, columns = torch.triu_indices(size, size)
    numbers = torch.empty(size, size, dtype=torch.int64)
    numbers[rows, columns] = numbers[columns, rows] = torch.arange(len(rows))
    return numbers

"""The diagonal of the curvature, without a Jacobian wherever layers are linear.

    H_W[i, j] = Σ_n Σ_c ( Σ_t g_tc[i] a_t[j] )²        H_b[i] = Σ_n Σ_c ( Σ_t g_tc[i] )²

exactly. With one position this is (Σ_c g_c²)ᵀ a²: one product for all columns. With several, a layer's own gradient
of each row is made in pieces of bounded size and squared. Tensors of any other module (scales of normalisation, and
what has shared or strange layers) are differentiated row by row (`vmap`), they alone.

Source: Dangel, Kunstner and Hennig (2020), BackPACK.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.evidence.laplace.layers import Layer, Passed, entering, slopes
from surefoot.evidence.laplace.roots import Roots

__all__ = ["Sums", "add_diagonal", "add_diagonal_head", "add_jacobian_squares", "empty_sums"]

CHUNK_NUMBERS = 2**22  # of per-row gradients of one layer that are held at once: 32 MiB


class Sums(NamedTuple):
    """The diagonal so far, of one layer's weight `[out, in]` and bias `[out]`, where they are asked for."""

    layer: Layer
    weight: Float64[Tensor, "out in"] | None
    bias: Float64[Tensor, "out"] | None


def empty_sums(layers: Iterable[Layer]) -> tuple[Sums, ...]:
    """Zeros, to be added to."""
    return tuple(
        Sums(
            layer,
            None if layer.weight is None else torch.zeros(layer.outputs, layer.width, dtype=torch.float64),
            None if layer.bias is None else torch.zeros(layer.outputs, dtype=torch.float64),
        )
        for layer in layers
    )


def add_diagonal(sums: Sequence[Sums], outputs: Tensor, passed: Passed, roots: Roots) -> None:
    """Add what some rows contribute, in as many backward passes as there are columns."""
    layers = [own.layer for own in sums]
    inputs = [entering(layer, passed.entered[layer.name]) for layer in layers]
    squares = [inputs[place].new_zeros(len(inputs[place]), layer.outputs) for place, layer in enumerate(layers)]
    for number in range(roots.count):
        for place, slope in enumerate(slopes(outputs, roots.column(number), passed, layers)):
            squares[place] += slope.sum(dim=1).square()
            weight = sums[place].weight
            if weight is not None and layers[place].positions > 1:
                _add_rows(weight, slope, inputs[place])
    for own, square, entered in zip(sums, squares, inputs, strict=True):
        if own.bias is not None:
            own.bias.add_(square.sum(dim=0))
        if own.weight is not None and own.layer.positions == 1:
            own.weight.addmm_(square.T, entered[:, 0].square())


def add_diagonal_head(sums: Sums, features: Float64[Tensor, "rows features"], roots: Roots) -> None:
    """The same of the last layer alone: Σ Λ_kk φ², no backward pass."""
    diagonal = roots.diagonal()
    if sums.weight is not None:
        sums.weight.addmm_(diagonal.T, features.square())
    if sums.bias is not None:
        sums.bias.add_(diagonal.sum(dim=0))


def add_jacobian_squares(
    total: Float64[Tensor, "size"], jacobian: Float64[Tensor, "rows outputs size"], roots: Roots
) -> None:
    """Σ_n Σ_c (s_cᵀ J)²."""
    for number in range(roots.count):
        sent = torch.bmm(roots.column(number)[:, None, :], jacobian)[:, 0]
        total.add_(sent.square().sum(dim=0))


def _add_rows(
    weight: Float64[Tensor, "out in"],
    slope: Float64[Tensor, "rows positions out"],
    entered: Float64[Tensor, "rows positions in"],
) -> None:
    step = max(1, CHUNK_NUMBERS // weight.numel())
    for first in range(0, len(slope), step):
        gradients = torch.bmm(slope[first : first + step].mT, entered[first : first + step])
        weight.add_(gradients.square_().sum(dim=0))

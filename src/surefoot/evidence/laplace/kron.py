"""The curvature of each tensor as a Kronecker product, of which only eigenvalues are kept.

    H_W ≈ G ⊗ A    A = Σ_n Σ_t a_t a_tᵀ / (N T),   G = Σ_n Σ_t Σ_c g_tc g_tcᵀ        H_b ≈ G

over N rows, T positions and the columns c of Λ's square root (`roots.py`). A weight and its bias are separate blocks.
Positions count as rows of their own: the *expand* convention, exact where layers are followed by no mixing of
positions, and what other libraries do by default; the bias of a convolution is treated alike. For one row, and for a
linear layer under Gaussian noise, it is the Gauss–Newton block itself.

Source: Martens and Grosse (2015), Optimizing neural networks with Kronecker-factored approximate curvature;
Botev et al. (2017), Practical Gauss–Newton optimisation for deep learning; for positions Eschenhagen et al. (2023),
Kronecker-factored approximate curvature for modern neural network architectures, KFAC-expand.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.laplace.layers import Layer, Passed, Survey, entering, slopes
from surefoot.evidence.laplace.roots import Roots
from surefoot.evidence.laplace.spectrum import Nodes, product_nodes
from surefoot.evidence.laplace.squares import add_square, eigenvalues_of, empty_square

__all__ = ["Block", "Factors", "add_kron", "add_kron_head", "blocks_of", "check_kron", "empty_factors"]


class Factors(NamedTuple):
    """Σ a aᵀ (where the weight is asked for) and Σ g gᵀ of one layer; only what is not below the diagonals is read."""

    layer: Layer
    entering: Float64[Tensor, "in in"] | None
    leaving: Float64[Tensor, "out out"]


class Block(NamedTuple):
    """Of one tensor: the eigenvalues of its block, nodes for sums of their logarithms, and the block's diagonal."""

    eigenvalues: Float64[Tensor, "numbers"]
    nodes: Nodes | None
    diagonal: Float64[Tensor, "numbers"]


def check_kron(found: Survey) -> None:
    """Raise `InputError` naming a tensor that has no Kronecker block."""
    if found.others:
        name, where = next(iter(found.others.items()))
        raise InputError(
            f'"{name}" is in {where}: Kronecker blocks are of linear layers and plain Conv2d that run once; use '
            'structure="diag", take part="head", or freeze it with requires_grad_(False).'
        )


def empty_factors(layers: Iterable[Layer]) -> tuple[Factors, ...]:
    """Zeros, to be added to."""
    return tuple(
        Factors(
            layer,
            None if layer.weight is None else empty_square(layer.width),
            empty_square(layer.outputs),
        )
        for layer in layers
    )


def add_kron(
    factors: Sequence[Factors],
    outputs: Tensor,
    passed: Passed,
    roots: Roots,
    entered: Sequence[Float64[Tensor, "_ _ _"]] | None = None,
) -> None:
    """Add what some rows contribute, in as many backward passes as there are columns.

    entered: a of every layer, where somebody has made it; otherwise it is read off `passed`.
    """
    layers = [own.layer for own in factors]
    inputs = [entering(layer, passed.entered[layer.name]) for layer in layers] if entered is None else entered
    for own, activations in zip(factors, inputs, strict=True):
        if own.entering is not None:
            add_square(own.entering, activations)
    room = [outputs.new_empty(len(outputs), own.positions, own.outputs, dtype=torch.float64) for own in layers]
    for number in range(roots.count):
        for own, slope in zip(factors, slopes(outputs, roots.column(number), passed, layers, room), strict=True):
            add_square(own.leaving, slope)


def add_kron_head(factors: Factors, features: Float64[Tensor, "rows features"], roots: Roots) -> None:
    """The same of the last layer alone, whose slopes are the columns: no backward pass."""
    if factors.entering is not None:
        add_square(factors.entering, features)
    factors.leaving.add_(roots.summed())


def blocks_of(factors: list[Factors], rows: int, known: Float64[Tensor, "in"] | None = None) -> dict[str, Block]:
    """Each tensor's block. The list is used up, so that a factor's memory is free once its eigenvalues are known.

    known: the eigenvalues of Σ a aᵀ of the first layer, where they are known already.
    """
    found: dict[str, Block] = {}
    while factors:
        layer, inner, outer = factors.pop(0)
        across = outer.diagonal().clone()
        spread = eigenvalues_of(outer)
        del outer
        if layer.bias is not None:
            found[layer.bias] = Block(spread, None, across)
        if layer.weight is not None and inner is not None:
            count = rows * layer.positions
            along = inner.diagonal() / count
            inside = (eigenvalues_of(inner) if known is None else known) / count
            del inner
            found[layer.weight] = Block(
                torch.outer(spread, inside).flatten(),
                product_nodes(spread, inside),
                torch.outer(across, along).flatten(),
            )
        known = None
    return found

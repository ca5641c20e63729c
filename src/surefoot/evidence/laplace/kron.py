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

__all__ = ["Factors", "add_kron", "add_kron_head", "block_of", "check_kron", "empty_factors"]


PANELS = 8


class Factors(NamedTuple):
    """Σ a aᵀ (where the weight is asked for) and Σ g gᵀ of one layer; only what is not below the diagonals is read."""

    layer: Layer
    entering: Float64[Tensor, "in in"] | None
    leaving: Float64[Tensor, "out out"]


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
            None if layer.weight is None else torch.zeros(layer.width, layer.width, dtype=torch.float64),
            torch.zeros(layer.outputs, layer.outputs, dtype=torch.float64),
        )
        for layer in layers
    )


def add_kron(factors: Sequence[Factors], outputs: Tensor, passed: Passed, roots: Roots) -> None:
    """Add what some rows contribute, in as many backward passes as there are columns."""
    for own in factors:
        if own.entering is not None:
            _add_square(own.entering, entering(own.layer, passed.entered[own.layer.name]))
    layers = [own.layer for own in factors]
    for number in range(roots.count):
        for own, slope in zip(factors, slopes(outputs, roots.column(number), passed, layers), strict=True):
            _add_square(own.leaving, slope)


def add_kron_head(factors: Factors, features: Float64[Tensor, "rows features"], roots: Roots) -> None:
    """The same of the last layer alone, whose slopes are the columns: no backward pass."""
    if factors.entering is not None:
        _add_square(factors.entering, features)
    factors.leaving.add_(roots.summed())


def block_of(factors: Sequence[Factors], rows: int, *, diagonal: bool) -> dict[str, Float64[Tensor, "numbers"]]:
    """Of each tensor, the eigenvalues of its block, or its diagonal in the tensor's own order."""
    found: dict[str, Tensor] = {}
    for layer, inner, outer in factors:
        spread = outer.diagonal() if diagonal else torch.linalg.eigvalsh(outer, UPLO="U").clamp_(min=0)
        if layer.weight is not None and inner is not None:
            inside = inner.diagonal() if diagonal else torch.linalg.eigvalsh(inner, UPLO="U").clamp_(min=0)
            found[layer.weight] = torch.outer(spread, inside / (rows * layer.positions)).flatten()
        if layer.bias is not None:
            found[layer.bias] = spread.clone()
    return found


def _add_square(total: Float64[Tensor, "size size"], vectors: Float64[Tensor, "*rows size"]) -> None:
    """Add Σ v vᵀ on and above the diagonal (and a little below): some half of the operations; nothing else is read.

    In float64, though passes may be in float32 and products would be twice as fast there: a sum rounded to float32
    turns every eigenvalue below some 1e-7 of the largest into noise, and the evidence takes their logarithms.
    """
    flat = vectors.flatten(0, -2)
    size = len(total)
    step = max(64, size // PANELS)
    for first in range(0, size, step):
        panel = slice(first, min(first + step, size))
        total[panel, first:].addmm_(flat[:, panel].T, flat[:, first:])

"""Cholesky factors of covariances, and what happens when rounding has made one indefinite.

A covariance of smooth functions at close inputs is singular to working precision. Adding ε times its mean diagonal, a
"jitter", makes it definite, and changes the model: it is noise that was not asked for. So the first try is without, the
steps are few and fixed (`STEPS`), what was added is reported, and beyond the last step there is an error.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["STEPS", "Factor", "factorise"]

STEPS = (0.0, 1e-12, 1e-10, 1e-8)
"""Jitters that are tried, relative to the mean of the diagonal."""

ROUNDING = torch.finfo(torch.float64).eps


class Factor(NamedTuple):
    """lower: L with L Lᵀ = the matrix + jitter · 1. jitter: what was added to the diagonal, in the matrix's units."""

    lower: Float64[Tensor, "*batch rows rows"]
    jitter: float


def factorise(matrix: Float64[Tensor, "*batch rows rows"], steps: tuple[float, ...] = STEPS) -> Factor:
    """The Cholesky factor with the least jitter of `steps` that serves; all matrices of a batch get the same.

    Differentiable; the jitter is taken for a constant.

    Raises `InputError` when numbers are not finite, and when the last step does not serve.

    >>> factorise(torch.ones(2, 2).double()).jitter
    1e-12
    """
    if not bool(matrix.isfinite().all()):
        raise InputError(
            "The covariance has entries that are not finite; check the inputs, and whether a hyperparameter has run "
            "away (a smaller rate of learning, or standardised inputs, keep it)."
        )
    diagonal = matrix.detach().diagonal(dim1=-2, dim2=-1)
    scale = float(diagonal.mean()) if diagonal.numel() else 1.0
    for step in steps:
        added = step * scale
        whole = matrix if not step else matrix + added * torch.eye(matrix.shape[-1], dtype=matrix.dtype)
        lower, failed = torch.linalg.cholesky_ex(whole)
        if not bool(failed.any()) and _settled(lower.detach(), scale):
            return Factor(lower, added)
    raise InputError(
        f"The covariance is not positive definite even with {steps[-1]:g} of its mean diagonal added; give more noise, "
        "shorter lengths, or leave out rows whose inputs are equal."
    )


def _settled(lower: Tensor, scale: float) -> bool:
    """Whether no pivot is mere rounding: a factorisation can succeed by luck and leave an evidence that is noise."""
    pivots = lower.diagonal(dim1=-2, dim2=-1).square()
    return pivots.numel() == 0 or float(pivots.min()) > ROUNDING * lower.shape[-1] * scale

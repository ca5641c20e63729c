"""Kernels: covariance functions of a Gaussian process, as frozen dataclasses of positive numbers.

    k.matrix(x, x′) [rows, others],   k.diagonal(x) = (k(x_i, x_i))_i [rows]

Numbers are tensors (`positive(0.3)`), one for all inputs or one for each (automatic relevance determination), and
differentiable through `free_of` and `with_free`. A kernel here has k(x, x) = 1 unless it says otherwise; `Scaled`
gives it a variance. Everything is in float64.

Source: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, ch. 4.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.free import POSITIVE

__all__ = ["RBF", "Constant", "Kernel", "Linear", "Matern", "Periodic", "RationalQuadratic", "squared_distances"]

TINY = 1e-36
"""Below this a squared distance is zero: √ has no derivative there, and k(r) has none of the first order."""


@runtime_checkable
class Kernel(Protocol):
    """A positive semi-definite function of two rows."""

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]: ...

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]: ...


@dataclass(frozen=True)
class RBF:
    """exp(−½ Σ_p (x_p − x′_p)²/ℓ_p²): infinitely smooth. Source: Rasmussen & Williams (2006), eq. 4.9.

    >>> from surefoot.evidence.processes.free import positive
    >>> x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    >>> RBF(positive(1.0)).matrix(x, x)[0, 1].item() == math.exp(-2)
    True
    """

    lengths: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        return (-0.5 * squared_distances(left, right, self.lengths)).exp()

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return _ones(rows)


@dataclass(frozen=True)
class Matern:
    """With r the scaled distance and s = r√(2ν): exp(−s)(1 + s) for ν = 3/2, exp(−s)(1 + s + s²/3) for ν = 5/2.

    Source: Rasmussen & Williams (2006), eq. 4.17. Raises `InputError` for another smoothness ν.
    """

    lengths: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)
    smoothness: float = 2.5

    def __post_init__(self) -> None:
        if self.smoothness not in (1.5, 2.5):
            raise InputError(f"The smoothness is {self.smoothness}; give 1.5 or 2.5, or use RBF for the limit.")

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        squared = squared_distances(left, right, self.lengths)
        s = (2 * self.smoothness * squared).clamp_min(TINY).sqrt()
        polynomial = 1 + s if self.smoothness == 1.5 else 1 + s + s.square() / 3
        return polynomial * (-s).exp()

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return _ones(rows)


@dataclass(frozen=True)
class RationalQuadratic:
    """(1 + r²/(2α))^−α: a mixture of RBFs of many lengths. Source: Rasmussen & Williams (2006), eq. 4.19."""

    lengths: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)
    alpha: Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        squared = squared_distances(left, right, self.lengths)
        return (-self.alpha * (squared / (2 * self.alpha)).log1p()).exp()

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return _ones(rows)


@dataclass(frozen=True)
class Periodic:
    """exp(−2 Σ_p sin²(π (x_p − x′_p)/period_p)/ℓ_p²). Source: Rasmussen & Williams (2006), eq. 4.31."""

    lengths: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)
    periods: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        _check_inputs(left, self.periods)
        sines = (math.pi * (left[:, None] - right[None]) / self.periods).sin() / self.lengths
        return (-2 * sines.square().sum(dim=2)).exp()

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return _ones(rows)


@dataclass(frozen=True)
class Linear:
    """Σ_p v_p x_p x′_p: Bayesian linear regression without intercept, whose weights are N(0, v_p). Add `Constant` for
    one.

    Source: Rasmussen & Williams (2006), §2.1.2.
    """

    variances: Float64[Tensor, "#d"] | Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        _check_inputs(left, self.variances)
        return (left * self.variances) @ right.T

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return (rows.square() * self.variances).sum(dim=1)


@dataclass(frozen=True)
class Constant:
    """v: an intercept of variance v that all rows share."""

    variance: Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        return self.variance.expand(len(left), len(right))

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return self.variance.expand(len(rows))


def squared_distances(
    left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"], lengths: Float64[Tensor, "..."]
) -> Float64[Tensor, "rows others"]:
    """Σ_p (x_p − x′_p)²/ℓ_p², by one product of matrices; rounding is relative to the spread, not to the place.

    Raises `InputError` when the number of lengths is neither one nor that of the inputs.
    """
    _check_inputs(left, lengths)
    # The origin is moved to the rows, or inputs such as years would lose their differences in ‖a‖² + ‖b‖² − 2ab.
    origin = left.mean(dim=0).detach() if len(left) else 0
    one, two = (left - origin) / lengths, (right - origin) / lengths
    squared = one.square().sum(dim=1)[:, None] + two.square().sum(dim=1) - 2 * one @ two.T
    return squared.clamp_min(0)


def _check_inputs(rows: Tensor, numbers: Tensor) -> None:
    if numbers.numel() not in (1, rows.shape[1]):
        raise InputError(
            f"The kernel has {numbers.numel()} numbers for rows of {rows.shape[1]} inputs; give one number, or one for "
            "each input."
        )


def _ones(rows: Tensor) -> Tensor:
    return torch.ones(len(rows), dtype=torch.float64)

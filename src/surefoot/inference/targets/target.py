"""What a sampler needs of a posterior: gradients and log densities of flat positions, one row per chain.

Positions are whitened coordinates u `[chains, size]` (see `surefoot.density.whitening`): where priors are Gaussian, the
prior is a standard normal, and the quarter period of its oscillator is (π/2)·√T whatever its variances were.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from surefoot.networks.network import Parameters

__all__ = ["MinibatchTarget", "Target", "Terms"]


class Terms(NamedTuple):
    """The log density of each chain's position in nats, tempered, in two parts and in float64.

    Samplers subtract part from part: two totals of 10⁵ nats in float32 would differ by their rounding.
    """

    likelihood: Float64[Tensor, "chains"]
    prior: Float64[Tensor, "chains"]


@runtime_checkable
class Target(Protocol):
    """A log density of positions. Calls write nothing but `out`, and chains do not influence each other."""

    @property
    def size(self) -> int:
        """Numbers in one position."""
        ...

    @property
    def quarter(self) -> float:
        """A quarter period of the prior oscillator: (π/2)·√T."""
        ...

    @property
    def dtype(self) -> torch.dtype: ...

    def gradient(self, position: Float[Tensor, "chains size"], out: Float[Tensor, "chains size"]) -> None:
        """∇ log density, tempered, written to `out`. NaN where the density is; never raises for that."""
        ...

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """The log density itself."""
        ...

    def parameters(self, position: Float[Tensor, "chains size"]) -> Parameters:
        """Named parameters `[chains, …]` of these positions, those that are sampled alone; copies."""
        ...

    def position(self, parameters: Parameters) -> Float[Tensor, "chains size"]:
        """The inverse of `parameters`: named tensors `[chains, …]` as positions.

        Tensors that are not sampled may be among them. Raises `InputError` where these are not the target's own: a
        density at the start would be another one's.
        """
        ...


@runtime_checkable
class MinibatchTarget(Target, Protocol):
    """A target whose gradient can be estimated without bias from some of its rows."""

    @property
    def rows(self) -> int:
        """N, all rows of the posterior."""
        ...

    def minibatch_gradient(
        self,
        position: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains batch"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ], tempered, for each chain its own rows.

        generator: what a random augmentation of the batch draws from.
        """
        ...

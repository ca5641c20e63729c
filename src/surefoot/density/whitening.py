"""Whitening: coordinates in which a prior has unit scale, so that a sampler needs no mass matrix and no inverse.

For one tensor of parameters θ, read as vectors of its last axes,

    θ = centre + B (s ⊙ u)        B orthonormal (or absent), s > 0

Where the prior is Gaussian with covariance B diag(s²) Bᵀ, u is standard normal. Other priors get their standard
deviation as s: the coordinates then have unit scale, and the prior keeps its own density in them.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from surefoot.networks.network import Parameters

__all__ = ["Whitened", "Whitening"]


class Whitening(NamedTuple):
    """θ = centre + B (s ⊙ u) for one tensor.

    scale: s, a number or one for each of the basis' directions `[d]`. basis: B `[d, d]` with orthonormal columns,
    acting on the last axes of the tensor flattened to vectors of d numbers; absent, the coordinates are the
    tensor's own entries and `scale` is a single number. centre: of the tensor's shape, or absent for zero.
    normal: whether u is exactly standard normal under the prior, so that the prior's density needs no evaluation.
    """

    scale: Float[Tensor, "d"] | float
    basis: Float[Tensor, "d d"] | None = None
    centre: Tensor | None = None
    normal: bool = True


@runtime_checkable
class Whitened(Protocol):
    """A prior that knows coordinates of unit scale. A prior that does not is sampled in its own parameters."""

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """By name, for each tensor that the prior speaks of; `parameters` give names, shapes, type and device."""
        ...

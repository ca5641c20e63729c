"""A normal prior with correlations inside a layer, kept as an orthonormal basis and a variance for each direction.

No covariance is ever inverted: the density divides by variances, and samplers move in the basis' own coordinates.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.whitening import Whitening
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["Correlated"]


@dataclass(frozen=True, eq=False)
class Correlated:
    """Independent vectors w ~ N(c, U diag(v) Uᵀ), read from the last axes of a tensor:

        log p(w) = −½ Σ_i [ log(2π v_i) + (u_iᵀ(w − c))² / v_i ]

    names: the tensor this prior speaks of, or several with vectors of the same length d. A linear layer's weight
    `[out, in]` has one vector a unit for d = in; a convolution's `[out, in, height, width]` one a unit for
    d = in·height·width, and one a filter for d = height·width. basis: U, orthonormal columns. variance: v, one
    positive number for each column. centre: c by name; zero when absent.

    Raises `InputError` for a basis that is not orthonormal, variances that are not positive numbers, and tensors
    that have no such vectors.

    >>> prior = Correlated("w", torch.eye(2), torch.tensor([4.0, 0.25]))
    >>> round(prior.log_density({"w": torch.tensor([[2.0, 0.5]])}).item(), 4)  # one deviation along each direction
    -2.8379
    """

    names: str | tuple[str, ...]
    basis: Float[Tensor, "d d"]
    variance: Float[Tensor, "d"]
    centre: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        bad = ~(self.variance.isfinite() & (self.variance > 0))
        if bool(bad.any()):
            raise InputError(
                f"{int(bad.sum())} of {len(self.variance)} variances are not positive numbers (the smallest is "
                f"{float(self.variance.min())}); add a positive floor."
            )
        product = self.basis.T @ self.basis
        identity = torch.eye(len(product), dtype=product.dtype, device=product.device)
        miss = float((product - identity).abs().max())
        if not miss <= 100 * len(product) * torch.finfo(product.dtype).eps:
            raise InputError(
                f"The basis is not orthonormal (UᵀU misses the identity by {miss:.1e}); give eigenvectors as "
                "torch.linalg.eigh returns them, in float64."
            )

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters."""
        total: list[Tensor] = []
        for name in self.names_in(parameters):
            tensor = parameters[name]
            middle = self._centre(name, tensor)
            vectors = (tensor if middle is None else tensor - middle).reshape(-1, len(self.variance))
            along = vectors @ self.basis.to(tensor)
            # The constant stays out of the tensor's type: in float32 it would round at every vector.
            constant = float((2 * math.pi * self.variance.double()).log().sum())
            total.append(-0.5 * (along.square() / self.variance.to(tensor)).sum() - 0.5 * len(vectors) * constant)
        return torch.stack(total).sum()

    def names_in(self, parameters: Parameters) -> list[str]:
        """The tensors that this prior names."""
        wanted = (self.names,) if isinstance(self.names, str) else self.names
        size = len(self.variance)
        for name in wanted:
            if name not in parameters:
                raise InputError(
                    f"The prior names the tensor {name}, which is not there; there are {list(parameters)}."
                )
            shape = list(parameters[name].shape)
            if size not in {math.prod(shape[axis:]) for axis in range(len(shape))}:
                raise InputError(
                    f"{name} has shape {shape}, whose last axes hold no vectors of {size} numbers; give a basis that "
                    "fits them."
                )
        return list(wanted)

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """w = c + U (√v ⊙ u) with u standard normal."""
        return {
            name: Whitening(
                self.variance.sqrt().to(parameters[name]),
                basis=self.basis.to(parameters[name]),
                centre=self._centre(name, parameters[name]),
            )
            for name in self.names_in(parameters)
        }

    def _centre(self, name: str, tensor: Tensor) -> Tensor | None:
        if self.centre is None:
            return None
        if name not in self.centre or self.centre[name].shape != tensor.shape:
            raise InputError(
                f"The prior's centre has no tensor of the shape {list(tensor.shape)} for {name}; give one."
            )
        return self.centre[name].to(tensor)

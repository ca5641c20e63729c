"""Square roots of the curvature at the outputs: what is sent back through a network to make its Gauss–Newton matrix.

    Σ_c s_c s_cᵀ = Λ = −∂²ℓ/∂z²        Σ_c (Jᵀ s_c)(Jᵀ s_c)ᵀ = Jᵀ Λ J

Of a softmax p = softmax(z/T) with K classes, Λ = S Sᵀ with S = (diag(√p) − p √pᵀ)/T, and S √p = 0. Reflecting √p onto
the last axis therefore leaves K − 1 columns,

    s_c = √p_c ( e_c − a e_K − (1 − a) p )/T        a = √p_K / (1 + √p_K),   c < K

of which one, of all rows `[rows, K]`, is all that is ever held. Sums over rows have closed forms, Σ Λ =
(diag(Σp) − PᵀP)/T². The empirical Fisher matrix has a single column, the gradient of the log likelihood.

Source: S is the symmetric factor of Dangel, Kunstner and Hennig (2020), BackPACK; the reflection is ours, and saves
a pass.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.regression import GaussianNoise
from surefoot.evidence.laplace.expansion import Kind
from surefoot.inference.approximate.curvature import output_terms

__all__ = ["AtOutputs", "Roots", "at_outputs", "unit_noise"]


@runtime_checkable
class Roots(Protocol):
    """The columns s_c of some rows, and their sums in closed form."""

    @property
    def count(self) -> int:
        """How many columns a row has."""
        ...

    def column(self, number: int) -> Float64[Tensor, "rows outputs"]:
        """s_c of every row."""
        ...

    def diagonal(self) -> Float64[Tensor, "rows outputs"]:
        """Σ_c s_c², the diagonal of Λ, of every row."""
        ...

    def summed(self) -> Float64[Tensor, "outputs outputs"]:
        """Σ_rows Λ."""
        ...

    def matrices(self) -> Float64[Tensor, "rows outputs outputs"]:
        """Λ of every row; only for few outputs."""
        ...


class AtOutputs(NamedTuple):
    """Some rows at their outputs: Σ ℓ in nats, ∂ℓ/∂z, and the roots of the curvature."""

    value: float
    gradient: Float64[Tensor, "rows outputs"]
    roots: Roots


def at_outputs(posterior: Posterior, outputs: Tensor, targets: Tensor, kind: Kind) -> AtOutputs:
    """What the likelihood says at `outputs`; raises `InputError` where it is not concave there."""
    flat = outputs.reshape(len(outputs), -1)
    slope = posterior.row_gradient(outputs, targets).reshape(flat.shape)
    value = float(posterior.row_log_density(outputs, targets).sum())
    if kind == "fisher":
        return AtOutputs(value, slope, Gradients(slope))
    if isinstance(posterior.likelihood, GaussianNoise):
        variance = posterior.likelihood.scale**2 * posterior.likelihood.temperature
        return AtOutputs(value, slope, Even(len(flat), flat.shape[1], 1 / variance))
    if posterior.likelihood is categorical:
        scale = 1 / posterior.logit_temperature
        return AtOutputs(value, slope, Softmax((flat * scale).softmax(dim=1), scale))
    terms = output_terms(posterior, outputs, targets, torch.ones(len(flat), dtype=torch.float64))
    values, vectors = torch.linalg.eigh(terms.curvature)
    return AtOutputs(value, slope, Dense(vectors * values.clamp(min=0).sqrt()[:, None, :]))


def unit_noise(posterior: Posterior) -> Posterior:
    """The posterior with Gaussian noise of scale one, whose curvature holds for any other scale once divided by σ²."""
    if not isinstance(posterior.likelihood, GaussianNoise):
        return posterior
    return replace(posterior, likelihood=GaussianNoise(scale=1.0))


@dataclass(frozen=True)
class Softmax:
    """Λ = (diag(p) − p pᵀ)/T²; scale is 1/T."""

    probabilities: Float64[Tensor, "rows outputs"]
    scale: float

    @property
    def count(self) -> int:
        return self.probabilities.shape[1] - 1

    def column(self, number: int) -> Float64[Tensor, "rows outputs"]:
        last = self.probabilities[:, -1].sqrt()
        share = last / (1 + last)
        root = self.probabilities[:, number].sqrt() * self.scale
        column = self.probabilities * (root * (share - 1))[:, None]
        column[:, number] += root
        column[:, -1] -= root * share
        return column

    def diagonal(self) -> Float64[Tensor, "rows outputs"]:
        return (self.probabilities - self.probabilities.square()) * self.scale**2

    def summed(self) -> Float64[Tensor, "outputs outputs"]:
        product = self.probabilities.T @ self.probabilities
        product.neg_().diagonal().add_(self.probabilities.sum(dim=0))
        return product * self.scale**2

    def matrices(self) -> Float64[Tensor, "rows outputs outputs"]:
        p = self.probabilities
        return (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) * self.scale**2


@dataclass(frozen=True)
class Even:
    """Λ = value · 1: Gaussian noise, alike for every row and output."""

    rows: int
    count: int
    value: float

    def column(self, number: int) -> Float64[Tensor, "rows outputs"]:
        column = torch.zeros(self.rows, self.count, dtype=torch.float64)
        column[:, number] = self.value**0.5
        return column

    def diagonal(self) -> Float64[Tensor, "rows outputs"]:
        return torch.full((self.rows, self.count), self.value, dtype=torch.float64)

    def summed(self) -> Float64[Tensor, "outputs outputs"]:
        return torch.eye(self.count, dtype=torch.float64) * (self.rows * self.value)

    def matrices(self) -> Float64[Tensor, "rows outputs outputs"]:
        return (torch.eye(self.count, dtype=torch.float64) * self.value).expand(self.rows, -1, -1)


@dataclass(frozen=True)
class Gradients:
    """Λ = g gᵀ: the empirical Fisher matrix."""

    gradient: Float64[Tensor, "rows outputs"]

    @property
    def count(self) -> int:
        return 1

    def column(self, number: int) -> Float64[Tensor, "rows outputs"]:
        del number
        return self.gradient

    def diagonal(self) -> Float64[Tensor, "rows outputs"]:
        return self.gradient.square()

    def summed(self) -> Float64[Tensor, "outputs outputs"]:
        return self.gradient.T @ self.gradient

    def matrices(self) -> Float64[Tensor, "rows outputs outputs"]:
        return self.gradient[:, :, None] * self.gradient[:, None, :]


@dataclass(frozen=True)
class Dense:
    """Any Λ = S Sᵀ, by a factor of each row's."""

    factor: Float64[Tensor, "rows outputs columns"]

    @property
    def count(self) -> int:
        return self.factor.shape[2]

    def column(self, number: int) -> Float64[Tensor, "rows outputs"]:
        return self.factor[:, :, number]

    def diagonal(self) -> Float64[Tensor, "rows outputs"]:
        return self.factor.square().sum(dim=2)

    def summed(self) -> Float64[Tensor, "outputs outputs"]:
        side_by_side = self.factor.transpose(0, 1).flatten(1)
        return side_by_side @ side_by_side.T

    def matrices(self) -> Float64[Tensor, "rows outputs outputs"]:
        return self.factor @ self.factor.mT

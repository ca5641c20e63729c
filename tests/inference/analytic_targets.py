"""Small log densities with known answers, as samplers see them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters


def nothing(position: Tensor) -> Tensor:
    """A prior, or a likelihood, that says nothing."""
    return torch.zeros(len(position), dtype=torch.float64)


@dataclass
class Written:
    """A target of written-out parts: log likelihood and log prior [chains] of float64 positions, and their gradient.

    calls and evaluations count gradients and log densities, each of all chains at once.
    """

    size: int
    slope: Callable[[Tensor], Tensor]
    likelihood: Callable[[Tensor], Tensor] = nothing
    prior: Callable[[Tensor], Tensor] = nothing
    dtype: torch.dtype = torch.float64
    quarter: float = math.pi / 2
    calls: int = field(default=0, compare=False)
    evaluations: int = field(default=0, compare=False)

    def gradient(self, position: Tensor, out: Tensor) -> None:
        self.calls += 1
        out.copy_(self.slope(position))

    def terms(self, position: Tensor) -> Terms:
        self.evaluations += 1
        return Terms(self.likelihood(position.double()), self.prior(position.double()))

    def parameters(self, position: Tensor) -> Parameters:
        return {"u": position.clone()}

    def position(self, parameters: Parameters) -> Tensor:
        return parameters["u"].clone()


def standard_normal(size: int, dtype: torch.dtype = torch.float64) -> Written:
    return Written(size, lambda u: -u, prior=lambda u: -u.square().sum(1) / 2, dtype=dtype)


def gaussian(mean: Tensor, covariance: Tensor, dtype: torch.dtype = torch.float64, constant: float = 0.0) -> Written:
    """N(mean, covariance) as a likelihood; `constant` nats are added to it."""
    precision = torch.linalg.inv(covariance.double())
    rounded, centre = precision.to(dtype), mean.to(dtype)

    def likelihood(u: Tensor) -> Tensor:
        off = u - mean
        return constant - ((off @ precision) * off).sum(1) / 2

    return Written(len(mean), lambda u: (centre - u) @ rounded, likelihood=likelihood, dtype=dtype)


def wishart(size: int, seed: int) -> Tensor:
    """A covariance with standard deviations of about one and strong correlations."""
    loadings = torch.randn(size, 2 * size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return loadings @ loadings.T / (2 * size)


def double_well(tilt: float = 0.4) -> Written:
    """log p = −2(u² − 1)² + tilt·u: two modes, one of them higher."""
    return Written(
        1,
        lambda u: -8 * u * (u.square() - 1) + tilt,
        likelihood=lambda u: (tilt * u - 2 * (u.square() - 1).square())[:, 0],
    )


def walled(wall: float) -> Written:
    """A standard normal that is NaN above `wall`, gradient and density: what is left is a truncated normal."""

    def broken(u: Tensor, value: Tensor) -> Tensor:
        return torch.where(u > wall, math.nan, value)

    return Written(1, lambda u: broken(u, -u), prior=lambda u: broken(u, -u.square() / 2)[:, 0])


def funnel(size: int) -> Written:
    """Neal's funnel: v ~ N(0, 3²), the others N(0, eᵛ) given v."""

    def prior(u: Tensor) -> Tensor:
        v, x = u[:, 0], u[:, 1:]
        return -v.square() / 18 - (size - 1) * v / 2 - x.square().sum(1) * torch.exp(-v) / 2

    def slope(u: Tensor) -> Tensor:
        v, x = u[:, :1], u[:, 1:]
        pull = x.square().sum(1, keepdim=True) * torch.exp(-v) / 2
        return torch.cat([-v / 9 - (size - 1) / 2 + pull, -x * torch.exp(-v)], dim=1)

    return Written(size, slope, prior=prior)


class Quadrature:
    """A one-dimensional target's distribution by the trapezoid rule on a fine grid."""

    def __init__(self, target: Written, low: float, high: float, points: int = 20_001) -> None:
        self.grid = np.linspace(low, high, points)
        terms = target.terms(torch.from_numpy(self.grid)[:, None])
        density = np.nan_to_num(np.exp((terms.likelihood + terms.prior).numpy()))
        pieces = (density[1:] + density[:-1]) / 2
        self.mass = np.concatenate([[0.0], np.cumsum(pieces)]) / pieces.sum()

    def cdf(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.grid, self.mass)

    def draws(self, count: int, seed: int) -> Tensor:
        """Independent draws [count, 1], by inversion."""
        uniform = np.random.default_rng(seed).uniform(size=count)
        return torch.from_numpy(np.interp(uniform, self.mass, self.grid))[:, None]

"""Targets with known answers: a standard or scaled normal, a Gaussian mean, a conjugate linear regression."""

import math

import torch
from torch import Tensor

from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters


class Normal:
    """Independent normals with curvatures κ: L = −½ Σ κ u²; all of it is called prior."""

    quarter = math.pi / 2

    def __init__(self, curvature: Tensor) -> None:
        self.curvature, self.size, self.dtype, self.calls = curvature, len(curvature), curvature.dtype, 0

    def gradient(self, position: Tensor, out: Tensor) -> None:
        self.calls += 1
        torch.mul(position, -self.curvature, out=out)

    def terms(self, position: Tensor) -> Terms:
        squares = (self.curvature * position.square()).sum(dim=1).double()
        return Terms(torch.zeros_like(squares), -squares / 2)

    def parameters(self, position: Tensor) -> Parameters:
        return {"u": position.clone()}

    def position(self, parameters: Parameters) -> Tensor:
        return parameters["u"].clone()


class LinearRegression:
    """y = Φw + noise of variance σ², w ~ N(0, 1): L = −|y − Φw|²/2σ² − |w|²/2, with gradients of some rows."""

    quarter = math.pi / 2

    def __init__(self, features: Tensor, targets: Tensor, variance: float) -> None:
        self.features, self.targets, self.variance = features, targets, variance
        self.rows, self.size = features.shape
        self.dtype = features.dtype

    @property
    def precision(self) -> Tensor:
        return self.features.T @ self.features / self.variance + torch.eye(self.size, dtype=self.dtype)

    @property
    def mean(self) -> Tensor:
        return torch.linalg.solve(self.precision, self.features.T @ self.targets / self.variance)

    def gradient(self, position: Tensor, out: Tensor) -> None:
        residuals = self.targets - position @ self.features.T
        out.copy_(residuals @ self.features / self.variance - position)

    def minibatch_gradient(
        self, position: Tensor, index: Tensor, out: Tensor, generator: torch.Generator | None = None
    ) -> None:
        features, targets = self.features[index], self.targets[index]  # [chains, batch, size], [chains, batch]
        residuals = targets - torch.einsum("cbs,cs->cb", features, position)
        scale = self.rows / index.shape[1] / self.variance
        out.copy_(torch.einsum("cb,cbs->cs", residuals, features) * scale - position)

    def terms(self, position: Tensor) -> Terms:
        residuals = (self.targets - position @ self.features.T).double()
        likelihood = -residuals.square().sum(dim=1) / (2 * self.variance)
        likelihood -= self.rows / 2 * math.log(2 * math.pi * self.variance)
        prior = -position.double().square().sum(dim=1) / 2 - self.size / 2 * math.log(2 * math.pi)
        return Terms(likelihood, prior)

    def parameters(self, position: Tensor) -> Parameters:
        return {"w": position.clone()}

    def position(self, parameters: Parameters) -> Tensor:
        return parameters["w"].clone()

    def log_evidence(self) -> float:
        covariance = self.features @ self.features.T + self.variance * torch.eye(self.rows, dtype=self.dtype)
        normal = torch.distributions.MultivariateNormal(torch.zeros(self.rows, dtype=self.dtype), covariance)
        return float(normal.log_prob(self.targets))


def gaussian_mean(values: Tensor, variance: float = 1.0) -> LinearRegression:
    """The mean of normal values of known variance: curvature N/σ² + 1, whatever the position."""
    return LinearRegression(torch.ones(len(values), 1, dtype=values.dtype), values, variance)


def regression(rows: int, size: int, seed: int, variance: float = 0.5) -> LinearRegression:
    """Correlated features, in float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64) * 0.5 + torch.eye(size).double()
    features = torch.randn(rows, size, generator=generator, dtype=torch.float64) @ mixing
    weights = torch.randn(size, generator=generator, dtype=torch.float64)
    noise = torch.randn(rows, generator=generator, dtype=torch.float64) * math.sqrt(variance)
    return LinearRegression(features, features @ weights + noise, variance)

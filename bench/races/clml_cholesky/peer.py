"""The peer: for each order one Cholesky factor of the rows' covariance, K = L Lᵀ. Its leading parts are those of the
prefixes: log p(y_i | y_<i) = −½ (L⁻¹y)_i² − log L_ii − ½ log 2π."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import NOISE, Model, Work, answer, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)

    def race() -> dict[str, np.ndarray]:
        return answer([evidences(work, model) for model in work.models], parameters)

    return race


def evidences(work: Work, model: Model) -> np.ndarray:
    """log p(D_<n) for n = 1 … 500, `[orders, 500]`."""
    features, targets = torch.from_numpy(model.features), torch.from_numpy(work.targets)
    covariance = (features * torch.from_numpy(model.variances)) @ features.T
    covariance.diagonal().add_(NOISE**2)
    terms = torch.empty(work.orders.shape, dtype=torch.float64)
    for line, order in zip(terms, torch.from_numpy(work.orders), strict=True):
        factor = torch.linalg.cholesky(covariance[order][:, order])
        white = torch.linalg.solve_triangular(factor, targets[order, None], upper=False)[:, 0]
        line.copy_(-0.5 * white.square() - factor.diagonal().log() - 0.5 * math.log(2 * math.pi))
    return terms.cumsum(1).numpy()

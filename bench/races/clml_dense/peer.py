"""The peer: the published method, a multivariate normal density from scratch for every prefix of every order."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clml_cholesky"))
from work import NOISE, ROWS, Model, Work, answer, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)

    def race() -> dict[str, np.ndarray]:
        return answer([evidences(work, model, parameters["peer_orders"]) for model in work.models], parameters)

    return race


def evidences(work: Work, model: Model, count: int) -> np.ndarray:
    """log p(D_<n) for n = 1 … 499 in the first `count` orders, `[count, 499]`."""
    features, targets = torch.from_numpy(model.features), torch.from_numpy(work.targets)
    variances = torch.diag(torch.from_numpy(model.variances))
    told = np.empty((count, ROWS - 1))
    for place, order in enumerate(torch.from_numpy(work.orders[:count])):
        for n in range(1, ROWS):
            taken = features[order[:n]]
            covariance = taken @ variances @ taken.T + NOISE**2 * torch.eye(n, dtype=torch.float64)
            density = torch.distributions.MultivariateNormal(torch.zeros(n, dtype=torch.float64), covariance)
            told[place, n - 1] = density.log_prob(targets[order[:n]])
    return told

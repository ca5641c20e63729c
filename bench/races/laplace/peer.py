"""The peer: laplace-torch as its documentation has it: `fit` on a loader, then steps on `log_marginal_likelihood`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from laplace import Laplace
from torch.utils.data import DataLoader, TensorDataset
from work import climbed, shared

BATCH = 256


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    loader = DataLoader(TensorDataset(work.inputs, work.targets), batch_size=parameters.get("batch", BATCH))
    subset = {"all": "all", "head": "last_layer"}[work.part]

    def race() -> dict[str, np.ndarray]:
        fitted = Laplace(work.module, "classification", subset_of_weights=subset, hessian_structure=work.structure)
        fitted.fit(loader)
        tensors = len(list(work.module.parameters())) if work.layerwise else 1
        return climbed(lambda own: fitted.log_marginal_likelihood(own.float()), tensors)

    torch.manual_seed(0)
    return race

"""Our side: `linear_prefixes` in all orders at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import NOISE, answer, shared

from surefoot.evidence.linear import LinearModel, linear_prefixes


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    targets, orders = torch.from_numpy(work.targets), torch.from_numpy(work.orders)
    models = [
        (torch.from_numpy(each.features), LinearModel(NOISE**2, torch.from_numpy(each.variances)))
        for each in work.models
    ]

    def race() -> dict[str, np.ndarray]:
        prefixes = [linear_prefixes(features, targets, model, orders) for features, model in models]
        return answer([each.all_marginal().numpy() for each in prefixes], parameters)

    return race

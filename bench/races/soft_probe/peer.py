"""The peer: the published loop for linear students: Adam at 1e-3, batches of 100, a cosine over all steps.

As in the vision experiment of the weak-to-strong repository, whose loop has no standardisation and no decay.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from work import answer, shared

Measure = Callable[[], dict[str, np.ndarray]]


def prepare(parameters: dict[str, Any]) -> Callable[[], Measure]:
    work = shared(parameters)

    def race() -> Measure:
        torch.manual_seed(0)
        layer = nn.Linear(work.features.shape[1], parameters["classes"])
        optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
        steps = parameters["epochs"] * (len(work.features) // parameters["batch"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(parameters["epochs"]):
            for index in torch.randperm(len(work.features)).split(parameters["batch"]):
                optimiser.zero_grad()
                cross_entropy(layer(work.features[index]), work.labels[index]).backward()
                optimiser.step()
                schedule.step()
        return partial(answer, work, layer.weight, layer.bias, parameters)

    return race

"""The peer: the plainest correct PyTorch loop a user would write for the same network, rows and schedule."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset
from work import shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    network, rows = shared(parameters)
    images = rows.inputs[:]

    def work() -> dict[str, np.ndarray]:
        model = copy.deepcopy(network.module).train()
        loader = DataLoader(TensorDataset(images, rows.targets), batch_size=parameters["batch"])
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        schedule = OneCycleLR(optimiser, 3e-3, total_steps=parameters["epochs"] * len(loader))
        for _ in range(parameters["epochs"]):
            for batch, targets in loader:
                optimiser.zero_grad()
                functional.cross_entropy(model(batch), targets).backward()
                optimiser.step()
                schedule.step()
        return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}

    return work

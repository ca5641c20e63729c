"""The peers: a linear layer, autograd, SGD and a cosine, on standardised features, as PyTorch users write it.

loader "tensor": standardise once in memory, then index the rows of a batch, the fastest plain loop; "DataLoader": the
same through TensorDataset and DataLoader. Both have every row in float32 in memory, which ours never does.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset
from work import shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    features, targets = shared(parameters)
    batch, epochs = parameters["batch"], parameters["epochs"]

    def work() -> dict[str, np.ndarray]:
        inputs = features.float()
        mean, deviation = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
        inputs = (inputs - mean) / deviation
        layer = nn.Linear(inputs.shape[1], parameters["classes"])
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
        schedule = CosineAnnealingLR(optimiser, epochs * -(-len(inputs) // batch))
        orders = torch.Generator().manual_seed(0)

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(len(inputs), generator=orders)
            if parameters["loader"] == "DataLoader":
                data = TensorDataset(inputs, targets)
                yield from DataLoader(data, batch_size=batch, sampler=order.tolist())  # type: ignore[misc]
            else:
                for index in order.split(batch):
                    yield inputs[index], targets[index]

        for _ in range(epochs):
            for rows, labels in batches():
                optimiser.zero_grad()
                cross_entropy(layer(rows), labels).backward()
                optimiser.step()
                schedule.step()
        with torch.no_grad():
            weight = layer.weight / deviation
            return {"logits": layer(inputs[:200]).numpy(), "weight": weight.numpy()}

    return work

"""The work of both sides: a training step at each of some patch sizes, one after the other, on the same images.

A step is a forward pass, the cross entropy, a backward pass and AdamW (fused). Its rate is so small that both sides,
one of which trains a kernel that is resized and the other the resized one, stay at the same losses to the tolerance.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 1e-9

Model = Callable[[Tensor], Tensor]
"""Images → logits."""


def batches_of(parameters: dict[str, Any]) -> dict[int, tuple[Tensor, Tensor]]:
    """Images and labels for each patch size."""
    generator = torch.Generator().manual_seed(parameters["seed"])
    side = parameters["image"]
    return {
        patch: (
            torch.randn(rows, 3, side, side, generator=generator),
            torch.randint(0, parameters["classes"], (rows,), generator=generator),
        )
        for patch, rows in parameters["rows"]
    }


def race_of(
    models: Mapping[int, Model], learnt: list[nn.Parameter], watched: nn.Parameter, parameters: dict[str, Any]
) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    """One turn: a step at each size. Told are the losses, and the gradient of one tensor at the last size."""
    batches = batches_of(parameters)
    optimiser = torch.optim.AdamW(learnt, lr=RATE, weight_decay=0.0, fused=True)

    def turn() -> Callable[[], dict[str, np.ndarray]]:
        losses: dict[str, Tensor] = {}
        for patch, (images, labels) in batches.items():
            optimiser.zero_grad()
            loss = functional.cross_entropy(models[patch](images), labels)
            loss.backward()
            optimiser.step()
            losses[f"loss at {patch}"] = loss.detach()
        assert watched.grad is not None
        told = watched.grad.clone()
        return lambda: {name: loss.numpy() for name, loss in losses.items()} | {"gradient": told.numpy()}

    return turn

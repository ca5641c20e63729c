"""The work of both sides: every size once; with "backward", the gradient of what all resized kernels add up to."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Resize = Callable[[Tensor, int], Tensor]


def kernel_of(parameters: dict[str, Any]) -> Tensor:
    generator = torch.Generator().manual_seed(parameters["seed"])
    old = parameters["old"]
    return torch.randn(parameters["width"], parameters["channels"], old, old, generator=generator)


def race_of(resize: Resize, parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    weight, sizes = kernel_of(parameters), parameters["sizes"]
    for size in sizes:
        resize(weight, size)
    return (
        (lambda: _backward(resize, weight, sizes))
        if parameters.get("backward")
        else lambda: _forward(resize, weight, sizes)
    )


def _forward(resize: Resize, weight: Tensor, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    return {str(size): resize(weight, size).numpy() for size in sizes}


def _backward(resize: Resize, weight: Tensor, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    gradients: dict[str, np.ndarray] = {}
    for size in sizes:
        kept = weight.detach().requires_grad_()
        resize(kept, size).sum().backward()
        assert kept.grad is not None
        gradients[str(size)] = kept.grad.numpy()
    return gradients

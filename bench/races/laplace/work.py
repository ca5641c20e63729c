"""What both sides share: rows, a network at a mode that is trained here once per process, and what they answer.

Training is full-batch Adam on cross entropy with the prior N(0, 1), with one seed on one thread, so both sides expand
around the same numbers; it is not timed. Features of a last layer are random (rectified normal) and so are the labels
(drawn from a random softmax): only sizes matter there.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

STEPS = 100
RATE = 0.1


class Work(NamedTuple):
    """structure, part: as both sides name them. module: at the mode. layerwise: a precision for every tensor."""

    inputs: torch.Tensor
    targets: torch.Tensor
    module: nn.Sequential
    structure: str
    part: str
    layerwise: bool


def shared(parameters: dict[str, Any]) -> Work:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    widths: list[int] = parameters["widths"]
    if parameters["part"] == "all":
        digits = load_digits()
        inputs = torch.from_numpy((digits.data / 16).astype(np.float32))
        targets = torch.from_numpy(digits.target.astype(np.int64))
    else:
        inputs = torch.randn(parameters["rows"], widths[0], generator=generator).relu()
        logits = inputs @ torch.randn(widths[0], widths[-1], generator=generator) / widths[0] ** 0.5
        targets = torch.multinomial((3 * logits).softmax(dim=1), 1, generator=generator)[:, 0]
    layers: list[nn.Module] = [nn.Flatten()]  # the peer refuses a model of one module
    for one, other in pairwise(widths):
        layers += [nn.Linear(one, other), nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / max(tensor.shape[-1], 10) ** 0.5)
    train(module, inputs, targets, parameters["train_steps"])
    return Work(inputs, targets, module, parameters["structure"], parameters["part"], parameters["layerwise"])


def train(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(inputs), targets, reduction="sum")
        loss = loss + 0.5 * sum(tensor.square().sum() for tensor in module.parameters())
        loss.backward()
        optimiser.step()


def climbed(evidence_of: Any, tensors: int) -> dict[str, np.ndarray]:
    """100 steps of Adam on the log precisions, as the peer's documentation does it; where they began and ended."""
    logs = torch.zeros(tensors, requires_grad=True, dtype=torch.float64)
    optimiser = torch.optim.Adam([logs], lr=RATE)
    values = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        value = evidence_of(logs.exp())
        (-value).backward()
        optimiser.step()
        values.append(value.item())
    return {"evidence": np.array([values[0], values[-1]]), "log_precisions": logs.detach().numpy()}

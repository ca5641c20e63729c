"""What both sides share: features, weak labels of 1,000 classes, and rows to test on.

Features have a falling spectrum, as those of pretrained networks have; labels are a softmax of the true class's margin,
which differs from row to row, and noise, as those of a weak network are. Test rows have true classes.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class Work(NamedTuple):
    features: Tensor
    labels: Tensor
    test: Tensor
    truth: Tensor


def shared(parameters: dict[str, Any]) -> Work:
    rows, tests, width, classes = (int(parameters[name]) for name in ("rows", "tests", "features", "classes"))
    generator = torch.Generator().manual_seed(int(parameters["seed"]))
    centres = torch.randn(classes, width, generator=generator)
    scale = torch.linspace(0, 3, width).neg().exp()
    truth = torch.randint(classes, (rows + tests,), generator=generator)
    features = (centres[truth] + 2.5 * torch.randn(rows + tests, width, generator=generator)) * scale + 0.3
    margin = 9 * torch.rand(rows, 1, generator=generator)
    logits = 1.5 * torch.randn(rows, classes, generator=generator)
    logits.scatter_add_(1, truth[:rows, None], margin)
    return Work(features[:rows].clone(), logits.softmax(dim=1), features[rows:].clone(), truth[rows:])


def answer(work: Work, weight: Tensor, bias: Tensor, parameters: dict[str, Any]) -> dict[str, np.ndarray]:
    """How far a head falls short of what the published loop `reached` (race.json); nothing where it is better."""
    reached = parameters["reached"]
    with torch.no_grad():
        loss = float(cross_entropy(torch.addmm(bias, work.features, weight.T), work.labels))
        said = torch.addmm(bias, work.test, weight.T).argmax(dim=1)
        accuracy = float((said == work.truth).float().mean())
    return {
        "loss_above": np.array(max(0.0, loss - reached["loss"])),
        "accuracy_below": np.array(max(0.0, reached["accuracy"] - accuracy)),
    }

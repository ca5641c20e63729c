"""The peer: one setting after another, as AFR's published script does it: autograd, clip, SGD, scores at every step.

Of the script's work only what selection needs is kept: it scores the test rows at every step too. Settings that are not
in `peer_settings` are not run, and the time is scaled by the harness.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from work import Shared, grid, shared


def one_setting(
    given: Shared, gamma: float, penalty: float, parameters: dict[str, Any]
) -> tuple[int, float, torch.Tensor]:
    """The first best step on the choose rows, its worst-group accuracy, and the head there."""
    repair, choose = given.repair, given.choose
    layer = torch.nn.Linear(*reversed(given.weight.shape))
    with torch.no_grad():
        layer.weight.copy_(given.weight)
        layer.bias.copy_(given.bias)
        probabilities = functional.softmax(layer(repair.features), dim=1)[
            torch.arange(len(repair.targets)), repair.targets
        ]
    weights = torch.exp(-gamma * probabilities) / torch.bincount(repair.targets)[repair.targets]
    weights = weights / weights.sum()
    optimiser = torch.optim.SGD(layer.parameters(), lr=parameters["rate"])
    best_step, best_worst, best_head = -1, -1.0, torch.empty(0)
    for step in range(parameters["steps"] + 1):
        with torch.no_grad():
            right = layer(choose.features).argmax(dim=1) == choose.targets
            worst = min(float(right[choose.groups == group].double().mean()) for group in range(4))
            if worst > best_worst:
                best_step, best_worst = step, worst
                best_head = torch.cat([layer.weight, layer.bias[:, None]], dim=1).clone()
        if step == parameters["steps"]:
            break
        optimiser.zero_grad()
        losses = functional.cross_entropy(layer(repair.features), repair.targets, reduction="none")
        distance = (layer.weight - given.weight).square().sum() + (layer.bias - given.bias).square().sum()
        ((weights * losses).sum() + penalty * distance).backward()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimiser.step()
    return best_step, best_worst, best_head


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    given, settings = shared(parameters), grid(parameters)

    def work() -> dict[str, np.ndarray]:
        ran = [one_setting(given, *settings[number], parameters) for number in parameters["peer_settings"]]
        steps, worst, heads = zip(*ran, strict=True)
        best = max(range(len(ran)), key=lambda number: (worst[number], -number))
        return {
            "selected": np.array(parameters["peer_settings"][best]),
            "steps": np.array(steps),
            "worst": np.array(worst),
            "heads": torch.stack(list(heads)).numpy(),
        }

    return work

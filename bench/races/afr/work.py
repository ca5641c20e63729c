"""What both sides share: features with a shortcut in them, and a base head that leans on it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

LATENT = 64
SHARES = {"repair": 0.95, "choose": 0.7}
"""How often the shortcut agrees with the class; the choose rows of Waterbirds hold more minority rows too."""


class Part(NamedTuple):
    """Rows of one role: features, labels, and the number of each row's group, class · 2 + shortcut."""

    features: Tensor
    targets: Tensor
    groups: Tensor


class Shared(NamedTuple):
    """Everything AFR starts from."""

    repair: Part
    choose: Part
    weight: Tensor
    bias: Tensor


def shared(parameters: dict[str, Any]) -> Shared:
    """Rectified features of `width` numbers that mix a core, a shortcut and 62 other directions, with noise."""
    generator = torch.Generator().manual_seed(int(parameters["seed"]))
    width = int(parameters["features"])
    mixing = torch.randn(LATENT, width, generator=generator) / 8

    def part(role: str, count: int) -> Part:
        targets = torch.arange(count) % 2
        agrees = torch.rand(count, generator=generator) < SHARES[role]
        shortcut = torch.where(agrees, targets, 1 - targets)
        latent = torch.randn(count, LATENT, generator=generator)
        latent[:, 0] += 1.5 * (2 * targets - 1)
        latent[:, 1] += 2.0 * (2 * shortcut - 1)
        noise = torch.randn(count, width, generator=generator)
        return Part((latent @ mixing).add_(noise, alpha=0.3).relu_(), targets, 2 * targets + shortcut)

    repair, choose = part("repair", int(parameters["repair"])), part("choose", int(parameters["choose"]))
    # Ridge regression on rows with the training's correlation: what a plain head would lean on.
    fit = part("repair", 4000)
    centre = fit.features.double().mean(dim=0)
    inputs, signs = fit.features.double() - centre, 2.0 * fit.targets.double() - 1
    ridge = torch.linalg.solve(inputs.T @ inputs + 100 * torch.eye(width, dtype=torch.float64), inputs.T @ signs)
    direction = 2 * ridge  # logits of about ±4
    weight = torch.stack([-direction, direction]).float()
    return Shared(repair, choose, weight, torch.stack([centre @ direction, -centre @ direction]).float())


def grid(parameters: dict[str, Any]) -> list[tuple[float, float]]:
    """Every γ and λ, γ outermost."""
    first, last, count = parameters["gammas"]
    gammas = [float(gamma) for gamma in torch.linspace(first, last, count, dtype=torch.float64)]
    return [(gamma, float(penalty)) for gamma in gammas for penalty in parameters["penalties"]]

"""Gaussian spurious worlds: a core and a spurious feature with known truth, so that repairs have known answers.

With class sign t = ±1 and shortcut sign s = ±1, which agree with probability ρ,

    x_core ~ N(t·μ_c, σ_c²),   x_spurious ~ N(s·μ_s, σ_s²),   x_noise ~ N(0, σ_n²) each, independent given t, s.

The log odds of the class under correlation ρ are, with u = μ_s·x_s / σ_s²,

    2·μ_c·x_c / σ_c²  +  log[ (ρ·eᵘ + (1−ρ)·e⁻ᵘ) / ((1−ρ)·eᵘ + ρ·e⁻ᵘ) ],

which ignore x_s when ρ = ½. A linear classifier w·x + b is right in the group (t, s) with probability
Φ(t·(w_c·t·μ_c + w_s·s·μ_s + b) / ‖σ ⊙ w‖). The best linear direction in Fisher's sense under correlation ρ has
w_j = (difference of class means) / (variance within classes), where x_s has means ±(2ρ−1)·μ_s and variance
σ_s² + 4ρ(1−ρ)·μ_s². It is Bayes' rule itself for ρ = ½ and ρ = 1.

Source: the two-feature Gaussian model of Sagawa et al. (2020), "An investigation of why overparameterization
exacerbates spurious correlations", section 4, equation 2; Fisher (1936).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, cross_groups, make_rows

__all__ = ["Linear", "World", "gaussian_world", "group_accuracies", "linear_optimum", "log_odds"]

CLASSES = ("negative", "positive")
SHORTCUTS = ("shortcut negative", "shortcut positive")
SIZES: Mapping[Role, int] = {"fit": 4000, "repair": 1000, "choose": 2000, "judge": 4000}


class Linear(NamedTuple):
    """A linear classifier: positive when weight · x + bias > 0."""

    weight: Float[Tensor, "features"]
    bias: float


@dataclass(frozen=True)
class World:
    """What is true of the rows, and the rows of each role. Features: core, spurious, then noise."""

    core_mean: float
    core_std: float
    spurious_mean: float
    spurious_std: float
    noise: int
    noise_std: float
    correlation: float
    judge_correlation: float
    roles: Roles


def gaussian_world(
    *,
    core_mean: float = 1.0,
    core_std: float = 1.0,
    spurious_mean: float = 1.0,
    spurious_std: float = 0.3,
    noise: int = 0,
    noise_std: float = 1.0,
    correlation: float = 0.95,
    judge_correlation: float = 0.5,
    sizes: Mapping[Role, int] = SIZES,
    seed: int = 0,
) -> World:
    """Draw rows for each role of `sizes`: inputs `[rows, 2 + noise]`, groups class × shortcut, sizes exact.

    Raises `InputError` for a standard deviation that is not positive or a correlation outside [0, 1].

    >>> world = gaussian_world(sizes={"fit": 100})
    >>> world.roles["fit"].groups.counts().tolist()
    [48, 2, 2, 48]
    >>> [round(value, 2) for value in group_accuracies(world, linear_optimum(world, 0.95)).tolist()]
    [1.0, 0.06, 0.06, 1.0]
    >>> [round(value, 2) for value in group_accuracies(world, linear_optimum(world, 0.5)).tolist()]
    [0.84, 0.84, 0.84, 0.84]
    """
    for name, value in (("core_std", core_std), ("spurious_std", spurious_std), ("noise_std", noise_std)):
        if not value > 0:
            raise InputError(f"{name} is {value}; give a standard deviation above 0.")
    for name, value in (("correlation", correlation), ("judge_correlation", judge_correlation)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; give a share of rows between 0 and 1.")
    spread = torch.tensor([core_std, spurious_std, *[noise_std] * noise])
    centre = torch.tensor([core_mean, spurious_mean, *[0.0] * noise])
    roles: Roles = {
        role: _role(role, sizes[role], judge_correlation if role == "judge" else correlation, centre, spread, seed)
        for role in ROLES
        if role in sizes
    }
    return World(
        core_mean, core_std, spurious_mean, spurious_std, noise, noise_std, correlation, judge_correlation, roles
    )


def log_odds(world: World, inputs: Float[Tensor, "rows features"], correlation: float) -> Float[Tensor, "rows"]:
    """Bayes' rule: log P(positive | x) / P(negative | x) in nats, for equal classes under `correlation`."""
    core, spurious = inputs[:, 0].double(), inputs[:, 1].double()
    u = world.spurious_mean * spurious / world.spurious_std**2
    agree, differ = torch.tensor([correlation, 1 - correlation], dtype=torch.float64).log()
    shortcut = torch.logaddexp(agree + u, differ - u) - torch.logaddexp(differ + u, agree - u)
    return 2 * world.core_mean * core / world.core_std**2 + shortcut


def linear_optimum(world: World, correlation: float) -> Linear:
    """Fisher's linear rule under `correlation`, for equal classes; with ½ it is Bayes' rule of balanced groups."""
    agreement = 2 * correlation - 1
    within = world.spurious_std**2 + (1 - agreement**2) * world.spurious_mean**2
    weight = torch.zeros(2 + world.noise, dtype=torch.float64)
    weight[0] = 2 * world.core_mean / world.core_std**2
    weight[1] = 2 * agreement * world.spurious_mean / within
    return Linear(weight, 0.0)


def group_accuracies(world: World, linear: Linear) -> Float[Tensor, "4"]:
    """How often a linear classifier is right in each group, exactly; groups as in the rows (class · 2 + shortcut)."""
    weight = linear.weight.double()
    spread = torch.tensor([world.core_std, world.spurious_std, *[world.noise_std] * world.noise], dtype=torch.float64)
    deviation = (spread * weight).norm()
    signs = [(t, s) for t in (-1, 1) for s in (-1, 1)]
    means = [
        t * (weight[0] * t * world.core_mean + weight[1] * s * world.spurious_mean + linear.bias) for t, s in signs
    ]
    return torch.special.ndtr(torch.stack(means) / deviation)


def _role(role: Role, size: int, correlation: float, centre: Tensor, spread: Tensor, seed: int) -> Rows:
    if size < 1:
        raise InputError(f"The size of {role} is {size}; give at least one row, or leave the role out.")
    generator = np.random.default_rng([seed, 21 + ROLES.index(role)])
    counts = [(size + 1 - label) // 2 for label in (0, 1)]
    agreeing = [int(np.floor(correlation * count + 0.5)) for count in counts]
    labels = np.repeat([0, 1], counts)
    shortcut = np.concatenate(
        [np.where(np.arange(counts[label]) < agreeing[label], label, 1 - label) for label in (0, 1)]
    )
    order = generator.permutation(size)
    targets, attribute = torch.from_numpy(labels[order]), torch.from_numpy(shortcut[order])
    signs = torch.ones(size, len(centre))
    signs[:, 0] = 2.0 * targets - 1
    signs[:, 1] = 2.0 * attribute - 1
    standard = torch.from_numpy(generator.standard_normal((size, len(centre)), dtype=np.float32))
    return make_rows(
        signs * centre + spread * standard,
        targets,
        classes=CLASSES,
        groups=cross_groups(targets, CLASSES, attribute, SHORTCUTS),
        ids=np.array([f"world:{seed}:{role}:{row:06d}" for row in range(size)]),
    )

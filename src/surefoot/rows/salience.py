"""The salience world: a true feature and proxies, with labels from a supervisor whose mistakes are known exactly.

With class sign t = ±1 and proxies s_j = t with probability a_j, independently,

    x = ( g t, b_1 s_1, …, b_m s_m ) + N(0, 1) each,     then features that are noise alone

A supervisor is one of two, of the same accuracy a_1:

- `proxy`: it says the first proxy's sign s_1. Its mistakes are a feature of the rows.
- `random`: it says t, or −t with probability 1 − a_1. Its mistakes are in no feature.

A least-squares student of signs ỹ has the direction Σ⁻¹ E[x ỹ] in a world without end, and its accuracy is a sum over
signs. So what it recovers is known in advance: with `random` labels E[x ỹ] is E[x t] shrunk, the student is the
ceiling, and recovers 1 of the gap; with `proxy` labels and a proxy far above the noise it is s_1, and recovers 0.

Source: the toy of a fork of the published repository (EleutherAI, 2024), whose students have no closed form; the two
supervisors, and the closed form, are ours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, make_rows

__all__ = ["Mistakes", "Salience", "known_accuracies", "known_recovery", "salience_world"]

Mistakes: TypeAlias = Literal["proxy", "random"]
CLASSES = ("negative", "positive")
SIZES: Mapping[Role, int] = {"fit": 4000, "judge": 4000}


@dataclass(frozen=True)
class Salience:
    """What is true of such a world. true: g. proxies: b_j. accuracies: a_j. noise: features that say nothing.

    Raises `InputError` for an accuracy outside [0, 1], unequal numbers of proxies and accuracies, and no proxy.
    """

    true: float = 2.0
    proxies: Sequence[float] = (2.0,)
    accuracies: Sequence[float] = (0.75,)
    noise: int = 4
    mistakes: Mistakes = "proxy"

    def __post_init__(self) -> None:
        if not self.proxies or len(self.proxies) != len(self.accuracies):
            raise InputError(
                f"There are {len(self.proxies)} proxies and {len(self.accuracies)} accuracies; give one accuracy for "
                "each proxy, of which the supervisor says the first."
            )
        if any(not 0 <= each <= 1 for each in self.accuracies):
            raise InputError(f"The accuracies are {tuple(self.accuracies)}; give numbers from 0 to 1.")


def salience_world(
    world: Salience, sizes: Mapping[Role, int] = SIZES, seed: int = 0
) -> tuple[Roles, Mapping[Role, Float[Tensor, "rows classes"]]]:
    """Rows for each role with true labels, and what the supervisor says of them: [a, 1 − a] or [1 − a, a].

    >>> roles, weak = salience_world(Salience(), {"fit": 1000})
    >>> rows = roles["fit"]
    >>> tuple(rows.inputs.shape), 0.7 < (weak["fit"].argmax(1) == rows.targets).float().mean().item() < 0.8
    ((1000, 6), True)
    """
    roles: dict[Role, Rows] = {}
    said: dict[Role, Tensor] = {}
    for role in ROLES:
        if role not in sizes:
            continue
        generator = torch.Generator().manual_seed(1000 * seed + ROLES.index(role))
        count = sizes[role]
        sign = 2.0 * torch.randint(2, (count,), generator=generator) - 1
        flips = torch.rand(count, len(world.proxies), generator=generator) < torch.tensor(world.accuracies)
        proxies = torch.where(flips, sign[:, None], -sign[:, None])
        own = torch.where(torch.rand(count, generator=generator) < world.accuracies[0], sign, -sign)
        inputs = torch.randn(count, 1 + len(world.proxies) + world.noise, generator=generator)
        inputs[:, 0] += world.true * sign
        inputs[:, 1 : 1 + len(world.proxies)] += torch.tensor(world.proxies) * proxies
        roles[role] = make_rows(inputs, (sign > 0).long(), classes=CLASSES)
        labelled = proxies[:, 0] if world.mistakes == "proxy" else own
        sure = max(world.accuracies[0], 1 - world.accuracies[0])
        up = torch.where(labelled > 0, sure, 1 - sure)
        said[role] = torch.stack([1 - up, up], dim=1)
    return roles, said


def known_accuracies(world: Salience) -> tuple[float, float, float]:
    """Accuracies of the supervisor, of the least-squares student of its labels, and of that student's ceiling.

    >>> weak, student, ceiling = known_accuracies(Salience(mistakes="random"))
    >>> weak, student == ceiling
    (0.75, True)
    """
    return (
        world.accuracies[0],
        _accuracy(world, _direction(world, taught=True)),
        _accuracy(world, _direction(world, taught=False)),
    )


def known_recovery(world: Salience) -> float:
    """(student − weak) / (ceiling − weak) of `known_accuracies`.

    >>> round(known_recovery(Salience(mistakes="random")), 6), known_recovery(Salience(proxies=(50.0,))) < 0.001
    (1.0, True)
    """
    weak, student, ceiling = known_accuracies(world)
    return (student - weak) / (ceiling - weak)


def _signs(world: Salience) -> tuple[Tensor, Tensor]:
    """Every vector of (t = 1, s_1, …, s_m) and its probability given t = 1."""
    vectors = torch.tensor(list(product([1.0, -1.0], repeat=len(world.proxies))), dtype=torch.float64)
    accuracies = torch.tensor(world.accuracies, dtype=torch.float64)
    chances = torch.where(vectors > 0, accuracies, 1 - accuracies).prod(dim=1)
    return torch.cat([torch.ones(len(vectors), 1, dtype=torch.float64), vectors], dim=1), chances


def _direction(world: Salience, *, taught: bool) -> Tensor:
    """Σ⁻¹ E[x ỹ]; all means are zero by symmetry in t."""
    vectors, chances = _signs(world)
    scale = torch.tensor([world.true, *world.proxies], dtype=torch.float64)
    points = vectors * scale
    second = torch.eye(len(scale), dtype=torch.float64) + (points.T * chances) @ points
    labels = torch.ones(len(vectors), dtype=torch.float64)
    if taught:
        labels = vectors[:, 1] if world.mistakes == "proxy" else labels * (2 * world.accuracies[0] - 1)
    return torch.linalg.solve(second, (points.T * chances) @ labels)


def _accuracy(world: Salience, direction: Tensor) -> float:
    """P(t · w·x > 0), by signs: Φ(w·μ / ‖w‖) given each."""
    vectors, chances = _signs(world)
    scale = torch.tensor([world.true, *world.proxies], dtype=torch.float64)
    margins = (vectors * scale) @ direction / direction.norm()
    return float((chances * (margins / math.sqrt(2)).erf().add(1).div(2)).sum())

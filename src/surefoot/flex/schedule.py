"""Which patch size a step of training has: drawn from (seed, step), so that every process and every resumed run agree.

    uniform       every size as often as every other
    weighted      size i with probability w_i / Σ w, for example w_i = 1 / cost_i: as much time for each
    curriculum    only the coarsest at first; the others join one by one, until at a share `ramp` of the run all have

Source: Beyer et al. (2023), "FlexiViT: One model for all patch sizes": one size a step, uniform. Their curriculum goes
from large patches to small ones as well; its steps are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from torch import nn

from surefoot.errors import InputError
from surefoot.networks.flexible import Flexible
from surefoot.networks.patches import Size

__all__ = [
    "SCHEDULES", "Curriculum", "Drawn", "Schedule", "Weighted", "by_cost", "schedule_named", "size_at", "uniform",
]  # fmt: skip

SCHEDULES = ("uniform", "by_tokens", "curriculum")
"""By the names that commands and studies know them by."""

PURPOSE = 4  # beside the streams of `inference.climb`: order, shift and network


@dataclass(frozen=True)
class Weighted:
    """Sizes and how often each is drawn; weights need not add up to one.

    Raises `InputError` for no size, a size twice, and weights that are no positive numbers, one a size.
    """

    sizes: tuple[Size, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _check(self.sizes)
        fine = all(np.isfinite(weight) and weight > 0 for weight in self.weights)
        if len(self.weights) != len(self.sizes) or not fine:
            raise InputError(f"{len(self.sizes)} sizes have the weights {self.weights}; give a positive one for each.")

    def shares(self, done: float) -> np.ndarray:
        """How probable each size is, whatever share of the run is done."""
        weights = np.asarray(self.weights, dtype=np.float64)
        return weights / weights.sum()


@dataclass(frozen=True)
class Curriculum:
    """Sizes in the order in which they join, and the share of the run by which all have.

    Raises `InputError` for no size, a size twice, and a ramp outside [0, 1].
    """

    sizes: tuple[Size, ...]
    ramp: float = 0.5

    def __post_init__(self) -> None:
        _check(self.sizes)
        if not 0 <= self.ramp <= 1:
            raise InputError(f"The ramp of a curriculum is {self.ramp}; give a share of the run from 0 to 1.")

    def shares(self, done: float) -> np.ndarray:
        """Uniform over the sizes that have joined: i of n at i / (n − 1) of the ramp."""
        count = len(self.sizes)
        risen = 1.0 if self.ramp == 0 else min(done / self.ramp, 1.0)
        joined = 1 + int(risen * (count - 1) + 1e-9)
        return np.where(np.arange(count) < joined, 1 / joined, 0.0)


Schedule: TypeAlias = Weighted | Curriculum


@dataclass(frozen=True)
class Drawn:
    """A `View` for `ascend`: each step runs the network at the size that is drawn for it."""

    schedule: Schedule
    seed: int

    def __call__(self, module: nn.Module, step: int, steps: int) -> nn.Module:
        """The module at the size of this step; its tensors, not copies of them."""
        if not isinstance(module, Flexible):
            raise InputError(
                f"{type(module).__name__} has no patch size to draw; build one with `build_vit`, or `flexify` it."
            )
        viewed = module.at(size_at(self.schedule, self.seed, step, steps))
        assert isinstance(viewed, nn.Module)
        return viewed


def uniform(sizes: Sequence[Size]) -> Weighted:
    """Every size as often as every other."""
    return Weighted(tuple(sizes), (1.0,) * len(sizes))


def by_cost(sizes: Sequence[Size], costs: Sequence[float]) -> Weighted:
    """As much time for each size: drawn by one over what a step of it costs (in any unit).

    >>> by_cost([(16, 16), (8, 8)], [1.0, 4.0]).shares(0.0).tolist()
    [0.8, 0.2]
    """
    if any(not cost > 0 for cost in costs):
        raise InputError(f"The costs of steps are {list(costs)}; give a positive one for each size.")
    return Weighted(tuple(sizes), tuple(1.0 / cost for cost in costs))


def schedule_named(name: str, sizes: Sequence[Size]) -> Schedule:
    """The schedule of a name: `uniform`, `by_tokens` (as much work for each size), `curriculum` (large ones first).

    Raises `InputError` for another name.

    >>> schedule_named("by_tokens", [(16, 16), (8, 8)]).shares(0.0).tolist()
    [0.8, 0.2]
    """
    if name == "uniform":
        return uniform(sizes)
    if name == "by_tokens":
        return by_cost(sizes, [1 / (p * q) for p, q in sizes])
    if name == "curriculum":
        return Curriculum(tuple(sorted(sizes, key=lambda size: size[0] * size[1], reverse=True)))
    raise InputError(f"There is no schedule {name!r}; give one of {', '.join(SCHEDULES)}.")


def size_at(schedule: Schedule, seed: int, step: int, steps: int) -> Size:
    """The size of a step, of (seed, step) alone: the same in every process, and after a run was resumed.

    >>> two = uniform([(16, 16), (8, 8)])
    >>> [size_at(two, 0, step, 8)[0] for step in range(8)] == [size_at(two, 0, step, 8)[0] for step in range(8)]
    True
    """
    generator = np.random.default_rng([seed, PURPOSE, step])
    return schedule.sizes[int(generator.choice(len(schedule.sizes), p=schedule.shares(step / steps)))]


def _check(sizes: tuple[Size, ...]) -> None:
    if not sizes or len(set(sizes)) != len(sizes):
        raise InputError(f"The patch sizes to draw from are {list(sizes)}; give at least one, and each once.")

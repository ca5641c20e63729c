"""How to climb, and when to stop early."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inference.schedule import Schedule
from surefoot.networks.network import Parameters

__all__ = ["Ascend", "Optimiser", "Stop", "View"]

Optimiser: TypeAlias = Literal["sgd", "adamw", "lbfgs"]

View: TypeAlias = Callable[[nn.Module, int, int], nn.Module]
"""(the module that is trained, step, steps) → what this step runs: another look at the same tensors.

What it draws, it draws from the step alone, so that a run that is resumed has it again.
"""


@dataclass(frozen=True)
class Ascend:
    """Settings of an ascent.

    epochs: passes over the rows (L-BFGS: rounds of at most 20 iterations, each over all rows at once).
    batch: rows a step; the last batch of an epoch may be smaller. L-BFGS does not read it.
    rate: the (peak) learning rate; schedule: its course, see `schedule.py`.
    momentum: SGD's momentum or AdamW's β₁, held fixed; None is 0.9, cycled when the schedule is one_cycle.
    weight_decay: decoupled for AdamW, added to the gradient (an L2 penalty of half of it) for SGD.
    shift: random shifts of images by up to this many pixels each way, filled with zeros.
    mixup: α of the share that each row keeps beside the next one of its batch (`mixup.py`); 0 mixes nothing. A mixed
      row has the weight and the groups of the one with the larger share.
    shuffle: draw a new order of the rows in each epoch.
    draw: "each" row once an epoch, or "weighted": as many rows an epoch, drawn with replacement with probability
      proportional to their weights, each then of weight one.

    Raises `InputError` for numbers out of range, and for settings the optimiser would not use.
    """

    epochs: int = 8
    batch: int = 64
    rate: float = 3e-3
    optimiser: Optimiser = "adamw"
    schedule: Schedule = "one_cycle"
    momentum: float | None = None
    weight_decay: float = 0.0
    shift: int = 0
    mixup: float = 0.0
    shuffle: bool = True
    draw: Literal["each", "weighted"] = "each"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1.")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"rate is {self.rate}; give a positive learning rate.")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}; give a number from 0 up to, but not including, 1.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InputError(f"weight_decay is {self.weight_decay}; give zero or a positive number.")
        if self.shift < 0:
            raise InputError(f"shift is {self.shift}; give a number of pixels, or 0.")
        if not (math.isfinite(self.mixup) and self.mixup >= 0):
            raise InputError(f"mixup is {self.mixup}; give zero or a positive number.")
        if self.optimiser == "lbfgs" and self.draw == "weighted":
            raise InputError("L-BFGS sees all rows at once and draws none; give the rows weights instead of draw.")
        unused = self.schedule != "constant" or self.momentum is not None or self.weight_decay
        unused = unused or self.shift or self.mixup
        if self.optimiser == "lbfgs" and unused:
            raise InputError(
                "L-BFGS has no schedule, momentum, weight decay, shift or mixup; set schedule to constant and leave "
                "out the others (a prior is its weight decay)."
            )


@dataclass(frozen=True)
class Stop:
    """When to stop early: on a finding that has not improved.

    measure: parameters → a finding, whose direction says which way is better. seen: the sources of the rows it
    measures on; they shape the result, so they join `Draws.seen`. It is called after every `every` epochs, and
    the run ends after `patience` calls without improvement. The best parameters measured are returned, the
    earlier of two equals.
    """

    measure: Callable[[Parameters], Finding]
    seen: frozenset[str]
    every: int = 1
    patience: int = 5

    def __post_init__(self) -> None:
        if self.every < 1 or self.patience < 1:
            raise InputError(f"every is {self.every} and patience {self.patience}; give at least 1 of each.")

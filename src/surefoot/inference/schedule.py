"""Schedules: the learning rate, and the momentum that goes with it, at each step of a run."""

import math
from typing import Literal, TypeAlias

__all__ = ["Schedule", "momentum_at", "rate_at"]

Schedule: TypeAlias = Literal["constant", "cosine", "one_cycle"]

RISE = 0.3  # share of a one-cycle run spent rising
START_SHARE = 1 / 25  # first rate, as a share of the peak
END_SHARE = START_SHARE / 1e4  # last rate
MOMENTA = (0.95, 0.85)  # at the ends, and at the peak


def rate_at(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """The learning rate of step 0 ≤ `step` < `steps`.

    constant: the peak throughout. cosine: peak · ½(1 + cos(π step/steps)). one_cycle: up from peak/25 over the
    first 30 % of the steps and down to peak/250,000, both as half cosines: the default shape of
    `torch.optim.lr_scheduler.OneCycleLR`.

    >>> rate_at("cosine", 1.0, 50, 100)
    0.5
    """
    if schedule == "constant":
        return peak
    if schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * _one_cycle(START_SHARE, 1.0, END_SHARE, step, steps)


def momentum_at(schedule: Schedule, momentum: float | None, step: int, steps: int) -> float:
    """The momentum (AdamW's β₁) of a step: as given; else 0.9, which one_cycle moves from .95 to .85 and back.

    The cycling is that of `OneCycleLR`, for AdamW and SGD alike.
    """
    if momentum is not None:
        return momentum
    if schedule != "one_cycle":
        return 0.9
    ends, peak = MOMENTA
    return _one_cycle(ends, peak, ends, step, steps)


def _one_cycle(first: float, top: float, last: float, step: int, steps: int) -> float:
    turn = RISE * steps - 1
    if step <= turn:
        return _half_cosine(first, top, step / turn)
    return _half_cosine(top, last, (step - turn) / (steps - 1 - turn))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

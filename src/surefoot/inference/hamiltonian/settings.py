"""How long to sample and how to move: settings of HMC and NUTS."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from surefoot.errors import InputError

__all__ = ["Hmc", "Nuts", "Sampling"]


@runtime_checkable
class Sampling(Protocol):
    """What both samplers are told."""

    @property
    def draws(self) -> int: ...
    @property
    def burn_in(self) -> int: ...
    @property
    def chains(self) -> int: ...
    @property
    def thin(self) -> int: ...
    @property
    def step_size(self) -> float | None: ...
    @property
    def adapt(self) -> bool: ...
    @property
    def acceptance(self) -> float: ...


@dataclass(frozen=True)
class Hmc:
    """Settings of Hamiltonian Monte Carlo.

    draws: kept of each chain. burn_in: iterations before them, which are not kept. thin: iterations for each draw.
    step_size: ε, in whitened units; None finds a first one by itself. When it adapts, this is where it begins.
    adapt: tune ε during the burn-in, one for all chains, so that the mean acceptance probability becomes `acceptance`;
    fixed from then on.
    trajectory: time τ that a trajectory lasts, the sum of its steps; None is the target's quarter period.
    jitter: τ is drawn uniformly within ± this share, anew in each iteration. Without it a trajectory of a whole
    period returns to where it began, whatever the number of draws.
    max_leapfrogs: a trajectory of more steps is refused when ε is fixed, cut short (and reported) when it adapts.

    Raises `InputError` for numbers out of range, and for an ε that is neither given nor adapted.

    >>> Hmc(draws=100, burn_in=0, adapt=False)
    Traceback (most recent call last):
    surefoot.errors.InputError: adapt is False and step_size is None; give a step size, or let it adapt.
    """

    draws: int = 500
    burn_in: int = 200
    chains: int = 4
    thin: int = 1
    step_size: float | None = None
    adapt: bool = True
    acceptance: float = 0.8
    trajectory: float | None = None
    jitter: float = 0.1
    max_leapfrogs: int = 20_000

    def __post_init__(self) -> None:
        _check(self)
        if self.trajectory is not None and not (math.isfinite(self.trajectory) and self.trajectory > 0):
            raise InputError(f"trajectory is {self.trajectory}; give a positive time, or None for a quarter period.")
        if not 0 <= self.jitter < 1:
            raise InputError(f"jitter is {self.jitter}; give a share from 0 up to, but not including, 1.")
        if self.max_leapfrogs < 1:
            raise InputError(f"max_leapfrogs is {self.max_leapfrogs}; give at least 1.")


@dataclass(frozen=True)
class Nuts:
    """Settings of the no-U-turn sampler; the shared ones mean what they mean in `Hmc`.

    max_depth: a trajectory doubles at most so often, to at most 2^max_depth − 1 steps.
    """

    draws: int = 500
    burn_in: int = 200
    chains: int = 4
    thin: int = 1
    step_size: float | None = None
    adapt: bool = True
    acceptance: float = 0.8
    max_depth: int = 10

    def __post_init__(self) -> None:
        _check(self)
        if self.max_depth < 1:
            raise InputError(f"max_depth is {self.max_depth}; give at least 1.")


def _check(settings: Sampling) -> None:
    for name in ("draws", "chains", "thin"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} is {getattr(settings, name)}; give at least 1.")
    if settings.burn_in < 0:
        raise InputError(f"burn_in is {settings.burn_in}; give zero or a positive whole number.")
    step = settings.step_size
    if step is not None and not (math.isfinite(step) and step > 0):
        raise InputError(f"step_size is {step}; give a positive number, or None and let it adapt.")
    if not 0 < settings.acceptance < 1:
        raise InputError(f"acceptance is {settings.acceptance}; give a probability between 0 and 1, such as 0.8.")
    if settings.adapt and not settings.burn_in:
        raise InputError("The step size adapts during the burn-in and burn_in is 0; give some, or set adapt to False.")
    if not settings.adapt and step is None:
        raise InputError("adapt is False and step_size is None; give a step size, or let it adapt.")

"""Schedules of stochastic-gradient samplers: the step size at each step, where noise is on, and which steps are kept.

A step size is h; the learning rate of the literature is h² (see `dynamics.py`). Cosines and sines below act on h².
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from surefoot.errors import InputError

__all__ = ["Constant", "Cyclical", "Pace", "Pacing", "SineDecay"]


class Pace(NamedTuple):
    """How one step is taken: h, and what the noise's standard deviation is multiplied by (one for sampling)."""

    step: float
    noise: float


@runtime_checkable
class Pacing(Protocol):
    """The course of a run, step 0 to `steps` − 1."""

    @property
    def steps(self) -> int:
        """How many steps the run takes."""
        ...

    @property
    def settled(self) -> int:
        """The first step after burn-in: from here on a preconditioner may be frozen."""
        ...

    @property
    def draws(self) -> int:
        """How many steps are kept."""
        ...

    def at(self, step: int) -> Pace: ...

    def keeps(self, step: int) -> bool:
        """Whether the position after this step is a draw."""
        ...


@dataclass(frozen=True)
class Constant:
    """One step size for all draws, reached along half a cosine during burn-in.

        h²_t = h² + (h₀² − h²) · ½ (1 + cos(π t / burn_in))    t < burn_in;  h² after

    draws: how many are kept. step: h. burn_in: steps that are not kept. thin: steps from one draw to the next.
    first: h₀, where burn-in starts; h itself when absent.

    Source: Izmailov et al. (2021), What are Bayesian neural network posteriors really like?, app. on SGMCMC.

    Raises `InputError` for numbers out of range.

    >>> course = Constant(draws=2, step=0.1, burn_in=4, thin=3, first=0.3)
    >>> [round(course.at(step).step ** 2, 3) for step in (0, 2, 4, 9)], [t for t in range(10) if course.keeps(t)]
    ([0.09, 0.05, 0.01, 0.01], [6, 9])
    """

    draws: int
    step: float
    burn_in: int = 0
    thin: int = 1
    first: float | None = None

    def __post_init__(self) -> None:
        _counts(draws=self.draws, thin=self.thin)
        _steps(self.step, self.first)
        if self.burn_in < 0:
            raise InputError(f"burn_in is {self.burn_in}; give a number of steps, or 0.")

    @property
    def steps(self) -> int:
        return self.burn_in + self.draws * self.thin

    @property
    def settled(self) -> int:
        return self.burn_in

    def at(self, step: int) -> Pace:
        if self.first is None or step >= self.burn_in:
            return Pace(self.step, 1.0)
        last = self.step**2
        return Pace(math.sqrt(last + (self.first**2 - last) * _half_cosine(step / self.burn_in)), 1.0)

    def keeps(self, step: int) -> bool:
        return step >= self.burn_in and (step - self.burn_in + 1) % self.thin == 0


@dataclass(frozen=True)
class Cyclical:
    """Cycles that fall from a large step to nothing: explore without noise, then sample with it.

        h²(r) = h² · ½ (1 + cos π r)        r = share of the cycle that is over; no noise while r < explore
        draws after r_k = explore + k (latest − explore) / samples        k = 1 … samples

    Source: Zhang et al. (2020), Cyclical stochastic gradient MCMC for Bayesian deep learning, eq. 1 and alg. 1.

    Where we depart: published code places the last draw of a cycle at r = 1, where h² is zero and several draws would
    be nearly one; `latest` ends sampling before, by default at r = 0.9 with 2.4 % of the first rate. latest=1.0
    gives the published thresholds.

    step: h at the start of each cycle. cycle: steps of a cycle. cycles: how many. samples: draws of each cycle.
    explore: the share without noise. burn_in: steps at the constant h, with noise, before the first cycle.

    Raises `InputError` for numbers out of range, and when two draws of a cycle would be the same step.

    >>> course = Cyclical(step=1.0, cycle=20, cycles=2, samples=2)
    >>> [t for t in range(40) if course.keeps(t)], [course.at(t).noise for t in (0, 4, 5, 19, 20)]
    ([11, 17, 31, 37], [0.0, 0.0, 1.0, 1.0, 0.0])
    """

    step: float
    cycle: int
    cycles: int
    samples: int = 1
    explore: float = 0.25
    latest: float = 0.9
    burn_in: int = 0

    def __post_init__(self) -> None:
        _counts(cycle=self.cycle, cycles=self.cycles, samples=self.samples)
        _steps(self.step)
        if self.burn_in < 0:
            raise InputError(f"burn_in is {self.burn_in}; give a number of steps, or 0.")
        if not 0 <= self.explore < self.latest <= 1:
            raise InputError(
                f"explore is {self.explore} and latest {self.latest}; give shares of a cycle with "
                "0 ≤ explore < latest ≤ 1."
            )
        if len(set(self._kept())) < self.samples:
            raise InputError(
                f"A cycle of {self.cycle} steps has no {self.samples} different steps to draw after; take longer "
                "cycles or fewer samples."
            )

    @property
    def steps(self) -> int:
        return self.burn_in + self.cycle * self.cycles

    @property
    def settled(self) -> int:
        return self.burn_in

    @property
    def draws(self) -> int:
        return self.cycles * self.samples

    def at(self, step: int) -> Pace:
        if step < self.burn_in:
            return Pace(self.step, 1.0)
        share = (step - self.burn_in) % self.cycle / self.cycle
        return Pace(self.step * math.sqrt(_half_cosine(share)), 0.0 if share < self.explore else 1.0)

    def keeps(self, step: int) -> bool:
        return step >= self.burn_in and (step - self.burn_in) % self.cycle in self._kept()

    def _kept(self) -> list[int]:
        spacing = (self.latest - self.explore) / self.samples
        shares = [self.explore + number * spacing for number in range(1, self.samples + 1)]
        # Rounded first: a share such as 0.35 + 0.55 is a hair above 0.9, and its ceiling would be one step late.
        return [math.ceil(round(share * self.cycle, 9)) - 1 for share in shares]


@dataclass(frozen=True)
class SineDecay:
    """One draw, at the end of a run that cools: constant, then a quarter of a sine down to nothing.

        h²_t = h² (t < steps/2),  h² sin(π t / steps) (after)
        noise² × clip(3 t / steps − 1, 0, 1)        with warm_up: none in the first third, all in the last

    Source: Marek et al. (2024), Can a confident prior replace a cold posterior?, app. on SGHMC (its published code).

    step: h. warm_up: whether the noise (their temperature) is warmed up; without, it is on throughout. The run has as
    many chains as draws are wanted.

    >>> course = SineDecay(step=0.1, steps=12)
    >>> [round(course.at(t).step, 3) for t in (0, 6, 11)], [course.at(t).noise for t in (3, 6, 8)], course.keeps(11)
    ([0.1, 0.1, 0.051], [0.0, 0.7071067811865476, 1.0], True)
    """

    step: float
    steps: int
    warm_up: bool = True

    def __post_init__(self) -> None:
        _counts(steps=self.steps)
        _steps(self.step)

    @property
    def settled(self) -> int:
        return self.steps // 2

    @property
    def draws(self) -> int:
        return 1

    def at(self, step: int) -> Pace:
        share = step / self.steps
        fall = 1.0 if share < 0.5 else math.sin(math.pi * share)
        noise = math.sqrt(min(max(3 * share - 1, 0.0), 1.0)) if self.warm_up else 1.0
        return Pace(self.step * math.sqrt(fall), noise)

    def keeps(self, step: int) -> bool:
        return step == self.steps - 1


def _half_cosine(share: float) -> float:
    """From one at 0 to zero at 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}; give at least 1.")


def _steps(*steps: float | None) -> None:
    for step in steps:
        if step is not None and not (math.isfinite(step) and step > 0):
            raise InputError(f"The step size is {step}; give a positive number (the square root of a learning rate).")

"""Step sizes that adapt: a first guess, and dual averaging towards an acceptance probability."""

import math
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.inference.hamiltonian.state import State, accept_probability, energy_gain, evaluate, kinetic, leapfrog
from surefoot.inference.hamiltonian.streams import momenta
from surefoot.inference.targets.target import Target

__all__ = ["Averaging", "FirstStep", "averaged", "begin_averaging", "first_step"]

SHRINKAGE = 0.05  # γ, how strongly steps are held near their centre
STABLE = 10.0  # t₀, iterations whose weight the first ones share
FORGETTING = 0.75  # κ, how fast early steps leave the average
SMALLEST = 1e-12


class Averaging(NamedTuple):
    """Dual averaging so far. step: to use next. average: to use for good. Both are steps, not their logarithms."""

    step: float
    average: float
    centre: float
    shortfall: float
    iterations: int


class FirstStep(NamedTuple):
    """A step size, and the gradients it took to find (of all chains at once)."""

    step: float
    gradients: int


def begin_averaging(step: float) -> Averaging:
    """Before the first iteration, which uses `step`; centred on ten times that, to try long steps early."""
    return Averaging(step=step, average=1.0, centre=math.log(10 * step), shortfall=0.0, iterations=0)


def averaged(state: Averaging, acceptance: float, aim: float) -> Averaging:
    """One iteration more, whose acceptance probability was `acceptance`.

        H̄ₜ = (1 − 1/(t+t₀)) H̄ₜ₋₁ + (aim − acceptance)/(t+t₀)
        log εₜ₊₁ = μ − (√t/γ) H̄ₜ          log ε̄ₜ = t^−κ log εₜ₊₁ + (1 − t^−κ) log ε̄ₜ₋₁

    Source: Hoffman & Gelman (2014), The no-U-turn sampler, eq. 6 and algorithm 5, with their γ, t₀ and κ (after
    Nesterov 2009). With several chains `acceptance` is their mean: one step for all, with less noise than one chain's.

    >>> state = begin_averaging(0.1)
    >>> for _ in range(200):  # acceptance falls with the step: it is 0.8 at 0.2
    ...     state = averaged(state, 1 - state.step, 0.8)
    >>> round(state.average, 2)
    0.2
    """
    count = state.iterations + 1
    weight = 1 / (count + STABLE)
    shortfall = (1 - weight) * state.shortfall + weight * (aim - acceptance)
    log_step = state.centre - math.sqrt(count) / SHRINKAGE * shortfall
    # Bounds keep exp from overflowing where every step is accepted; no sampler uses so long or so short a step.
    log_step = min(max(log_step, math.log(SMALLEST)), -math.log(SMALLEST))
    share = count**-FORGETTING
    log_average = share * log_step + (1 - share) * math.log(state.average)
    return Averaging(math.exp(log_step), math.exp(log_average), state.centre, shortfall, count)


def first_step(target: Target, start: State, seed: int, *, guess: float = 0.1) -> FirstStep:
    """A step size whose single leapfrog step is accepted about half the time: doubled or halved until it crosses that.

    Source: Hoffman & Gelman (2014), algorithm 4. With several chains, the mean of their acceptance probabilities.

    Raises `InputError` when no step is short enough.
    """
    momentum = momenta(start.position, seed, 0)
    before = kinetic(momentum)

    def acceptance(step: float) -> float:
        position, moved, gradient = start.position.clone(), momentum.clone(), start.gradient.clone()
        leapfrog(target, position, moved, gradient, step, 1)
        gain = energy_gain(start.terms, before, evaluate(target, position), kinetic(moved))
        return float(accept_probability(gain).mean())

    step, gradients = guess, 1
    growing = acceptance(step) > 0.5
    while True:
        following = step * 2 if growing else step / 2
        if following < SMALLEST:
            raise InputError(
                f"No step size from {guess} down to {SMALLEST} keeps the energy near the start; start elsewhere, use "
                "float64, or look for a density whose gradient is not its gradient."
            )
        gradients += 1
        if (acceptance(following) > 0.5) != growing or following > 1e3:
            return FirstStep(step if growing else following, gradients)
        step = following

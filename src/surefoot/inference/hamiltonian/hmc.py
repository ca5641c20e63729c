"""Hamiltonian Monte Carlo: every chain follows a trajectory of fixed length, then a Metropolis test."""

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.course import Keeping, run_course
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.hamiltonian.state import (
    RUNAWAY,
    State,
    accept_probability,
    begin,
    chosen,
    energy_gain,
    evaluate,
    kinetic,
    leapfrog,
)
from surefoot.inference.hamiltonian.streams import Purpose, momenta, uniforms
from surefoot.inference.hamiltonian.tally import Transition
from surefoot.inference.targets.target import Target
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent

__all__ = ["Hmc", "hmc", "trajectory_steps"]


def hmc(
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Hmc,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    save_every: float = 30.0,
    progress: Progress = silent,
) -> Chains:
    """Draws of exp(log density) by Hamiltonian trajectories, from one start for each chain.

        m ~ N(0, I);  (u', m') = leapfrog(u, m; ε, L), Lε = τ(1 + jitter·U(−1, 1));  accept with min(1, exp(H − H'))

    start: named tensors `[chains, …]` or positions. seen: the sources of every row of the target. folder: where shards
    and the checkpoint go, resumed from when it holds one; None keeps everything in memory. save_every: seconds.
    The statistics of each draw are log_likelihood, log_prior and energy (H with the fresh momentum) in nats,
    accept_probability, accepted, divergent, step_size and leapfrogs.

    Source: Duane et al. (1987); Neal (2011), sec. 3; as set up in Izmailov et al. (2021), What are Bayesian neural
    network posteriors really like?, alg. 1, with τ a quarter period of the prior oscillator.

    - All chains move as one batch. So ε and the number of steps L are the same for all of them (one chain that needs a
      shorter step shows as low acceptance in its slice), and adaptation sees the mean acceptance of all chains.
    - L is τ/ε rounded up and ε is then shortened to fit, so a trajectory lasts exactly as long as it should.
    - A rejected chain's next draw is where it stands. Izmailov et al. average accepted proposals only, which is biased.
    - The burn-in has the Metropolis test too. Without it (theirs) a burn-in cannot get stuck, but it can run away; a
      start that rejects everything is an error here, which suggests a step.
    - A trajectory is divergent when its energy is not finite, which rejects it, or is off by over 1,000 nats.

    Raises `InputError` when a start does not fit or is where the density is not finite, trajectories need more than
    `max_leapfrogs` steps or less than one, nothing is accepted, or the folder is another run's or finished.

    >>> from dataclasses import dataclass
    >>> from surefoot.inference.targets.target import Terms
    >>> @dataclass
    ... class Normal:
    ...     size = 2; quarter = math.pi / 2; dtype = torch.float64
    ...     def gradient(self, position, out): torch.neg(position, out=out)
    ...     def terms(self, position): return Terms(torch.zeros(len(position)).double(), -position.square().sum(1) / 2)
    ...     def parameters(self, position): return {"u": position.clone()}
    ...     def position(self, parameters): return parameters["u"]
    >>> drawn = hmc(Normal(), torch.zeros(4, 2).double(), 0, Hmc(draws=250, burn_in=50), seen=frozenset())
    >>> draws = drawn.as_draws().parameters["u"]
    >>> draws.shape, bool((draws.var(0) - 1).abs().max() < 0.2)
    (torch.Size([1000, 2]), True)
    """
    trajectory = target.quarter if settings.trajectory is None else settings.trajectory
    _check(settings, trajectory)

    def move(state: State, step: float, iteration: int) -> Transition:
        return _transition(target, state, step, iteration, seed, settings, trajectory)

    begun = begin(target, start, settings.chains)
    keeping = Keeping(folder, save_every, seen, progress)
    return run_course("hmc", target, begun, seed, settings, move, keeping, longest=trajectory)


def trajectory_steps(trajectory: float, step: float, most: int) -> tuple[int, float]:
    """How many leapfrog steps, and of which size: they add up to `trajectory`, and none is longer than `step`.

    More than `most` are cut to `most` steps of `step`, which end early.

    >>> trajectory_steps(1.0, 0.3, 10), trajectory_steps(1.0, 0.3, 2)
    ((4, 0.25), (2, 0.3))
    """
    count = max(1, math.ceil(trajectory / step))
    return (count, trajectory / count) if count <= most else (most, step)


def _transition(
    target: Target, state: State, step: float, iteration: int, seed: int, settings: Hmc, trajectory: float
) -> Transition:
    chains = settings.chains
    # One length for all chains, drawn apart from where they are: each chain's transition is then reversible.
    shift = 2 * float(uniforms(1, seed, iteration, Purpose.LENGTH)) - 1
    length = trajectory * (1 + settings.jitter * shift)
    count, size = trajectory_steps(length, step, settings.max_leapfrogs)

    momentum = momenta(state.position, seed, iteration)
    before = kinetic(momentum)
    position, gradient = state.position.clone(), state.gradient.clone()
    leapfrog(target, position, momentum, gradient, size, count)
    proposed = State(position, gradient, evaluate(target, position))

    gain = energy_gain(state.terms, before, proposed.terms, kinetic(momentum))
    probability = accept_probability(gain)
    accepted = uniforms(chains, seed, iteration, Purpose.ACCEPT) < probability
    return Transition(
        state=chosen(accepted, proposed, state),
        accept_probability=probability,
        accepted=accepted,
        divergent=~(gain.abs() <= RUNAWAY),
        energy=before - (state.terms.likelihood + state.terms.prior),
        step=size,
        leapfrogs=torch.full((chains,), count, dtype=torch.float64),
        cut=torch.full((chains,), size * count < length * (1 - 1e-9)),
        error=gain.abs(),
        gradients=count * chains,
    )


def _check(settings: Hmc, trajectory: float) -> None:
    step = settings.step_size
    if step is None:
        return
    if step > trajectory:
        raise InputError(
            f"step_size is {step:g}, longer than the trajectory of {trajectory:g}; give a shorter step, or a longer "
            "trajectory."
        )
    needed = math.ceil(trajectory * (1 + settings.jitter) / step)
    if not settings.adapt and needed > settings.max_leapfrogs:
        raise InputError(
            f"A trajectory of {trajectory:g} (jitter {settings.jitter:g}) takes {needed} steps of {step:g}, and "
            f"max_leapfrogs is {settings.max_leapfrogs}; raise it, lengthen the step or shorten the trajectory."
        )

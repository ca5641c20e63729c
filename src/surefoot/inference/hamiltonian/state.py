"""Where chains are, and the leapfrog steps that move them.

    H(u, m) = −log likelihood(u) − log prior(u) + ½‖m‖²         identity mass: u is whitened

Positions and gradients keep the target's precision. Energies are float64 and their differences are taken part by
part, likelihood, prior and kinetic: at 10⁵ nats a difference of float32 totals is off by 10⁻² nats, which is as much
as acceptance is about.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.small.protocol import WholeTrajectories
from surefoot.inference.targets.target import Target, Terms
from surefoot.networks.network import Parameters

__all__ = [
    "RUNAWAY",
    "State",
    "accept_probability",
    "begin",
    "chosen",
    "energy_gain",
    "evaluate",
    "gradient_steps",
    "kinetic",
    "leapfrog",
]


RUNAWAY = 1000.0  # nats of energy error that make a trajectory divergent


class State(NamedTuple):
    """Chains' positions, with what was computed there. terms are on the CPU."""

    position: Float[Tensor, "chains size"]
    gradient: Float[Tensor, "chains size"]
    terms: Terms


def begin(target: Target, start: Parameters | Float[Tensor, "chains size"], chains: int) -> State:
    """The state at the start, from named tensors `[chains, …]` or from positions.

    Raises `InputError` when there are not `chains` of them, or one is where the density or its gradient is not finite.
    """
    given = target.position(dict(start)) if isinstance(start, Mapping) else start
    position = given.detach().to(target.dtype, copy=True)
    if position.shape != (chains, target.size):
        raise InputError(
            f"The start has {position.shape[0]} chains of {position.shape[1]} numbers, and the settings and the target "
            f"{chains} of {target.size}; give one start for each chain."
        )
    gradient = torch.empty_like(position)
    target.gradient(position, gradient)
    terms = evaluate(target, position)
    for chain in range(chains):
        likelihood, prior = float(terms.likelihood[chain]), float(terms.prior[chain])
        if not torch.isfinite(terms.likelihood[chain] + terms.prior[chain]):
            raise InputError(
                f"Chain {chain + 1} starts where the log likelihood is {likelihood:g} and the log prior {prior:g} "
                "nats; start where both are finite."
            )
        if not bool(gradient[chain].isfinite().all()):
            raise InputError(
                f"Chain {chain + 1} starts where the gradient of the log density is not finite (likelihood "
                f"{likelihood:g}, prior {prior:g} nats); start elsewhere, or use float64."
            )
    return State(position, gradient, terms)


def evaluate(target: Target, position: Float[Tensor, "chains size"]) -> Terms:
    """The target's terms, on the CPU."""
    terms = target.terms(position)
    return Terms(terms.likelihood.detach().cpu(), terms.prior.detach().cpu())


def leapfrog(
    target: Target,
    position: Float[Tensor, "chains size"],
    momentum: Float[Tensor, "chains size"],
    gradient: Float[Tensor, "chains size"],
    step: float,
    count: int,
) -> None:
    """`count` leapfrog steps of size `step`, in place, with one gradient each.

        m ← m + ½ε∇    then count times:  u ← u + εm,  m ← m + ε∇(u)    (the last one by ½ε)

    The two half kicks that meet between steps are one. `gradient` is that of `position`, before and after. A target
    that offers whole trajectories runs them itself.

    Source: Neal (2011), MCMC using Hamiltonian dynamics, eq. 2.28–2.30.
    """
    if isinstance(target, WholeTrajectories):
        target.trajectory(position, momentum, gradient, step, count)
    else:
        gradient_steps(target, position, momentum, gradient, step, count)


def gradient_steps(
    target: Target,
    position: Float[Tensor, "chains size"],
    momentum: Float[Tensor, "chains size"],
    gradient: Float[Tensor, "chains size"],
    step: float,
    count: int,
) -> None:
    """`leapfrog` by the target's gradients alone, whatever else it offers: single steps are quicker without asking."""
    momentum.add_(gradient, alpha=step / 2)
    for left in range(count - 1, -1, -1):
        position.add_(momentum, alpha=step)
        target.gradient(position, gradient)
        momentum.add_(gradient, alpha=step if left else step / 2)


def kinetic(momentum: Float[Tensor, "chains size"]) -> Float64[Tensor, "chains"]:
    """½‖m‖² of each chain, summed in float64, on the CPU."""
    return torch.linalg.vector_norm(momentum, dim=1, dtype=torch.float64).square().div(2).cpu()


def energy_gain(
    before: Terms,
    kinetic_before: Float64[Tensor, "chains"],
    after: Terms,
    kinetic_after: Float64[Tensor, "chains"],
) -> Float64[Tensor, "chains"]:
    """H(before) − H(after) in nats, part by part: the log of Metropolis' ratio. NaN where an energy is."""
    likelihood = after.likelihood - before.likelihood
    return likelihood + (after.prior - before.prior) + (kinetic_before - kinetic_after)


def accept_probability(gain: Float64[Tensor, "chains"]) -> Float64[Tensor, "chains"]:
    """min(1, exp(gain)), Metropolis' rule; 0 where an energy was not finite.

    >>> accept_probability(torch.tensor([3.0, 0.0, float("nan"), float("inf")]).double()).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    return torch.where(gain.isfinite(), gain.clamp(max=0).exp(), 0.0)


def chosen(accepted: Bool[Tensor, "chains"], proposed: State, current: State) -> State:
    """The proposal where it was accepted; a rejected chain stays where it is, which is its next draw."""
    here = accepted[:, None].to(current.position.device)
    return State(
        torch.where(here, proposed.position, current.position),
        torch.where(here, proposed.gradient, current.gradient),
        Terms(
            torch.where(accepted, proposed.terms.likelihood, current.terms.likelihood),
            torch.where(accepted, proposed.terms.prior, current.terms.prior),
        ),
    )

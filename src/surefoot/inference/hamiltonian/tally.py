"""What a sampler counts as it goes, and what it says in the end."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Direction, Finding
from surefoot.inference.hamiltonian.settings import Sampling
from surefoot.inference.hamiltonian.state import State

__all__ = ["Tally", "Transition", "check_moved", "counted", "diagnostics", "empty_tally", "statistics"]


class Transition(NamedTuple):
    """One iteration of every chain.

    state: where they are now. accept_probability: mean of min(1, exp(H before − H)) over what was proposed. accepted:
    whether a chain moved. divergent: whether its energy ran away. energy: H with the new momentum, before the
    trajectory, in nats (E-BFMI reads it). step: the ε that was used. leapfrogs: how many steps. cut: whether the
    trajectory ended at the limit set for it rather than where it should. error: |H − H before| in nats, at the end of
    the trajectory or the smallest on it; not finite where the energy was not. gradients: evaluated, of all chains
    together. depth: doublings (NUTS).
    """

    state: State
    accept_probability: Float64[Tensor, "chains"]
    accepted: Bool[Tensor, "chains"]
    divergent: Bool[Tensor, "chains"]
    energy: Float64[Tensor, "chains"]
    step: float
    leapfrogs: Float64[Tensor, "chains"]
    cut: Bool[Tensor, "chains"]
    error: Float64[Tensor, "chains"]
    gradients: int
    depth: Float64[Tensor, "chains"] | None = None


@dataclass(frozen=True)
class Tally:
    """Sums for each chain, after burn-in unless said otherwise.

    energy, energy_mean, energy_squares, energy_moved: the last energy E_n, the mean of all, Σ(E − Ē)² by Welford's
    recurrence, and Σ(E_n − E_{n−1})². iterations: how many. gradients: all of them, of all chains. log_error, errors:
    the sum of the logarithms of the finite energy errors of all proposals that were rejected, and how many these were.
    """

    probability: Float64[Tensor, "chains"]
    accepted: Float64[Tensor, "chains"]
    divergent: Float64[Tensor, "chains"]
    leapfrogs: Float64[Tensor, "chains"]
    cut: Float64[Tensor, "chains"]
    depth: Float64[Tensor, "chains"]
    burn_in_accepted: Float64[Tensor, "chains"]
    burn_in_divergent: Float64[Tensor, "chains"]
    energy: Float64[Tensor, "chains"]
    energy_mean: Float64[Tensor, "chains"]
    energy_squares: Float64[Tensor, "chains"]
    energy_moved: Float64[Tensor, "chains"]
    iterations: int
    gradients: int
    log_error: float
    errors: int

    def record(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dict(vars(self))


def empty_tally(chains: int, gradients: int) -> Tally:
    """Nothing yet but the gradients of the start."""
    sums = [torch.zeros(chains, dtype=torch.float64) for _ in range(12)]
    return Tally(*sums, iterations=0, gradients=gradients, log_error=0.0, errors=0)


def counted(tally: Tally, moved: Transition, *, burning: bool) -> Tally:
    """One iteration more."""
    rejected = moved.error[moved.error.isfinite() & ~moved.accepted]
    tally = replace(
        tally,
        gradients=tally.gradients + moved.gradients,
        log_error=tally.log_error + float(rejected.clamp(min=1e-6).log().sum()),
        errors=tally.errors + len(rejected),
    )
    if burning:
        return replace(
            tally,
            burn_in_accepted=tally.burn_in_accepted + moved.accepted,
            burn_in_divergent=tally.burn_in_divergent + moved.divergent,
        )
    iterations = tally.iterations + 1
    off = moved.energy - tally.energy_mean
    mean = tally.energy_mean + off / iterations
    change = moved.energy - tally.energy if tally.iterations else torch.zeros_like(moved.energy)
    return replace(
        tally,
        energy=moved.energy,
        energy_mean=mean,
        energy_squares=tally.energy_squares + off * (moved.energy - mean),
        energy_moved=tally.energy_moved + change.square(),
        iterations=iterations,
        probability=tally.probability + moved.accept_probability,
        accepted=tally.accepted + moved.accepted,
        divergent=tally.divergent + moved.divergent,
        leapfrogs=tally.leapfrogs + moved.leapfrogs,
        cut=tally.cut + moved.cut,
        depth=tally.depth if moved.depth is None else tally.depth + moved.depth,
    )


def statistics(moved: Transition) -> dict[str, Float64[Tensor, "chains"]]:
    """What is kept beside each draw, in float64."""
    told = {
        "log_likelihood": moved.state.terms.likelihood,
        "log_prior": moved.state.terms.prior,
        "accept_probability": moved.accept_probability,
        "accepted": moved.accepted.double(),
        "divergent": moved.divergent.double(),
        "energy": moved.energy,
        "step_size": torch.full_like(moved.energy, moved.step),
        "leapfrogs": moved.leapfrogs,
    }
    return told if moved.depth is None else {**told, "tree_depth": moved.depth}


def check_moved(method: str, tally: Tally, accepted: Tensor, proposals: int, where: str, step: float) -> None:
    """Refuse to go on where no chain ever moved; the message suggests the next step size to try.

    An energy error grows with ε² while steps are stable, and one of a quarter nat is accepted four times of five. It
    grows without measure where they are not, so the suggestion is never less than a tenth of what was tried.
    """
    if bool(accepted.any()):
        return
    error = math.exp(tally.log_error / tally.errors) if tally.errors else math.inf
    seen = f"their geometric mean is {error:.3g} nats" if tally.errors else "none was finite"
    smaller = step * min(0.5, max(0.1, math.sqrt(0.25 / error)))
    raise InputError(
        f"{method} accepted none of its {proposals} proposals in the {where} with a step of {step:.3g}, for the energy "
        f"errors were too large ({seen}); try step_size={smaller:.2g}, or a target in float64 if that changes nothing."
    )


def diagnostics(method: str, settings: Sampling, tally: Tally, step: float) -> tuple[Finding, ...]:
    """What is known of how the draws were made; all of it is of the iterations after burn-in, unless named otherwise.

    acceptance: mean acceptance probability. accepted: the share of iterations that moved. divergences,
    burn_in_divergences: iterations whose energy ran away. step_size: what it was in the end. leapfrogs: mean steps of
    an iteration. gradients: all that were evaluated, burn-in and search for a step size included. cut_trajectories:
    the share that ended at the limit of their length. tree_depth: mean number of doublings (NUTS). ebfmi: of the
    energies of all iterations, kept or not (all: the worst chain's; 0 where the energy never changed), since energies
    of a thinned chain are nearly independent, however slowly it moves.
    """
    chains, iterations = settings.chains, settings.draws * settings.thin
    told: list[Finding] = []

    def tell(name: str, sums: Tensor, unit: str, direction: Direction, *, mean: bool) -> None:
        values = [float(value) / iterations if mean else float(value) for value in sums]
        total = sum(values) / chains if mean else sum(values)
        told.append(_finding(method, name, total, unit, direction, "all", iterations * chains, chains))
        for chain, value in enumerate(values, start=1):
            told.append(_finding(method, name, value, unit, direction, f"chain {chain}", iterations, 1))

    tell("acceptance", tally.probability, "proportion", "none", mean=True)
    tell("accepted", tally.accepted, "proportion", "none", mean=True)
    tell("divergences", tally.divergent, "iterations", "lower", mean=False)
    if settings.burn_in:
        tell("burn_in_divergences", tally.burn_in_divergent, "iterations", "lower", mean=False)
    tell("cut_trajectories", tally.cut, "proportion", "lower", mean=True)
    tell("leapfrogs", tally.leapfrogs, "steps", "none", mean=True)
    if bool(tally.depth.any()):
        tell("tree_depth", tally.depth, "doublings", "none", mean=True)
    if iterations > 1:
        fractions = (tally.energy_moved / tally.energy_squares).nan_to_num(nan=0.0).tolist()
        told.append(_finding(method, "ebfmi", min(fractions), "ratio", "higher", "all", iterations * chains, chains))
        for chain, value in enumerate(fractions, start=1):
            told.append(_finding(method, "ebfmi", value, "ratio", "higher", f"chain {chain}", iterations, 1))
    everything = (settings.burn_in + iterations) * chains
    told.append(_finding(method, "step_size", step, "whitened units", "none", "all", everything, chains))
    gradients = float(tally.gradients)
    told.append(_finding(method, "gradients", gradients, "evaluations", "none", "all", everything, chains))
    return tuple(told)


def _finding(
    method: str, name: str, value: float, unit: str, direction: Direction, where: str, count: int, chains: int
) -> Finding:
    return Finding(
        name=name,
        value=value,
        interval=None,
        count=count,
        clusters=chains,
        unit=unit,
        slice=where,
        direction=direction,
        subject=method,
        source="fit",
    )

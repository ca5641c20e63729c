"""The no-U-turn sampler: trajectories that grow until they turn back, and a draw from along each of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.course import Keeping, run_course
from surefoot.inference.hamiltonian.settings import Nuts
from surefoot.inference.hamiltonian.state import RUNAWAY, State, begin, energy_gain, evaluate, gradient_steps, kinetic
from surefoot.inference.hamiltonian.streams import Purpose, momenta, stream
from surefoot.inference.hamiltonian.tally import Transition
from surefoot.inference.targets.target import Target, Terms
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent

__all__ = ["Nuts", "nuts"]


def nuts(
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Nuts,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    save_every: float = 30.0,
    progress: Progress = silent,
) -> Chains:
    """Draws of exp(log density) by trajectories of no fixed length, from one start for each chain.

    A trajectory z₋ … z₊ around the current point doubles, forwards or backwards in time by a fair coin, until its
    ends turn towards each other,

        ρ·m₋ ≤ 0  or  ρ·m₊ ≤ 0        ρ = Σ of the trajectory's momenta,

    and the draw is one of its points z with probability proportional to exp(−H(z)), biased towards the latest half.
    Arguments and statistics are those of `hmc`, and tree_depth, the number of doublings. accept_probability is the
    mean of min(1, exp(H₀ − H(z))) over the points visited; accepted says whether the draw is another point.

    Source: Hoffman & Gelman (2014), alg. 3 and 6; Betancourt (2017), A conceptual introduction to Hamiltonian Monte
    Carlo, app. A.3 (multinomial draws, biased progressive between halves, ρ in the criterion).

    - Halves are also checked each with the nearest point of the other: ρ of a whole period may hide that it turned.
    - A point whose energy is over 1,000 nats above the first, or not finite, is divergent: it ends the trajectory, and
      the half it lies in is left out. Points far below are followed, since that is how a bad start is left.
    - Chains move one after another, for their trajectories differ; the step size is one for all, as in `hmc`.
    - Each point of a trajectory costs a gradient and a log density. `hmc` evaluates the density once an iteration.

    Raises `InputError` when a start does not fit or is where the density is not finite, nothing is accepted, or the
    folder is another run's or finished.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Normal:
    ...     size = 2; quarter = math.pi / 2; dtype = torch.float64
    ...     def gradient(self, position, out): torch.neg(position, out=out)
    ...     def terms(self, position): return Terms(torch.zeros(len(position)).double(), -position.square().sum(1) / 2)
    ...     def parameters(self, position): return {"u": position.clone()}
    ...     def position(self, parameters): return parameters["u"]
    >>> settings = Nuts(draws=150, burn_in=40, chains=2)
    >>> draws = nuts(Normal(), torch.zeros(2, 2).double(), 0, settings, seen=frozenset()).as_draws().parameters["u"]
    >>> draws.shape, bool(draws.mean(0).abs().max() < 0.25)
    (torch.Size([300, 2]), True)
    """

    def move(state: State, step: float, iteration: int) -> Transition:
        drawn = momenta(state.position, seed, iteration)
        walked = [
            _walk(target, _one(state, chain), drawn[chain : chain + 1], step, settings.max_depth, generator)
            for chain in range(settings.chains)
            for generator in [stream(seed, iteration, Purpose.TREE, chain)]
        ]
        return _joined(walked, step)

    begun = begin(target, start, settings.chains)
    return run_course("nuts", target, begun, seed, settings, move, Keeping(folder, save_every, seen, progress))


class Edge(NamedTuple):
    """One end of a trajectory of one chain."""

    position: Float[Tensor, "1 size"]
    momentum: Float[Tensor, "1 size"]
    gradient: Float[Tensor, "1 size"]


class Tree(NamedTuple):
    """A stretch of a trajectory. first and last are in the order of time; weight is log Σ exp(H₀ − H)."""

    first: Edge
    last: Edge
    total: Float[Tensor, "size"]
    weight: float
    chosen: State


class Walked(NamedTuple):
    state: State
    energy: float
    depth: int
    moved: bool
    cut: bool
    said: "Walk"


@dataclass
class Walk:
    """The trajectory of one chain in one iteration: what it is measured against, and what it met."""

    target: Target
    step: float
    generator: torch.Generator
    terms: Terms
    kinetic: Tensor
    leapfrogs: int = 0
    probability: float = 0.0
    error: float = math.nan
    divergent: bool = False

    def uniform(self) -> float:
        return float(torch.rand(1, generator=self.generator, dtype=torch.float64))


def _walk(
    target: Target,
    start: State,
    momentum: Float[Tensor, "1 size"],
    step: float,
    max_depth: int,
    generator: torch.Generator,
) -> Walked:
    """Double until the trajectory turns, runs away or is as long as allowed."""
    walk = Walk(target, step, generator, start.terms, kinetic(momentum))
    edge = Edge(start.position, momentum, start.gradient)
    tree = Tree(edge, edge, momentum[0], 0.0, start)
    depth, turned, moved = 0, False, False
    while depth < max_depth and not turned:
        forwards = walk.uniform() < 0.5
        grown = _grow(walk, tree.last if forwards else tree.first, 1 if forwards else -1, depth)
        depth += 1
        if grown is None:
            turned = True
            break
        chosen = tree.chosen
        if walk.uniform() < math.exp(min(0.0, grown.weight - tree.weight)):
            chosen, moved = grown.chosen, True
        earlier, later = (tree, grown) if forwards else (grown, tree)
        tree = _merged(earlier, later, chosen)
        turned = _turns(earlier, later)
    energy = float(walk.kinetic) - float(start.terms.likelihood + start.terms.prior)
    return Walked(tree.chosen, energy, depth, moved, cut=not turned, said=walk)


def _grow(walk: Walk, edge: Edge, direction: int, depth: int) -> Tree | None:
    """A stretch of 2^depth points that starts one step from `edge`; None when it turns back or runs away."""
    if depth == 0:
        return _point(walk, edge, direction)
    near = _grow(walk, edge, direction, depth - 1)
    if near is None:
        return None
    far = _grow(walk, near.last if direction > 0 else near.first, direction, depth - 1)
    if far is None:
        return None
    earlier, later = (near, far) if direction > 0 else (far, near)
    if _turns(earlier, later):
        return None
    share = math.exp(far.weight - _log_sum(near.weight, far.weight))
    return _merged(earlier, later, far.chosen if walk.uniform() < share else near.chosen)


def _point(walk: Walk, edge: Edge, direction: int) -> Tree | None:
    position, momentum, gradient = (tensor.clone() for tensor in edge)
    gradient_steps(walk.target, position, momentum, gradient, direction * walk.step, 1)
    terms = evaluate(walk.target, position)
    gain = float(energy_gain(walk.terms, walk.kinetic, terms, kinetic(momentum)))
    walk.leapfrogs += 1
    if not math.isfinite(gain):
        walk.divergent = True
        return None
    walk.probability += math.exp(min(0.0, gain))
    walk.error = abs(gain) if math.isnan(walk.error) else min(walk.error, abs(gain))
    if gain < -RUNAWAY:
        walk.divergent = True
        return None
    reached = Edge(position, momentum, gradient)
    return Tree(reached, reached, momentum[0], gain, State(position, gradient, terms))


def _turns(earlier: Tree, later: Tree) -> bool:
    """Whether two neighbouring stretches, or one of them with the nearest point of the other, turn back."""
    first, last = earlier.first.momentum[0], later.last.momentum[0]
    left, right = earlier.last.momentum[0], later.first.momentum[0]
    return (
        _turned(earlier.total + later.total, first, last)
        or _turned(earlier.total + right, first, right)
        or _turned(left + later.total, left, last)
    )


def _turned(total: Float[Tensor, "size"], first: Float[Tensor, "size"], last: Float[Tensor, "size"]) -> bool:
    return float(total @ first) <= 0 or float(total @ last) <= 0


def _merged(earlier: Tree, later: Tree, chosen: State) -> Tree:
    weight = _log_sum(earlier.weight, later.weight)
    return Tree(earlier.first, later.last, earlier.total + later.total, weight, chosen)


def _log_sum(one: float, other: float) -> float:
    high = max(one, other)
    return high + math.log1p(math.exp(min(one, other) - high))


def _one(state: State, chain: int) -> State:
    this = slice(chain, chain + 1)
    return State(state.position[this], state.gradient[this], Terms(*(part[this] for part in state.terms)))


def _joined(walked: list[Walked], step: float) -> Transition:
    def each(values: list[float] | list[int] | list[bool]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    states, said = [walk.state for walk in walked], [walk.said for walk in walked]
    return Transition(
        state=State(
            torch.cat([state.position for state in states]),
            torch.cat([state.gradient for state in states]),
            Terms(
                torch.cat([state.terms.likelihood for state in states]),
                torch.cat([state.terms.prior for state in states]),
            ),
        ),
        accept_probability=each([walk.probability / walk.leapfrogs for walk in said]),
        accepted=torch.tensor([walk.moved for walk in walked]),
        divergent=torch.tensor([walk.divergent for walk in said]),
        energy=each([walk.energy for walk in walked]),
        step=step,
        leapfrogs=each([walk.leapfrogs for walk in said]),
        cut=torch.tensor([walk.cut for walk in walked]),
        error=each([walk.error for walk in said]),
        gradients=sum(walk.leapfrogs for walk in said),
        depth=each([walk.depth for walk in walked]),
    )

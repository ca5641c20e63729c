"""Stochastic-gradient Langevin dynamics with and without momentum: one convention for all.

For a log density L(u) with an unbiased estimate ĝ of its gradient, a step of size h with momentum decay γ is

    p ← γ p + h G^−½ ĝ(u) + √(2 (1 − γ)) ξ        ξ ~ N(0, 1)
    u ← u + h G^−½ p                              p starts as N(0, 1);  G = 1 unless preconditioned

and targets exp L: noise is never scaled, temperatures live in the density. The learning rate of the literature is h²
(γ = 0 is SGLD with rate h²: u ← u + h² ĝ + √(2h²) ξ), and the friction is 1 − γ. `converters.py` translates.

What the step size costs. Where L is quadratic with curvature κ (in coordinates G^½ u) and ĝ has variance V around it,
the recursion can be solved:

    Var u = 1/κ · (1 + h² V / (2 (1 − γ))) / (1 − h² κ / (2 (1 + γ)))        stable for h² κ < 2 (1 + γ)

So discretisation and gradient noise each bias the variance by O(h²), one order in the learning rate; with exact
gradients it is right for every γ as h → 0. (Noise of √(1 − γ²), the exact Ornstein–Uhlenbeck refreshment, would leave
the variance (1 + γ)/2 times too small with this order of updates, however small h is.) No Metropolis test corrects it.

Two temperatures, both one when all is well, are measured at every draw, per coordinate:

    kinetic          ((p + p′)/2)²      p before, p′ after the step; 1 + h² V / (2 (1 − γ)): gradient noise alone
    configurational  −u · ĝ(u)          the virial; κ Var u: gradient noise and step size together

Source: Welling and Teh (2011), eq. 4; Chen et al. (2014), eq. 15; Wenzel et al. (2020), app. A.1 and its
temperature diagnostics. The stationary variance and the mean momentum are derived here and tested.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.checkpoint import identity
from surefoot.inference.langevin.findings import told, work
from surefoot.inference.langevin.gradients import make_gradients
from surefoot.inference.langevin.motion import Motion, rest
from surefoot.inference.langevin.schedules import Pacing
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.langevin.streams import Purpose, stream
from surefoot.inference.langevin.walks import BLOCK, Walk, make_walk
from surefoot.inference.start import check_room, fingerprint, positions_of, same_density
from surefoot.inference.targets.target import Target
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent

__all__ = ["sghmc", "sgld"]

CHECKPOINT_SECONDS = 10.0


def sgld(
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Sgld,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Sample by u ← u + h² ĝ + √(2h²) ξ; see `sghmc` for everything else.

    Source: Welling and Teh (2011), eq. 4, whose ε is 2h².
    """
    return _sample("sgld", target, start, seed, settings.as_sghmc(), seen, folder, progress)


def sghmc(
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Sghmc,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Sample by the dynamics of this module, all chains at once, each with rows and noise of its own.

    target: a `MinibatchTarget` when the settings name a batch; one with steps in machine code (a small network) takes
    many at once, with noise of its own streams. start: positions
    `[chains, size]`, or named tensors `[chains, …]`; copied. seen: the
    sources of the rows that the target was made of. folder: where draws are kept as they come; a run that was killed
    goes on from there and ends with the same numbers, bit for bit.

    Every draw carries `step_size`, `kinetic_temperature` and `configurational_temperature`. The diagnostics are the
    numbers of `steps`, `gradient_evaluations` (of all chains) and passes over the rows (`epochs`), and the mean of both
    temperatures: above one by more than their scatter, draws are too wide by about as much, and a smaller step or a
    larger batch is called for. Where noise was off or the momentum had no time to settle they say nothing.

    Raises `InputError` for a start or settings that do not fit the target, for a folder of another run or of a
    processor whose machine code draws other noise, for draws that would not fit into memory, and when a chain leaves
    the numbers (naming chain and step).

    >>> from surefoot.inference.langevin.schedules import Constant
    >>> from surefoot.inference.langevin.settings import Sghmc
    >>> from surefoot.inference.targets.target import Terms
    >>> class StandardNormal:
    ...     size, quarter, dtype = 2, 1.57, torch.float32
    ...     def gradient(self, position, out): torch.neg(position, out=out)
    ...     def terms(self, position):
    ...         return Terms(position.new_zeros(len(position)).double(), -position.double().square().sum(1) / 2)
    ...     def parameters(self, position): return {"u": position.clone()}
    ...     def position(self, parameters): return parameters["u"].clone()
    >>> settings = Sghmc(Constant(draws=50, step=0.3, burn_in=100, thin=20), decay=0.8)
    >>> chains = sghmc(StandardNormal(), torch.zeros(100, 2), 0, settings, seen=frozenset())
    >>> round(chains.as_draws().parameters["u"].var().item(), 1), chains.chains, chains.draws
    (1.0, 100, 50)
    """
    return _sample("sghmc", target, start, seed, settings, seen, folder, progress)


@dataclass(frozen=True)
class _Course:
    """How far a run is: the next step, and the sums of both temperatures over the draws so far."""

    step: int
    temperatures: Float[Tensor, "2"]


def _sample(
    name: str,
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Sghmc,
    seen: frozenset[str],
    folder: Path | None,
    progress: Progress,
) -> Chains:
    begun = positions_of(target, start)
    if folder is None:
        check_room(target, begun, settings.pacing.draws)
    gradients = make_gradients(target, len(begun), settings.batch, seed, settings.replacement)
    walk = make_walk(target, gradients, settings, seed)
    run = "" if folder is None else identity(name, settings, begun, seed, seen, type(walk).__name__)
    writer = ChainWriter(folder, run, chains=len(begun))
    motion, course = _begin(begun, seed, settings), _Course(0, torch.zeros(2, dtype=torch.float64))
    density = None if folder is None else fingerprint(target, begun)
    if writer.state is not None and density is not None:
        same_density(density, writer.state["density"], folder)
        _same_noise(walk.vectors, writer.state.get("vectors", walk.vectors), folder)
        course = _restore(motion, writer.state)

    saved = time.monotonic()
    while course.step < settings.pacing.steps:
        course = _block(target, walk, motion, settings.pacing, course, writer)
        if density is not None and time.monotonic() - saved >= CHECKPOINT_SECONDS:
            writer.checkpoint(_record(motion, course, density, walk.vectors))
            saved = time.monotonic()
        progress("sampling", course.step, settings.pacing.steps)
    return writer.finish(
        diagnostics=(*work(name, course.step, len(begun), gradients.share), *_heat(name, settings, course, motion)),
        seen=seen,
    )


def _begin(start: Float[Tensor, "chains size"], seed: int, settings: Sghmc) -> Motion:
    motion = rest(start, preconditioned=settings.preconditioner is not None)
    motion.momentum.normal_(generator=stream(seed, Purpose.MOMENTUM, 0, str(start.device)))
    return motion


def _block(target: Target, walk: Walk, motion: Motion, pacing: Pacing, course: _Course, writer: ChainWriter) -> _Course:
    """The steps up to the end of the block that `course.step` begins, and their draws."""
    first = course.step
    last = min(first + BLOCK, pacing.steps)
    # One sum a step and chain shows afterwards where a chain left the numbers, without waiting for a device each time.
    sums = motion.position.new_empty(last - first, len(motion.position))
    temperatures = course.temperatures.clone()
    for step, (kinetic, configurational) in walk(motion, first, last, sums):
        statistics = {
            "step_size": torch.full_like(kinetic, pacing.at(step).step),
            "kinetic_temperature": kinetic,
            "configurational_temperature": configurational,
        }
        temperatures += torch.stack([kinetic.double().mean(), configurational.double().mean()]).cpu()
        writer.append(target.parameters(motion.position), statistics)
    _require_finite(sums, first, pacing)
    return _Course(last, temperatures)


def _require_finite(sums: Float[Tensor, "steps chains"], first: int, pacing: Pacing) -> None:
    bad = (~sums.isfinite()).nonzero()
    if len(bad):
        step, chain = first + int(bad[0, 0]), int(bad[0, 1])
        size = pacing.at(step).step
        raise InputError(
            f"The position of chain {chain + 1} stopped being finite at step {step + 1} of {pacing.steps} (step size "
            f"{size:g}); try a step of {size / 2:g}, start nearer to a mode, and check that all inputs are finite."
        )


def _same_noise(now: int, saved: int, folder: Path | None) -> None:
    """Raise where the unfinished run drew noise that this machine would not go on with."""
    if now != saved:
        raise InputError(
            f"The unfinished run in {folder} drew noise by vectors of {saved} numbers and this processor draws by "
            f"{now}, which is other noise; go on with it on a processor like the first, or sample into another folder."
        )


def _record(motion: Motion, course: _Course, density: Tensor, vectors: int) -> dict[str, Any]:
    return {
        "vectors": vectors,
        "step": course.step,
        "temperatures": course.temperatures,
        "density": density,
        "position": motion.position,
        "momentum": motion.momentum,
        "preconditioner": None if motion.squares is None else [motion.squares, motion.scale],
    }


def _restore(motion: Motion, saved: dict[str, Any]) -> _Course:
    motion.position.copy_(saved["position"])
    motion.momentum.copy_(saved["momentum"])
    if motion.squares is not None and motion.scale is not None:
        squares, scale = saved["preconditioner"]
        motion.squares.copy_(squares)
        motion.scale.copy_(scale)
    return _Course(saved["step"], saved["temperatures"])


def _heat(name: str, settings: Sghmc, course: _Course, motion: Motion) -> tuple[Finding, ...]:
    """The mean of both temperatures over draws, chains and coordinates."""
    draws, count = settings.pacing.draws, settings.pacing.draws * motion.position.numel()
    kinetic, configurational = (course.temperatures / draws).tolist()
    return (
        told(name, "kinetic_temperature", kinetic, "temperature", count, len(motion.position)),
        told(name, "configurational_temperature", configurational, "temperature", count, len(motion.position)),
    )

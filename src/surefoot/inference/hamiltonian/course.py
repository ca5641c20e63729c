"""The course of a run: iterations, adaptation in the burn-in, draws kept, and a state that survives a kill.

What a method adds is a `Move`: one iteration of every chain, whose randomness (seed, iteration) determine. So a run
that resumes at any iteration continues with the same bits as one that was never interrupted, on the same machine and
number of threads.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.checkpoint import identity
from surefoot.inference.hamiltonian.adaptation import Averaging, averaged, begin_averaging, first_step
from surefoot.inference.hamiltonian.settings import Sampling
from surefoot.inference.hamiltonian.state import State
from surefoot.inference.hamiltonian.tally import (
    Tally,
    Transition,
    check_moved,
    counted,
    diagnostics,
    empty_tally,
    statistics,
)
from surefoot.inference.start import check_room, fingerprint, same_density
from surefoot.inference.targets.target import Target, Terms
from surefoot.progress import Progress

__all__ = ["Keeping", "Move", "run_course"]

Move: TypeAlias = Callable[[State, float, int], Transition]
"""(state, step size, iteration) → one iteration of every chain."""

ENOUGH = 10  # proposals without one acceptance, before a burn-in is given up


@dataclass(frozen=True)
class Keeping:
    """Where draws go. save_every: seconds between checkpoints of a folder; draws do not depend on it."""

    folder: Path | None
    save_every: float
    seen: frozenset[str]
    progress: Progress


class Course(NamedTuple):
    """How far a run is. step: the one in use."""

    iteration: int
    state: State
    step: float
    averaging: Averaging | None
    tally: Tally


def run_course(
    method: str,
    target: Target,
    start: State,
    seed: int,
    settings: Sampling,
    move: Move,
    keeping: Keeping,
    *,
    longest: float = math.inf,
) -> Chains:
    """Burn in, sample, keep; the chains. longest: what step sizes adapt to at most.

    Raises `InputError` when the seed is negative, draws without a folder would not fit into memory, the folder holds
    another run's checkpoint or finished chains, the target is not the one whose checkpoint it is, or no proposal was
    accepted in the burn-in or after it.
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    density = None
    if keeping.folder is None:
        check_room(target, start.position, settings.draws)
    else:
        density = fingerprint(target, start.position)
    run = identity(method, settings, seed, start.position, type(target).__qualname__, str(target.dtype), keeping.seen)
    writer = ChainWriter(keeping.folder, run, chains=settings.chains)
    if writer.state is None or density is None:
        course = _begin(target, start, seed, settings, longest)
    else:
        same_density(density, writer.state["density"], keeping.folder)
        course = _resumed(writer.state, start)
    total = settings.burn_in + settings.draws * settings.thin
    saved_at = time.monotonic()
    while course.iteration < total:
        course, moved = _advance(course, settings, move, longest)
        burning = course.iteration <= settings.burn_in
        if course.iteration == settings.burn_in and settings.chains * settings.burn_in >= ENOUGH:
            _check(method, course, settings, "burn-in")
        if not burning and (course.iteration - settings.burn_in) % settings.thin == 0:
            writer.append(target.parameters(course.state.position), statistics(moved))
        if density is not None and time.monotonic() - saved_at >= keeping.save_every:
            writer.checkpoint(_record(course, density))
            saved_at = time.monotonic()
        keeping.progress(f"sampling: {'burn-in' if burning else 'draws'}", course.iteration, total)
    _check(method, course, settings, "draws")
    return writer.finish(diagnostics=diagnostics(method, settings, course.tally, course.step), seen=keeping.seen)


def _begin(target: Target, start: State, seed: int, settings: Sampling, longest: float) -> Course:
    step, gradients = settings.step_size, 1
    if step is None:
        step, searched = first_step(target, start, seed)
        gradients, step = gradients + searched, min(step, longest)
    averaging = begin_averaging(step) if settings.adapt else None
    return Course(0, start, step, averaging, empty_tally(settings.chains, gradients * settings.chains))


def _advance(course: Course, settings: Sampling, move: Move, longest: float) -> tuple[Course, Transition]:
    """One iteration; the last one of the burn-in leaves the step that the averaging settled on."""
    iteration = course.iteration + 1
    moved = move(course.state, course.step, iteration)
    burning = iteration <= settings.burn_in
    tally = counted(course.tally, moved, burning=burning)
    step, averaging = course.step, course.averaging
    if burning and averaging is not None:
        averaging = averaged(averaging, float(moved.accept_probability.mean()), settings.acceptance)
        step = min(averaging.average if iteration == settings.burn_in else averaging.step, longest)
    return Course(iteration, moved.state, step, averaging, tally), moved


def _check(method: str, course: Course, settings: Sampling, where: str) -> None:
    burning = where == "burn-in"
    accepted = course.tally.burn_in_accepted if burning else course.tally.accepted
    proposals = settings.chains * (settings.burn_in if burning else settings.draws * settings.thin)
    check_moved(method, course.tally, accepted, proposals, where, course.step)


def _record(course: Course, density: Tensor) -> dict[str, Any]:
    return {
        "iteration": course.iteration,
        "position": course.state.position,
        "gradient": course.state.gradient,
        "terms": course.state.terms,
        "step": course.step,
        "averaging": course.averaging,
        "tally": course.tally.record(),
        "density": density,
    }


def _resumed(saved: dict[str, Any], start: State) -> Course:
    """The course at the last checkpoint."""
    state = State(saved["position"].to(start.position), saved["gradient"].to(start.position), Terms(*saved["terms"]))
    averaging = None if saved["averaging"] is None else Averaging(*saved["averaging"])
    return Course(saved["iteration"], state, saved["step"], averaging, Tally(**saved["tally"]))

"""The course of a training: the same steps whether or not it was interrupted, and a line of figures for each.

What is minimised at a step is the business of whoever calls (`imitate`, `reinforce`). Here are what they share: AdamW,
the learning rate of a step, gradients clipped by their norm, checkpoints, and the journal.

    rate(s) = peak · min(1, (s + 1)/warm_up) · schedule(s)        g ← g · min(1, clip/‖g‖)

Whatever a step draws comes from (seed, purpose, step): `step_seed`. So nothing of a generator is kept, and a run that
was killed ends with the weights, to the bit, of one that was not.

Source: Loshchilov & Hutter (2019), "Decoupled weight decay regularization", arXiv 1711.05101, alg. 2; Pascanu, Mikolov
& Bengio (2013), arXiv 1211.5063, alg. 1 (clipping by the norm).
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.checkpoint import load_checkpoint, save_checkpoint
from surefoot.inference.schedule import rate_at
from surefoot.inference.together import Together, check_alike
from surefoot.progress import Progress, silent
from surefoot.reason.journal import Journal, Line, alone_in, open_journal
from surefoot.reason.processes import summed_gradients
from surefoot.text.decoder import Decoder

__all__ = [
    "Course",
    "Keep",
    "Learnt",
    "Measure",
    "Moved",
    "Part",
    "Turn",
    "Update",
    "check_finite",
    "follow",
    "step_seed",
]

MOST_SUMS = 8
"""Sums that a part gives, at most."""
BEGUN = "all need the same start, settings, seed and data, and to see the same checkpoint."

Measure: TypeAlias = Callable[[Decoder, int], Mapping[str, float]]
"""(decoder, steps done) → figures for the line of the last step; none where nothing is due."""

Part: TypeAlias = Callable[[], Sequence[Tensor]]
"""Computes a part of a loss, and of other sums over what it is about."""


class Moved(NamedTuple):
    """One move of the weights. gradient: its norm, unclipped. sums: what the parts gave, added up; none of no part."""

    gradient: float
    sums: tuple[float, ...]


Update: TypeAlias = Callable[[Sequence[Part]], Moved]
"""One move of the weights. The parts of its loss add up; each is computed and followed backward in turn.

Nothing moves where there is no part. Where several processes train one decoder each takes some of the parts.
"""


class Turn(NamedTuple):
    """What a step has: its number, the decoder that learns, the lines of the steps before, and how to move."""

    step: int
    decoder: Decoder
    lines: tuple[Line, ...]
    update: Update
    together: Together | None = None

    @property
    def processes(self) -> int:
        """How many train this decoder: as many parts leave none of them idle."""
        return 1 if self.together is None else self.together.processes


@dataclass(frozen=True)
class Course:
    """How to walk. rate: the peak; warm_up: steps until it is reached; schedule: after which it stays, or falls to 0.

    decay: AdamW's, decoupled. clip: the largest norm of a gradient; 0 clips nothing.

    Raises `InputError` for numbers out of range.
    """

    steps: int
    rate: float = 3e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: int = 0
    decay: float = 0.0
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warm_up < 0:
            raise InputError(f"A course has {self.steps} steps and {self.warm_up} of warm-up; give at least 1 and 0.")
        if not 0 < self.rate < math.inf:
            raise InputError(f"The rate is {self.rate}; give a positive learning rate, such as 3e-4.")
        if not (0 <= self.decay < math.inf and 0 <= self.clip < math.inf):
            raise InputError(f"decay is {self.decay} and clip {self.clip}; give zero or a positive number for each.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"The betas are {self.betas}; give numbers from 0 up to, but not including, 1.")

    def rate_of(self, step: int) -> float:
        """The learning rate of a step.

        >>> [round(Course(10, rate=1.0, warm_up=2).rate_of(step), 2) for step in range(3)]
        [0.5, 1.0, 1.0]
        """
        rising = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return rising * rate_at(self.schedule, self.rate, step, self.steps)


@dataclass(frozen=True)
class Keep:
    """Where a training is kept. folder: of `checkpoint.safetensors` and `steps.jsonl`. every: steps between saves.

    One run at a time has a folder, by the lock on `.lock`.
    """

    folder: Path
    every: int = 25

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"A checkpoint every {self.every} steps was asked for; give at least 1.")


class Learnt(NamedTuple):
    """A trained decoder, and the figures of its steps."""

    decoder: Decoder
    lines: tuple[Line, ...]


def follow(
    start: Decoder,
    step: Callable[[Turn], Line],
    course: Course,
    run: str,
    *,
    keep: Keep | None = None,
    measure: Measure | None = None,
    progress: Progress = silent,
    stage: str = "learning",
    together: Together | None = None,
) -> Learnt:
    """Take all steps of a course, from where a killed run of the same making was. `start` stays as it is.

    step: does one step and returns its figures. run: the identity of all that decides the result; a folder of another
    run is refused. stage: what progress calls it; the figure that follows is the first of the step's line. together:
    this process, where several train one decoder; the first one writes what is kept, and is asked to `measure`.

    Raises `InputError` for a folder of another run, a damaged one and one that another run is writing now, for
    gradients, weights and figures that are not finite, and for processes that differ in what they do.
    """
    first = together is None or together.rank == 0
    decoder = copy.deepcopy(start)
    learnt = [each for each in decoder.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(learnt, course.rate, course.betas, weight_decay=course.decay)
    with ExitStack() as held:
        held.enter_context(alone_in(keep.folder if keep is not None and first else None))
        done = _resume(decoder, optimiser, run, keep)
        if together is not None:
            check_alike(together, f"{run} {done}", BEGUN)
        journal = open_journal(None if keep is None else keep.folder / "steps.jsonl", run, done, writes=first)
        held.callback(journal.close)
        for number in range(done, course.steps):
            update = _update(optimiser, learnt, course, number, together)
            turn = Turn(number, decoder, tuple(journal.lines), update, together)
            line: Line = {"step": float(number), **step(turn)}
            check_finite(line, number, course)
            if measure is not None and first:
                line.update(_measured(measure, decoder, number + 1))
            due = number + 1 == course.steps or (keep is not None and (number + 1) % keep.every == 0)
            if due:
                check_finite({"sum of weights": _sum_of(learnt)}, number, course)
            journal.append(line)
            if keep is not None and first and due:
                _save(decoder, optimiser, number + 1, run, keep, journal)
            progress(stage + _told(line), number + 1, course.steps)
    return Learnt(decoder, tuple(journal.lines))


def check_finite(figures: Mapping[str, float], step: int, course: Course) -> None:
    """Raise `InputError` where a figure of a step is no number: the training has run off."""
    off = [name for name, value in figures.items() if not math.isfinite(value)]
    if off:
        raise InputError(
            f"The {off[0]} of step {step} is {figures[off[0]]}: the training has run off; give a lower rate than "
            f"{course.rate:g}, a clip, or more steps of warm-up."
        )


def step_seed(seed: int, purpose: int, step: int) -> int:
    """A seed for what one step draws for one purpose. Raises `InputError` for a negative seed.

    >>> step_seed(0, 1, 2) == step_seed(0, 1, 2), step_seed(0, 1, 2) == step_seed(0, 2, 1)
    (True, False)
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    return int(np.random.SeedSequence([seed, purpose, step]).generate_state(1, np.uint64)[0] >> 1)


def _update(
    optimiser: torch.optim.Optimizer,
    learnt: list[torch.nn.Parameter],
    course: Course,
    step: int,
    together: Together | None,
) -> Update:
    for group in optimiser.param_groups:
        group["lr"] = course.rate_of(step)

    def update(parts: Sequence[Part]) -> Moved:
        optimiser.zero_grad()  # to None: without a part, no tensor has a gradient and Adam leaves all as they are
        mine = parts if together is None else parts[together.rank :: together.processes]
        sums = torch.zeros(MOST_SUMS, dtype=torch.float64)
        for part in mine:
            given = part()
            torch.autograd.backward(given[0])
            sums[: len(given)] += torch.stack([each.detach().double().cpu() for each in given])
        if together is not None and parts:
            sums = summed_gradients(together, learnt, sums)
        norm = float(torch.nn.utils.clip_grad_norm_(learnt, course.clip if course.clip else math.inf))
        check_finite({"gradient": norm}, step, course)
        optimiser.step()
        return Moved(norm, tuple(sums.tolist()) if parts else ())

    return update


def _measured(measure: Measure, decoder: Decoder, done: int) -> Mapping[str, float]:
    found = measure(decoder, done)
    odd = [name for name, value in found.items() if not math.isfinite(value)]
    if odd:
        raise InputError(
            f"The measure {odd[0]} after {done} steps is {found[odd[0]]}; let `measure` leave out what has no value."
        )
    return found


def _sum_of(learnt: Sequence[torch.nn.Parameter]) -> float:
    return sum(float(each.detach().double().abs().sum()) for each in learnt)


def _resume(decoder: Decoder, optimiser: torch.optim.Optimizer, run: str, keep: Keep | None) -> int:
    saved: Any = None if keep is None else load_checkpoint(keep.folder / "checkpoint.safetensors", run)
    if saved is None:
        return 0
    decoder.load_state_dict(saved["weights"])
    optimiser.load_state_dict({"state": saved["optimiser"], "param_groups": optimiser.state_dict()["param_groups"]})
    return int(saved["step"])


def _save(
    decoder: Decoder, optimiser: torch.optim.Optimizer, done: int, run: str, keep: Keep, journal: Journal
) -> None:
    journal.settle()
    state = {"step": done, "weights": dict(decoder.state_dict()), "optimiser": optimiser.state_dict()["state"]}
    save_checkpoint(keep.folder / "checkpoint.safetensors", run, state)


def _told(line: Line) -> str:
    told = [f"{name} {value:.3g}" for name, value in line.items() if name != "step"]
    return f": {told[0]}" if told else ""

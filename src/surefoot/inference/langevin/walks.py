"""How a run takes its steps: one after another through torch, or many at once in machine code.

Both take the same steps (`dynamics.py`) on the same rows. Their noise comes from different generators, so draws agree
in distribution and not in numbers. Which of them a run takes follows from its target and settings.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.inference.langevin.gradients import Gradients
from surefoot.inference.langevin.minibatches import Minibatches, batches_between
from surefoot.inference.langevin.motion import Motion, adapt, advance
from surefoot.inference.langevin.settings import Sghmc
from surefoot.inference.langevin.streams import Purpose, key_of, stream
from surefoot.inference.small.protocol import WholeSteps
from surefoot.inference.targets.target import Target

__all__ = ["BLOCK", "Heat", "Walk", "make_walk"]

BLOCK = 256
"""Steps that share one stream of torch's noise, and at most as many are taken at once; checkpoints fall between."""


class Heat(NamedTuple):
    """Both temperatures of a step, as means over coordinates (see `dynamics.py`)."""

    kinetic: Float[Tensor, "chains"]
    configurational: Float[Tensor, "chains"]


@runtime_checkable
class Walk(Protocol):
    """Takes the steps of one block, or of its beginning, and stops after each one that is kept."""

    @property
    def vectors(self) -> int:
        """Numbers in the vectors that noise is drawn by, where it depends on them; 0 where it does not."""
        ...

    def __call__(
        self, motion: Motion, first: int, last: int, sums: Float[Tensor, "steps chains"]
    ) -> Iterator[tuple[int, Heat]]:
        """Steps `first`, where a block begins, to `last` − 1: the number and temperatures of each that is kept.

        sums: room for Σ u after each step, which is finite where the chain is.
        """
        ...


def make_walk(target: Target, gradients: Gradients, settings: Sghmc, seed: int) -> Walk:
    """Many steps at once where the target can, rows come in batches and nothing adapts; one after another elsewhere."""
    batches = gradients.minibatches
    still = settings.preconditioner is None
    if batches is not None and still and isinstance(target, WholeSteps) and target.steps_whole:
        return AtOnce(target, batches, settings, seed)
    return OneByOne(gradients, settings, seed)


@dataclass(frozen=True)
class OneByOne:
    """A walk of gradients and updates by torch."""

    gradients: Gradients
    settings: Sghmc
    seed: int
    vectors: int = 0

    def __call__(
        self, motion: Motion, first: int, last: int, sums: Float[Tensor, "steps chains"]
    ) -> Iterator[tuple[int, Heat]]:
        pacing, decay, preconditioner = self.settings.pacing, self.settings.decay, self.settings.preconditioner
        device = str(motion.position.device)
        noise = stream(self.seed, Purpose.NOISE, first // BLOCK, device)
        augmentation = stream(self.seed, Purpose.AUGMENTATION, first // BLOCK, device)
        for step in range(first, last):
            self.gradients(step, motion.position, motion.gradient, augmentation)
            if preconditioner is not None and not (preconditioner.freeze and step >= pacing.settled):
                adapt(motion, preconditioner, step)
            kept = pacing.keeps(step)
            earlier = motion.momentum.clone() if kept else motion.momentum
            configurational = -(motion.position * motion.gradient).mean(dim=1) if kept else None
            advance(motion, pacing.at(step), decay, noise)
            torch.sum(motion.position, dim=1, out=sums[step - first])
            if configurational is not None:
                yield step, Heat(earlier.add_(motion.momentum).square().mean(dim=1) / 4, configurational)


@dataclass(frozen=True)
class AtOnce:
    """A walk of as many steps at a time as there are up to the next that is kept."""

    target: WholeSteps
    batches: Minibatches
    settings: Sghmc
    seed: int

    @property
    def vectors(self) -> int:
        """Those of the machine code."""
        return self.target.vectors

    def __call__(
        self, motion: Motion, first: int, last: int, sums: Float[Tensor, "steps chains"]
    ) -> Iterator[tuple[int, Heat]]:
        pacing, decay = self.settings.pacing, self.settings.decay
        key, size = key_of(self.seed, Purpose.NOISE), motion.position.shape[1]
        rows = batches_between(self.batches, first, last)
        wide = math.sqrt(2 * (1 - decay))
        paces = [(pace.step, pace.noise * wide) for pace in map(pacing.at, range(first, last))]
        moves = torch.tensor(paces, dtype=motion.position.dtype)
        begun = 0
        for done in range(1, last - first + 1):
            step = first + done - 1
            if step < last - 1 and not pacing.keeps(step):
                continue
            told = self.target.langevin(
                motion.position, motion.momentum, rows[:, begun:done], moves[begun:done], decay, key, first + begun
            )
            sums[begun:done] = told[:, :, 0].T
            begun = done
            if pacing.keeps(step):
                yield step, Heat(told[:, -1, 2] / size, -told[:, -1, 1] / size)

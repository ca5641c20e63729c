"""Minibatches in machine code: single gradients, and whole stretches of Langevin steps.

Rows are gathered from the facts of all rows, with coefficients N/B times theirs. A gradient is a step of length zero.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.inference.small.compile import Steps, compile_steps
from surefoot.inference.small.facts import sizes_of, slots_of
from surefoot.inference.small.sizes import Machine, Plan, make_plan
from surefoot.inference.small.steps import TOLD
from surefoot.inference.targets.mlp import MlpTarget

__all__ = ["BatchCode", "Room", "make_batch_code"]


@dataclass(frozen=True)
class Room:
    """What one thread's steps write to: position, momentum and gradient as the code lays them out, and its own."""

    arrays: Float[Tensor, "3 _"]
    facts: Float[Tensor, "_"]
    work: Float[Tensor, "_"]

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        return (*(array.data_ptr() for array in self.arrays), self.facts.data_ptr(), self.work.data_ptr())


@dataclass(frozen=True)
class BatchCode:
    """Code for one size of batch.

    known: the facts of all rows, coefficients times N/B. slots: where a position's numbers go; present: one there, zero
    in padding.
    """

    steps: Steps
    known: Float[Tensor, "_"]
    slots: Int[Tensor, "size"]
    present: Float[Tensor, "_"]

    def gradient(
        self, position: Float[Tensor, "size"], index: Int[Tensor, "batch"], out: Float[Tensor, "size"]
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ] of one chain, written to `out`; for one thread at a time."""
        arrays = self._own.arrays
        # A step of length zero leaves NaN behind, in padding too, where a gradient is not finite.
        arrays[:2].zero_()
        arrays[0].scatter_(0, self.slots, position)
        self.run(self._own, index[None], torch.zeros(1, 2, dtype=position.dtype), 0.0, (0, 0), 0, 0)
        torch.index_select(arrays[2], 0, self.slots, out=out)

    def run(
        self,
        room: Room,
        index: Int[Tensor, "steps batch"],
        paces: Float[Tensor, "steps 2"],
        decay: float,
        key: tuple[int, int],
        first: int,
        chain: int,
    ) -> Float[Tensor, "steps told"]:
        """Steps number `first`, … of one chain, of sizes and noise `paces`; what they told (see `steps_code`)."""
        told = torch.empty(len(index), TOLD, dtype=paces.dtype)
        index, paces = index.contiguous(), paces.contiguous()
        read = (told, self.known, index, paces, self.present)
        self.steps.call(*room.addresses, *(tensor.data_ptr() for tensor in read), decay, *key, first, chain, len(index))
        return told

    def make_room(self) -> Room:
        plan, real = self.steps.plan, self.known.dtype
        arrays = torch.zeros(3, plan.size, dtype=real)
        return Room(arrays, torch.zeros(plan.facts, dtype=real), torch.zeros(plan.work, dtype=real))

    @cached_property
    def _own(self) -> Room:
        return self.make_room()


def make_batch_code(base: MlpTarget, whole: Plan, known: Float[Tensor, "_"], machine: Machine, count: int) -> BatchCode:
    """Compile for batches of `count` rows. whole, known: the plan and the facts of all rows.

    A vector's width does not depend on the number of rows, so a row's numbers lie the same in both.
    """
    plan = make_plan(replace(sizes_of(base), rows=count), machine)
    scaled = known.clone()
    scaled[whole.labels :] *= base.rows / count
    slots, present = slots_of(base, plan), torch.zeros(plan.size, dtype=base.dtype)
    present[slots] = 1.0
    return BatchCode(compile_steps(plan, whole), scaled, slots, present)

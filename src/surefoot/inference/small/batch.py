"""Gradients of minibatches in machine code: the trajectory's code for as many rows, which one step of length zero runs.

Rows are gathered from the facts of all rows, with coefficients N/B times theirs. At batches of a hundred rows most of a
gradient by torch is the overhead of its calls: 64-50-50-10 on 128 rows takes a quarter of the time in machine code.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.inference.small.compile import Leapfrogs, compile_leapfrogs
from surefoot.inference.small.facts import sizes_of, slots_of
from surefoot.inference.small.sizes import Machine, Plan, make_plan
from surefoot.inference.targets.mlp import MlpTarget

__all__ = ["BatchCode", "make_batch_code"]


@dataclass(frozen=True)
class BatchCode:
    """Code for one size of batch, and its buffers.

    all_inputs, all_coefficients: of all rows, as their facts have them. inputs, coefficients: of the batch, views of
    `facts`, where the code reads them. scale: N/B. slots: where a position's numbers go. arrays: position, momentum and
    gradient, as the code lays them out; work: its own.
    """

    leapfrogs: Leapfrogs
    all_inputs: Float[Tensor, "all _"]
    all_coefficients: Float[Tensor, "kinds all"]
    inputs: Float[Tensor, "batch _"]
    coefficients: Float[Tensor, "kinds batch"]
    scale: float
    slots: Int[Tensor, "size"]
    arrays: tuple[Float[Tensor, "_"], Float[Tensor, "_"], Float[Tensor, "_"]]
    facts: Float[Tensor, "_"]
    work: Float[Tensor, "_"]

    def gradient(
        self, position: Float[Tensor, "size"], index: Int[Tensor, "batch"], out: Float[Tensor, "size"]
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ] of one chain, written to `out`."""
        at, momentum, slope = self.arrays
        torch.index_select(self.all_inputs, 0, index, out=self.inputs)
        torch.mul(self.all_coefficients.index_select(1, index), self.scale, out=self.coefficients)
        at.scatter_(0, self.slots, position)
        # A kick of length zero leaves NaN behind where a gradient is not finite.
        momentum.zero_()
        self.leapfrogs.call(*self._addresses, 0.0, 1)
        torch.index_select(slope, 0, self.slots, out=out)

    @cached_property
    def _addresses(self) -> tuple[int, int, int, int, int]:
        at, momentum, slope = (array.data_ptr() for array in self.arrays)
        return at, momentum, slope, self.facts.data_ptr(), self.work.data_ptr()


def make_batch_code(base: MlpTarget, whole: Plan, known: Float[Tensor, "_"], machine: Machine, count: int) -> BatchCode:
    """Compile for batches of `count` rows. whole, known: the plan and the facts of all rows.

    A vector's width does not depend on the number of rows, so a row's numbers lie the same in both.
    """
    plan = make_plan(replace(sizes_of(base), rows=count), machine)
    facts = torch.zeros(plan.facts, dtype=base.dtype)
    at, momentum, slope = torch.zeros(3, plan.size, dtype=base.dtype)
    return BatchCode(
        leapfrogs=compile_leapfrogs(plan),
        all_inputs=known[: whole.labels].view(whole.rows, -1),
        # Classes' coefficients, their sums and the functional form's: all of them rows of as many numbers.
        all_coefficients=known[whole.labels :].view(-1, whole.rows),
        inputs=facts[: plan.labels].view(plan.rows, -1)[:count],
        coefficients=facts[plan.labels :].view(-1, plan.rows)[:, :count],
        scale=base.rows / count,
        slots=slots_of(base, plan),
        arrays=(at, momentum, slope),
        facts=facts,
        work=torch.zeros(plan.work, dtype=base.dtype),
    )

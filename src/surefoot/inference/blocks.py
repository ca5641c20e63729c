"""Gradients of a batch as sums of blocks in one order: the same bits in one process and in several.

The last bits of a sum depend on its order, so that shares of two processes add up to other bits than those of three.
With `ascend(blocks=B)` every batch is cut into B blocks whatever the number of processes; each block's gradient is made
by itself, and all are added in the order of the blocks:

    ∇ = ((∇_1 + ∇_2) + ∇_3) + … + ∇_B

One process and any number up to B reach the same bits, on machines of one kind with as many threads each. B is a part
of what the run is: another B is another rounding. It costs B passes of smaller size, gradients travel B times, and the
optimiser takes its plain steps, not torch's fused ones, which round by the size of a tensor: so a network in shares
(`sharded.py`) has these bits too.

Source: Goldberg (1991), "What every computer scientist should know about floating-point arithmetic": additions are not
associative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn

from surefoot.density.batch import Batch
from surefoot.density.objective import Objective, Posterior
from surefoot.errors import InputError
from surefoot.inference.climb import Gradient, Loss
from surefoot.inference.together import Together, places_of, shares_of_loss, summed

__all__ = ["gradient_of_blocks", "losses_of_blocks"]


def losses_of_blocks(objective: Objective | Posterior, module: nn.Module, rows_total: int, blocks: int) -> list[Loss]:
    """What each of `blocks` parts of a batch adds to the loss of one process.

    Raises `InputError` as `share_of_loss` does, and for fewer than one block.
    """
    if blocks < 1:
        raise InputError(f"blocks is {blocks}; give at least 1.")
    return shares_of_loss(objective, module, rows_total, [Together(block, blocks) for block in range(blocks)])


def gradient_of_blocks(losses: Sequence[Loss], together: Together | None) -> Gradient:
    """The gradient of a step as the sum of those of its blocks, in their order, whoever makes them.

    The loss that it is given is not read. Raises `InputError` where there are more processes than blocks.
    """
    count = len(losses)
    own = range(count) if together is None else range(count)[together.part(count)]
    if together is not None and together.processes > count:
        raise InputError(
            f"There are {together.processes} processes and blocks={count}, so that some would have nothing to do; give "
            f"at least {together.processes} blocks."
        )

    def gradient(optimiser: torch.optim.Optimizer, loss: Loss, run: nn.Module, batch: Batch) -> Tensor:
        del loss
        learnt = [tensor for group in optimiser.param_groups for tensor in group["params"]]
        told = torch.zeros(count, 1 + len(learnt), dtype=torch.float64)
        made: dict[int, list[Tensor | None]] = {}
        for block in own:
            optimiser.zero_grad()
            value = losses[block](run, batch)
            if value.requires_grad:  # not where the block has no row
                value.backward()
            made[block] = [tensor.grad for tensor in learnt]
            line = [value.item(), *(float(tensor.grad is not None) for tensor in learnt)]
            told[block] = torch.tensor(line, dtype=torch.float64)
        if together is not None and together.processes > 1:
            told = summed(told.to(together.device)).cpu()  # others' lines are zeros here: nothing is rounded
        optimiser.zero_grad()
        used = [place for place, blocks in enumerate(told[:, 1:].sum(dim=0).tolist()) if blocks]
        for places in places_of(learnt, used):
            flat = {block: torch.cat([_flat(each[at], learnt[at]) for at in places]) for block, each in made.items()}
            parts = _in_order(flat, count, together).split([learnt[at].numel() for at in places])
            for at, part in zip(places, parts, strict=True):
                learnt[at].grad = torch.zeros_like(learnt[at])
                learnt[at].grad.copy_(part.view(learnt[at].shape))
        return _folded(list(told[:, 0])).to(learnt[0])

    return gradient


def _flat(gradient: Tensor | None, tensor: Tensor) -> Tensor:
    """In the order in which the tensor is read, whatever its layout."""
    return (torch.zeros_like(tensor) if gradient is None else gradient).reshape(-1)


def _in_order(flat: Mapping[int, Tensor], blocks: int, together: Together | None) -> Tensor:
    """The sum of all blocks' gradients in the order of the blocks. flat: those of this process, by their number."""
    if together is None or together.processes == 1:
        return _folded([flat[block] for block in range(blocks)])
    most = -(-blocks // together.processes)
    own = torch.stack([*flat.values(), *[torch.zeros_like(next(iter(flat.values())))] * (most - len(flat))])
    every = [torch.empty_like(own) for _ in range(together.processes)]
    distributed.all_gather(every, own)
    held = [range(blocks)[replace(together, rank=rank).part(blocks)] for rank in range(together.processes)]
    return _folded([every[rank][at] for rank, numbers in enumerate(held) for at in range(len(numbers))])


def _folded(parts: Sequence[Tensor]) -> Tensor:
    found = parts[0].clone()
    for part in parts[1:]:
        found += part
    return found

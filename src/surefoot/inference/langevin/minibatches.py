"""Which rows each chain sees at each step: every row once an epoch in an order of its own, or drawn with replacement.

What epoch e hands out depends on (seed, e) alone, so a run that resumes in the middle of one sees the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.langevin.streams import Purpose, stream

__all__ = ["Minibatches", "batches_between", "each_batch"]


@dataclass(frozen=True)
class Minibatches:
    """rows: N. batch: B, rows a step and chain. replacement: draw rows independently instead of shuffling them.

    An epoch is ⌊N/B⌋ full batches. Shuffled, the N mod B rows that would not fill another one are left out of that
    epoch, by chance and anew in each: every row is equally likely in every batch, so gradients stay unbiased, and
    all batches are of one size, so their noise is too.

    Raises `InputError` when a batch is not between one row and all of them.
    """

    rows: int
    batch: int
    chains: int
    seed: int
    replacement: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= self.rows:
            raise InputError(f"batch is {self.batch} of {self.rows} rows; give between 1 and all of them.")

    @property
    def per_epoch(self) -> int:
        return self.rows // self.batch


def each_batch(minibatches: Minibatches, first: int = 0, device: str = "cpu") -> Iterator[Int[Tensor, "chains batch"]]:
    """The batches of step `first`, the step after it, …, without end.

    >>> first, second = zip(range(2), each_batch(Minibatches(rows=4, batch=2, chains=1, seed=0)))
    >>> sorted([*first[1][0].tolist(), *second[1][0].tolist()])
    [0, 1, 2, 3]
    """
    epoch, place = divmod(first, minibatches.per_epoch)
    while True:
        order = _order(minibatches, epoch).to(device)
        for number in range(place, minibatches.per_epoch):
            yield order[:, number * minibatches.batch : (number + 1) * minibatches.batch]
        epoch, place = epoch + 1, 0


def batches_between(minibatches: Minibatches, first: int, last: int) -> Int[Tensor, "chains steps batch"]:
    """The batches of steps `first` … `last` − 1 together.

    >>> given = Minibatches(rows=9, batch=2, chains=3, seed=0)
    >>> batches_between(given, 3, 8).shape, torch.equal(batches_between(given, 3, 4)[:, 0], next(each_batch(given, 3)))
    (torch.Size([3, 5, 2]), True)
    """
    per_epoch, shape = minibatches.per_epoch, (minibatches.chains, minibatches.per_epoch, minibatches.batch)
    begun = first // per_epoch
    epochs = [_order(minibatches, epoch).reshape(shape) for epoch in range(begun, (last - 1) // per_epoch + 1)]
    return torch.cat(epochs, dim=1)[:, first - begun * per_epoch : last - begun * per_epoch]


def _order(minibatches: Minibatches, epoch: int) -> Int[Tensor, "chains used"]:
    generator = stream(minibatches.seed, Purpose.ORDER, epoch)
    used = minibatches.per_epoch * minibatches.batch
    if minibatches.replacement:
        return torch.randint(minibatches.rows, (minibatches.chains, used), generator=generator)
    orders = [torch.randperm(minibatches.rows, generator=generator) for _ in range(minibatches.chains)]
    return torch.stack(orders)[:, :used]

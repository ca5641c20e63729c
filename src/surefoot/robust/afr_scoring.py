"""Scores of AFR's states on the choose rows, and the best state of every setting."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.robust.head import Matrix
from surefoot.rows.rows import Groups
from surefoot.rows.streamed import FileFeatures

__all__ = ["Best", "Scores", "Scoring", "aligned", "blocks_of", "padded", "scoring_of", "start_of_best"]

BLOCK_BYTES = 2 * 2**20
"""What is read in one piece: small enough to stay in the cache until it is used again."""
ALIGNED = 16
"""Single-precision numbers in a cache line."""


class Scores(NamedTuple):
    """Worst-group and mean accuracy of several states of every setting."""

    worst: Float[Tensor, "states settings"]
    mean: Float[Tensor, "states settings"]


@dataclass(frozen=True)
class Scoring:
    """What the choose rows say: `read`, [rows, width], turns a state into the change of their logits.

    affine: behind what is read, a state holds a bias. counted, constant: right rows per group are constant + counted ·
    verdict, the last column being all rows. For two classes the verdict is "class 1", so that the rows of class 0 are
    counted negatively; for more it is "right".
    """

    read: Matrix
    affine: bool
    logits: Float[Tensor, "rows classes"]
    targets: Int[Tensor, "rows"]
    counted: Float[Tensor, "rows columns"]
    constant: Float[Tensor, "columns"]
    sizes: Float[Tensor, "columns"]

    def score(self, states: Float[Tensor, "states free settings width"]) -> Scores:
        """Every state of every setting; the first class wins where logits are equal."""
        number, free, count, _ = states.shape
        vectors, width = states.flatten(0, 2), self.read.shape[1]
        weight, bias = vectors[:, :width], vectors[:, width : width + 1]
        right = self.constant.expand(number * count, -1).clone()
        for rows in blocks_of(self.read):
            part = self.read[rows].T
            turn = torch.addmm(bias, weight, part) if self.affine else vectors @ part
            verdict = self._verdict(turn.view(number, free, count, -1), rows)
            right += (verdict @ self.counted[rows]).to(torch.float64)
        accuracy = (right / self.sizes).view(number, count, -1)
        return Scores(accuracy[:, :, :-1].amin(dim=2), accuracy[:, :, -1])

    def _verdict(
        self, turn: Float[Tensor, "states free settings block"], rows: slice
    ) -> Float[Tensor, "vectors block"]:
        """Ones and zeros; `turn` is written over."""
        logits, targets = self.logits[rows].T, self.targets[rows]
        if len(logits) == 2:
            # Class 1 where logit₀ + turn < logit₁ − turn.
            return turn[:, 0].lt_((logits[1] - logits[0]) / 2).flatten(0, 1)
        largest = logits[0] + turn[:, 0]
        right = (targets == 0).expand_as(largest)
        for label in range(1, len(logits)):
            value = logits[label] + (turn[:, label] if label < turn.shape[1] else -turn.sum(dim=1))
            right = torch.where(value > largest, targets == label, right)
            largest = torch.maximum(largest, value)
        return right.to(turn.dtype).flatten(0, 1)


def scoring_of(
    read: Float[Tensor, "filled width"] | FileFeatures,
    affine: bool,
    logits: Float[Tensor, "rows classes"],
    targets: Int[Tensor, "rows"],
    groups: Groups,
) -> Scoring:
    """Scoring by `groups`, each by its own rows, and by all rows; what is read may be filled up with zeros."""
    members = torch.cat([groups.members, torch.ones(len(targets), 1, dtype=torch.bool)], dim=1).to(logits.dtype)
    sizes = members.sum(dim=0, dtype=torch.float64)
    logits, targets, members = (padded(part, len(read)) for part in (logits, targets, members))
    if logits.shape[1] > 2:
        return Scoring(read, affine, logits, targets, members, torch.zeros_like(sizes), sizes)
    zero = (targets == 0)[:, None]
    constant = (members * zero).sum(dim=0, dtype=torch.float64)
    return Scoring(read, affine, logits, targets, torch.where(zero, -members, members), constant, sizes)


@dataclass
class Best:
    """The first of each setting's best states so far."""

    step: Int[Tensor, "settings"]
    worst: Float[Tensor, "settings"]
    mean: Float[Tensor, "settings"]
    state: Float[Tensor, "free settings width"]

    def update(self, states: Float[Tensor, "states free settings width"], scores: Scores, first: int) -> None:
        """Take in states that follow one another, the first of them after `first` steps."""
        for number, (worst, mean) in enumerate(zip(*scores, strict=True)):
            better = (worst > self.worst).nonzero()[:, 0]
            if not len(better):
                continue
            self.step[better] = first + number
            self.worst[better] = worst[better]
            self.mean[better] = mean[better]
            self.state[:, better] = states[number][:, better]


def start_of_best(state: Float[Tensor, "free settings width"]) -> Best:
    """Before any state like this one was scored."""
    count = state.shape[1]
    return Best(
        torch.zeros(count, dtype=torch.int64),
        torch.full((count,), -1.0, dtype=torch.float64),
        torch.zeros(count, dtype=torch.float64),
        torch.zeros_like(state),
    )


def blocks_of(matrix: Matrix) -> list[slice]:
    """The rows of a matrix in equal pieces of at most about `BLOCK_BYTES`.

    >>> blocks_of(torch.zeros(1500, 1024))
    [slice(0, 512, None), slice(512, 1024, None), slice(1024, 1500, None)]
    """
    each = matrix.element_size() if isinstance(matrix, Tensor) else 4  # what is read from a file is float32
    most = max(ALIGNED, BLOCK_BYTES // (each * max(1, matrix.shape[1])))
    pieces = -(-len(matrix) // most)
    rows = aligned(-(-len(matrix) // max(1, pieces)))
    return [slice(start, min(start + rows, len(matrix))) for start in range(0, len(matrix), rows)]


def aligned(count: int) -> int:
    """`count` rounded up to whole cache lines of floats: products of aligned matrices are up to a third faster."""
    return -(-count // ALIGNED) * ALIGNED


def padded(tensor: Tensor, rows: int) -> Tensor:
    """The tensor with rows of zeros behind it, so that there are `rows`."""
    return torch.cat([tensor, tensor.new_zeros(rows - len(tensor), *tensor.shape[1:])])

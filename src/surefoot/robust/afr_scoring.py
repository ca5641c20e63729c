"""Scores of AFR's states on the choose rows, and the best state of every setting."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.rows import Groups

__all__ = ["Best", "Scores", "Scoring", "blocks_of", "scoring_of", "start_of_best"]

BLOCK_BYTES = 4 * 2**20
"""What is read in one piece: small enough to stay in the cache until it is used again."""


class Scores(NamedTuple):
    """Worst-group and mean accuracy of several states of every setting."""

    worst: Float[Tensor, "states settings"]
    mean: Float[Tensor, "states settings"]


@dataclass(frozen=True)
class Scoring:
    """What the choose rows say: `read` turns a state into the change of their logits.

    affine: the last number of a state is a bias. counted, constant: right rows per group are constant + counted ·
    verdict, the last column being all rows. For two classes the verdict is "class 1", so that the rows of class 0 are
    counted negatively; for more it is "right".
    """

    read: Float[Tensor, "rows width"]
    affine: bool
    logits: Float[Tensor, "rows classes"]
    targets: Int[Tensor, "rows"]
    counted: Float[Tensor, "rows columns"]
    constant: Float[Tensor, "columns"]
    sizes: Float[Tensor, "columns"]

    def score(self, states: Float[Tensor, "states free settings width"]) -> Scores:
        """Every state of every setting; the first class wins where logits are equal."""
        number, free, count, _ = states.shape
        vectors = states.flatten(0, 2)
        right = self.constant.expand(number * count, -1).clone()
        for rows in blocks_of(self.read):
            part = self.read[rows]
            if self.affine:
                turn = torch.addmm(vectors[:, -1:], vectors[:, :-1], part.T)
            else:
                turn = vectors @ part.T
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
    read: Float[Tensor, "rows width"],
    affine: bool,
    logits: Float[Tensor, "rows classes"],
    targets: Int[Tensor, "rows"],
    groups: Groups,
) -> Scoring:
    """Scoring by `groups`, each by its own rows, and by all rows."""
    members = torch.cat([groups.members, torch.ones(len(targets), 1, dtype=torch.bool)], dim=1).to(read.dtype)
    sizes = members.sum(dim=0, dtype=torch.float64)
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


def start_of_best(free: int, count: int, width: int, precision: torch.dtype) -> Best:
    """Before any state was scored."""
    return Best(
        torch.zeros(count, dtype=torch.int64),
        torch.full((count,), -1.0, dtype=torch.float64),
        torch.zeros(count, dtype=torch.float64),
        torch.zeros(free, count, width, dtype=precision),
    )


def blocks_of(matrix: Float[Tensor, "rows width"]) -> Iterator[slice]:
    """The rows of a matrix in pieces of about `BLOCK_BYTES`."""
    rows = max(16, BLOCK_BYTES // (matrix.element_size() * max(1, matrix.shape[1])))
    for start in range(0, len(matrix), rows):
        yield slice(start, min(start + rows, len(matrix)))

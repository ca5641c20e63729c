"""Linear heads on frozen features, and what a repair of one returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.rows.rows import Inputs
from surefoot.rows.streamed import FileFeatures, blocks_in

__all__ = ["LinearHead", "Matrix", "Repaired", "Trial", "fold_scaler", "logits_of"]


Matrix: TypeAlias = Float[Tensor, "rows features"] | FileFeatures
"""Features in memory, or left in their file."""


@dataclass(frozen=True)
class LinearHead:
    """Logits = features · weightᵀ + bias, on the features as the backbone gives them."""

    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, "classes"]

    def logits(self, features: Float[Tensor, "rows features"]) -> Float[Tensor, "rows classes"]:
        """Class logits, in the head's precision."""
        return features.to(self.weight.dtype) @ self.weight.T + self.bias

    def probabilities(self, features: Float[Tensor, "rows features"]) -> Float[Tensor, "rows classes"]:
        """Class probabilities."""
        return self.logits(features).softmax(dim=1)


def logits_of(head: LinearHead, inputs: Inputs) -> Float[Tensor, "rows classes"]:
    """`head.logits` of inputs of any kind; of those that stay in their file block by block."""
    if not isinstance(inputs, FileFeatures):
        return head.logits(inputs[:])
    found = torch.empty(len(inputs), len(head.bias), dtype=head.weight.dtype)
    for start, block in blocks_in(inputs):
        found[start : start + len(block)] = head.logits(block)
    return found


@dataclass(frozen=True)
class Trial:
    """One setting tried on the choose rows and what it scored there (not a claim: the best is optimistic)."""

    setting: Mapping[str, float]
    worst_group_accuracy: float
    mean_accuracy: float


@dataclass(frozen=True)
class Repaired:
    """A new head and how it came about.

    chosen: the setting that won on the choose rows; trials: every setting tried, in order.
    seen: sources of every row that shaped the head. notes: sentences a reader of the card must know.
    """

    head: LinearHead
    chosen: Mapping[str, float]
    trials: tuple[Trial, ...]
    seen: frozenset[str]
    notes: tuple[str, ...] = ()


def fold_scaler(head: LinearHead, mean: Float[Tensor, "features"], scale: Float[Tensor, "features"]) -> LinearHead:
    """The head on raw features equal to `head` on standardised ones: W' = W/σ, b' = b − W·(m/σ).

    >>> head = LinearHead(torch.tensor([[2.0], [0.0]]), torch.tensor([0.0, 1.0]))
    >>> folded = fold_scaler(head, torch.tensor([3.0]), torch.tensor([2.0]))
    >>> folded.logits(torch.tensor([[5.0]])).tolist()
    [[2.0, 1.0]]
    """
    weight = head.weight / scale
    return LinearHead(weight, head.bias - weight @ mean)

"""The slope of AFR's objective, and a step along it, in the span of the features or in the span of the repair rows.

    S = Xᵀ R(Δ) + 2λ Δ,   R = μ (p − onehot),   Δ ← Δ − c S

Vectors lie in rows, [free classes × γ × λ, width]; their width is rounded up to whole cache lines with zeros. See
`surefoot.robust.afr_descent` for the algebra.
"""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.robust.afr_scoring import aligned, blocks_of, padded
from surefoot.robust.head import Matrix

__all__ = ["ByFeatures", "ByRows", "Residual", "by_features", "by_rows", "products", "residual_of"]

Vectors: TypeAlias = Float[Tensor, "vectors width"]


@dataclass(frozen=True)
class Residual:
    """R of every class but the last: the loss's gradient in the logits of some repair rows.

    logits: what softmax adds to a turn, [classes, rows]; of two classes, the gap of the first to the last.
    lost: −μ · onehot. Every tensor but the logits is laid out [free classes, γ, λ, rows].
    """

    logits: Float[Tensor, "classes rows"]
    lost: Float[Tensor, "free gammas 1 rows"]
    weights: Float[Tensor, "1 gammas 1 rows"]

    def put(self, turn: Float[Tensor, "vectors rows"]) -> None:
        """Written over `turn`, the change of the logits of every class but the last."""
        free, gammas = self.lost.shape[:2]
        turn = turn.view(free, gammas, -1, turn.shape[1])
        if free == 1:
            # The last class moves against the first, so their gap moves twice as far.
            torch.add(self.logits, turn, alpha=2, out=turn).sigmoid_()
        else:
            moved = torch.cat([turn, -turn.sum(dim=0, keepdim=True)]).add_(self.logits[:, None, None])
            turn.copy_(moved.softmax(dim=0)[:-1])
        torch.addcmul(self.lost, turn, self.weights, out=turn)


def residual_of(
    logits: Float[Tensor, "rows classes"], targets: Int[Tensor, "rows"], weights: Float[Tensor, "gammas rows"]
) -> Residual:
    """R for rows with these base logits, targets and weights μ."""
    classes = logits.shape[1]
    wanted = (targets == torch.arange(classes - 1)[:, None]).to(logits.dtype)
    start = (logits[:, :1] - logits[:, 1:]).T if classes == 2 else logits.T
    return Residual(start.contiguous(), -wanted[:, None, None] * weights[:, None], weights[None, :, None].contiguous())


@dataclass(frozen=True)
class ByFeatures:
    """States are Δ, bias behind the features: X is read once a step, a block for its turn and for what it adds to S."""

    features: Matrix
    parts: tuple[tuple[slice, Residual], ...]
    pull: Float[Tensor, "vectors 1"]
    steepness: Vectors

    def slope(self, state: Vectors, free: int) -> Float[Tensor, "settings"]:
        """‖S‖² of every setting; S is kept for `move`."""
        torch.mul(state, self.pull, out=self.steepness)
        features = self.features.shape[1]
        weight, bias = state[:, :features], state[:, features : features + 1]
        into, into_bias = self.steepness[:, :features], self.steepness[:, features]
        for rows, residual in self.parts:
            block = self.features[rows]
            turn = torch.addmm(bias, weight, block.T)
            residual.put(turn)
            into.addmm_(turn, block)
            into_bias += turn.sum(dim=1)
        return _squared(self.steepness, self.steepness, free)

    def move(self, before: Vectors, lengths: Float[Tensor, "vectors 1"], after: Vectors) -> None:
        """after = before + lengths · S."""
        torch.addcmul(before, self.steepness, lengths, out=after)


@dataclass(frozen=True)
class ByRows:
    """States are A with Δ = Xᵀ A; the turn G A goes along, moved by the same product that gives the slope's norm."""

    gram: Float[Tensor, "width width"]
    residual: Residual
    pull: Float[Tensor, "vectors 1"]
    turn: Vectors
    steepness: Vectors
    turning: Vectors

    def slope(self, state: Vectors, free: int) -> Float[Tensor, "settings"]:
        """‖S‖² of every setting; S, as its vectors in the span, and G S are kept for `move`."""
        self.steepness.copy_(self.turn)
        self.residual.put(self.steepness)
        torch.mm(self.steepness, self.gram, out=self.turning)
        self.steepness.addcmul_(state, self.pull)
        self.turning.addcmul_(self.turn, self.pull)
        return _squared(self.steepness, self.turning, free)

    def move(self, before: Vectors, lengths: Float[Tensor, "vectors 1"], after: Vectors) -> None:
        """after = before + lengths · S, and the turn with it."""
        torch.addcmul(before, self.steepness, lengths, out=after)
        self.turn.addcmul_(self.turning, lengths)


def by_features(
    features: Matrix,
    logits: Float[Tensor, "rows classes"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "gammas rows"],
    pull: Float[Tensor, "vectors 1"],
) -> ByFeatures:
    """From repair rows, read where they lie."""
    parts = tuple((rows, residual_of(logits[rows], targets[rows], weights[:, rows])) for rows in blocks_of(features))
    return ByFeatures(features, parts, pull, logits.new_zeros(len(pull), aligned(features.shape[1] + 1)))


def by_rows(
    gram: Float[Tensor, "width width"],
    logits: Float[Tensor, "rows classes"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "gammas rows"],
    pull: Float[Tensor, "vectors 1"],
) -> ByRows:
    """From the products of the repair rows; rows of weight zero fill up the width."""
    width = len(gram)
    residual = residual_of(padded(logits, width), padded(targets, width), padded(weights.T, width).T)
    return ByRows(gram, residual, pull, *gram.new_zeros(3, len(pull), width))


def products(
    left: Float[Tensor, "left features"], right: Float[Tensor, "right features"]
) -> Float[Tensor, "wide high"]:
    """Inner products of rows, each with a one behind it for the bias, filled up with zeros to whole cache lines."""
    filled = left.new_zeros(aligned(len(left)), aligned(len(right)))
    inner = filled[: len(left), : len(right)]
    torch.mm(left, right.T, out=inner)
    inner += 1
    return filled


def _squared(along: Vectors, across: Vectors, free: int) -> Float[Tensor, "settings"]:
    """Σ along · across over classes and width; the last class is minus the sum of the others, and counts."""
    first, second = along.unflatten(0, (free, -1)), across.unflatten(0, (free, -1))
    squared = (first * second).sum(dim=(0, 2))
    if free == 1:
        return 2 * squared
    return squared + (first.sum(dim=0) * second.sum(dim=0)).sum(dim=1)

"""AFR's descent: every setting of the grid at once, in the span of the features or in the span of the repair rows.

    Δ ← Δ − rate · min(1, clip / ‖S‖) · S,   S = Xᵀ R(Δ) + 2λ Δ,   R = μ (p − onehot),   from Δ = 0

X holds the repair features and a column of ones, Δ the change of the head. Two exact ways to take these steps:

- *by features*: Δ itself is carried. A step costs 4 n d products for each setting and class, n rows and d features.
- *by rows*: S always lies in the span of the repair rows, so Δ = Xᵀ A, and A is carried with the turn X Δ = G A it
  causes, G = X Xᵀ. One product G R a step moves both: A ← A − c (R + 2λ A), G A ← G A − c (G R + 2λ G A), and the norm
  is ‖S‖² = Σ (R + 2λ A) · G (R + 2λ A). A step costs 2 n² products, which is less where n < 2 d.

Every state is scored on the choose rows, several at a time, for that product gains most from being wide. Starting from
zero the rows of Δ sum to zero over classes (softmax gradients do, and the penalty keeps it), so K − 1 of them are
carried and the last is minus their sum; for two classes one vector per setting. Features are read where they lie, block
by block, once a step; nothing of their size is copied. Those that stay in their file are read from it at every step,
unless they are few enough to be `held`.

Source: the published algorithm, see `surefoot.robust.afr`; the two ways and their counts are ours.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.memory import require_memory
from surefoot.robust.afr_scoring import BLOCK_BYTES, Scoring, scoring_of, start_of_best
from surefoot.robust.afr_spans import by_features, by_rows, products
from surefoot.robust.head import LinearHead, Matrix, logits_of
from surefoot.robust.protocol import Material
from surefoot.rows.rows import Groups

__all__ = ["Descent", "Path", "Span", "cheaper_span", "descend", "held"]

Span: TypeAlias = Literal["features", "rows"]

COLUMNS = 512
"""Vectors that descend at once: enough for a product at full speed, few enough to stay in the cache."""
HELD_BYTES = 2**30
"""Features of one role that are kept in memory rather than read from their file at every step."""
SCORED_AT_ONCE = 256
"""Vectors scored by one product: so many states are kept before they are scored, if the grid alone has fewer."""


@dataclass(frozen=True)
class Descent:
    """The penalties λ of each γ, and how to step; an infinite penalty stays at the base head."""

    penalties: tuple[float, ...]
    steps: int
    rate: float
    clip: float


@dataclass(frozen=True)
class Path:
    """Each setting's best step on the choose rows: the first of its highest worst-group accuracies.

    change: Δ at that step, [settings, classes, features + 1] with the bias last. last: Δ after the final step.
    """

    step: Int[Tensor, "settings"]
    worst: Float[Tensor, "settings"]
    mean: Float[Tensor, "settings"]
    change: Float[Tensor, "settings classes columns"]
    last: Float[Tensor, "settings classes columns"]

    def tensors(self) -> tuple[Tensor, ...]:
        """All of it, in order."""
        return self.step, self.worst, self.mean, self.change, self.last


def descend(
    repair: Material,
    choose: Material,
    groups: Groups,
    base: LinearHead,
    weights: Float[Tensor, "rows gammas"],
    descent: Descent,
    span: Span | None = None,
) -> Path:
    """Full-batch gradient descent of all settings (γ outermost) in the head's precision, scored at every step.

    span: which way to take; the one with fewer operations when not given. Raises `InputError` when memory is short.
    """
    precision = base.weight.dtype
    learned, chosen = (_in_precision(of.inputs, precision) for of in (repair, choose))
    free, vectors = base.weight.shape[0] - 1, (base.weight.shape[0] - 1) * len(descent.penalties)
    if span is None:
        rows, features = learned.shape
        span = cheaper_span(rows, features, len(chosen), vectors * weights.shape[1], descent.steps)
    if span == "rows":
        learned, chosen = learned[:], chosen[:]
    gammas = min(weights.shape[1], max(1, COLUMNS // vectors))
    kept = min(descent.steps + 1, max(2, SCORED_AT_ONCE // (gammas * vectors)))
    _require_room(learned, len(chosen), gammas * vectors, kept, span, precision)
    # By rows, the choose rows are read through their products with the repair rows.
    read = chosen if span == "features" else products(learned[:], chosen[:]).T
    scoring = scoring_of(read, span == "features", logits_of(base, chosen), choose.targets, groups)
    gram = products(learned[:], learned[:]) if span == "rows" else None
    logits, free = logits_of(base, learned), base.weight.shape[0] - 1
    parts = [
        _descend(learned, gram, logits, repair.targets, part, scoring, descent, free, kept)
        for part in weights.to(precision).T.contiguous().split(gammas)
    ]
    return Path(*(torch.cat(pieces) for pieces in zip(*(part.tensors() for part in parts), strict=True)))


def held(rows: Material) -> Material:
    """The rows, features in memory where that takes no more than `HELD_BYTES`, though they came in a file."""
    inputs = rows.inputs
    if isinstance(inputs, Tensor) or 4 * len(inputs) * inputs.width > HELD_BYTES:
        return rows
    return replace(rows, inputs=inputs[:])


def cheaper_span(rows: int, features: int, choose_rows: int, vectors: int, steps: int) -> Span:
    """The way with fewer operations over all steps, with the products of rows with rows, made once.

    >>> cheaper_span(959, 2048, 1199, 132, 500), cheaper_span(32554, 2048, 19867, 30, 1000)
    ('rows', 'features')
    """
    by_features = steps * vectors * features * (4 * rows + 2 * choose_rows)
    by_rows = (steps * vectors + features) * rows * (2 * rows + 2 * choose_rows)
    return "rows" if by_rows < by_features else "features"


def _in_precision(inputs: Matrix, precision: torch.dtype) -> Matrix:
    """Features of the head's type; those in a file can be read as float32 alone."""
    if isinstance(inputs, Tensor) or precision != torch.float32:
        return inputs[:].to(precision)
    return inputs


def _descend(
    features: Matrix,
    gram: Float[Tensor, "width width"] | None,
    logits: Float[Tensor, "rows classes"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "gammas rows"],
    scoring: Scoring,
    descent: Descent,
    free: int,
    kept: int,
) -> Path:
    """The settings of a few γ side by side."""
    penalties = torch.tensor(descent.penalties, dtype=logits.dtype).repeat(len(weights))
    frozen = torch.isinf(penalties)
    rates = torch.full_like(penalties, descent.rate).masked_fill(frozen, 0.0)
    pull = (2 * penalties.masked_fill(frozen, 0.0)).repeat(free)[:, None]
    if gram is None:
        span = by_features(features, logits, targets, weights, pull)
    else:
        span = by_rows(gram, logits, targets, weights, pull)
    states = logits.new_zeros(kept, free, len(penalties), span.steepness.shape[1])
    best = start_of_best(states[0])
    for step in range(descent.steps + 1):
        slot = step % kept
        if step:
            before = states[slot - 1].flatten(0, 1)
            squared = span.slope(before, free)
            lengths = rates * (descent.clip / (squared.clamp(min=0.0).sqrt() + 1e-6)).clamp(max=1.0)
            span.move(before, -lengths.repeat(free)[:, None], states[slot].flatten(0, 1))
        if slot == kept - 1 or step == descent.steps:
            best.update(states, scoring.score(states[: slot + 1]), step - slot)
    return Path(
        best.step,
        best.worst,
        best.mean,
        *(_change(state, features, gram is None) for state in (best.state, states[descent.steps % kept])),
    )


def _change(
    state: Float[Tensor, "free settings width"], features: Matrix, direct: bool
) -> Float[Tensor, "settings classes columns"]:
    """Δ of every class, the bias last."""
    rows, columns = features.shape
    if direct:
        change = state[:, :, : columns + 1]
    else:
        inner = state[:, :, :rows]
        change = torch.cat([inner @ features[:], inner.sum(dim=2, keepdim=True)], dim=2)
    return torch.cat([change, -change.sum(dim=0, keepdim=True)]).transpose(0, 1)


def _require_room(
    learned: Matrix, choose_rows: int, vectors: int, kept: int, span: Span, precision: torch.dtype
) -> None:
    """Raise `InputError` when the descent would not fit into memory, beside the features."""
    rows, features = learned.shape
    width = features + 1 if span == "features" else rows
    numbers = (kept + 5) * vectors * width + (kept + 1) * vectors * max(16, BLOCK_BYTES // (4 * width))
    if span == "rows":
        numbers += rows * (rows + choose_rows)
    require_memory(numbers * precision.itemsize, f"AFR with {vectors} vectors on {rows:,} repair rows at a time")

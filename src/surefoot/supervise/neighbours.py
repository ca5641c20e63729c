"""Weak labels mended by neighbours in a stronger model's features: soft relabelling, and leaving out the suspicious.

    relabelled   y'_i = (1/k) Σ_{j in N(i)} y_j                 of the k nearest rows, itself not among them
    trust        1 − ½ Σ_c |y_ic − y'_ic|                       how far a row's label is what its neighbours' are

Distances are Euclidean. Rows are compared in blocks, so that memory is `block × rows` numbers at a time, and
what is kept is `rows × k`.

Source: kNN relabelling of the published follow-up (EleutherAI, 2024, w2s), whose matrix is rows × rows and whose
neighbours include the row itself, so that a wrong label votes for itself. They found no gain from it, and we say what
comes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.supervise.labels import WeakLabels

__all__ = ["Neighbours", "filtered", "nearest", "relabelled", "trust"]

BLOCK_NUMBERS = 8_000_000


class Neighbours(NamedTuple):
    """The k nearest other rows of each row, the nearest first, and how far they are."""

    rows: Int[Tensor, "rows k"]
    distances: Float[Tensor, "rows k"]


def nearest(features: Float[Tensor, "rows features"], k: int, *, progress: Progress = silent) -> Neighbours:
    """The k nearest others of every row.

    Raises `InputError` for fewer than k others, and features that are not finite.

    >>> nearest(torch.tensor([[0.0], [1.0], [5.0]]), 1).rows[:, 0].tolist()
    [1, 0, 1]
    """
    count = len(features)
    if not 1 <= k < count:
        raise InputError(f"k is {k} and there are {count} rows; give at least 1 and fewer than the rows.")
    if not bool(features.isfinite().all()):
        raise InputError("The features are not finite; mend the rows that have no number.")
    centred = (features.double() - features.double().mean(dim=0)).to(features.dtype)
    squares = centred.double().square().sum(dim=1)
    rows = torch.empty(count, k, dtype=torch.int64)
    distances = torch.empty(count, k, dtype=torch.float64)
    step = max(1, BLOCK_NUMBERS // count)
    for first in range(0, count, step):
        part = slice(first, min(first + step, count))
        apart = squares - 2 * (centred[part] @ centred.T).double() + squares[part, None]
        own = torch.arange(part.start, part.stop)
        apart[own - first, own] = torch.inf
        near = apart.topk(k, dim=1, largest=False)
        rows[part], distances[part] = near.indices, near.values.clamp(min=0).sqrt()
        progress("comparing", part.stop, count)
    return Neighbours(rows, distances)


def relabelled(labels: WeakLabels, near: Neighbours) -> WeakLabels:
    """The labels with every row's replaced by the mean of its neighbours'."""
    return WeakLabels(labels.rows.with_targets(_mean(labels, near)), labels.seen, f"{labels.by}, relabelled")


def trust(labels: WeakLabels, near: Neighbours) -> Float[Tensor, "rows"]:
    """One where a row's label is that of its neighbours, zero where they exclude each other."""
    return 1 - (labels.rows.targets - _mean(labels, near)).abs().sum(dim=1) / 2


def filtered(labels: WeakLabels, near: Neighbours, share: float) -> WeakLabels:
    """The `share` of the rows of each labelled class that are most trusted, in their old order.

    Class by class, so that filtering does not move the shares of classes. Raises `InputError` outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; give the part of the rows to keep, above 0 and at most 1.")
    trusted = trust(labels, near)
    classes = labels.rows.targets.argmax(dim=1)
    kept = torch.zeros(len(trusted), dtype=torch.bool)
    for each in classes.unique().tolist():
        there = (classes == each).nonzero()[:, 0]
        best = trusted[there].argsort(descending=True, stable=True)[: max(1, round(share * len(there)))]
        kept[there[best]] = True
    return WeakLabels(labels.rows.take(kept.nonzero()[:, 0]), labels.seen, f"{labels.by}, filtered")


def _mean(labels: WeakLabels, near: Neighbours) -> Tensor:
    if len(near.rows) != len(labels.rows):
        raise InputError(
            f"There are neighbours of {len(near.rows)} rows and labels of {len(labels.rows)}; give both for the same."
        )
    return labels.rows.targets[near.rows].mean(dim=1)

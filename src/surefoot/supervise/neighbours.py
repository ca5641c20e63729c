"""Weak labels mended by neighbours in a stronger model's features: soft relabelling, and leaving out the suspicious.

    relabelled   y'_i = (1/k) Σ_{j in N(i)} y_j                 of the k nearest rows, itself not among them
    trust        1 − ½ Σ_c |y_ic − y'_ic|                       how far a row's label is what its neighbours' are

Distances are Euclidean. Rows are compared in blocks of about a million pairs, and what is kept is `rows × k`: ten
thousand rows of 384 features take some tens of megabytes, where the whole matrix takes 400 to 800. Products are in the
features' own precision after their mean is taken off, and the near ones of each row again from differences, so that
rounding does not order neighbours that are close.

Source: kNN relabelling of the published follow-up (EleutherAI, 2024, w2s), whose matrix is rows × rows and whose
neighbours include the row itself, so that a wrong label votes for itself. They found no gain from it, and we say what
comes.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.supervise.labels import WeakLabels

__all__ = ["Caught", "Neighbours", "caught", "filtered", "nearest", "relabelled", "trust"]

BLOCK_NUMBERS = 1_000_000
SPARE = 8


class Neighbours(NamedTuple):
    """The k nearest other rows of each row, the nearest first, and how far they are."""

    rows: Int[Tensor, "rows k"]
    distances: Float[Tensor, "rows k"]


class Caught(NamedTuple):
    """Shares: of labels that are wrong, and that were left out; of those left out that are wrong (precision); and of
    wrong ones that were left out (recall). NaN where there is none of which to take a share."""

    wrong: float
    left_out: float
    precision: float
    recall: float


def nearest(features: Float[Tensor, "rows features"], k: int, *, progress: Progress = silent) -> Neighbours:
    """The k nearest others of every row; of equally near ones the first.

    Raises `InputError` for fewer than k others, and features that are not finite.

    >>> nearest(torch.tensor([[0.0], [1.0], [5.0]]), 1).rows[:, 0].tolist()
    [1, 0, 1]
    """
    count = len(features)
    if not 1 <= k < count:
        raise InputError(f"k is {k} and there are {count} rows; give at least 1 and fewer than the rows.")
    if not bool(features.isfinite().all()):
        raise InputError("The features are not finite; mend the rows that have no number.")
    centred = features - features.mean(dim=0, dtype=torch.float64).to(features.dtype)
    squares = torch.linalg.vector_norm(centred, dim=1).double().square()
    rows = torch.empty(count, k, dtype=torch.int64)
    distances = torch.empty(count, k, dtype=torch.float64)
    asked = min(k + SPARE, count - 1)
    rounding = 4 * features.shape[1] * torch.finfo(features.dtype).eps
    step = max(1, BLOCK_NUMBERS // max(count, asked * features.shape[1]))
    for first in range(0, count, step):
        part = slice(first, min(first + step, count))
        # Less the row's own square, which orders nothing.
        apart = (centred[part] @ centred.T).double().mul_(-2).add_(squares)
        own = torch.arange(part.start, part.stop)
        apart[own - first, own] = torch.inf
        near = apart.topk(asked, dim=1, largest=False).indices.sort(dim=1).values
        exact = (features[near].double() - features[part, None].double()).square().sum(dim=2).sqrt()
        order = exact.argsort(dim=1, stable=True)[:, :k]
        rows[part], distances[part] = near.gather(1, order), exact.gather(1, order)
        # Where the farthest candidate is as near as the last neighbour, others may be too, and an earlier row be first.
        tied = own[exact.amax(dim=1) <= distances[part][:, -1]].tolist() if asked < count - 1 else []
        for row in tied:
            at = row - first
            within = apart[at] <= apart[at, near[at]].amax() + rounding * (squares[row] + squares[near[at]].amax())
            others = within.nonzero()[:, 0]
            far = (features[others].double() - features[row].double()).square().sum(dim=1).sqrt()
            best = far.argsort(stable=True)[:k]
            rows[row], distances[row] = others[best], far[best]
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


def caught(labels: WeakLabels, kept: WeakLabels, truth: Int[Tensor, "_"]) -> Caught:
    """What was left out between `labels` and `kept`, seen with the true classes of the rows of `labels`.

    Only somebody with the truth can ask; nothing here chooses by it. Raises `InputError` for rows that were not among
    the labels, or another number of true classes.

    >>> from surefoot.rows.rows import make_rows
    >>> from surefoot.supervise.labels import weak_labels
    >>> rows = make_rows(torch.zeros(4, 1), torch.tensor([0, 0, 1, 1]))
    >>> said = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])  # the two in the middle are wrong
    >>> labels = weak_labels(rows, said, seen=frozenset(), by="w")
    >>> kept = WeakLabels(labels.rows.take(torch.tensor([0, 2])), labels.seen, "w, filtered")
    >>> caught(labels, kept, rows.targets)
    Caught(wrong=0.5, left_out=0.5, precision=0.5, recall=0.5)
    """
    if len(truth) != len(labels.rows):
        raise InputError(f"There are {len(labels.rows)} labels and {len(truth)} true classes; give one for each.")
    stays = torch.from_numpy(np.isin(labels.rows.ids, kept.rows.ids))
    if int(stays.sum()) != len(kept.rows):
        raise InputError("Rows were kept that are not among the labels; give labels and what was kept of them.")
    wrong = labels.rows.targets.argmax(dim=1) != truth
    out = ~stays
    both = float((wrong & out).sum())
    return Caught(
        wrong=float(wrong.double().mean()),
        left_out=float(out.double().mean()),
        precision=both / float(out.sum()) if bool(out.any()) else math.nan,
        recall=both / float(wrong.sum()) if bool(wrong.any()) else math.nan,
    )


def _mean(labels: WeakLabels, near: Neighbours) -> Tensor:
    if len(near.rows) != len(labels.rows):
        raise InputError(
            f"There are neighbours of {len(near.rows)} rows and labels of {len(labels.rows)}; give both for the same."
        )
    return labels.rows.targets[near.rows].mean(dim=1)

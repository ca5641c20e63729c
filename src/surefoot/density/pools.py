"""Pools: how the rows' scores become one number.

A pool is called with scores `[rows]`, weights `[rows]` and the groups' membership matrix `[rows, groups]`.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = [
    "Pool",
    "group_dro_step",
    "group_means",
    "mean",
    "per_row",
    "total",
    "worst_group",
]


@runtime_checkable
class Pool(Protocol):
    """Scores to a scalar."""

    def __call__(
        self,
        scores: Float[Tensor, "rows"],
        weights: Float[Tensor, "rows"],
        members: Bool[Tensor, "rows groups"],
        /,
    ) -> Float[Tensor, ""]: ...


def total(
    scores: Float[Tensor, "rows"], weights: Float[Tensor, "rows"], members: Bool[Tensor, "rows groups"]
) -> Float[Tensor, ""]:
    """Σ_i w_i s_i: the pool of a log likelihood."""
    return (weights * scores).sum()


def mean(
    scores: Float[Tensor, "rows"], weights: Float[Tensor, "rows"], members: Bool[Tensor, "rows groups"]
) -> Float[Tensor, ""]:
    """Σ_i w_i s_i / Σ_i w_i. Raises `InputError` when no row of the batch has weight.

    >>> mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]), torch.zeros(2, 0, dtype=torch.bool)).item()
    2.0
    """
    mass = weights.sum()
    if not bool(mass > 0):
        raise InputError(
            f"All {len(weights)} rows of a batch have weight zero, so they have no mean; leave such rows out or use "
            "larger batches."
        )
    return (weights * scores).sum() / mass


def per_row(
    scores: Float[Tensor, "rows"], weights: Float[Tensor, "rows"], members: Bool[Tensor, "rows groups"]
) -> Float[Tensor, ""]:
    """Σ_i w_i s_i / rows: with weights of mean one over all rows, an unbiased estimate of the weighted mean.

    `mean` divides by the weights of the batch instead: where they differ much, each batch then counts its few heavy
    rows for too little.
    """
    return (weights * scores).sum() / len(scores)


def worst_group(
    scores: Float[Tensor, "rows"], weights: Float[Tensor, "rows"], members: Bool[Tensor, "rows groups"]
) -> Float[Tensor, ""]:
    """min_g of the groups' mean scores, over the groups that have rows here.

    An absent group does not count: a score of zero would be a perfect log likelihood and hide nothing, a loss
    of zero would be the best group. Raises `InputError` when no row is in any group.

    >>> groups = torch.tensor([[True, False, False], [False, True, False], [False, True, False]])
    >>> worst_group(torch.tensor([-1.0, -2.0, -4.0]), torch.ones(3), groups).item()
    -3.0
    """
    means, present = group_means(scores, weights, members)
    return means.masked_fill(~present, torch.inf).min()


def group_dro_step(
    q: Float[Tensor, "groups"], losses: Float[Tensor, "groups"], present: Bool[Tensor, "groups"], step: float
) -> Float[Tensor, "groups"]:
    """One exponentiated-gradient step of group DRO's weights: q_g ← q_g exp(η ℓ_g) / Z.

    q: weights summing to one. losses: mean loss per group, in nats; an absent group's entry is not read.
    step: η. An absent group keeps its q_g before normalising, as in the paper, which updates one group at a time.

    Source: Sagawa et al. (2020), Distributionally robust neural networks for group shifts, algorithm 1.

    >>> q = group_dro_step(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]), torch.tensor([True, True]), 1.0)
    >>> [round(share, 4) for share in q.tolist()]
    [0.7311, 0.2689]
    """
    return (q.log() + step * losses.masked_fill(~present, 0.0)).softmax(dim=0)


def group_means(
    scores: Float[Tensor, "rows"], weights: Float[Tensor, "rows"], members: Bool[Tensor, "rows groups"]
) -> tuple[Float[Tensor, "groups"], Bool[Tensor, "groups"]]:
    """Each group's weighted mean score (zero where absent), and which groups have weight here."""
    mass = (members * weights[:, None]).sum(dim=0)
    present = mass > 0
    if not bool(present.any()):
        raise InputError(
            f"None of the {len(scores)} rows of a batch is in a group; give the rows groups or use larger batches."
        )
    # `where`, not a product: a row outside the group must not matter even when its score is infinite.
    sums = torch.where(members, (weights * scores)[:, None], 0.0).sum(dim=0)
    return sums / mass.masked_fill(~present, 1.0), present

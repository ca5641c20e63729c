"""Recall at k of a retrieval: is one of the right answers among the k that are most alike?

    recall@k = mean over queries of  [a right answer is among the k with the highest similarity]

Queries ask a gallery; several answers may be right (two scenes of one caption). Where answers tie at the border, it is
the probability under an order of them drawn at random, so that a model that says the same of everything has chance.

Source: Karpathy and Fei-Fei (2015), "Deep visual-semantic alignments", §4.1 (recall@k of images and sentences).
"""

import math

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["chance_recalled", "recalled"]


def recalled(
    similarity: Float[Tensor, "queries gallery"], right: Bool[Tensor, "queries gallery"], k: int = 1
) -> Float64[Tensor, "queries"]:
    """Of each query 1 for a hit and 0 for none, or between where ties decide; recall@k is their mean.

    Raises `InputError` for a k outside the gallery, a similarity that is NaN, and a query without a right answer.

    >>> recalled(torch.tensor([[0.2, 0.9, 0.1], [0.5, 0.5, 0.1]]), torch.eye(3).bool()[:2]).tolist()
    [0.0, 0.5]
    """
    if similarity.shape != right.shape or not 1 <= k <= similarity.shape[1]:
        raise InputError(
            f"The {k} nearest of {tuple(similarity.shape)} similarities were asked for, with answers for "
            f"{tuple(right.shape)}; give one for each, and a k from 1 to the gallery."
        )
    if bool(similarity.isnan().any()) or not bool(right.any(dim=1).all()):
        raise InputError("A similarity is NaN, or a query has no right answer in the gallery; leave such queries out.")
    border = similarity.topk(k, dim=1).values[:, -1:]
    surely = ((similarity > border) & right).any(dim=1)
    tied = similarity == border
    places = k - (similarity > border).sum(dim=1)
    return torch.tensor(
        [
            1.0 if sure else 1 - _none(int(both), int(all_tied), int(left))
            for sure, both, all_tied, left in zip(
                surely.tolist(), (tied & right).sum(dim=1), tied.sum(dim=1), places, strict=True
            )
        ],
        dtype=torch.float64,
    )


def chance_recalled(right: Bool[Tensor, "queries gallery"], k: int = 1) -> Float64[Tensor, "queries"]:
    """The same for a model that knows nothing: every order of the gallery is as likely as every other.

    >>> chance_recalled(torch.eye(4).bool(), k=1).mean().item()
    0.25
    """
    return recalled(torch.zeros(right.shape), right, k)


def _none(right: int, tied: int, places: int) -> float:
    """P(no right answer among `places` of `tied` drawn without replacement)."""
    return math.comb(tied - right, places) / math.comb(tied, places)

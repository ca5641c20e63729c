"""Likelihoods: how probable the targets are under a network's outputs, in nats per row."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.errors import InputError

__all__ = ["categorical"]


def categorical(logits: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows"]:
    """Log probability of each row's class under softmax(logits), in nats.

    Hard targets (int64 `[rows]`): ℓ = log softmax(z)_y, a normalised log likelihood. Soft targets (floating
    `[rows, classes]`): ℓ = Σ_k y_k log softmax(z)_k, the expected log likelihood of a label drawn from y (or,
    where y does not sum to one, Σ_k y_k labels' worth of evidence).

    Raises `InputError` for labels outside the classes (torch would silently skip −100) and for targets of
    another shape or type.

    >>> categorical(torch.zeros(2, 4), torch.tensor([0, 3])).exp().tolist()
    [0.25, 0.25]
    """
    count, classes = logits.shape
    if targets.is_floating_point():
        if targets.shape != logits.shape:
            raise InputError(
                f"Soft targets have shape {list(targets.shape)} but the logits have {[count, classes]}; "
                "give one probability per row and class."
            )
        return (targets.to(logits.dtype) * logits.log_softmax(dim=1)).sum(dim=1)
    if targets.dtype != torch.int64 or targets.shape != (count,):
        raise InputError(
            f"Targets have shape {list(targets.shape)} and type {targets.dtype}; expected int64 class numbers "
            f"[{count}], or floating class probabilities [{count}, {classes}]."
        )
    if count:
        low, high = targets.aminmax()
        if int(low) < 0 or int(high) >= classes:
            raise InputError(_outside(targets, classes))
    return -cross_entropy(logits, targets, reduction="none")


def _outside(targets: Tensor, classes: int) -> str:
    bad = ((targets < 0) | (targets >= classes)).nonzero().squeeze(1).tolist()
    named = ", ".join(str(row) for row in bad[:5]) + (", …" if len(bad) > 5 else "")
    return (
        f"{len(bad)} of {len(targets)} labels lie outside the {classes} classes 0…{classes - 1} (rows {named} of the "
        f"batch; the first is {int(targets[bad[0]])}); correct the labels or widen the network's head."
    )

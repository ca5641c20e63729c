"""Likelihoods: how probable the targets are under a network's outputs, in nats per row.

A likelihood is called with outputs and targets and gives one number per row. Where its gradient by the outputs has
a closed form it also says that (`output_gradient`), so that a sampler needs one pass over the outputs and one plain
backward pass of the network. Where larger values have no upper limit it says so too (`bounded`).
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.errors import InputError

__all__ = [
    "Bounded",
    "Differentiated",
    "Likelihood",
    "categorical",
    "categorical_gradient",
    "check_labels",
    "gradient_by_outputs",
]


@runtime_checkable
class Likelihood(Protocol):
    """(outputs, targets) → one log probability per row, in nats."""

    def __call__(self, outputs: Tensor, targets: Tensor, /) -> Tensor: ...


@runtime_checkable
class Differentiated(Protocol):
    """A likelihood that knows its gradient by the outputs."""

    def output_gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """∂ℓ_i/∂z_i for every row, in the shape of the outputs; nothing is recorded for autograd."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A likelihood or a form of functional prior that says whether it has an upper limit; silence means that it has."""

    @property
    def bounded(self) -> bool: ...


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
    if _are_soft(logits, targets):
        return (targets.to(logits.dtype) * logits.log_softmax(dim=1)).sum(dim=1)
    return -cross_entropy(logits, targets, reduction="none")


def categorical_gradient(logits: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows classes"]:
    """The gradient of `categorical` by the logits: 1_y − softmax(z); for soft targets y − (Σ_k y_k) softmax(z).

    Raises `InputError` as `categorical` does.

    >>> categorical_gradient(torch.zeros(1, 4), torch.tensor([3])).tolist()
    [[-0.25, -0.25, -0.25, 0.75]]
    """
    with torch.no_grad():
        if _are_soft(logits, targets):
            soft = targets.to(logits.dtype)
            return soft - soft.sum(dim=1, keepdim=True) * logits.softmax(dim=1)
        gradient = logits.softmax(dim=1).neg_()
        gradient[torch.arange(len(targets), device=gradient.device), targets] += 1
        return gradient


def gradient_by_outputs(likelihood: Likelihood, outputs: Tensor, targets: Tensor) -> Tensor:
    """∂ℓ_i/∂z_i of any likelihood: its closed form where it has one, else autograd on the outputs alone.

    >>> gradient_by_outputs(lambda z, y: -0.5 * (y - z).square(), torch.tensor([1.0]), torch.tensor([3.0])).tolist()
    [2.0]
    """
    if likelihood is categorical:
        return categorical_gradient(outputs, targets)
    if isinstance(likelihood, Differentiated):
        return likelihood.output_gradient(outputs, targets)
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(likelihood(leaf, targets).sum(), leaf)
    return gradient


def check_labels(outputs: Tensor, targets: Tensor, alternative: str = "") -> None:
    """Raise `InputError` unless targets are int64 numbers `[rows]` of the classes `[rows, classes]` of the outputs.

    alternative: what else the caller takes, for the message.
    """
    count, classes = outputs.shape
    if targets.dtype != torch.int64 or targets.shape != (count,):
        raise InputError(
            f"Targets have shape {list(targets.shape)} and type {targets.dtype}; expected int64 class numbers "
            f"[{count}]{alternative}."
        )
    if count:
        low, high = targets.aminmax()
        if int(low) < 0 or int(high) >= classes:
            raise InputError(_outside(targets, classes))


def _are_soft(logits: Tensor, targets: Tensor) -> bool:
    count, classes = logits.shape
    if not targets.is_floating_point():
        check_labels(logits, targets, f", or floating class probabilities [{count}, {classes}]")
        return False
    if targets.shape != logits.shape:
        raise InputError(
            f"Soft targets have shape {list(targets.shape)} but the logits have {[count, classes]}; "
            "give one probability per row and class."
        )
    return True


def _outside(targets: Tensor, classes: int) -> str:
    bad = ((targets < 0) | (targets >= classes)).nonzero().squeeze(1).tolist()
    named = ", ".join(str(row) for row in bad[:5]) + (", …" if len(bad) > 5 else "")
    return (
        f"{len(bad)} of {len(targets)} labels lie outside the {classes} classes 0…{classes - 1} (rows {named} of the "
        f"batch; the first is {int(targets[bad[0]])}); correct the labels or widen the network's head."
    )

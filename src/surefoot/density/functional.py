"""Functional priors: what is believed of the predicted probabilities themselves, in nats per row.

A form maps logits to one number per row; `Functional` says on which inputs it is evaluated. The forms are densities up
to a constant: they have no normaliser in the space of the parameters, so a posterior with one has no evidence. All go
through log softmax. With p = softmax(z) and K classes, their gradients by the logits are closed.

Source: Marek et al. (2024), "Can a confident prior replace a cold posterior?".
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Confidence", "DirClip", "Dirichlet", "Form", "Functional", "dirclip_threshold"]


@runtime_checkable
class Form(Protocol):
    """A functional prior of logits."""

    @property
    def bounded(self) -> bool:
        """Whether `log_density` has an upper limit."""
        ...

    def log_density(self, outputs: Tensor) -> Tensor:
        """One number per row, in nats, up to a constant; differentiable in the outputs."""
        ...

    def output_gradient(self, outputs: Tensor) -> Tensor:
        """Its gradient by the outputs, in their shape; nothing is recorded for autograd."""
        ...


@dataclass(frozen=True)
class Dirichlet:
    """log g(z) = Σ_k (α − 1) log p_k.

    alpha: α > 0; below one it asks for confident predictions and has no upper limit (as p_k → 0), which
    `require_samplable` refuses: use `DirClip`. One says nothing, more than one smooths.

    Raises `InputError` for an alpha that is not a positive number.

    >>> Dirichlet(alpha=2.0).log_density(torch.zeros(1, 4)).exp().item() * 4**4
    1.0
    """

    alpha: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise InputError(
                f"The α of a Dirichlet prior is {self.alpha}; give a positive number (DirClip takes any number)."
            )

    @property
    def bounded(self) -> bool:
        """Whether α ≥ 1."""
        return self.alpha >= 1

    def log_density(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows"]:
        """Nats per row, up to a constant."""
        return (self.alpha - 1) * outputs.log_softmax(dim=1).sum(dim=1)

    def output_gradient(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
        """(α − 1)(1 − K p)."""
        with torch.no_grad():
            return (self.alpha - 1) * (1 - outputs.shape[1] * outputs.softmax(dim=1))


@dataclass(frozen=True)
class DirClip:
    """log g(z) = Σ_k (α − 1) max(log p_k, v): a Dirichlet prior with a limit.

    alpha: α, any number; below one it asks for confident predictions, and zero or less is fine, as a row is worth at
    most (1 − α)(K − 1)|v| nats. floor: v < 0, in nats; each class' log probability is clipped from below *before* the
    sum, and clipped classes have no gradient, which is intended.

    From a random start, α below `dirclip_threshold` drives rows to whatever class happens to lead; see `check_start`.

    Raises `InputError` for an alpha that is not finite or a floor that is not below zero.

    >>> DirClip(alpha=0.5, floor=-10.0).log_density(torch.tensor([[0.0, -50.0]])).item()  # −½ · (0 − 10)
    5.0
    """

    alpha: float
    floor: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.alpha):
            raise InputError(f"The α of a DirClip prior is {self.alpha}; give a number.")
        if not (math.isfinite(self.floor) and self.floor < 0):
            raise InputError(
                f"The floor of a DirClip prior is {self.floor}; give a log probability below 0, such as -50."
            )

    @property
    def bounded(self) -> bool:
        """Always."""
        return True

    def log_density(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows"]:
        """Nats per row, up to a constant."""
        return (self.alpha - 1) * outputs.log_softmax(dim=1).clamp(min=self.floor).sum(dim=1)

    def output_gradient(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
        """(α − 1)(u − p Σ_k u_k) with u_k = 1[log p_k > v]."""
        with torch.no_grad():
            logs = outputs.log_softmax(dim=1)
            unclipped = (logs > self.floor).to(outputs.dtype)
            return (self.alpha - 1) * (unclipped - logs.exp() * unclipped.sum(dim=1, keepdim=True))


@dataclass(frozen=True)
class Confidence:
    """log g(z) = (1/T − 1) max_k log p_k.

    temperature: T. With the categorical likelihood it makes exactly the cold likelihood (1/T) log p_y wherever the
    predicted class is the label, and log p_y + (1/T − 1) max_k log p_k elsewhere. Unlike tempering it knows no labels.
    Every row may become sure of any class, so the posterior has many modes and chains seldom visit them all.

    Raises `InputError` for a temperature that is not a positive number.

    >>> Confidence(temperature=0.5).log_density(torch.zeros(1, 4)).exp().item()
    0.25
    """

    temperature: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"The temperature of a confidence prior is {self.temperature}; give a positive number.")

    @property
    def bounded(self) -> bool:
        """Always: −log K ≤ max_k log p_k ≤ 0."""
        return True

    def log_density(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows"]:
        """Nats per row, up to a constant."""
        return (1 / self.temperature - 1) * outputs.log_softmax(dim=1).max(dim=1).values

    def output_gradient(self, outputs: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
        """(1/T − 1)(1_argmax − p)."""
        with torch.no_grad():
            probabilities = outputs.softmax(dim=1)
            leading = torch.zeros_like(outputs).scatter_(1, probabilities.max(dim=1, keepdim=True).indices, 1.0)
            return (1 / self.temperature - 1) * (leading - probabilities)


@dataclass(frozen=True, eq=False)
class Functional:
    """A form and where it looks.

    inputs: None means the rows that the likelihood sees, augmented as they are, weighted by the rows' weights and
    scaled from batch to all rows as the likelihood is. Otherwise inputs of its own `[inputs, …]` without labels: the
    form is summed over all of them at every evaluation and never scaled.
    """

    form: Form
    inputs: Tensor | None = None


def dirclip_threshold(classes: int) -> float:
    """(K − 2)/K: below this α, a row on which a wrong class leads is pushed further from its label.

    Derivation: with the categorical likelihood, ∂ℓ/∂z_y − ∂ℓ/∂z_j = 1 + (p_j − p_y)(1 − (1 − α) K), which as
    p_j → 1 is 2 − (1 − α) K: negative exactly for α < (K − 2)/K. Clipping does not change it while p_y and p_j are
    above the floor.

    >>> [round(dirclip_threshold(classes), 4) for classes in (10, 3, 100)]
    [0.8, 0.3333, 0.98]
    """
    if classes < 2:
        raise InputError(f"There is no threshold for {classes} classes; give at least two.")
    return (classes - 2) / classes

"""Losses on weak labels y (one distribution over K classes a row) of a student with logits z, p = softmax(z).

    cross-entropy     CE(y, p) = −Σ_k y_k log p_k
    confidence        (1 − α) CE(y, p) + α CE(h, p)          h: p hardened with fixed shares of classes (`harden`)
    reverse           CE(p, y) = −Σ_k p_k log y_k
    adaptive          (1 − a_i) CE(y, p) + a_i CE(argmax p, p)
                      a_i = exp(CE(argmax p, p)/T) / (exp(CE(argmax p, p)/T) + exp(CE(argmax y, p)/T))
    product           CE(t, p)                               t ∝ p^β y^α

Each is called with logits, weak labels and how much of the training is done (0 to 1), and gives one loss a row, in
nats; whatever it makes of p to aim at (h, a, t) is held fixed in gradients. A function of one's own with that call is a
loss as well.

Confidence has α ramp linearly from 0 to its largest over the first part of the training. The repository of the paper
ramps it to `coefficient × part` and then jumps (its open request 33); ours does not.

Sources: Burns et al. (2023), "Weak-to-strong generalization", appendix A.4 (cross-entropy, confidence); their
repository, `loss.py` (confidence with other constants, product); Guo et al. (2024), "Vision superalignment", eqs. 4–6
(adaptive); Lang et al. (2025), arXiv 2505.24313 (reverse).
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.supervise.harden import Balance, harden

__all__ = [
    "PAPER",
    "PAPER_SMALL",
    "REPOSITORY",
    "AdaptiveConfidence",
    "Confidence",
    "CrossEntropy",
    "Product",
    "ReverseCrossEntropy",
    "WeakLoss",
]


@runtime_checkable
class WeakLoss(Protocol):
    """(logits, weak labels, share of the training that is done) → a loss for each row, in nats."""

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float, /
    ) -> Float[Tensor, "rows"]: ...


@dataclass(frozen=True)
class CrossEntropy:
    """−Σ_k y_k log p_k: the student is to say what its supervisor says.

    >>> CrossEntropy()(torch.zeros(1, 2), torch.tensor([[0.3, 0.7]]), 0.5).exp().tolist()
    [2.0]
    """

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float
    ) -> Float[Tensor, "rows"]:
        del done
        return _cross_entropy(logits, weak)


@dataclass(frozen=True)
class Confidence:
    """(1 − α) CE(y, p) + α CE(h, p): it may disagree where it is sure.

    most: the largest α. warmup: the part of the training over which α rises to it; 0 begins there. balance: the shares
    of classes that hardening keeps.

    Raises `InputError` for numbers outside [0, 1].

    >>> loss = Confidence(most=0.5, warmup=0.1)
    >>> loss.weight(0.0), loss.weight(0.05), loss.weight(0.1), loss.weight(1.0)
    (0.0, 0.25, 0.5, 0.5)
    """

    most: float = 0.75
    warmup: float = 0.2
    balance: Balance = "even"

    def __post_init__(self) -> None:
        for name in ("most", "warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} of the confidence loss is {getattr(self, name)}; give a number from 0 to 1.")

    def weight(self, done: float) -> float:
        """α when `done` of the training is done."""
        return self.most if done >= self.warmup else self.most * done / self.warmup

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float
    ) -> Float[Tensor, "rows"]:
        alpha = self.weight(done)
        hard = harden(logits.detach().softmax(dim=1), weak, self.balance)
        return (1 - alpha) * _cross_entropy(logits, weak) - alpha * _log_of(logits, hard)


PAPER = Confidence(most=0.75, warmup=0.2, balance="even")
"""As the paper describes it for its largest students (recalled, not read off the paper's text: see docs)."""
PAPER_SMALL = Confidence(most=0.5, warmup=0.2, balance="even")
"""The same for its other students."""
REPOSITORY = Confidence(most=0.5, warmup=0.1, balance="weak")
"""The constants of the published repository, without the jump at the end of its warm-up."""


@dataclass(frozen=True)
class ReverseCrossEntropy:
    """−Σ_k p_k log y_k: an unsure supervisor pulls less. Weak labels of zero count as `floor`.

    >>> ReverseCrossEntropy()(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), 0.0).exp().tolist()
    [2.0]
    """

    floor: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.floor < 1:
            raise InputError(f"floor of the reverse cross-entropy is {self.floor}; give a number between 0 and 1.")

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float
    ) -> Float[Tensor, "rows"]:
        del done
        return -(logits.softmax(dim=1) * weak.to(logits).clamp(min=self.floor).log()).sum(dim=1)


@dataclass(frozen=True)
class AdaptiveConfidence:
    """Confidence with a weight of each row's own, which never exceeds ½.

    It vanishes where the student is sure of another class than its supervisor: there it imitates most, whatever the
    name says.

    >>> sure = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
    >>> AdaptiveConfidence().weights(sure, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()[0]
    0.5
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature of the adaptive loss is {self.temperature}; give a positive number.")

    def weights(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"]
    ) -> Float[Tensor, "rows"]:
        """a_i of every row."""
        with torch.no_grad():
            own = -_log_of(logits, logits.argmax(dim=1))
            other = -_log_of(logits, weak.argmax(dim=1))
            return ((own - other) / self.temperature).sigmoid()

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float
    ) -> Float[Tensor, "rows"]:
        del done
        share = self.weights(logits, weak)
        return (1 - share) * _cross_entropy(logits, weak) - share * _log_of(logits, logits.argmax(dim=1))


@dataclass(frozen=True)
class Product:
    """−Σ_k t_k log p_k with t ∝ p^own · y^weak: both opinions multiplied.

    >>> logits = torch.tensor([[0.0, 1.0]])
    >>> aimed = Product()(logits, torch.tensor([[0.5, 0.5]]), 0.0)
    >>> bool((aimed - -(logits.softmax(1) * logits.log_softmax(1)).sum()).abs() < 1e-6)
    True
    """

    own: float = 1.0
    weak: float = 1.0

    def __call__(
        self, logits: Float[Tensor, "rows classes"], weak: Float[Tensor, "rows classes"], done: float
    ) -> Float[Tensor, "rows"]:
        del done
        small = torch.finfo(logits.dtype).tiny
        aimed = self.own * logits.detach().log_softmax(dim=1) + self.weak * weak.to(logits).clamp(min=small).log()
        return _cross_entropy(logits, aimed.softmax(dim=1))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets.to(logits) * logits.log_softmax(dim=1)).sum(dim=1)


def _log_of(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.log_softmax(dim=1).gather(1, classes[:, None])[:, 0]

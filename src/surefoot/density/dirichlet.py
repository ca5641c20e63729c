"""Dirichlet likelihoods: each label is one count on top of α_ε counts for every class.

    α = onehot(y) + α_ε

A small α_ε says that labels are reliable: the class probabilities p = softmax(z) are then believed to be near a
corner. `NoisyDirichlet` is the one to sample; `DirectDirichlet` is what it approximates.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.density.likelihoods import check_labels
from surefoot.errors import InputError

__all__ = ["DirectDirichlet", "NoisyDirichlet", "noise_for"]


@dataclass(frozen=True)
class NoisyDirichlet:
    """Independent normal densities of the logits: the log-normal approximation of a Dirichlet's gamma variables.

        ℓ(z, y) = Σ_k log N(z_k; μ_k, v_k)    v_k = log(1/α_k + 1)    μ_k = log α_k − v_k/2    α = onehot(y) + α_ε

    noise: α_ε > 0; `noise_for` turns a share of wrong labels into it. In nats; normalised as a density of the logits
    (equally: of the transformed targets μ, observed with variance v), not over the labels, so evidences of different
    α_ε, or of this and `categorical`, are about different data and do not compare.

    It fixes the level of the logits, which softmax leaves free: adding a constant to a row's logits changes it.
    Predict with softmax(z) averaged over draws.

    Source: Milios et al. (2018), "Dirichlet-based Gaussian processes for large-scale calibrated classification";
    Kapoor et al. (2022), "On uncertainty, tempering, and data augmentation in Bayesian classification".
    Raises `InputError` for a noise that is not a positive number, and for soft targets.

    >>> likelihood = NoisyDirichlet(noise=0.01)
    >>> right, wrong = likelihood(torch.tensor([[-0.3, -6.9], [-6.9, -0.3]]), torch.tensor([0, 0])).tolist()
    >>> right > wrong
    True
    """

    noise: float

    def __post_init__(self) -> None:
        _check_noise(self.noise)

    def __call__(self, outputs: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows"]:
        """ℓ for each row, in nats."""
        mean, variance = self._moments(outputs, targets)
        return -0.5 * ((outputs - mean).square() / variance + (2 * math.pi * variance).log()).sum(dim=1)

    def output_gradient(self, outputs: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows classes"]:
        """∂ℓ/∂z = −(z − μ) / v."""
        with torch.no_grad():
            mean, variance = self._moments(outputs, targets)
            return (mean - outputs) / variance

    def _moments(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        _check_hard(outputs, targets)
        of_label = _is_label(outputs, targets)
        on, off = outputs.new_tensor(_log_normal(self.noise + 1)), outputs.new_tensor(_log_normal(self.noise))
        return torch.where(of_label, on[0], off[0]), torch.where(of_label, on[1], off[1])


@dataclass(frozen=True)
class DirectDirichlet:
    """The Dirichlet density of the class probabilities themselves, up to its normaliser.

        ℓ(z, y) = Σ_k (α_ε + 1[k = y] − 1) log softmax(z)_k

    It is the categorical likelihood times a Dirichlet(α_ε) of the probabilities, taken through log softmax: the
    density of p is evaluated at softmax(z) without the Jacobian of z. For α_ε < 1 it grows without limit as any wrong
    class' probability goes to zero, so no sampler may have it; `NoisyDirichlet` and a `DirClip` prior are the
    bounded ways. It is not normalised over the labels.

    Source: Kapoor et al. (2022), "On uncertainty, tempering, and data augmentation in Bayesian classification".
    Raises `InputError` as `NoisyDirichlet` does.

    >>> DirectDirichlet(noise=0.1).bounded, DirectDirichlet(noise=1.0).bounded
    (False, True)
    """

    noise: float

    def __post_init__(self) -> None:
        _check_noise(self.noise)

    @property
    def bounded(self) -> bool:
        """Whether ℓ has an upper limit."""
        return self.noise >= 1

    def __call__(self, outputs: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows"]:
        """ℓ for each row, in nats, up to a constant."""
        _check_hard(outputs, targets)
        logs = outputs.log_softmax(dim=1)
        return logs.gather(1, targets[:, None]).squeeze(1) + (self.noise - 1) * logs.sum(dim=1)

    def output_gradient(self, outputs: Float[Tensor, "rows classes"], targets: Tensor) -> Float[Tensor, "rows classes"]:
        """∂ℓ/∂z = g − (Σ_k g_k) p    with g_k = α_ε + 1[k = y] − 1."""
        _check_hard(outputs, targets)
        with torch.no_grad():
            shared = self.noise - 1
            gradient = shared - (1 + shared * outputs.shape[1]) * outputs.softmax(dim=1)
            return gradient + _is_label(outputs, targets)


def noise_for(label_noise: float, classes: int) -> float:
    """The α_ε that says: a share q of the labels was replaced by a class drawn uniformly from all K.

        α_ε = q / (K (1 − q))

    Derivation: of a label y, the true class is then y with probability 1 − q + q/K and any other class with q/K each
    (all classes being equally frequent). The class probabilities expected under Dir(onehot(y) + α_ε) are
    (1 + α_ε) / (1 + K α_ε) for y and α_ε / (1 + K α_ε) for another class; both equations have this one solution.
    The replacement may be the true class: the share of labels that are wrong is q (1 − 1/K).

    Raises `InputError` for a q outside (0, 1): without noise the likelihood is `categorical`, and with nothing but
    noise the labels say nothing.

    >>> noise_for(0.2, classes=10)
    0.025
    """
    if not 0 < label_noise < 1:
        raise InputError(
            f"The label noise is {label_noise}; give the share of replaced labels, above 0 (else use `categorical`, or "
            "a small noise such as 0.01 directly) and below 1."
        )
    if classes < 2:
        raise InputError(f"Label noise among {classes} classes is undefined; give at least two classes.")
    return label_noise / (classes * (1 - label_noise))


def _log_normal(alpha: float) -> tuple[float, float]:
    """Mean and variance of log γ where a log-normal γ has the mean and variance of Gamma(α, 1)."""
    variance = math.log1p(1 / alpha)
    return math.log(alpha) - variance / 2, variance


def _is_label(outputs: Tensor, targets: Int[Tensor, "rows"]) -> Tensor:
    return torch.arange(outputs.shape[1], device=outputs.device) == targets[:, None]


def _check_noise(noise: float) -> None:
    if not (math.isfinite(noise) and noise > 0):
        raise InputError(f"The Dirichlet noise α_ε is {noise}; give a positive number, such as 0.01.")


def _check_hard(outputs: Tensor, targets: Tensor) -> None:
    if targets.is_floating_point():
        raise InputError(
            f"A Dirichlet likelihood was given floating targets {list(targets.shape)}, and counts whole labels; give "
            "int64 class numbers, or use `categorical` for soft targets."
        )
    check_labels(outputs, targets)

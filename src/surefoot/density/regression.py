"""Likelihoods of numbers: normal noise of a known scale, or of a scale that the network predicts.

Both have a *noise temperature* T: σ becomes σ√T, in the normaliser too,

    ℓ = Σ_d −(y_d − m_d)² / (2 σ_d² T) − ½ log(2π σ_d² T)

and so remain a normalised density of the targets. That is not likelihood tempering, log N(y; m, σ²) / T: the two
differ by a constant when σ is known, and in substance when σ is predicted, because tempering also divides log σ by T.

Source: Izmailov et al. (2021), "What are Bayesian neural network posteriors really like?", their Gaussian likelihood.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.errors import InputError

__all__ = ["GaussianNoise", "LearnedNoise"]


@dataclass(frozen=True)
class GaussianNoise:
    """ℓ(z, y) = Σ_d log N(y_d; z_d, σ²T), in nats: the outputs are means, the noise is known.

    scale: σ, in the targets' units. temperature: the noise temperature T (see the module's text). Outputs `[rows]`,
    `[rows, 1]` or `[rows, d]`; floating targets of the same shape, or `[rows]` beside `[rows, 1]`.

    Raises `InputError` for a scale or temperature that is not a positive number, and for targets that are no numbers
    or do not fit the outputs.

    >>> likelihood = GaussianNoise(scale=1.0)
    >>> round(likelihood(torch.zeros(1, 1), torch.tensor([2.0])).item(), 4)  # −½ log 2π − 2
    -2.9189
    """

    scale: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_positive(scale=self.scale, temperature=self.temperature)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """ℓ for each row."""
        misses = _fitting(targets, outputs) - outputs
        variance = self.scale**2 * self.temperature
        terms = -0.5 * (misses.square() / variance + math.log(2 * math.pi * variance))
        return terms if terms.ndim == 1 else terms.sum(dim=1)

    def output_gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """∂ℓ/∂z = (y − z) / (σ²T)."""
        with torch.no_grad():
            return (_fitting(targets, outputs) - outputs) / (self.scale**2 * self.temperature)


@dataclass(frozen=True)
class LearnedNoise:
    """ℓ(z, y) = Σ_d log N(y_d; m_d, σ_d²T), in nats: the network predicts the noise as well.

        m = z[:, :d]    σ = floor + softplus(z[:, d:])

    Outputs `[rows, 2d]`: the means first, then the raw scales; floating targets `[rows, d]`, or `[rows]` when d is one.
    temperature: the noise temperature T (see the module's text). floor: the least σ, in the targets' units; without
    one a row that is fitted exactly would have a likelihood without limit.

    Raises `InputError` for settings that are not positive numbers, an odd number of outputs, and targets that do not
    fit them.

    >>> likelihood = LearnedNoise()
    >>> sure, unsure = likelihood(torch.tensor([[0.0, -2.0], [0.0, 2.0]]), torch.tensor([3.0, 3.0])).tolist()
    >>> sure < unsure  # a miss of three costs more where the network was sure
    True
    """

    temperature: float = 1.0
    floor: float = 1e-3

    def __post_init__(self) -> None:
        _check_positive(temperature=self.temperature, floor=self.floor)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """ℓ for each row."""
        means, raw = _halves(outputs)
        scale = self.floor + softplus(raw)
        misses = (_fitting(targets, means) - means) / scale
        constant = math.log(2 * math.pi * self.temperature)
        return -0.5 * (misses.square() / self.temperature + 2 * scale.log() + constant).sum(dim=1)

    def output_gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """∂ℓ/∂m = r / (σT) and ∂ℓ/∂raw = (r²/T − 1) / σ · sigmoid(raw), with r = (y − m) / σ."""
        with torch.no_grad():
            means, raw = _halves(outputs)
            scale = self.floor + softplus(raw)
            misses = (_fitting(targets, means) - means) / scale
            by_scale = (misses.square() / self.temperature - 1) / scale * raw.sigmoid()
            return torch.cat([misses / (scale * self.temperature), by_scale], dim=1)


def _halves(outputs: Tensor) -> tuple[Tensor, Tensor]:
    if outputs.ndim != 2 or outputs.shape[1] % 2:
        raise InputError(
            f"Outputs have shape {list(outputs.shape)}; learned noise needs a mean and a raw scale for each target: "
            "give the network's head [rows, 2 × targets] outputs."
        )
    means, raw = outputs.chunk(2, dim=1)
    return means, raw


def _fitting(targets: Tensor, means: Tensor) -> Tensor:
    """The targets in the shape and type of the means."""
    if not targets.is_floating_point():
        raise InputError(
            f"Targets of type {targets.dtype} are class numbers; a regression needs floating targets: use "
            "`categorical` for classes, or convert numbers with .float()."
        )
    if means.ndim not in (1, 2):
        raise InputError(f"Outputs have shape {list(means.shape)}; a regression needs [rows] or [rows, numbers].")
    if targets.shape == means.shape:
        return targets.to(means.dtype)
    if targets.ndim == 1 and means.shape == (len(targets), 1):
        return targets.to(means.dtype)[:, None]
    raise InputError(
        f"Targets have shape {list(targets.shape)} but the predicted means {list(means.shape)}; give one number per "
        "row and mean."
    )


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"The {name} of the noise is {value}; give a positive number.")

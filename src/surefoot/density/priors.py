"""Priors: proper log densities of the parameters, in nats, normalising constants included.

A prior speaks of the tensors it is given, by name: all of them, or those in `only`. Buffers (running means,
counters) are no parameters: `Objective` and `Posterior` pass the trainable parameters alone, and whoever calls
a prior with a bare dictionary chooses the same way. Biases and normalisation scales are parameters like any other.

Each prior also says in which coordinates it has unit scale (`whitening`); see `surefoot.density.whitening`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.whitening import Whitening
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["Gaussian", "Laplace", "Partial", "Prior", "StudentT", "spoken_for"]


@runtime_checkable
class Prior(Protocol):
    """A proper density over named parameters."""

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]: ...


@runtime_checkable
class Partial(Protocol):
    """A prior that may leave some of the parameters it is given to others."""

    def names_in(self, parameters: Parameters) -> list[str]:
        """Which of these tensors the prior speaks of. Raises `InputError` when one that it names is not there."""
        ...


def spoken_for(prior: Prior, parameters: Parameters) -> list[str]:
    """The names that a prior speaks of: all of them, unless it says otherwise.

    >>> spoken_for(Gaussian(1.0, only=frozenset({"w"})), {"w": torch.zeros(1), "b": torch.zeros(1)})
    ['w']
    """
    return prior.names_in(parameters) if isinstance(prior, Partial) else list(parameters)


@dataclass(frozen=True)
class Gaussian:
    """Independent normal distributions: log p(θ) = Σ_i ½ log(λ/2π) − ½ λ (θ_i − c_i)².

    precision: λ, one over the variance. centre: the means c by name; zero when absent. only: the names this
    prior speaks of; every tensor it is given when absent.

    Raises `InputError` for a precision that is not a positive number, and for names it cannot find.

    >>> prior = Gaussian(precision=4.0)
    >>> round(prior.log_density({"w": torch.zeros(1)}).item(), 4)  # ½ log(4/2π)
    -0.2258
    """

    precision: float
    centre: Mapping[str, Tensor] | None = None
    only: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _positive("precision", self.precision)

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters."""
        deviations = _deviations(parameters, self.centre, self.only)
        count = sum(deviation.numel() for deviation in deviations)
        squares = _summed([deviation.square().sum() for deviation in deviations])
        return 0.5 * count * math.log(self.precision / (2 * math.pi)) - 0.5 * self.precision * squares

    def names_in(self, parameters: Parameters) -> list[str]:
        """Those in `only`, or all."""
        return _names(parameters, self.only)

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """u is standard normal."""
        return _whitening(parameters, self.centre, self.only, scale=self.precision**-0.5, normal=True)


@dataclass(frozen=True)
class Laplace:
    """Independent double exponentials: log p(θ) = Σ_i −log 2b − |θ_i − c_i| / b. Its maximum is the L1 penalty.

    scale: b; the variance is 2b², so a precision λ is b = √(1/(2λ)). centre, only: as in `Gaussian`.

    Raises `InputError` for a scale that is not a positive number, and for names it cannot find.

    >>> prior = Laplace(scale=0.5)
    >>> prior.log_density({"w": torch.tensor([1.0, -2.0])}).item()
    -6.0
    """

    scale: float
    centre: Mapping[str, Tensor] | None = None
    only: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters except where one sits at its centre."""
        deviations = _deviations(parameters, self.centre, self.only)
        count = sum(deviation.numel() for deviation in deviations)
        absolute = _summed([deviation.abs().sum() for deviation in deviations])
        return -count * math.log(2 * self.scale) - absolute / self.scale

    def names_in(self, parameters: Parameters) -> list[str]:
        """Those in `only`, or all."""
        return _names(parameters, self.only)

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """u has variance one."""
        return _whitening(parameters, self.centre, self.only, scale=math.sqrt(2) * self.scale, normal=False)


@dataclass(frozen=True)
class StudentT:
    """Independent Student distributions, with heavy tails:

        log p(θ) = Σ_i log Γ((ν+1)/2) − log Γ(ν/2) − ½ log(νπ s²) − (ν+1)/2 · log(1 + ((θ_i − c_i)/s)² / ν)

    degrees: ν; the variance is s² ν/(ν − 2) for ν > 2 and infinite below. scale: s. centre, only: as in `Gaussian`.

    Raises `InputError` for degrees or a scale that is not a positive number, and for names it cannot find.

    >>> prior = StudentT(degrees=1.0, scale=1.0)  # a Cauchy distribution
    >>> round(prior.log_density({"w": torch.zeros(1)}).item(), 4)  # −log π
    -1.1447
    """

    degrees: float
    scale: float
    centre: Mapping[str, Tensor] | None = None
    only: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _positive("degrees", self.degrees)
        _positive("scale", self.scale)

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters."""
        deviations = _deviations(parameters, self.centre, self.only)
        count = sum(deviation.numel() for deviation in deviations)
        tails = _summed(
            [(deviation.square() / (self.degrees * self.scale**2)).log1p().sum() for deviation in deviations]
        )
        half = (self.degrees + 1) / 2
        constant = math.lgamma(half) - math.lgamma(self.degrees / 2)
        constant -= 0.5 * math.log(self.degrees * math.pi) + math.log(self.scale)
        return count * constant - half * tails

    def names_in(self, parameters: Parameters) -> list[str]:
        """Those in `only`, or all."""
        return _names(parameters, self.only)

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """u has variance one, or scale one where the variance is infinite."""
        spread = math.sqrt(self.degrees / (self.degrees - 2)) if self.degrees > 2 else 1.0
        return _whitening(parameters, self.centre, self.only, scale=self.scale * spread, normal=False)


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"The {name} of a prior is {value}; give a positive number.")


def _names(parameters: Parameters, only: frozenset[str] | None) -> list[str]:
    names = list(parameters) if only is None else [name for name in parameters if name in only]
    if only is not None and len(names) < len(only):
        raise InputError(
            f"The prior names parameters that are not there: {sorted(only - set(names))}; there are {list(parameters)}."
        )
    for name in names:
        if not parameters[name].is_floating_point():
            raise InputError(
                f"{name} holds {parameters[name].dtype} and is no parameter; pass the trainable parameters, or name "
                "them in `only`."
            )
    return names


def _centres(parameters: Parameters, names: list[str], centre: Mapping[str, Tensor] | None) -> dict[str, Tensor | None]:
    """The centre of each named tensor, in its type; None for zero."""
    if centre is None:
        return dict.fromkeys(names)
    missing = [name for name in names if name not in centre or centre[name].shape != parameters[name].shape]
    if missing:
        raise InputError(f"The prior's centre has no tensor of the right shape for {missing}; give one, or use `only`.")
    return {name: centre[name].to(parameters[name]) for name in names}


def _deviations(
    parameters: Parameters, centre: Mapping[str, Tensor] | None, only: frozenset[str] | None
) -> list[Tensor]:
    """θ − c for every tensor the prior speaks of."""
    centres = _centres(parameters, _names(parameters, only), centre)
    return [parameters[name] if middle is None else parameters[name] - middle for name, middle in centres.items()]


def _whitening(
    parameters: Parameters,
    centre: Mapping[str, Tensor] | None,
    only: frozenset[str] | None,
    *,
    scale: float,
    normal: bool,
) -> dict[str, Whitening]:
    centres = _centres(parameters, _names(parameters, only), centre)
    return {name: Whitening(scale, centre=middle, normal=normal) for name, middle in centres.items()}


def _summed(terms: list[Tensor]) -> Tensor:
    if not terms:
        raise InputError("The prior was given no parameters; pass at least one tensor.")
    return torch.stack(terms).sum()

"""What may be said of a Bayesian network in plain words: beliefs, temperatures, and how to sample."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from surefoot.density.temperatures import check_temperatures
from surefoot.errors import InputError
from surefoot.rows.roles import Role

__all__ = ["BayesSettings", "Part", "Sampler", "check_words"]

Part: TypeAlias = Literal["head", "network"]
Sampler: TypeAlias = Literal["hmc", "nuts", "sghmc", "sgld", "mean_field", "swag", "laplace"]

LEAPFROGS = 100.0  # of a trajectory of some thousand rows, with the step that 80 % acceptance leaves
TO_A_MODE = 20.0  # iterations of L-BFGS in a round
SINGLE = ("mean_field", "laplace")
MODEST = {"sghmc": 0.01, "sgld": 0.003, "swag": 0.05}
"""Step sizes to begin with, for samplers that cannot find their own; swag's is a learning rate of the mean loss."""


@dataclass(frozen=True)
class BayesSettings:
    """A posterior, and how it is sampled.

    part: the last layer over frozen features of any size ("head"), or the whole of a small "network".
    learn: the role whose rows the posterior is given.
    likelihood: "categorical", or the "noisy_dirichlet" one for labels that may be wrong.
    label_noise: the share of labels believed to be replaced by one drawn uniformly from all classes; noisy_dirichlet.
    prior: of the weights; "empcov" and "sum_filter" speak of the first layer and leave the rest to a Gaussian.
    precision: λ, one over the variance of the prior.
    floor: ε, the variance that "empcov" leaves to weights of inputs that never vary, as a share of 1/λ.
    filter_precision: λ_f, one over the variance of a filter's sum; sum_filter.
    functional: a prior of the predictions on the rows that are learnt from: "dirclip", "dirichlet", "confidence".
    alpha: the concentration α of dirclip and dirichlet; below one confident, above one smooth.
    clip: the log probability below which dirclip is flat; far below −10 even a good start can be led astray.
    confidence: T of the confidence prior; the smaller, the surer.
    posterior_temperature: divides likelihood and prior alike; below one is the cold posterior.
    likelihood_temperature: divides the likelihood alone.
    sampler: "nuts" and "hmc" see all rows at a step and are exact; the others see batches or approximate. A trajectory
      of hmc lasts a quarter period of the prior, which suits networks; nuts finds its own length, as heads need it.
    chains: how many are sampled at once, each from a start of its own; 4 where absent, and 1 for mean_field and
      laplace, which have no more.
    draws: kept of each chain.
    burn_in: iterations before them (hmc, nuts), or epochs (sghmc, sgld, mean_field, swag).
    thin: iterations (hmc, nuts) or epochs (sghmc, sgld, swag) for each draw.
    step_size: in coordinates where the prior has unit scale; hmc and nuts find their own where it is absent, and
      mean_field takes it as Adam's rate, 0.01 where it is absent.
    batch: rows a step, for samplers that see batches.
    decay: the share of momentum that a step of sghmc keeps; one minus the friction.
    start: each chain from a "fresh" draw of the initial weights, or from the "trained" model.

    Raises `InputError` for numbers out of range and for settings that the others leave no use for.
    """

    part: Part = "head"
    learn: Role = "fit"
    likelihood: Literal["categorical", "noisy_dirichlet"] = "categorical"
    label_noise: float | None = None
    prior: Literal["gaussian", "laplace", "student_t", "empcov", "sum_filter"] = "gaussian"
    precision: float = 1.0
    floor: float = 1e-4
    filter_precision: float | None = None
    functional: Literal["none", "dirclip", "dirichlet", "confidence"] = "none"
    alpha: float | None = None
    clip: float = -10.0
    confidence: float | None = None
    posterior_temperature: float = 1.0
    likelihood_temperature: float = 1.0
    sampler: Sampler = "nuts"
    chains: int | None = None
    draws: int = 100
    burn_in: int = 50
    thin: int = 1
    step_size: float | None = None
    batch: int = 128
    decay: float = 0.9
    start: Literal["fresh", "trained"] = "fresh"

    def __post_init__(self) -> None:
        check_words(vars(self))
        if self.learn not in ("fit", "repair"):
            raise InputError(f"learn is {self.learn}; a posterior is given the fit or the repair rows.")
        for name in ("draws", "thin", "batch", "starts"):
            if getattr(self, name) < 1:
                called = "chains" if name == "starts" else name
                raise InputError(f"{called} is {getattr(self, name)}; give at least 1.")
        if self.burn_in < 0:
            raise InputError(f"burn_in is {self.burn_in}; give zero or a positive whole number.")
        if self.starts > 1 and self.sampler in SINGLE:
            raise InputError(f"{self.sampler} fits one distribution from one start; leave out chains, or set it to 1.")
        for name in ("precision", "floor", "filter_precision", "confidence", "step_size"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; give a positive number.")
        if not 0 <= self.decay < 1:
            raise InputError(f"decay is {self.decay}; give the share of momentum that is kept, from 0 up to below 1.")
        if self.label_noise is not None and not 0 < self.label_noise < 1:
            raise InputError(f"label_noise is {self.label_noise}; give a share of the labels, above 0 and below 1.")
        check_temperatures(self.posterior_temperature, self.likelihood_temperature, 1.0)
        self._only_with("label_noise", self.likelihood == "noisy_dirichlet", "likelihood: noisy_dirichlet")
        self._only_with("filter_precision", self.prior == "sum_filter", "prior: sum_filter")
        self._only_with("alpha", self.functional in ("dirclip", "dirichlet"), "functional: dirclip or dirichlet")
        self._only_with("confidence", self.functional == "confidence", "functional: confidence")
        self._check_sampler()

    @property
    def words(self) -> str:
        """What readers of a card see.

        >>> BayesSettings(sampler="mean_field").words
        'Bayesian head (mean field)'
        """
        return f"Bayesian {self.part} ({self.sampler.replace('_', ' ')})"

    @property
    def starts(self) -> int:
        """How many chains there are."""
        return (1 if self.sampler in SINGLE else 4) if self.chains is None else self.chains

    @property
    def sees_batches(self) -> bool:
        """Whether a step sees a batch, not all rows."""
        return self.sampler in ("sghmc", "sgld", "mean_field", "swag")

    def passes(self, rows: int) -> float:
        """About how many gradients of all rows it takes, a chain: what a plan tells beforehand."""
        if self.sampler in ("hmc", "nuts"):
            return (self.burn_in + self.draws * self.thin) * LEAPFROGS
        if self.sampler == "laplace":
            return 100.0 * TO_A_MODE
        return float(self.burn_in + self.draws * self.thin)

    def _check_sampler(self) -> None:
        if self.sampler in MODEST and self.step_size is None:
            raise InputError(
                f"{self.sampler} has no Metropolis test to find a step by; give it a step_size, such as "
                f"{MODEST[self.sampler]} and half of it, and compare."
            )
        if self.sampler in ("hmc", "nuts") and self.burn_in == 0 and self.step_size is None:
            raise InputError(
                f"burn_in is 0, and in it {self.sampler} finds its step; give some iterations, or a step_size."
            )
        if self.sampler in ("swag", "laplace") and self.prior != "gaussian":
            raise InputError(f"{self.sampler} begins at a mode under a Gaussian prior; use prior: gaussian, or hmc.")
        if self.sampler == "swag" and self.draws < 2:
            raise InputError(f"draws is {self.draws}; swag takes its spread from positions, so give at least 2.")

    def _only_with(self, name: str, used: bool, where: str) -> None:
        given = getattr(self, name) is not None
        if given and not used:
            raise InputError(f"{name} was given without {where}, which alone reads it; remove one side.")
        if used and not given:
            raise InputError(f"{where} needs {name}; give it.")


def check_words(told: Mapping[str, object]) -> None:
    """Raise `InputError` for a word that a setting does not know, with the nearest that it does.

    >>> check_words({"sampler": "nust"})
    Traceback (most recent call last):
    surefoot.errors.InputError: There is no sampler 'nust'; did you mean 'nuts'?
    """
    types: dict[str, Any] = get_type_hints(BayesSettings)
    for name, value in told.items():
        known = [each for each in get_args(types[name]) if isinstance(each, str)]
        if isinstance(value, str) and value not in known:
            near = get_close_matches(value, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(known)}."
            raise InputError(f"There is no {name} {value!r}; {advice}")

"""A prior in parts: each tensor belongs to one of several priors by its name, so that the whole is a proper density."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.priors import Gaussian, Prior, spoken_for
from surefoot.density.whitening import Whitened, Whitening
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["Layered", "scaled_by_fan_in"]


@dataclass(frozen=True)
class Layered:
    """Disjoint parts: log p(θ) = Σ_parts log p_part(θ_part).

    priors: for each name or pattern (`*` any text, `?` one character), the prior of the tensors that match it.
    rest: the prior of tensors that match none; when absent, there may be none left.

    Raises `InputError`, when it meets the parameters, unless every tensor is spoken for exactly once: when a tensor
    matches none or two of the patterns, a pattern matches nothing, or a part leaves some of its tensors out.

    >>> prior = Layered({"head.*": Gaussian(10.0)}, rest=Gaussian(1.0))
    >>> parameters = {"body.weight": torch.zeros(3), "head.weight": torch.zeros(3)}
    >>> {name: round(white.scale, 3) for name, white in prior.whitening(parameters).items()}
    {'body.weight': 1.0, 'head.weight': 0.316}
    """

    priors: Mapping[str, Prior]
    rest: Prior | None = None

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters."""
        return torch.stack([prior.log_density(part) for prior, part in self._parts(parameters)]).sum()

    def names_in(self, parameters: Parameters) -> list[str]:
        """All of them."""
        self._parts(parameters)
        return list(parameters)

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """Each part's own; a part that knows none is left in its own coordinates."""
        found: dict[str, Whitening] = {}
        for prior, part in self._parts(parameters):
            own = prior.whitening(part) if isinstance(prior, Whitened) else {}
            found.update({name: own.get(name, Whitening(1.0, normal=False)) for name in part})
        return {name: found[name] for name in parameters}

    def _parts(self, parameters: Parameters) -> list[tuple[Prior, Parameters]]:
        """The priors that have tensors here, with those tensors."""
        if not parameters:
            raise InputError("The prior was given no parameters; pass at least one tensor.")
        owners = {name: [pattern for pattern in self.priors if _matches(name, pattern)] for name in parameters}
        if twice := [name for name, patterns in owners.items() if len(patterns) > 1]:
            raise InputError(
                f"{twice[0]} matches the patterns {owners[twice[0]]}; each tensor may have one prior: make the "
                "patterns disjoint."
            )
        parts = [
            (prior, {name: parameters[name] for name, patterns in owners.items() if patterns == [pattern]})
            for pattern, prior in self.priors.items()
        ]
        if idle := [pattern for pattern, (_, part) in zip(self.priors, parts, strict=True) if not part]:
            raise InputError(f"The patterns {idle} match no parameter; there are {list(parameters)}.")
        left = {name: parameters[name] for name, patterns in owners.items() if not patterns}
        if left and self.rest is None:
            raise InputError(f"No prior speaks of {list(left)}; add patterns for them, or give `rest` a prior.")
        if left and self.rest is not None:
            parts.append((self.rest, left))
        for prior, part in parts:
            if out := sorted(set(part) - set(spoken_for(prior, part))):
                raise InputError(
                    f"{type(prior).__name__} was given {list(part)} and leaves out {out}; a pattern's prior must speak "
                    "of all tensors that match it."
                )
        return parts


def scaled_by_fan_in(parameters: Parameters, *, variance: float = 1.0, others: float = 1.0) -> Layered:
    """Normal priors whose variance falls with the number of inputs to a unit, so that wide layers do not shout.

        weights [out, in, …]: N(0, variance / n)    n = in × … inputs to a unit    all other tensors: N(0, others)

    parameters: the trainable tensors, for their names and shapes. others: the variance of all tensors with one number
    for each unit: biases, and scales of normalisation, whatever their axes (filter response normalisation has scales
    [C, 1, 1]). The weights of a layer with a single input look the same and get it too; give them a pattern of their
    own in `Layered` where it matters. The sum over a unit's inputs then has the same variance whatever the width.

    Source: Neal (1996), "Bayesian learning for neural networks", chapter 2. Raises `InputError` for a variance that
    is not a positive number.

    >>> parameters = {"weight": torch.zeros(5, 4), "bias": torch.zeros(5)}
    >>> {name: white.scale for name, white in scaled_by_fan_in(parameters).whitening(parameters).items()}
    {'weight': 0.5, 'bias': 1.0}
    """
    for name, value in {"variance": variance, "variance of other tensors": others}.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"The {name} is {value}; give a positive number.")
    return Layered(
        {
            name: Gaussian(inputs / variance if (inputs := math.prod(tensor.shape[1:])) > 1 else 1 / others)
            for name, tensor in parameters.items()
        }
    )


def _matches(name: str, pattern: str) -> bool:
    # A name matches itself even where it holds characters that mean something in a pattern.
    return name == pattern or fnmatchcase(name, pattern)

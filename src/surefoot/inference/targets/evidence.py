"""The rows of a posterior, ready for a sampler: in its precision, checked once, their views drawn once.

What they say is the posterior's own to tell, by `row_log_density` and `row_gradient`; here too is what a functional
prior says at inputs of its own.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.density.objective import Posterior, fixed_views
from surefoot.errors import InputError
from surefoot.inference.targets.fixed import fixed_tensors
from surefoot.networks.network import Parameters, forward, parameters_of
from surefoot.rows.rows import Rows

__all__ = [
    "Evidence",
    "Part",
    "cast",
    "check_network",
    "functional_densities",
    "functional_gradient",
    "make_evidence",
    "tensors_in",
]

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Part(NamedTuple):
    """Some rows, and their weights; in a minibatch, weights that stand for all rows."""

    inputs: Tensor
    targets: Tensor
    weights: Float[Tensor, "rows"]


@dataclass(frozen=True)
class Evidence:
    """A posterior and its rows as they are; own: inputs of the functional prior's own, if it has some.

    seed: of the views in the full density, where the posterior augments its rows at random. fixed: the tensors that
    are not sampled (frozen parameters, buffers).
    """

    posterior: Posterior
    rows: Rows
    data: Part
    own: Tensor | None
    seed: int
    fixed: Parameters

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs, weights and positions."""
        return self.data.weights.dtype

    @cached_property
    def full(self) -> "Evidence":
        """The same without augmentation: all views of each row, drawn at the first call."""
        if self.posterior.augmentation is None:
            return self
        fixed = fixed_views(self.posterior, self.rows, self.seed)
        return Evidence(fixed.posterior, fixed.rows, _data(fixed.rows, self.dtype), self.own, self.seed, self.fixed)

    def batch(self, index: Tensor, generator: torch.Generator | None) -> Part:
        """The rows at `index`, augmented, with weights N/B times their own."""
        inputs, targets, weights = (tensor.index_select(0, index) for tensor in self.data)
        augmentation = self.posterior.augmentation
        if augmentation is not None:
            if generator is None:
                raise InputError("The posterior augments its rows at random; give the minibatch gradient a generator.")
            inputs = augmentation.change(inputs, generator)
        return Part(inputs, targets, weights * (len(self.rows) / len(index)))


def make_evidence(
    posterior: Posterior, rows: Rows, dtype: torch.dtype, seed: int = 0, fixed: Parameters | None = None
) -> Evidence:
    """The evidence in `rows`, once it is sure that it can be used.

    fixed: the tensors that are not sampled; see `surefoot.inference.targets.fixed`.

    Raises `InputError` for no rows, inputs (a functional prior's own too) or weights that are not finite, weights or a
    seed below zero, tensors in `fixed` that do not fit, and whatever the likelihood raises for targets that it cannot
    take.
    """
    if not len(rows):
        raise InputError("There are no rows to learn from; check the role or the filter that chose them.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    if not bool((rows.weights.isfinite() & (rows.weights >= 0)).all()):
        raise InputError("Some rows have weights that are negative or not finite; weights count evidence, from 0 up.")
    data = _data(rows, dtype)
    if bad := _not_finite(data.inputs):
        raise InputError(f"{bad} of {len(rows)} rows have inputs that are NaN or infinite; mend or leave out these.")
    functional = posterior.functional
    own = None if functional is None or functional.inputs is None else cast(functional.inputs, dtype)
    if own is not None and (bad := _not_finite(own)):
        raise InputError(
            f"{bad} of the functional prior's own {len(own)} inputs are NaN or infinite; mend or leave out these."
        )
    held = fixed_tensors(posterior, fixed, dtype)
    with torch.no_grad():
        outputs = forward(posterior.network, {**tensors_in(posterior, dtype), **held}, data.inputs[:1])
        posterior.row_log_density(outputs.new_zeros(len(rows), *outputs.shape[1:]), data.targets)
    return Evidence(posterior, rows, data, own, seed, held)


def check_network(posterior: Posterior) -> None:
    """Raise `InputError` for dropout: a likelihood that is drawn anew at every call is no density of the weights."""
    for name, part in posterior.network.module.named_modules():
        if isinstance(part, DROPOUT) and part.p > 0:
            raise InputError(
                f'The layer "{name}" drops units at random with p = {part.p}, and a posterior needs one likelihood for '
                "the same weights; set p to 0, or leave the layer out."
            )


def tensors_in(posterior: Posterior, dtype: torch.dtype) -> Parameters:
    """The network's own parameters and buffers, in the precision of `dtype` where they have one."""
    return {name: cast(tensor, dtype) for name, tensor in parameters_of(posterior.network).items()}


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating numbers in another precision; whole ones as they are."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def functional_densities(posterior: Posterior, outputs: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows"]:
    """What each of the functional prior's own inputs adds to the log density, in nats; differentiable."""
    if posterior.functional is None:
        return outputs.new_zeros(len(outputs))
    return (
        posterior.functional.form.log_density(outputs / posterior.logit_temperature) / posterior.posterior_temperature
    )


def functional_gradient(posterior: Posterior, outputs: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
    """∂ Σ functional_densities / ∂ outputs."""
    if posterior.functional is None:
        return torch.zeros_like(outputs)
    gradient = posterior.functional.form.output_gradient(outputs / posterior.logit_temperature)
    return gradient / (posterior.logit_temperature * posterior.posterior_temperature)


def _not_finite(inputs: Tensor) -> int:
    """How many rows hold a number that is NaN or infinite."""
    if not inputs.is_floating_point():
        return 0
    return int((~inputs.reshape(len(inputs), -1).isfinite().all(dim=1)).sum())


def _data(rows: Rows, dtype: torch.dtype) -> Part:
    return Part(cast(rows.inputs[:], dtype), cast(rows.targets, dtype), rows.weights.to(dtype))

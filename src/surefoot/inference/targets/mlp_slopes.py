"""The log density's gradient by an MLP's outputs, where outputs are `[chains, out, rows]`.

For the categorical likelihood it is one softmax and one subtraction on whole vectors of rows,

    ∂/∂z_k = w f (y_k − (Σ_k y_k) p_k) / (T_logit T_likelihood T_posterior)        p = softmax(z / T_logit)

and everything else goes through the posterior's `row_gradient`, the rows of all chains as rows of one matrix.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.inference.targets.evidence import functional_gradient

__all__ = ["Labels", "Slope", "categorical_slope", "functional_slope", "general_slope", "labels_of"]

Slope: TypeAlias = Callable[[Float[Tensor, "chains out rows"], Float[Tensor, "chains out rows"]], None]
"""(outputs, gradient): writes the gradient by the outputs to its second argument; may spoil the first."""


class Labels(NamedTuple):
    """Class probabilities y of the targets, and Σ_k y_k where it is not one for all rows."""

    shares: Float[Tensor, "rows classes"]
    mass: Float[Tensor, "rows"] | None


def labels_of(posterior: Posterior, targets: Tensor, classes: int, dtype: torch.dtype) -> Labels | None:
    """The targets as the fused slope wants them; None where the posterior has another likelihood."""
    if posterior.likelihood is not categorical:
        return None
    if not targets.is_floating_point():
        return Labels(one_hot(targets, classes).to(dtype), None)
    mass = targets.sum(dim=1)
    return Labels(targets.to(dtype), None if bool((mass == 1).all()) else mass.to(dtype))


def categorical_slope(
    posterior: Posterior,
    shares: Float[Tensor, "_ classes rows"],
    mass: Float[Tensor, "_ 1 rows"] | None,
    weights: Float[Tensor, "_ 1 rows"],
) -> Slope:
    """The fused slope, with the form of a functional prior that looks at the same rows.

    The first axis of each tensor is one for all chains, or one for each.
    """
    logit, likelihood = posterior.logit_temperature, posterior.likelihood_temperature
    functional = posterior.functional
    form = None if functional is None or functional.inputs is not None else functional.form
    counted = 1.0 if posterior.augmentation is None else posterior.augmentation.factor
    counted /= logit * posterior.posterior_temperature * (likelihood if form is None else 1.0)
    factors = weights * counted
    plain = bool((factors == 1).all())

    def slope(outputs: Tensor, gradient: Tensor) -> None:
        if logit != 1:
            outputs.div_(logit)
        torch.softmax(outputs, 1, out=gradient)
        if mass is not None:
            gradient.mul_(mass)
        torch.sub(shares, gradient, out=gradient)
        if form is not None:
            if likelihood != 1:
                gradient.div_(likelihood)
            gradient.add_(_by_rows(form.output_gradient, outputs))
        if not plain:
            gradient.mul_(factors)

    return slope


def general_slope(posterior: Posterior, targets: Tensor, weights: Float[Tensor, "_ rows"]) -> Slope:
    """Any likelihood, and a functional prior that looks at the same rows; first axes as in `categorical_slope`."""

    def slope(outputs: Tensor, gradient: Tensor) -> None:
        chains = len(outputs)
        told = targets.expand(chains, *targets.shape[1:]).flatten(0, 1)
        gradient.copy_(_by_rows(lambda rows: posterior.row_gradient(rows, told), outputs)).mul_(weights[:, None])

    return slope


def functional_slope(posterior: Posterior) -> Slope:
    """A functional prior at inputs of its own."""

    def slope(outputs: Tensor, gradient: Tensor) -> None:
        gradient.copy_(_by_rows(lambda rows: functional_gradient(posterior, rows), outputs))

    return slope


def _by_rows(gradient: Callable[[Tensor], Tensor], outputs: Float[Tensor, "chains out rows"]) -> Tensor:
    """`gradient` of a matrix with one row for each chain and row, turned back to the shape of the outputs."""
    chains, width, rows = outputs.shape
    return gradient(outputs.mT.reshape(chains * rows, width)).view(chains, rows, width).mT

"""Which posteriors, rows and priors have a Laplace evidence; the others are refused with the reason and the way out."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from surefoot.density.objective import Posterior
from surefoot.density.priors import Prior
from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.density.requirements import require_normalised, require_samplable
from surefoot.density.whitening import Whitened
from surefoot.errors import InputError
from surefoot.inference.approximate.curvature import Part
from surefoot.networks.network import Parameters
from surefoot.rows.rows import Rows

__all__ = ["NormalPrior", "check_posterior", "check_rows", "normal_prior"]


class NormalPrior(NamedTuple):
    """An independent normal prior of some tensors: λ of each, and of each number (θ − c)² and the slope −λ (θ − c)."""

    precisions: Float64[Tensor, "tensors"]
    squares: Float64[Tensor, "parameters"]
    slopes: Float64[Tensor, "parameters"]


def check_posterior(posterior: Posterior, part: Part) -> None:
    """Raise `InputError` where there is no evidence, or none that an expansion could give.

    Batch normalisation among what is expanded is refused; below a head, its stored averages are part of the features.
    """
    require_normalised(posterior)
    if part == "all":
        require_samplable(posterior)
        return
    for name, module in posterior.network.module.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:  # pyright: ignore[reportPrivateUsage] - the base of all kinds
            raise InputError(
                f'The batch normalisation "{name}" stores no averages (track_running_stats=False), so that rows depend '
                "on one another even below the head; replace it (networks.convert.replace_batch_norm) and train again."
            )


def check_rows(posterior: Posterior, rows: Rows) -> None:
    """Raise `InputError` for no rows, weights other than one, and soft targets: what they count is no probability."""
    if not len(rows):
        raise InputError("There are no rows to expand around; check the role or the filter that chose them.")
    if not bool((rows.weights == 1).all()):
        low, high = (float(bound) for bound in rows.weights.aminmax())
        raise InputError(
            f"The rows have weights from {low:g} to {high:g}: a likelihood to a power is not normalised over the "
            "labels, so there is no evidence; give every row weight 1."
        )
    numbers = isinstance(posterior.likelihood, GaussianNoise | LearnedNoise)
    if rows.targets.is_floating_point() and not numbers:
        raise InputError(
            f"The targets are {list(rows.targets.shape)} {rows.targets.dtype}: soft labels are no observations, so "
            "there is no evidence; give class numbers (int64), or a likelihood of numbers for a regression."
        )


def normal_prior(prior: Prior, parameters: Parameters, names: tuple[str, ...]) -> NormalPrior:
    """The prior of the tensors `names`, among all trainable `parameters` in float64.

    Raises `InputError` for a prior that is not normal, or correlated.
    """
    known = prior.whitening(parameters) if isinstance(prior, Whitened) else {}
    precisions: list[float] = []
    deviations: list[Tensor] = []
    for name in names:
        own = known.get(name)
        if own is None or not own.normal or own.basis is not None or not isinstance(own.scale, int | float):
            raise InputError(
                f'The prior {type(prior).__name__} of "{name}" is no independent normal distribution with one '
                "precision, as the evidence of an expansion needs; use `Gaussian`, or `Layered` of such."
            )
        precisions.append(float(own.scale) ** -2)
        centre = 0.0 if own.centre is None else own.centre.double()
        deviations.append((parameters[name].detach() - centre).flatten())
    whole = torch.cat(deviations)
    slopes = [-precision * part for precision, part in zip(precisions, deviations, strict=True)]
    return NormalPrior(torch.tensor(precisions, dtype=torch.float64), whole.square(), torch.cat(slopes))

"""The precision matrix of a Gaussian prior of any kind, from its log density alone."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior, trainable
from surefoot.density.whitening import Whitened
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["PriorCurvature", "flatten", "prior_curvature"]


class PriorCurvature(NamedTuple):
    """Minus the Hessian of the log prior, its slope, and its value in nats."""

    precision: Float64[Tensor, "size size"]
    slope: Float64[Tensor, "size"]
    value: float


def prior_curvature(posterior: Posterior, own: Parameters, chosen: Parameters) -> PriorCurvature:
    """Λ_prior, and the slope and value of the log prior, tempered, at the tensors `chosen` among all `own` ones.

    A prior that knows its whitening says itself which tensors are normal. Of the others, the slope must be linear from
    here to 4 of their own standard deviations away, to a millionth of what it changes by, tensor by tensor: beside a
    steep normal prior, nothing of a flat one would be seen. What agrees with a normal distribution so far and no
    further, such as Student's with a million degrees, passes for one.

    Raises `InputError` for a prior that is not Gaussian in them.
    """
    shapes = {name: tensor.shape for name, tensor in chosen.items()}
    sizes = [math.prod(shape) for shape in shapes.values()]

    def value(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        moved = {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
        return posterior.prior_terms({**own, **moved}) / posterior.posterior_temperature

    point = flatten(chosen)
    matrix, slope = _hessian(value, point).neg_(), _slope(value, point)
    known = _known_normal(posterior, own)
    if not all(name in known for name in chosen):
        doubted = _not_gaussian(value, point, slope, matrix, sizes)
        bad = [name for name, doubt in zip(chosen, doubted, strict=True) if doubt and name not in known]
        if bad:
            raise InputError(
                f"The prior {type(posterior.prior).__name__} is not Gaussian in {bad}, so it has no precision matrix; "
                "use Gaussian priors, or sample this posterior instead."
            )
    return PriorCurvature(matrix, slope, float(value(point)))


def flatten(tensors: Parameters) -> Float64[Tensor, "size"]:
    """All numbers of some tensors in one row."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors.values()])


def _known_normal(posterior: Posterior, own: Parameters) -> set[str]:
    """The tensors in which the prior says of itself that it is normal."""
    if not isinstance(posterior.prior, Whitened):
        return set()
    whitenings = posterior.prior.whitening(trainable(posterior.network, own))
    return {name for name, whitening in whitenings.items() if whitening.normal}


def _not_gaussian(
    value: Callable[[Tensor], Tensor], point: Tensor, slope: Tensor, matrix: Tensor, sizes: list[int]
) -> list[bool]:
    """Of each tensor, whether its curvature is not positive, or its slope does not change as a Gaussian's would."""
    curvatures = matrix.diagonal()
    flat = [bool((part <= 0).any()) for part in curvatures.split(sizes)]
    noise = torch.randn(len(point), generator=torch.Generator().manual_seed(0)).to(point)
    scales = torch.where(curvatures > 0, curvatures.clamp(min=torch.finfo(point.dtype).tiny).rsqrt(), 0.0)
    bent = [False] * len(sizes)
    for deviations in (1.0, 4.0):
        there = deviations * noise * scales
        shown, expected = _slope(value, point + there) - slope, -(matrix @ there)
        for place, (seen, said) in enumerate(zip(shown.split(sizes), expected.split(sizes), strict=True)):
            bent[place] |= not torch.allclose(seen, said, rtol=1e-6, atol=1e-6 * float(said.abs().max()))
    return [one or other for one, other in zip(flat, bent, strict=True)]


def _slope(value: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    at = point.detach().requires_grad_()
    (slope,) = torch.autograd.grad(value(at), at)
    return slope


def _hessian(value: Callable[[Tensor], Tensor], point: Tensor) -> Float64[Tensor, "size size"]:
    at = point.detach().requires_grad_()
    (slope,) = torch.autograd.grad(value(at), at, create_graph=True)
    matrix = point.new_zeros(len(point), len(point))
    if slope.requires_grad:
        for place in range(len(point)):
            (row,) = torch.autograd.grad(slope[place], at, retain_graph=True, materialize_grads=True)
            matrix[place] = row
    return matrix

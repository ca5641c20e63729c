"""The precision matrix of a Gaussian prior of any kind, from its log density alone."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior
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

    Raises `InputError` for a prior that is not Gaussian in them.
    """
    shapes = {name: tensor.shape for name, tensor in chosen.items()}

    def value(flat: Tensor) -> Tensor:
        pieces = flat.split([math.prod(shape) for shape in shapes.values()])
        moved = {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
        return posterior.prior_terms({**own, **moved}) / posterior.posterior_temperature

    point = flatten(chosen)
    matrix = _hessian(value, point).neg_()
    slope, there = _slope(value, point), torch.randn(len(point), generator=torch.Generator().manual_seed(0)).to(point)
    # A Gaussian's slope is linear: anything else has no fixed precision to put into A.
    shown, expected = _slope(value, point + there) - slope, -(matrix @ there)
    if not torch.allclose(shown, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max())) or not matrix.any():
        raise InputError(
            f"The prior {type(posterior.prior).__name__} is not Gaussian in these parameters, so it has no precision "
            "matrix; use Gaussian priors, or sample this posterior instead."
        )
    return PriorCurvature(matrix, slope, float(value(point)))


def flatten(tensors: Parameters) -> Float64[Tensor, "size"]:
    """All numbers of some tensors in one row."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors.values()])


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

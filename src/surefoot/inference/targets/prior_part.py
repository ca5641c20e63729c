"""The prior's share of a target: ½‖u‖² where coordinates are normal, the prior itself in float64 elsewhere."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.density.priors import Prior
from surefoot.inference.targets.coordinates import Coordinates

__all__ = ["add_prior_gradient", "prior_density"]


def prior_density(
    prior: Prior, coordinates: Coordinates, position: Float[Tensor, "chains size"], temperature: float
) -> Float64[Tensor, "chains"]:
    """log p(θ) / T of each chain, in nats per unit of the *parameters*: it is the posterior's own term.

    Normal coordinates: −½‖u‖² − ½ n log 2π − Σ log s, summed in float64.
    """
    if coordinates.normal:
        squares = position.to(torch.float64).square().sum(dim=1)
        constant = 0.5 * coordinates.layout.size * math.log(2 * math.pi) + coordinates.log_volume
        return (-0.5 * squares - constant) / temperature
    flat = coordinates.to_parameters(position).to(torch.float64)
    values = [_density(prior, coordinates, flat[chain]) for chain in range(len(flat))]
    return torch.stack(values).detach() / temperature


def add_prior_gradient(
    prior: Prior,
    coordinates: Coordinates,
    position: Float[Tensor, "chains size"],
    temperature: float,
    out: Float[Tensor, "chains size"],
) -> None:
    """out += ∂ [log p(θ) / T] / ∂u."""
    if coordinates.normal:
        out.add_(position, alpha=-1 / temperature)
        return
    flat = coordinates.to_parameters(position)
    slope = torch.zeros_like(flat)
    for chain in range(len(flat)):
        leaf = flat[chain].to(torch.float64, copy=True).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(_density(prior, coordinates, leaf), leaf)
        slope[chain] = gradient
    out.add_(coordinates.pull_back(slope), alpha=1 / temperature)


def _density(prior: Prior, coordinates: Coordinates, flat: Float64[Tensor, "size"]) -> Float64[Tensor, ""]:
    named = {name: tensor[0] for name, tensor in coordinates.layout.views(flat[None]).items()}
    return prior.log_density(named)

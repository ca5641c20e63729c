"""Noise of a camera: Gaussian, shot, impulse and speckle noise, drawn for every pixel and channel.

Source: Hendrycks and Dietterich (2019), "Benchmarking neural network robustness to common corruptions and
perturbations", section 3.2. Images are `[rows, channels, height, width]` in [0, 1], and so are results. The same
numbers are drawn at every strength, so that a stronger noise is a larger multiple of the weaker one.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.shift.counters import normal, uniform

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"]


def gaussian_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], std: float
) -> Float[Tensor, "rows channels height width"]:
    """x + std · z with standard normal z: little light."""
    return normal(keys, 0, *images.shape[1:]).mul_(std).add_(images).clamp_(0, 1)


def shot_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], photons: float
) -> Float[Tensor, "rows channels height width"]:
    """k / photons with k ~ Poisson(photons · x): light comes in quanta, and `photons` of them are white.

    k is the quantile of a uniform number, found by adding up probabilities; black stays black.
    """
    pixels = images.reshape(-1)
    lit = (pixels > 0).nonzero().squeeze(1)
    below = uniform(keys, 0, *images.shape[1:]).reshape(-1)[lit].double()
    rate = pixels[lit].double() * photons
    probability = torch.exp(-rate)
    result = torch.zeros_like(pixels)
    # Those whose count is found leave; a uniform number of 23 bits ends the search well before this many.
    most = int(photons + 10 * photons**0.5 + 20)
    for count in range(1, most + 1):
        left = below - probability
        going = (left >= 0).nonzero().squeeze(1)
        if not len(going):
            break
        lit, below, rate = lit[going], left[going], rate[going]
        probability = probability[going] * rate / count
        result[lit] = min(count / photons, 1.0)
    return result.reshape(images.shape)


def impulse_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], share: float
) -> Float[Tensor, "rows channels height width"]:
    """A share of the pixels becomes black or white, as often the one as the other: dead cells and wrong bits."""
    drawn = uniform(keys, 0, *images.shape[1:])
    changed = torch.where(drawn < share / 2, torch.zeros_like(images), images)
    return torch.where(drawn >= 1 - share / 2, torch.ones_like(images), changed)


def speckle_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], std: float
) -> Float[Tensor, "rows channels height width"]:
    """x + x · std · z with standard normal z: noise that grows with the light."""
    return normal(keys, 0, *images.shape[1:]).mul_(std).mul_(images).add_(images).clamp_(0, 1)

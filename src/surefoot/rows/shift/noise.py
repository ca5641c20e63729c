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

MANY = 32
"""Quanta, from which on their number is nearly normal."""


def gaussian_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], std: float
) -> Float[Tensor, "rows channels height width"]:
    """x + std · z with standard normal z: little light."""
    return normal(keys, 0, *images.shape[1:]).mul_(std).add_(images).clamp_(0, 1)


def shot_noise(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], photons: float
) -> Float[Tensor, "rows channels height width"]:
    """k / photons with k ~ Poisson(photons · x): light comes in quanta, and `photons` of them are white.

    k is the quantile of a uniform number: found by adding up probabilities where fewer than 32 quanta are expected, and
    from the normal quantile z where more are, the nearest whole number to λ + √λ·z + (z² − 1)/6 + (z − z³)/(72√λ)
    (Cornish and Fisher 1938), which is it but for one in some hundreds, where it is the next. Black stays black.
    """
    pixels = images.reshape(-1)
    drawn = uniform(keys, 0, *images.shape[1:]).reshape(-1)
    result = torch.zeros_like(pixels)
    bright = (pixels * photons >= MANY).nonzero().squeeze(1)
    if len(bright):
        rate, z = pixels[bright].double() * photons, torch.special.ndtri(drawn[bright]).double()
        root, square = rate.sqrt(), z * z
        counts = (rate + root * z + (square - 1) / 6 + z * (1 - square) / (72 * root)).round()
        result[bright] = (counts / photons).float()
    lit = ((pixels > 0) & (pixels * photons < MANY)).nonzero().squeeze(1)
    below, rate = drawn[lit].double(), pixels[lit].double() * photons
    probability = torch.exp(-rate)
    # Those whose count is found leave; a uniform number of 23 bits ends the search well before this many.
    for count in range(1, 4 * MANY):
        left = below - probability
        going = (left >= 0).nonzero().squeeze(1)
        if not len(going):
            break
        lit, below, rate = lit[going], left[going], rate[going]
        probability = probability[going] * rate / count
        result[lit] = count / photons
    return result.clamp_(0, 1).reshape(images.shape)


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

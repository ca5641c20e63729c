"""Blurs: out of focus, through frosted glass, of a moving camera, of a zooming one, and Gaussian.

Source: Hendrycks and Dietterich (2019), section 3.2. Images are `[rows, channels, height, width]` in [0, 1]; lengths
are pixels of the image given. Edge pixels are repeated beyond the edge, where the published code reflects for some
blurs: one rule is easier to state.
"""

from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.shift.counters import uniform
from surefoot.rows.shift.sampling import apply_taps, kernel_blur, smooth, zoom_taps

__all__ = ["defocus_blur", "disk", "gaussian_blur", "glass_blur", "motion", "motion_blur", "zoom_blur"]

FINE = 9
"""A pixel of the disk is looked at in so many places each way; an odd number, so that its middle is one of them."""
ZOOMS = 11


def gaussian_blur(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], sigma: float
) -> Float[Tensor, "rows channels height width"]:
    """The Gaussian blur of `sigma` pixels, cut at four of them."""
    return smooth(images, sigma)


def defocus_blur(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], radius: float, softness: float
) -> Float[Tensor, "rows channels height width"]:
    """The mean over a disk of `radius` pixels, then the Gaussian blur of `softness` pixels.

    The disk counts the part of each pixel that it covers, where the published one counts pixels whose middle it
    covers: so it is a disk at every size of image. They blur the kernel, we the picture: the same, but near its edges.
    """
    return smooth(kernel_blur(images, disk(radius)), softness).clamp(0, 1)


def disk(radius: float) -> Float[Tensor, "side side"]:
    """The part of each pixel that a disk covers, divided by its area; looked at in 81 places a pixel."""
    reach = max(ceil(radius - 0.5), 0)
    fine = (torch.arange((2 * reach + 1) * FINE, dtype=torch.float64) + 0.5) / FINE - reach - 0.5
    covered = (fine[:, None].square() + fine[None, :].square() <= radius**2).double()
    covered = covered.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).mean(dim=(1, 3))
    return (covered / covered.sum()).float()


def glass_blur(
    images: Float[Tensor, "rows channels height width"],
    keys: Int[Tensor, "rows 2"],
    sigma: float,
    reach: float,
    rounds: float,
) -> Float[Tensor, "rows channels height width"]:
    """A Gaussian blur, then every pixel changes places with one at most `reach` pixels away, then a Gaussian blur.

    From the last pixel to the first, `rounds` times over; reach is rounded to whole pixels and at least 1. Offsets are
    −reach … reach alike and stay in the image; the published code leaves out +reach and a margin, and MNIST-C moves
    every second pixel only.
    """
    rows, _, height, width = images.shape
    whole = max(1, round(reach))
    order = torch.arange(height * width, dtype=torch.int32)[:, None].repeat(1, rows)
    down = torch.arange(height, dtype=torch.int64).repeat_interleave(width)
    across = torch.arange(width, dtype=torch.int64).repeat(height)
    for turn in range(round(rounds)):
        moves = (uniform(keys, turn, 2, height * width) * (2 * whole + 1)).floor().long() - whole
        y = (down + moves[:, 0]).clamp(0, height - 1)
        x = (across + moves[:, 1]).clamp(0, width - 1)
        other = (y * width + x).T.contiguous()
        for pixel in range(height * width - 1, -1, -1):
            place = other[pixel : pixel + 1]
            held, taken = order[pixel].clone(), order.gather(0, place)
            order[pixel] = taken[0]
            order.scatter_(0, place, held[None])
    places = order.T.long()[:, None, :].expand(-1, images.shape[1], -1)
    moved = smooth(images, sigma).reshape(rows, images.shape[1], -1).gather(2, places)
    return smooth(moved.reshape(images.shape), sigma).clamp(0, 1)


def motion_blur(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], radius: float, sigma: float
) -> Float[Tensor, "rows channels height width"]:
    """A trail to one side, in a direction within 45° of the horizontal, drawn for each row; see `motion`."""
    return motion(images, (uniform(keys, 0, 1)[:, 0] - 0.5) * (torch.pi / 2), radius, sigma).clamp_(0, 1)


def motion(
    images: Float[Tensor, "rows channels height width"], angles: Float[Tensor, "rows"], radius: float, sigma: float
) -> Float[Tensor, "rows channels height width"]:
    """Σ_i k_i · x(place + i · direction) / Σ_i k_i with k_i = exp(−s_i²/2σ²), 0 ≤ s_i ≤ 2 · radius, s_i pixels away.

    angles: radians from the horizontal, at most π/4. Step i is i columns to the right and i · tan(angle) rows down, so
    s_i = i / cos(angle); between rows of pixels lie straight lines. ImageMagick, which the published code calls, steps
    whole lengths and takes the nearest pixel.
    """
    rows, channels, height, width = images.shape
    slope, stretch = torch.tan(angles.double()), 1 / torch.cos(angles.double())
    columns, lines = torch.arange(width), torch.arange(height, dtype=torch.float64)
    total = torch.zeros_like(images)
    weights = torch.zeros(rows)
    # Further than the image is wide, the repeated edge is all there is.
    for step in range(min(int(2 * radius), width - 1) + 1):
        away = step * stretch
        inside = away <= max(2 * radius, 0.0)
        weight = torch.where(inside, torch.exp(-0.5 * (away / max(sigma, 1e-6)).square()), 0.0).float()
        weights.add_(weight)
        place = (lines + step * slope[:, None]).clamp(0, height - 1)
        top = place.floor()
        lower = (place - top).float()[:, None, :, None]
        shifted = images[:, :, :, (columns + step).clamp(max=width - 1)]
        index = top.long()[:, None, :, None].expand(-1, channels, -1, width)
        above, below = shifted.gather(2, index), shifted.gather(2, (index + 1).clamp(max=height - 1))
        total.add_((above + lower * (below - above)).mul_(weight[:, None, None, None]))
    return total.div_(weights[:, None, None, None])


def zoom_blur(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], most: float
) -> Float[Tensor, "rows channels height width"]:
    """The mean of the image and of eleven enlargements of its middle, from 1 to `most` times, evenly apart."""
    height, width = images.shape[-2:]
    total = images.clone()
    for step in range(ZOOMS):
        zoom = 1 + (most - 1) * step / (ZOOMS - 1)
        total.add_(apply_taps(apply_taps(images, zoom_taps(width, zoom), 3), zoom_taps(height, zoom), 2))
    return total.div_(ZOOMS + 1).clamp_(0, 1)

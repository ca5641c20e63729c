"""Pixels between and beyond pixels: what the blurs and the moved pictures are made of.

Everything works on each pixel alone, in the same order for every row (no matrix product, whose rounding may depend on
how many rows there are). Beyond the edge an image repeats its last pixels, or is black.
"""

from math import ceil, exp
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Taps",
    "apply_taps",
    "blurred_deviation",
    "gaussian_taps",
    "grid",
    "kernel_blur",
    "resize_taps",
    "sample",
    "smooth",
    "taps_of",
    "zoom_taps",
]


class Taps(NamedTuple):
    """Each place of a result as a weighted sum of places along one axis."""

    places: Int[Tensor, "result taps"]
    weights: Float[Tensor, "result taps"]


def apply_taps(images: Float[Tensor, "..."], taps: Taps, dimension: int) -> Float[Tensor, "..."]:
    """The weighted sums along one axis, in the order of the taps."""
    shape = [1] * images.ndim
    shape[dimension] = len(taps.places)
    total: Tensor | None = None
    for places, weights in zip(taps.places.T, taps.weights.T, strict=True):
        part = images.index_select(dimension, places).mul_(weights.reshape(shape))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def gaussian_taps(size: int, sigma: float) -> Taps:
    """A Gaussian of standard deviation `sigma` pixels, cut at four of them; edge pixels are repeated."""
    reach = min(ceil(4 * sigma), 4 * size)
    weights = [exp(-0.5 * (offset / sigma) ** 2) if sigma > 0 else 1.0 for offset in range(-reach, reach + 1)]
    total = sum(weights)
    dense = torch.zeros(size, size, dtype=torch.float64)
    for offset, weight in zip(range(-reach, reach + 1), weights, strict=True):
        places = (torch.arange(size) + offset).clamp(0, size - 1)
        dense[torch.arange(size), places] += weight / total
    return taps_of(dense)


def smooth(images: Float[Tensor, "... height width"], sigma: float) -> Float[Tensor, "... height width"]:
    """The Gaussian blur of `sigma` pixels."""
    if sigma <= 0:
        return images
    across = apply_taps(images, gaussian_taps(images.shape[-1], sigma), images.ndim - 1)
    return apply_taps(across, gaussian_taps(images.shape[-2], sigma), images.ndim - 2)


def blurred_deviation(sigma: float) -> float:
    """The standard deviation, far from edges, of independent noise of deviation 1 after the blur of `sigma` pixels."""
    if sigma <= 0:
        return 1.0
    bell = [exp(-0.5 * (place / sigma) ** 2) for place in range(-ceil(4 * sigma), ceil(4 * sigma) + 1)]
    return sum(value**2 for value in bell) / sum(bell) ** 2


def resize_taps(size: int, new: int) -> Taps:
    """An axis of `size` pixels brought to `new`: means where it shrinks, straight lines where it grows."""
    if new >= size:
        place = ((torch.arange(new, dtype=torch.float64) + 0.5) * size / new - 0.5).clamp(0, size - 1)
        below = place.floor()
        places = torch.stack([below, (below + 1).clamp(max=size - 1)], dim=1).long()
        return Taps(places, torch.stack([1 - (place - below), place - below], dim=1).float())
    edges = torch.arange(new + 1, dtype=torch.float64) * size / new
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    means = overlap.clamp(min=0) * new / size
    return taps_of(torch.where(means > 1e-9, means, 0.0))


def zoom_taps(size: int, zoom: float) -> Taps:
    """The middle of an axis `zoom` times as large, with straight lines between pixels; zoom is at least 1."""
    middle = (size - 1) / 2
    place = middle + (torch.arange(size, dtype=torch.float64) - middle) / zoom
    below = place.floor().clamp(0, size - 1)
    share = (place - below).clamp(0, 1)
    places = torch.stack([below, (below + 1).clamp(max=size - 1)], dim=1).long()
    return Taps(places, torch.stack([1 - share, share], dim=1).float())


def kernel_blur(
    images: Float[Tensor, "rows channels height width"], kernel: Float[Tensor, "side side"]
) -> Float[Tensor, "rows channels height width"]:
    """The correlation with a kernel of odd sides that is its own mirror image both ways; edges are repeated."""
    height, width = images.shape[-2:]
    reach = len(kernel) // 2
    padded = torch.nn.functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    total = torch.zeros_like(images)
    for down in range(reach + 1):
        lines = padded[:, :, reach + down : reach + down + height]
        if down:
            lines = lines + padded[:, :, reach - down : reach - down + height]
        for across in range(reach + 1):
            weight = float(kernel[reach + down, reach + across])
            if not weight:
                continue
            part = lines[:, :, :, reach + across : reach + across + width]
            if across:
                part = part + lines[:, :, :, reach - across : reach - across + width]
            total.add_(part * weight)
    return total


def grid(height: int, width: int) -> tuple[Float[Tensor, "1 height 1"], Float[Tensor, "1 1 width"]]:
    """Rows and columns of pixels, counted from the middle of the image (float64)."""
    down = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    across = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    return down[None, :, None], across[None, None, :]


def sample(
    images: Float[Tensor, "rows channels height width"],
    down: Float[Tensor, "rows height width"],
    across: Float[Tensor, "rows height width"],
    *,
    repeat: bool,
) -> Float[Tensor, "rows channels height width"]:
    """Each pixel from the place (down, across) of its row's image, in pixels from the middle; bilinear between pixels.

    repeat: beyond the edge the last pixels go on; otherwise all is black there. Whole places are copied exactly.
    """
    rows, channels, height, width = images.shape
    down, across = down + (height - 1) / 2, across + (width - 1) / 2
    if repeat:
        down, across = down.clamp(0, height - 1), across.clamp(0, width - 1)
    top, left = down.floor(), across.floor()
    lower, right = (down - top).float(), (across - left).float()
    flat = images.reshape(rows, channels, height * width)
    total = torch.zeros(rows, channels, height * width)
    for step_down, weight_down in ((0, 1 - lower), (1, lower)):
        for step_across, weight_across in ((0, 1 - right), (1, right)):
            y, x = top + step_down, left + step_across
            inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
            places = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long()
            weight = torch.where(inside, weight_down * weight_across, 0.0).reshape(rows, 1, -1)
            taken = flat.gather(2, places.reshape(rows, 1, -1).expand(-1, channels, -1))
            total.add_(taken.mul_(weight))
    return total.reshape(images.shape)


def taps_of(dense: Float[Tensor, "result places"]) -> Taps:
    """A matrix whose rows are zero outside a band, as taps."""
    first = (dense != 0).to(torch.int64).argmax(dim=1)
    last = dense.shape[1] - 1 - (dense != 0).flip(1).to(torch.int64).argmax(dim=1)
    widest = int((last - first).max()) + 1
    first = first.clamp(max=dense.shape[1] - widest)
    places = first[:, None] + torch.arange(widest)
    return Taps(places, dense.gather(1, places).float())

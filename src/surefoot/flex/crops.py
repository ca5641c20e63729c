"""Crops of images, resized: the same part of a scene at whatever resolution each of several models reads.

A crop is a box of an image [0, h) × [0, w) in its pixels, not whole ones. Resizing it to p × q pixels is

    Y = B_h X B_wᵀ,    B_h[i, k] ∝ max(0, 1 − |k + ½ − c_i| / max(r, 1)),   c_i = top + (i + ½) r,   r = height / p

bilinear and antialiased: where an image shrinks, a pixel is the mean of all that it covers, weighted by a triangle. Of
the whole image it is `networks.patches.resampling_matrix` with `BILINEAR_SMOOTH`, which is what Pillow, JAX and torch
(`antialias=True`) do. At the image's own size it changes nothing.

Source: Szegedy et al. (2015), "Going deeper with convolutions", §6: crops of a random share of the area and a random
aspect. Their aspects are uniform; ours are so in logarithms, as in torchvision. Boxes are not rounded.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.networks.patches import Size

__all__ = ["Crop", "crop_and_resize", "draw_boxes", "whole_boxes"]


@dataclass(frozen=True)
class Crop:
    """What crops are drawn: a share of the area from `least` to 1, sides in a ratio from 1/aspect to aspect.

    Raises `InputError` for a share outside (0, 1], and an aspect below one.
    """

    least: float = 0.5
    aspect: float = 4 / 3

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise InputError(f"The smallest crop is {self.least:g} of an image; give a share above 0, and up to 1.")
        if not (math.isfinite(self.aspect) and self.aspect >= 1):
            raise InputError(f"The aspect of crops is {self.aspect:g}; give at least 1.")


def whole_boxes(count: int, image: Size) -> Float[Tensor, "rows 4"]:
    """Boxes of whole images: top, left, height and width."""
    return torch.tensor([[0.0, 0.0, *map(float, image)]]).expand(count, 4)


def draw_boxes(count: int, image: Size, crop: Crop, seed: tuple[int, ...]) -> Float[Tensor, "rows 4"]:
    """A box for each of `count` images of this size; sides that would be too long are cut to the image.

    >>> boxes = draw_boxes(3, (20, 40), Crop(0.5), seed=(0,))
    >>> bool((boxes[:, 0] + boxes[:, 2] <= 20).all() and (boxes[:, 1] + boxes[:, 3] <= 40).all())
    True
    """
    drawn = np.random.default_rng(seed).random((count, 4))
    area = crop.least + (1 - crop.least) * drawn[:, 0]
    ratio = np.exp((2 * drawn[:, 1] - 1) * math.log(crop.aspect))
    sides = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=1).clip(max=1) * np.array(image)
    corners = (np.array(image) - sides) * drawn[:, 2:]
    return torch.from_numpy(np.concatenate([corners, sides], axis=1)).float()


def crop_and_resize(
    images: Float[Tensor, "rows channels height width"], boxes: Float[Tensor, "rows 4"], size: Size
) -> Float[Tensor, "rows channels p q"]:
    """The box of each image at another size.

    >>> image = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> crop_and_resize(image, torch.tensor([[1.0, 2.0, 2.0, 2.0]]), (2, 2))[0, 0].tolist()
    [[6.0, 7.0], [10.0, 11.0]]
    """
    boxes = boxes.to(images)
    down = _factors(boxes[:, 0], boxes[:, 2], images.shape[2], size[0])
    across = _factors(boxes[:, 1], boxes[:, 3], images.shape[3], size[1])
    return down[:, None] @ images @ across[:, None].mT


def _factors(first: Tensor, length: Tensor, old: int, new: int) -> Float[Tensor, "rows new old"]:
    ratio = length / new
    centres = first[:, None] + (torch.arange(new).to(first) + 0.5) * ratio[:, None]
    pixels = torch.arange(old).to(first) + 0.5
    taps = (1 - ((pixels - centres[:, :, None]) / ratio.clamp_min(1)[:, None, None]).abs()).clamp_min(0)
    return taps / taps.sum(dim=2, keepdim=True)

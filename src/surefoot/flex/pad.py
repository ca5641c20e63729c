"""Images that a patch does not divide, padded on purpose: new pixels below and to the right, whole patches in the end.

Nothing is padded, and nothing cropped, unless it is asked for here: a network refuses images that its patch does not
divide. What is added is `value` in the units of the images, whatever they are (zero is black in [0, 1], grey in
[−1, 1], and the mean where channels were standardised), or the nearest pixel of the edge.

A padded image is an image of its new size: its grid has more tokens, those of the padding are read like others, and
positions are resized to the whole grid, as they are for images of any size.
"""

import copy
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.networks.flexible import FlexibleViT, at_patch
from surefoot.networks.network import Network
from surefoot.networks.patches import Size

__all__ = ["pad_to", "padded", "padded_size"]


def padded_size(image: Size, patch: Size) -> Size:
    """The least height and width that the patch divides.

    Raises `InputError` for a patch without pixels.

    >>> padded_size((240, 240), (14, 16))
    (252, 240)
    """
    if min(patch) < 1:
        raise InputError(f"A patch of {patch[0]} × {patch[1]} pixels was given; give at least one pixel a side.")
    return -(-image[0] // patch[0]) * patch[0], -(-image[1] // patch[1]) * patch[1]


def pad_to(
    images: Shaped[Tensor, "rows channels height width"], patch: Size, value: float | Literal["edge"] = 0.0
) -> Shaped[Tensor, "rows channels padded_height padded_width"]:
    """Images with rows added below and columns to the right, until the patch divides them.

    >>> pad_to(torch.ones(1, 1, 2, 3), (2, 2))[0, 0].tolist()
    [[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]]
    """
    height, width = images.shape[2], images.shape[3]
    down, across = padded_size((height, width), patch)
    if value != "edge":
        return functional.pad(images, (0, across - width, 0, down - height), value=value)
    rows = torch.arange(down, device=images.device).clamp_max(height - 1)
    columns = torch.arange(across, device=images.device).clamp_max(width - 1)
    return images if (down, across) == (height, width) else images[:, :, rows][:, :, :, columns]


def padded(network: Network, patch: Size) -> Network:
    """The network for images that `pad_to` has padded to this patch, at this patch; its tensors, not copies of them.

    Raises `InputError` for a network that is no transformer of `build_vit`: others check the size of their images.

    >>> from surefoot.networks.flexible import Shape, build_vit
    >>> shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    >>> network = padded(build_vit(shape, classes=3, patch=8, seed=0), (6, 6))
    >>> tuple(network.module(pad_to(torch.zeros(2, 1, 16, 16), (6, 6))).shape)
    (2, 3)
    """
    module = network.module
    if not isinstance(module, FlexibleViT):
        raise InputError(
            f"{type(module).__name__} is no transformer of `build_vit`, and checks the size of its images; resize the "
            "images to one that the patch divides."
        )
    channels, *image = module.shape.image
    other = copy.copy(module)
    other.shape = replace(module.shape, image=(channels, *padded_size((image[0], image[1]), patch)))
    return at_patch(replace(network, module=other), patch)

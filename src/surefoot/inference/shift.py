"""Random pixel shifts, the plainest augmentation of images."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from surefoot.errors import InputError

__all__ = ["draw_offsets", "shift_images"]


def draw_offsets(count: int, largest: int, generator: torch.Generator) -> Int[Tensor, "rows 2"]:
    """Whole pixels to move each image down and to the right, uniform on −largest … largest."""
    return torch.randint(-largest, largest + 1, (count, 2), generator=generator)


def shift_images(images: Tensor, offsets: Int[Tensor, "rows 2"]) -> Tensor:
    """Each image `[rows, channels, height, width]` moved by its offsets (down, right); what enters is zero.

    Raises `InputError` for inputs that are no images, or offsets as large as the image.

    >>> shift_images(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([[0, 1]])).tolist()
    [[[[0.0, 1.0], [0.0, 3.0]]]]
    """
    if images.ndim != 4:
        raise InputError(
            f"Inputs of shape {list(images.shape)} cannot be shifted by pixels; give images [rows, channels, height, "
            "width], or set shift to 0."
        )
    height, width = images.shape[2:]
    largest = int(offsets.abs().max()) if len(offsets) else 0
    if largest >= min(height, width):
        raise InputError(
            f"A shift of {largest} pixels moves images of {height}×{width} out of sight; use a smaller one."
        )
    windows = pad(images, (largest,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    rows = torch.arange(len(images), device=images.device)
    return windows[rows, :, largest - offsets[:, 0], largest - offsets[:, 1]]

"""Pictures sheared, scaled, rotated and moved about their middle; what comes in from outside is black.

Source: Mu and Gilmer (2019), "MNIST-C: a robustness benchmark for computer vision", section 3, and their code. Images
are `[rows, channels, height, width]` in [0, 1]; lengths are pixels of the image given; bilinear between pixels. Left or
right, up or down is drawn for each row. A whole number of pixels, and a quarter turn, are exact.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.shift.counters import signs
from surefoot.rows.shift.sampling import grid, sample

__all__ = ["moved", "rotate", "scale", "shear", "translate"]


def shear(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], slope: float
) -> Float[Tensor, "rows channels height width"]:
    """Each line slides sideways by ±slope times its distance from the middle.

    The published code (scikit-image's shear by an angle) also squeezes lines together by the angle's cosine; we do not.
    """
    flat = torch.zeros(len(images), dtype=torch.float64)
    return moved(images, torch.stack([flat + 1, signs(keys, 0).double() * slope, flat, flat + 1], dim=1))


def rotate(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], angle: float
) -> Float[Tensor, "rows channels height width"]:
    """Turned by ±angle radians; a positive turn is against the clock."""
    turn = signs(keys, 0).double() * angle
    return moved(images, torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], dim=1))


def scale(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], factor: float
) -> Float[Tensor, "rows channels height width"]:
    """`factor` times as large (below 1: smaller), the middle staying where it is."""
    flat = torch.zeros(len(images), dtype=torch.float64)
    return moved(images, torch.stack([flat + 1 / factor, flat, flat, flat + 1 / factor], dim=1))


def translate(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], distance: float
) -> Float[Tensor, "rows channels height width"]:
    """Moved by ±distance pixels down and by ±distance pixels across."""
    flat = torch.zeros(len(images), dtype=torch.float64)
    shift = torch.stack([signs(keys, 0).double() * distance, signs(keys, 1).double() * distance], dim=1)
    return moved(images, torch.stack([flat + 1, flat, flat, flat + 1], dim=1), shift)


def moved(
    images: Float[Tensor, "rows channels height width"],
    matrix: Float[Tensor, "rows 4"],
    shift: Float[Tensor, "rows 2"] | None = None,
) -> Float[Tensor, "rows channels height width"]:
    """Each pixel from another place: with (x, y) across and down from the middle, less `shift` = (down, across),

        across' = a·x + b·y,    down' = c·x + d·y,    (a, b, c, d) the row's `matrix`.

    So a shift of (1, 0) moves pictures one pixel down, and a matrix of (2, 0, 0, 2) makes them half as large.
    """
    down, across = grid(*images.shape[2:])
    if shift is not None:
        down, across = down - shift[:, 0, None, None], across - shift[:, 1, None, None]
    a, b, c, d = (each[:, None, None] for each in matrix.unbind(dim=1))
    return sample(images, c * across + d * down, a * across + b * down, repeat=False).clamp_(0, 1)

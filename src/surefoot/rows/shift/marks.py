"""Marks on a picture: inverted stripes, dotted and zigzag lines, and edges in place of strokes.

Source: Mu and Gilmer (2019), "MNIST-C: a robustness benchmark for computer vision", section 3, and their code, whose
corruptions of this kind have one strength. Ours have five: how much is inverted, how many lines are drawn, how far the
image gives way to its edges. Images are `[rows, channels, height, width]` in [0, 1]; `pixel` is the length of one of
their 28 in pixels of the image given.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from surefoot.rows.shift.colour import grey
from surefoot.rows.shift.counters import uniform
from surefoot.rows.shift.sampling import smooth

__all__ = ["canny_edges", "dotted_line", "edges", "stripe", "zigzag"]

REACH = 2.3
"""A line of their pixels ends so far from its middle."""
WEAK, STRONG = 0.1, 0.2
"""The thresholds of edges, on the unscaled Sobel gradient."""


def stripe(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], share: float
) -> Float[Tensor, "rows channels height width"]:
    """1 − x in the columns of a share of the width at the left and as many at the right."""
    width = images.shape[3]
    count = round(share * width)
    column = torch.arange(width)
    return torch.where((column < count) | (column >= width - count), 1 - images, images)


def dotted_line(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], pixel: float, lines: float
) -> Float[Tensor, "rows channels height width"]:
    """White lines from the left edge to the right, at heights drawn for each row, with gaps as long as their dashes."""
    height, width = images.shape[2:]
    column, row = torch.arange(width), torch.arange(height)[:, None]
    on = (column / (2 * pixel)).floor() % 2 == 1
    for line in range(round(lines)):
        ends = uniform(keys, line, 2)[:, :, None, None] * (height - 1)
        middle = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * (column / max(width - 1, 1))
        images = (images + torch.where(on, _stroke((row - middle).abs() / pixel), 0.0)).clamp(max=1)
    return images


def zigzag(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], pixel: float, lines: float
) -> Float[Tensor, "rows channels height width"]:
    """White zigzags from near the left edge to near the right: two pixels to each side, eight between peaks.

    Their middle lines start anywhere and rise or fall by up to five pixels; all of these are pixels of 28.
    """
    height, width = images.shape[2:]
    column, row = torch.arange(width) / pixel, torch.arange(height)[:, None] / pixel
    start, stop = 2.0, max((width - 1) / pixel - 2, 3.0)
    for line in range(round(lines)):
        drawn = uniform(keys, line, 2)[:, :, None, None]
        first = drawn[:, :1] * ((height - 1) / pixel)
        slope = (10 * drawn[:, 1:] - 5) / (stop - start)
        length = torch.sqrt(1 + slope.square())
        along = ((column - start) + slope * (row - first)) / length
        aside = ((row - first) - slope * (column - start)) / length
        tooth = 2 * (1 - ((along / 4 - 0.5) % 2 - 1).abs() * 2)
        stroke = torch.where((along >= 0) & (along <= (stop - start) * length), _stroke((aside - tooth).abs()), 0.0)
        images = (images + stroke).clamp(max=1)
    return images


def canny_edges(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], sigma: float, share: float
) -> Float[Tensor, "rows channels height width"]:
    """(1 − share) · x + share · edges, the edges of the light after a blur of `sigma` pixels."""
    found = edges(smooth(grey(images), sigma)).float()
    return (1 - share) * images + share * found


def edges(light: Float[Tensor, "rows 1 height width"]) -> Bool[Tensor, "rows 1 height width"]:
    """Edges one pixel wide: largest across the edge, strong, or weak and hanging together with a strong one.

    Source: Canny (1986), "A computational approach to edge detection", with Sobel's gradient and thresholds of 0.1 and
    0.2. A pixel is compared with the two neighbours in the nearest of four directions (no interpolation between).
    """
    height, width = light.shape[2:]
    framed = pad(light, (1, 1, 1, 1), mode="replicate")

    def at(down: int, across: int, of: Tensor) -> Tensor:
        return of[:, :, 1 + down : 1 + down + height, 1 + across : 1 + across + width]

    rise = sum((2 - abs(i)) * (at(i, 1, framed) - at(i, -1, framed)) for i in (-1, 0, 1))
    fall = sum((2 - abs(i)) * (at(1, i, framed) - at(-1, i, framed)) for i in (-1, 0, 1))
    assert isinstance(rise, Tensor)
    assert isinstance(fall, Tensor)
    size = torch.sqrt(rise.square() + fall.square())
    around = pad(size, (1, 1, 1, 1))
    flat = math.tan(math.pi / 8)
    level, steep = fall.abs() <= flat * rise.abs(), rise.abs() < flat * fall.abs()
    same = rise * fall > 0
    largest = torch.zeros_like(size, dtype=torch.bool)
    for chosen, (down, across) in (
        (level, (0, 1)),
        (steep & ~level, (1, 0)),
        (~level & ~steep & same, (1, 1)),
        (~level & ~steep & ~same, (1, -1)),
    ):
        # ≥ on one side and > on the other: of two equal neighbours one is kept.
        largest |= chosen & (size > at(down, across, around)) & (size >= at(-down, -across, around))
    inside = torch.zeros_like(largest)
    inside[:, :, 1:-1, 1:-1] = True
    weak = largest & inside & (size >= WEAK)
    found = weak & (size >= STRONG)
    while True:
        grown = (max_pool2d(found.float(), 3, 1, 1) > 0) & weak
        if torch.equal(grown, found):
            return found
        found = grown


def _stroke(distance: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """1 in the middle of a line, falling as 1 + log(1 − distance / 2.3) to 0 at 1.45 of their pixels."""
    return (1 + torch.log1p(-distance.clamp(max=REACH - 1e-3) / REACH)).clamp(0, 1)

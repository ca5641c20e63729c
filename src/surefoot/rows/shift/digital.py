"""What happens to pictures in a machine: contrast, elastic warps, pixelation, JPEG, saturation.

Source: Hendrycks and Dietterich (2019), section 3.2, and their code. Images are `[rows, channels, height, width]` in
[0, 1]; lengths are pixels of the image given.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from surefoot.rows.shift.counters import uniform
from surefoot.rows.shift.sampling import Taps, apply_taps, blurred_deviation, grid, resize_taps, sample, smooth

__all__ = ["contrast", "dct", "elastic_transform", "jpeg_compression", "pixelate", "quantisation", "saturate"]

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)
NEUTRAL = 128 / 255
"""Where a difference of colour is none."""


def contrast(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], kept: float
) -> Float[Tensor, "rows channels height width"]:
    """kept · (x − mean) + mean, the mean of each channel of the image."""
    mean = images.mean(dim=(2, 3), keepdim=True, dtype=torch.float64).float()
    return ((images - mean) * kept + mean).clamp_(0, 1)


def elastic_transform(
    images: Float[Tensor, "rows channels height width"],
    keys: Int[Tensor, "rows 2"],
    shake: float,
    smoothness: float,
    skew: float,
) -> Float[Tensor, "rows channels height width"]:
    """Each pixel from a place a little away: a random warp, and an affine map.

    The warp is a random field blurred by `smoothness` pixels, of `shake` pixels (root mean square) down and across; the
    map moves three points by up to `skew` pixels.

    The points are corners of a square of two thirds of the shorter side around the middle. Edge pixels are repeated.
    Source: Simard, Steinkraus and Platt (2003), "Best practices for convolutional neural networks", section 2. We give
    the size of the displacement, not the factor by which the blurred field is multiplied.
    """
    rows, _, height, width = images.shape
    down, across = grid(height, width)
    reach = max(min(height, width) // 3, 1)
    # Displacements of the corners (reach, reach), (reach, −reach), (−reach, −reach), as (across, down).
    first, second, third = ((2 * uniform(keys, 0, 3, 2).double() - 1) * skew).reshape(rows, 3, 2, 1, 1).unbind(1)
    moved = (first + third) / 2 + ((second - third) * across + (first - second) * down) / (2 * reach)
    field = smooth(2 * uniform(keys, 1, 2, height, width) - 1, smoothness)
    moved = moved + field.double() * (shake * math.sqrt(3) / blurred_deviation(smoothness))
    return sample(images, down + moved[:, 1], across + moved[:, 0], repeat=True).clamp_(0, 1)


def pixelate(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], kept: float
) -> Float[Tensor, "rows channels height width"]:
    """Squares: averaged down to ⌊kept · side⌋ pixels a side (at least one), and each repeated to the old size."""
    for dimension in (2, 3):
        size = images.shape[dimension]
        images = apply_taps(images, _squares(size, max(1, int(size * kept + 1e-9))), dimension)
    return images.clamp(0, 1)


def jpeg_compression(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], quality: float
) -> Float[Tensor, "rows channels height width"]:
    """What JPEG keeps: cosine coefficients of 8×8 blocks of 255 · x − 128, rounded to multiples of a table.

    Source: ITU-T T.81 (1992), annex A.3.3 and tables K.1, K.2; JFIF for colours. Departures: colour is not halved in
    resolution before, and the result is not rounded to bytes. Blocks over the edge repeat the last pixels.
    """
    rows, channels, height, width = images.shape
    levels = (_to_luma(images) if channels == 3 else images) * 255 - 128
    padded = pad(levels, (0, -width % 8, 0, -height % 8), mode="replicate")
    shape = padded.shape
    blocks = padded.reshape(rows, channels, shape[2] // 8, 8, shape[3] // 8, 8)
    tables = torch.stack([quantisation(quality, colour=each > 0) for each in range(channels)])[:, None, :, None, :]
    blocks = dct(dct(blocks, 3), 5).div_(tables).round_().mul_(tables)
    padded = dct(dct(blocks, 3, inverse=True), 5, inverse=True).reshape(shape)
    levels = (padded[:, :, :height, :width] + 128) / 255
    return (_from_luma(levels) if channels == 3 else levels).clamp(0, 1)


def dct(blocks: Float[Tensor, "..."], dimension: int, inverse: bool = False) -> Float[Tensor, "..."]:
    """The orthonormal cosine transform (type II) along an axis of 8, or its inverse.

    X_k = c_k/2 · Σ_n x_n cos((2n + 1)kπ/16) with c_0 = 1/√2 and else 1: ITU-T T.81, annex A.3.3, one axis of it.
    """
    matrix = torch.tensor(
        [
            [
                math.cos((2 * place + 1) * wave * math.pi / 16) * (0.5 if wave else math.sqrt(0.125))
                for place in range(8)
            ]
            for wave in range(8)
        ],
    )
    every = torch.arange(8).repeat(8, 1)
    return apply_taps(blocks, Taps(every, matrix.T if inverse else matrix), dimension)


def quantisation(quality: float, *, colour: bool) -> Float[Tensor, "8 8"]:
    """The table of steps for a quality from 1 to 100, scaled as the Independent JPEG Group does; colour: of Cb, Cr."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = torch.tensor(CHROMINANCE if colour else LUMINANCE, dtype=torch.float64)
    return ((table * percent + 50) / 100).floor().clamp(1, 255).float()


def saturate(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], factor: float, more: float
) -> Float[Tensor, "rows channels height width"]:
    """Saturation s becomes factor · s + more, within [0, 1], hue and value stay; a grey image's value becomes that.

    Pixels without a hue become red where `more` is above 0, as hue 0 is; so they do in the published code.
    """
    if images.shape[1] == 1:
        return torch.where(images > 0, images * factor + more, images).clamp_(0, 1)
    most, least = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    spread = most - least
    old = spread / most.clamp(min=1e-12)
    new = (old * factor + more).clamp(0, 1)
    # Of a colour v·(1 − s·t), t from 0 (the largest channel) to 1 (the smallest) is the hue.
    red = images.new_tensor([0.0, 1.0, 1.0])[:, None, None].expand_as(images)
    hue = torch.where(spread > 0, (most - images) / spread.clamp(min=1e-12), red)
    return (most * (1 - new * hue)).clamp_(0, 1)


def _squares(size: int, count: int) -> Taps:
    """The mean over `count` equal parts of an axis, each given back to the pixels whose middle lies in it."""
    means = resize_taps(size, count)
    part = ((torch.arange(size, dtype=torch.float64) + 0.5) * count / size).floor().long()
    return Taps(means.places[part], means.weights[part])


def _to_luma(images: Float[Tensor, "rows 3 height width"]) -> Float[Tensor, "rows 3 height width"]:
    """Red, green, blue to luma and two differences of colour around 128 of 255."""
    red, green, blue = images.unbind(dim=1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, (blue - luma) / 1.772 + NEUTRAL, (red - luma) / 1.402 + NEUTRAL], dim=1)


def _from_luma(images: Float[Tensor, "rows 3 height width"]) -> Float[Tensor, "rows 3 height width"]:
    luma, bluer, redder = images.unbind(dim=1)
    red, blue = luma + 1.402 * (redder - NEUTRAL), luma + 1.772 * (bluer - NEUTRAL)
    return torch.stack([red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue], dim=1)

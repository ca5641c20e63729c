"""Weather: fog, snow, frost, splashes of water and mud, and too much light.

Source: Hendrycks and Dietterich (2019), section 3.2, and their code. Images are `[rows, channels, height, width]` in
[0, 1]; lengths are pixels of the image given. Departures: frost is drawn, where they paste photographs of it; fog is a
fractal of the image's own size, where the code for MNIST cuts a piece of 28 pixels out of one of 256, nearly even in
itself; water on a lens is a film of drops with a lit and a dark side, without their equalised distances.
"""

from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.shift.blur import motion
from surefoot.rows.shift.colour import grey, painted
from surefoot.rows.shift.counters import normal, uniform
from surefoot.rows.shift.sampling import apply_taps, blurred_deviation, resize_taps, smooth, zoom_taps

__all__ = ["brightness", "fog", "frost", "plasma", "snow", "spatter"]

WATER = (175 / 255, 238 / 255, 238 / 255)
MUD = (63 / 255, 42 / 255, 20 / 255)
ICE = (0.82, 0.91, 1.0)


def brightness(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], amount: float
) -> Float[Tensor, "rows channels height width"]:
    """The largest channel v of each pixel becomes min(v + amount, 1), hue and saturation stay; black becomes grey."""
    value = images.amax(dim=1, keepdim=True)
    lighter = (value + amount).clamp(0, 1)
    return torch.where(value > 0, images * (lighter / value.clamp(min=1e-12)), lighter).clamp_(0, 1)


def fog(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], thickness: float, decay: float
) -> Float[Tensor, "rows channels height width"]:
    """(x + thickness · plasma) · m / (m + thickness), m the largest number of the image: clouds, and less contrast."""
    clouds = plasma(keys, 0, images.shape[2], images.shape[3], decay)
    most = images.amax(dim=(1, 2, 3), keepdim=True)
    return ((images + thickness * clouds) * (most / (most + thickness).clamp(min=1e-12))).clamp_(0, 1)


def plasma(
    keys: Int[Tensor, "rows 2"], stream: int, height: int, width: int, decay: float
) -> Float[Tensor, "rows 1 height width"]:
    """Clouds from 0 to 1, by diamonds and squares on a torus: each new point is the mean of its four neighbours and
    a·u, u ~ U(−1, 1), and a shrinks by decay² whenever the grid is refined.

    Source: Fournier, Fussell and Carpenter (1982), "Computer rendering of stochastic models". The square is in the
    published code, which multiplies its amplitude by itself. The grid is the power of two that holds the image. Uses
    the streams from `stream` to `stream` + 2 · log2 of the grid.
    """
    heights = torch.zeros(len(keys), 1, 1)
    amplitude, side = 1.0, 1
    while side < max(height, width):
        across, down = heights.roll(-1, 2), heights.roll(-1, 1)
        middle = (heights + across + down + across.roll(-1, 1)) / 4
        drawn = (2 * uniform(keys, stream, 3, side, side) - 1) * amplitude
        middle = middle + drawn[:, 0]
        over = (heights + across + middle + middle.roll(1, 1)) / 4 + drawn[:, 1]
        beside = (heights + down + middle + middle.roll(1, 2)) / 4 + drawn[:, 2]
        upper = torch.stack([heights, over], dim=3).reshape(len(keys), side, 2 * side)
        lower = torch.stack([beside, middle], dim=3).reshape(len(keys), side, 2 * side)
        heights = torch.stack([upper, lower], dim=2).reshape(len(keys), 2 * side, 2 * side)
        amplitude, side, stream = amplitude / decay**2, 2 * side, stream + 1
    least, most = heights.amin(dim=(1, 2), keepdim=True), heights.amax(dim=(1, 2), keepdim=True)
    clouds = (heights - least) / (most - least).clamp(min=1e-12)
    return clouds[:, None, :height, :width].contiguous()


def frost(
    images: Float[Tensor, "rows channels height width"], keys: Int[Tensor, "rows 2"], kept: float, ice: float
) -> Float[Tensor, "rows channels height width"]:
    """kept · x + ice · crystals: ridges 1 − |2p − 1| of two rough plasmas, sharpened, over a third one's patches."""
    height, width = images.shape[2:]
    patches = plasma(keys, 0, height, width, 1.7)
    ridges = [1 - (2 * plasma(keys, 16 * (1 + each), height, width, 1.5) - 1).abs() for each in range(2)]
    veins = torch.maximum(ridges[0], ridges[1]).square().square()
    crystals = (0.35 * patches + 0.65 * veins * (0.4 + 0.6 * patches)).mul_(1.25).clamp_(0, 1)
    return (kept * images + ice * painted(crystals, images.shape[1], ICE, 0.9)).clamp_(0, 1)


def snow(
    images: Float[Tensor, "rows channels height width"],
    keys: Int[Tensor, "rows 2"],
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
    pixel: float,
) -> Float[Tensor, "rows channels height width"]:
    """Falling flakes over a whitened image.

    Flakes: normal numbers on a grid whose meshes are `pixel` long, enlarged `zoom` times, those below `threshold`
    left out, brought to the image's size, and blurred along a direction within 45° of the vertical; they are added,
    and so is the same picture turned by 180°. The image becomes kept · x + (1 − kept) · max(x, 1.5 · light + 0.5).
    """
    height, width = images.shape[2:]
    tall, wide = max(2, round(height / pixel)), max(2, round(width / pixel))
    flakes = mean + spread * normal(keys, 0, 1, tall, wide)
    flakes = apply_taps(apply_taps(flakes, zoom_taps(wide, zoom), 3), zoom_taps(tall, zoom), 2)
    flakes = torch.where(flakes < threshold, 0.0, flakes.clamp(0, 1))
    flakes = apply_taps(apply_taps(flakes, resize_taps(wide, width), 3), resize_taps(tall, height), 2)
    angles = (uniform(keys, 1, 1)[:, 0] - 0.5) * (torch.pi / 2)
    flakes = motion(flakes.transpose(2, 3), angles, radius, sigma).transpose(2, 3)
    white = kept * images + (1 - kept) * torch.maximum(images, 1.5 * grey(images) + 0.5)
    return (white + flakes + flakes.flip(2, 3)).clamp_(0, 1)


def spatter(
    images: Float[Tensor, "rows channels height width"],
    keys: Int[Tensor, "rows 2"],
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    rim: float,
    water: float,
    pixel: float,
) -> Float[Tensor, "rows channels height width"]:
    """Blots where blurred normal numbers exceed `threshold`: mud (`water` = 0), which covers, or water, which shines.

    The numbers have the mean `mean` and, before the blur of `sigma` pixels, the deviation `spread` at a size where
    `pixel` is 1; after it, the same deviation at every size. The blots are blurred by `rim` pixels. Mud is kept where
    it stays above 0.8. Water adds `water` times a pale turquoise, brighter towards the upper left of each drop.
    """
    height, width = images.shape[2:]
    spread = spread * blurred_deviation(sigma / pixel) / blurred_deviation(sigma)
    # A margin is drawn and cut off: repeated edge pixels would make blots likelier there.
    margin = ceil(2 * sigma)
    drawn = smooth(normal(keys, 0, 1, height + 2 * margin, width + 2 * margin), sigma)
    liquid = mean + spread * drawn[:, :, margin : margin + height, margin : margin + width]
    blots = smooth((liquid > threshold).float(), rim)
    if not water:
        cover = torch.where(blots < 0.8, 0.0, blots)
        return (images * (1 - cover) + painted(cover, images.shape[1], MUD, MUD[0])).clamp_(0, 1)
    lit = (blots - blots.roll((1, 1), (2, 3))).clamp_(-0.5, 0.5)
    film = (water * blots * (1 + lit)).clamp_(0, 1)
    return (images + painted(film, images.shape[1], WATER, 0.85)).clamp_(0, 1)

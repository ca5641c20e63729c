"""Panoptic segmentation without boxes: classes of pixels, a heat of centres, and how far each pixel is from its own.

    centres: (heat − max_k exp(−|cell − c_k|²/2σ²))², mean over cells
    offsets: |offset − (c_k − cell)| in pixels, mean over the cells of things

    decoding: peaks of the heat are objects; a pixel that is of a thing (by its class) belongs to the object whose
    centre is nearest to where its offset points; an object's class is that of most of its pixels.

Source: Cheng et al. (2020), "Panoptic-DeepLab", §3. Their decoder branches are two and ours is one shared map; σ is in
pixels of our small images; centres are those of boxes, in place of centres of mass.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import max_pool2d

from surefoot.findings.panoptic_quality import Segments
from surefoot.flex.dense.heads import CELL, Outputs, resized
from surefoot.networks.patches import Size
from surefoot.rows.scenes import Scenes

__all__ = ["centre_loss", "nothing", "offset_loss", "segments_of", "true_segments"]

SIGMA = 3.0
PEAK = 0.2
WINDOW = 5
"""Width of a peak in pixels; the least heat of one; the cells around in which it is the highest."""


def centre_loss(said: Outputs, scenes: Scenes) -> Float[Tensor, ""]:
    """The mean squared error of the heat."""
    y, x = _places(said.centres)
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    apart = (x - middle[:, :, 0, None, None]).square() + (y - middle[:, :, 1, None, None]).square()
    heat = torch.exp(-apart / (2 * SIGMA**2)) * (scenes.labels >= 0)[:, :, None, None]
    return (said.centres - heat.amax(dim=1)).square().mean()


def offset_loss(said: Outputs, scenes: Scenes) -> Float[Tensor, ""]:
    """In pixels, over cells that a thing is in."""
    y, x = _places(said.centres)
    which = max_pool2d(scenes.instances[:, None].float(), CELL)[:, 0].long()
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    own = middle.gather(1, (which.flatten(1) - 1).clamp_min(0)[:, :, None].expand(-1, -1, 2))
    own = own.view(*which.shape, 2)
    wrong = (said.offsets[:, 0] - (own[..., 1] - y)).abs() + (said.offsets[:, 1] - (own[..., 0] - x)).abs()
    inside = which > 0
    return (wrong * inside).sum() / inside.sum().clamp_min(1)


def segments_of(said: Outputs, size: Size) -> list[Segments]:
    """One map for each image of `size`; segment 0 is background, which is class 0 too."""
    classes = resized(said.classes, size)
    offsets = resized(said.offsets, size)
    peaks = _peaks(said.centres)
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    return [
        _grouped(classes[row], torch.stack([y, x]) + offsets[row], (peaks[row].nonzero() + 0.5) * CELL)
        for row in range(len(classes))
    ]


def true_segments(scenes: Scenes) -> list[Segments]:
    """The truth in the same form: background is segment 0 and class 0, the digit d is class d + 1."""
    return [
        Segments(instances.long(), torch.cat([torch.zeros(1, dtype=torch.int64), (labels + 1).clamp_min(0)]))
        for instances, labels in zip(scenes.instances, scenes.labels, strict=True)
    ]


def nothing(rows: int, size: Size) -> list[Segments]:
    """What is said by who sees nothing: all is background."""
    none: Int[Tensor, "height width"] = torch.zeros(size, dtype=torch.int64)
    return [Segments(none, torch.zeros(1, dtype=torch.int64))] * rows


def _grouped(
    classes: Float[Tensor, "classes height width"],
    pointed: Float[Tensor, "2 height width"],
    centres: Float[Tensor, "objects 2"],
) -> Segments:
    label = classes.argmax(dim=0)
    thing = label > 0
    if not len(centres) or not bool(thing.any()):
        return Segments(torch.zeros_like(label), torch.zeros(1, dtype=torch.int64))
    nearest = torch.cdist(pointed.flatten(1).T, centres).argmin(dim=1).view(label.shape)
    pixels = torch.where(thing, nearest + 1, 0)
    votes = torch.zeros(len(centres) + 1, len(classes), dtype=torch.int64)
    votes.index_put_((pixels.flatten(), label.flatten()), torch.ones(pixels.numel(), dtype=torch.int64), True)
    return Segments(pixels, votes.argmax(dim=1))


def _peaks(heat: Float[Tensor, "rows down across"]) -> Bool[Tensor, "rows down across"]:
    """The highest cells around; of cells that are equally high, as those on both sides of a centre are, the first."""
    high = (heat == max_pool2d(heat[:, None], WINDOW, 1, WINDOW // 2)[:, 0]) & (heat > PEAK)
    order = torch.arange(heat[0].numel(), 0, -1, device=heat.device).view(heat.shape[1:]) * high
    return high & (order == max_pool2d(order[:, None].float(), WINDOW, 1, WINDOW // 2)[:, 0])


def _places(maps: Float[Tensor, "rows down across"]) -> tuple[Tensor, Tensor]:
    """The middles of cells, in pixels: y and x."""
    down, across = ((torch.arange(side, device=maps.device) + 0.5) * CELL for side in maps.shape[1:])
    y, x = torch.meshgrid(down, across, indexing="ij")
    return y, x

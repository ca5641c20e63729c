"""Panoptic quality: every pixel belongs to one segment, a segment has a class, and segments are matched by overlap.

    PQ_c = Σ_matched IoU / (matched + ½ spurious + ½ missed) = SQ_c · RQ_c,     PQ = mean over classes

A predicted segment matches a true one of its class where their IoU is above ½. Segments of a map do not share pixels,
so that there is one match at most, and nothing has to be assigned. Classes that no scene predicts or shows are left out
of the mean.

Source: Kirillov et al. (2019), "Panoptic segmentation", eq. 1. Our scenes have no void pixels and no crowds.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int, Integer
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["PanopticCounts", "Segments", "class_qualities", "count_panoptic", "panoptic_quality"]


@dataclass(frozen=True)
class Segments:
    """One map: each pixel's segment, and the class of segment k in `classes[k]`; numbers may be left out."""

    pixels: Integer[Tensor, "height width"]
    classes: Int[Tensor, "segments"]

    def __post_init__(self) -> None:
        if self.pixels.numel() and not 0 <= int(self.pixels.min()) <= int(self.pixels.max()) < len(self.classes):
            raise InputError(f"A pixel's segment is not among 0 … {len(self.classes) - 1}; give the class of each.")


@dataclass(frozen=True)
class PanopticCounts:
    """Of each class in each scene. overlap: the sum of IoU over its matched segments."""

    overlap: Float64[Tensor, "scenes classes"]
    matched: Float64[Tensor, "scenes classes"]
    spurious: Float64[Tensor, "scenes classes"]
    missed: Float64[Tensor, "scenes classes"]


def count_panoptic(predicted: list[Segments], truth: list[Segments], classes: int) -> PanopticCounts:
    """Counts for classes 0 … classes − 1, background among them where it is to be judged as a segment.

    Raises `InputError` for other scenes, and classes outside.
    """
    if len(predicted) != len(truth):
        raise InputError(f"{len(predicted)} maps were predicted for {len(truth)} scenes; give one for each.")
    counts = torch.zeros(4, len(truth), classes, dtype=torch.float64)
    for scene, (said, true) in enumerate(zip(predicted, truth, strict=True)):
        if said.pixels.shape != true.pixels.shape:
            raise InputError(
                f"A map of {tuple(said.pixels.shape)} was predicted for one of {tuple(true.pixels.shape)}; give a "
                "segment for each pixel."
            )
        for each in (said, true):
            if len(each.classes) and not 0 <= int(each.classes.min()) <= int(each.classes.max()) < classes:
                raise InputError(f"A segment's class is not among 0 … {classes - 1}; give as many as there are.")
        _count(said, true, counts[:, scene])
    overlap, matched, spurious, missed = counts.unbind(0)
    return PanopticCounts(overlap, matched, spurious, missed)


def class_qualities(
    counts: PanopticCounts, times: Float64[Tensor, "resamples scenes"]
) -> Float64[Tensor, "resamples classes"]:
    """PQ of each class; NaN for one that is nowhere."""
    below = counts.matched + 0.5 * counts.spurious + 0.5 * counts.missed
    return (times @ counts.overlap) / (times @ below)


def panoptic_quality(
    counts: PanopticCounts, times: Float64[Tensor, "resamples scenes"]
) -> Float64[Tensor, "resamples"]:
    """PQ with each scene counted as often as `times` says.

    >>> truth = Segments(torch.tensor([[0, 0, 1, 1]]), torch.tensor([0, 1]))
    >>> found = count_panoptic([Segments(torch.tensor([[0, 0, 0, 1]]), torch.tensor([0, 1]))], [truth], classes=2)
    >>> round(float(panoptic_quality(found, torch.ones(1, 1).double())), 4)  # 2/3 of background; IoU ½ is no match
    0.3333
    """
    return class_qualities(counts, times).nanmean(dim=1)


def _count(said: Segments, true: Segments, counts: Tensor) -> None:
    """Into counts `[4, classes]` of one scene."""
    m, n = len(said.classes), len(true.classes)
    table = torch.bincount((said.pixels.long() * n + true.pixels.long()).flatten(), minlength=m * n).view(m, n).double()
    areas, true_areas = table.sum(dim=1), table.sum(dim=0)
    overlap = table / (areas[:, None] + true_areas - table).clamp_min(1)
    overlap = torch.where(said.classes[:, None] == true.classes, overlap, torch.zeros_like(overlap))
    pairs = overlap > 0.5
    matched, missed = pairs.any(dim=1), ~pairs.any(dim=0) & (true_areas > 0)
    counts[0].index_add_(0, said.classes, torch.where(pairs, overlap, 0.0).sum(dim=1))
    counts[1].index_add_(0, said.classes, matched.double())
    counts[2].index_add_(0, said.classes, (~matched & (areas > 0)).double())
    counts[3].index_add_(0, true.classes, missed.double())

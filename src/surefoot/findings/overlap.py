"""Mean intersection over union of a semantic segmentation, from counts of pixels in each scene.

    IoU_c = |predicted c ∩ true c| / |predicted c ∪ true c|,    mIoU = mean of IoU_c over classes

with pixels of all scenes counted together, and the mean over classes that are predicted or true anywhere.

Source: Everingham et al. (2015), "The Pascal visual object classes challenge: a retrospective", §3.2 (segmentation).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Overlap", "class_overlaps", "count_overlap", "mean_overlap"]


@dataclass(frozen=True)
class Overlap:
    """Pixels in both, and in either, of each class in each scene."""

    both: Float64[Tensor, "scenes classes"]
    either: Float64[Tensor, "scenes classes"]


def count_overlap(
    predicted: Int[Tensor, "scenes height width"], truth: Int[Tensor, "as_many its_height its_width"], classes: int
) -> Overlap:
    """Counts for classes 0 … classes − 1.

    Raises `InputError` for maps of other shapes, and classes outside.
    """
    if predicted.shape != truth.shape:
        raise InputError(
            f"Maps of {tuple(predicted.shape)} were predicted for {tuple(truth.shape)}; give one class a pixel."
        )
    if truth.numel() and not (min(predicted.min(), truth.min()) >= 0 and max(predicted.max(), truth.max()) < classes):
        raise InputError(f"A pixel's class is not among 0 … {classes - 1}; give as many classes as there are.")
    pairs = (predicted * classes + truth).flatten(1)
    counts = torch.zeros(len(truth), classes**2, dtype=torch.float64)
    counts.scatter_add_(1, pairs, torch.ones(pairs.shape, dtype=torch.float64))
    table = counts.view(len(truth), classes, classes)
    both = table.diagonal(dim1=1, dim2=2).contiguous()
    return Overlap(both, table.sum(dim=1) + table.sum(dim=2) - both)


def class_overlaps(
    overlap: Overlap, times: Float64[Tensor, "resamples scenes"]
) -> Float64[Tensor, "resamples classes"]:
    """IoU of each class; NaN for one that is nowhere."""
    return (times @ overlap.both) / (times @ overlap.either)


def mean_overlap(overlap: Overlap, times: Float64[Tensor, "resamples scenes"]) -> Float64[Tensor, "resamples"]:
    """mIoU with each scene counted as often as `times` says.

    >>> truth = torch.tensor([[[0, 0], [1, 1]]])
    >>> found = count_overlap(torch.tensor([[[0, 1], [1, 1]]]), truth, classes=3)
    >>> round(float(mean_overlap(found, torch.ones(1, 1).double())), 4)  # (1/2 + 2/3) / 2
    0.5833
    """
    return class_overlaps(overlap, times).nanmean(dim=1)

"""Semantic segmentation: the class of each pixel.

    loss = mean over pixels of −log softmax(classes resized to the image)[true class]

Source: Long, Shelhamer and Darrell (2015), "Fully convolutional networks for semantic segmentation" (a loss for each
pixel); Strudel et al. (2021), "Segmenter" (logits resized, then the loss).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from surefoot.flex.dense.heads import Outputs, resized
from surefoot.networks.patches import Size

__all__ = ["background", "pixel_classes", "segment_loss"]


def segment_loss(said: Outputs, truth: Int[Tensor, "rows height width"]) -> Float[Tensor, ""]:
    """In nats a pixel."""
    return functional.cross_entropy(resized(said.classes, (truth.shape[1], truth.shape[2])), truth)


def pixel_classes(said: Outputs, size: Size) -> Int[Tensor, "rows height width"]:
    """The most probable class of each pixel of an image of `size`."""
    return resized(said.classes, size).argmax(dim=1)


def background(shape: torch.Size) -> Int[Tensor, "rows height width"]:
    """What is said by who sees nothing: all is background."""
    return torch.zeros(shape, dtype=torch.int64)

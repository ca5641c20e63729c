"""Covariances of inputs and of image patches, in float64, a batch at a time.

Batches are merged by their means and centred sums of squares (Chan et al., 1983), so nothing is lost where a mean is
large beside its spread, and never more than one batch is in memory.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn.functional import pad

from surefoot.errors import InputError
from surefoot.rows.rows import Inputs

__all__ = ["empirical_covariance", "patch_covariance"]

NUMBERS = 2**22
"""Patch numbers in memory at once: 32 MiB in float64."""


def empirical_covariance(inputs: Inputs, *, batch: int = 4096) -> Float64[Tensor, "d d"]:
    """The covariance of flattened inputs: Σ̂ = 1/(N−1) Σ_n (x_n − x̄)(x_n − x̄)ᵀ.

    inputs: `[rows, …]`, a tensor or inputs that are read when needed. batch: how many rows are read at once.

    Raises `InputError` for fewer than two rows and for numbers that are not finite.

    >>> empirical_covariance(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])).tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    if batch < 1:
        raise InputError(f"The batch is {batch} rows; give at least one.")
    sums = _Sums()
    for first in range(0, len(inputs), batch):
        block = inputs[first : first + batch]
        sums.add(block.reshape(len(block), -1), f"rows {first} to {first + len(block) - 1}")
    return sums.covariance()


def patch_covariance(
    images: Inputs, kernel: int | tuple[int, int], padding: int | tuple[int, int] = 0, stride: int | tuple[int, int] = 1
) -> Float64[Tensor, "d d"]:
    """The covariance of all patches that a convolution sees, each flattened as its weight is: (channel, row, column).

    images: `[rows, channels, height, width]`. kernel, padding, stride: the convolution's, in pixels, (down, right) or
    one for both; padding is with zeros, as the convolution pads, so normalise pixels first. Every position counts,
    those at the edges too: the reference code leaves out the first and last row and column of patches.

    Images are taken so few at a time that their patches fit in 32 MiB (one image's, where that alone is more).

    Raises `InputError` for inputs that are no images, a kernel larger than the padded image, fewer than two patches,
    and pixels that are not finite.

    >>> ramp = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> patch_covariance(ramp, kernel=(1, 2)).tolist()  # the patches (0, 1) and (2, 3)
    [[2.0, 2.0], [2.0, 2.0]]
    """
    (high, wide), (top, left), (down, right) = _pair(kernel), _pair(padding), _pair(stride)
    if min(high, wide, down, right) < 1 or min(top, left) < 0:
        raise InputError(
            f"A kernel {kernel}, padding {padding} and stride {stride} is no convolution; give whole pixels."
        )
    shape = list(images[:1].shape)
    if len(shape) != 4:
        raise InputError(f"Inputs of shape {shape} are no images; give [rows, channels, height, width].")
    positions = ((shape[2] + 2 * top - high) // down + 1, (shape[3] + 2 * left - wide) // right + 1)
    if min(positions) < 1:
        raise InputError(f"A kernel of {high}×{wide} is larger than the padded images of {shape}; use a smaller one.")
    batch = max(1, NUMBERS // (math.prod(positions) * shape[1] * high * wide))
    sums = _Sums()
    for first in range(0, len(images), batch):
        block = pad(images[first : first + batch].double(), (left, left, top, top))
        windows = block.unfold(2, high, down).unfold(3, wide, right)  # [rows, channels, positions…, high, wide]
        patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, shape[1] * high * wide)
        sums.add(patches, f"images {first} to {first + len(block) - 1}")
    return sums.covariance()


class _Sums:
    """Count, mean and centred sum of squares of everything that was added."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.squares = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, block: Tensor, called: str) -> None:
        block = block.to(torch.float64)
        mean = block.mean(dim=0)
        if not bool(mean.isfinite().all()):
            raise InputError(f"The inputs of {called} hold numbers that are not finite; mend or leave out those rows.")
        centred = block - mean
        squares = centred.T @ centred
        if not self.count:
            self.count, self.mean, self.squares = len(block), mean, squares
            return
        total, apart = self.count + len(block), mean - self.mean
        self.squares += squares + torch.outer(apart, apart) * (self.count * len(block) / total)
        self.mean = self.mean + apart * (len(block) / total)
        self.count = total

    def covariance(self) -> Tensor:
        if self.count < 2:
            raise InputError(f"A covariance of {self.count} samples is undefined; give at least two.")
        return self.squares / (self.count - 1)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value

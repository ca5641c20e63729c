"""One pass over rows: the loss and the gradient of softmax heads on standardised features that are never made.

Standardised features z̃ = (z − m)/σ under a head (W, b) are raw features under W/σ and b − W(m/σ); and with the
residuals r_i = w_i (softmax(W z̃_i + b) − onehot(y_i)) the gradient is

    ∂/∂W = Σ_i r_i z̃_iᵀ = (RᵀZ − (Σ_i r_i) mᵀ) / σ          ∂/∂b = Σ_i r_i

so both passes are one product of the raw features and a correction of rank one. Rows come in blocks that stay in the
processor's cache between the two products, and the residuals overwrite the logits. Any number of heads share a pass.

Features stored as float16 or bfloat16 are widened block by block. Where a feature's mean is so far from zero, in its
own standard deviations, that the correction would cancel digits that matter (`LARGEST_OFFSET`), the mean is subtracted
from each block instead. Constant features have infinite scale: their weights stay at zero.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Matrix

__all__ = ["Block", "Scaling", "Slopes", "Workspace", "blocks_of", "fold", "measure_scaling", "slopes"]

LARGEST_OFFSET = 100.0
"""The largest |m|/σ for which the mean is left in the features: two decimal digits of seven may cancel."""
BLOCK_BYTES = 8 * 2**20
SMALLEST_BLOCK, LARGEST_BLOCK = 256, 4096
STATISTICS_BLOCK = 4096


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation (divisor n; infinite where a feature is constant) in float64."""

    mean: Float[Tensor, "features"]
    scale: Float[Tensor, "features"]

    @property
    def centred(self) -> bool:
        """Whether the mean is to be subtracted from the features themselves."""
        return bool(((self.mean / self.scale).abs() > LARGEST_OFFSET).any())


class Block(NamedTuple):
    """Some rows: features as they are stored, class numbers, and weights (None: all one)."""

    features: Matrix
    targets: Int[Tensor, "rows"]
    weights: Float[Tensor, "rows"] | None = None


class Slopes(NamedTuple):
    """Gradient of the heads' losses, and the losses: sums over rows (nats)."""

    weight: Float[Tensor, "heads classes features"]
    bias: Float[Tensor, "heads classes"]
    loss: Float[Tensor, "heads"]


@dataclass(frozen=True)
class Workspace:
    """The scaling in the working precision, and buffers that every pass overwrites: no step allocates."""

    mean: Float[Tensor, "features"]
    scale: Float[Tensor, "features"]
    centred: bool
    features: Float[Tensor, "block features"]
    logits: Float[Tensor, "block outputs"]
    folded: Float[Tensor, "outputs features"]
    slope: Float[Tensor, "outputs features"]

    @classmethod
    def of(cls, scaling: Scaling, heads: int, classes: int, precision: torch.dtype) -> "Workspace":
        """Buffers for `heads` heads of `classes` classes that work in `precision`."""
        width, outputs = len(scaling.mean), heads * classes
        rows = block_rows(width, precision)
        return cls(
            mean=scaling.mean.to(precision),
            scale=scaling.scale.to(precision),
            centred=scaling.centred,
            features=torch.empty(rows, width, dtype=precision),
            logits=torch.empty(rows, outputs, dtype=precision),
            folded=torch.empty(outputs, width, dtype=precision),
            slope=torch.empty(outputs, width, dtype=precision),
        )


def block_rows(width: int, precision: torch.dtype) -> int:
    """How many rows make a block that stays in a processor's cache."""
    return min(max(BLOCK_BYTES // (width * precision.itemsize), SMALLEST_BLOCK), LARGEST_BLOCK)


def blocks_of(block: Block, rows: int) -> Iterator[Block]:
    """The same rows, `rows` at a time; nothing is copied."""
    for start in range(0, len(block.targets), rows):
        stop = start + rows
        weights = None if block.weights is None else block.weights[start:stop]
        yield Block(block.features[start:stop], block.targets[start:stop], weights)


def measure_scaling(features: Matrix) -> Scaling:
    """Mean and standard deviation in float64, in one pass over blocks that are merged pairwise (Chan et al., 1979).

    Raises `InputError` when a feature is NaN or infinite.

    >>> scaling = measure_scaling(torch.tensor([[1.0, 7.0], [3.0, 7.0]], dtype=torch.float16))
    >>> scaling.mean.tolist(), scaling.scale.tolist()
    ([2.0, 7.0], [1.0, inf])
    """
    if not len(features):
        raise InputError("There are no rows to standardise; give some.")
    wide = torch.empty(min(STATISTICS_BLOCK, len(features)), features.shape[1], dtype=torch.float64)
    mean = torch.zeros(features.shape[1], dtype=torch.float64)
    squares, first = torch.zeros_like(mean), features[0].to(torch.float64)
    varies = torch.zeros(features.shape[1], dtype=torch.bool)
    count = 0
    for start in range(0, len(features), STATISTICS_BLOCK):
        block = features[start : start + STATISTICS_BLOCK]
        own = wide[: len(block)].copy_(block)
        varies |= (block.amax(dim=0) != first) | (block.amin(dim=0) != first)
        own_mean = own.mean(dim=0)
        if not bool(torch.isfinite(own_mean).all()):
            raise InputError(
                f"A feature is NaN or infinite among rows {start} to {start + len(block) - 1}; mend the backbone or "
                "leave these rows out."
            )
        own_squares = own.sub_(own_mean).square_().sum(dim=0)
        offset, both = own_mean - mean, count + len(block)
        squares += own_squares + offset.square() * (count * len(block) / both)
        mean += offset * (len(block) / both)
        count = both
    return Scaling(mean, (squares / count).sqrt().masked_fill(~varies, float("inf")))


def slopes(
    blocks: Iterable[Block],
    weight: Float[Tensor, "heads classes features"],
    bias: Float[Tensor, "heads classes"],
    work: Workspace,
) -> Slopes:
    """Sums over all rows of the blocks, which hold at most as many rows as the workspace.

    The weight's gradient is the workspace's buffer: use it before the next pass. A loss is read from the probability
    of the true class, and so ends at 87 nats a row in float32.
    """
    heads, classes, _ = weight.shape
    torch.div(weight.flatten(0, 1), work.scale, out=work.folded)
    shift = bias.flatten() if work.centred else bias.flatten() - work.folded @ work.mean
    total, loss = torch.zeros_like(shift), torch.zeros(heads, dtype=torch.float64)
    work.slope.zero_()
    for block in blocks:
        features = _in_precision(block.features[:], work)
        logits = work.logits[: len(features)]
        torch.addmm(shift, features, work.folded.T, out=logits)
        loss += _to_residuals(logits.view(-1, heads, classes), block.targets, block.weights)
        total += logits.sum(dim=0)
        work.slope.addmm_(logits.T, features)
    if not work.centred:
        work.slope.addr_(total, work.mean, alpha=-1)
    work.slope.div_(work.scale)
    return Slopes(work.slope.view_as(weight), total.view_as(bias), loss)


def fold(weight: Float[Tensor, "classes features"], bias: Float[Tensor, "classes"], scaling: Scaling) -> LinearHead:
    """The head on raw features, in the weight's precision: W/σ and b − W(m/σ)."""
    folded = weight.to(torch.float64) / scaling.scale
    return LinearHead(folded.to(weight.dtype), (bias.to(torch.float64) - folded @ scaling.mean).to(weight.dtype))


def _in_precision(features: Tensor, work: Workspace) -> Tensor:
    if features.dtype == work.features.dtype and not work.centred:
        return features
    wide = work.features[: len(features)].copy_(features)
    return wide.sub_(work.mean) if work.centred else wide


def _to_residuals(
    logits: Float[Tensor, "rows heads classes"], targets: Int[Tensor, "rows"], weights: Float[Tensor, "rows"] | None
) -> Float[Tensor, "heads"]:
    """Turn logits into weighted residuals where they stand; returns each head's summed loss."""
    torch.softmax(logits, dim=2, out=logits)
    place = targets[:, None, None].expand(-1, logits.shape[1], 1)
    surprise = -logits.gather(2, place)[:, :, 0].clamp_min(torch.finfo(logits.dtype).tiny).log()
    logits.scatter_add_(2, place, torch.full_like(surprise, -1.0)[:, :, None])
    if weights is not None:
        row_weights = weights.to(logits.dtype)[:, None]
        logits.mul_(row_weights[:, :, None])
        surprise = surprise * row_weights
    return surprise.sum(dim=0, dtype=torch.float64)

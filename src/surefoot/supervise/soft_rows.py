"""Features and soft labels as softmax regression reads them: labels once, features a block at a time.

With z_i = W x̃_i + b, and x̃ the standardised features, the mean cross-entropy of distributions y_i is

    (1/n) Σ_i log Σ_k e^{z_ik}  −  ⟨W, C⟩  −  ⟨b, ȳ⟩            C = (1/n) Σ_i y_i x̃_iᵀ

so that labels are read once, for C and ȳ; after that only what the head says is, and the slope by W is
(1/n) Σ_i p_i x̃_iᵀ − C.

Products are in `kind`. Rounded to bfloat16 (sums still in float32), they are twice as fast where a CPU has instructions
for it, and move the loss by some 10⁻⁴: enough until a fit is nearly done. What is rounded alike in many rows does not
cancel in the mean: such labels (.9 of whoever is right, votes of five) are read as rounded numbers and what these lack,
and weights are such that rounding leaves them (`seen`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Look", "SoftRows", "blocks", "in_cache", "look", "soft_rows", "softmax_of"]

FEW = 1000
"""Rows of a product."""
COLUMNS = 256
"""Of a block of the second moments."""
ALIKE = 3e-4
"""What rounding moves of a label on the average over rows, beyond what chance leaves of it: then it is put back."""
BLOCK = 500_000
"""Logits of a pass over what the head says: few enough to stay in a cache."""


@dataclass(frozen=True)
class SoftRows:
    """Centred features, in `kind` where that is shorter than their own; C of standardised features, and ȳ."""

    features: Float[Tensor, "rows features"]
    mean: Float[Tensor, "features"]
    scale: Float[Tensor, "features"]
    kind: torch.dtype
    kept: Float[Tensor, "rows features"] | None
    cross: Float[Tensor, "classes features"]
    shares: Float[Tensor, "classes"]

    def __len__(self) -> int:
        return len(self.features)

    def logits(self, weight: Float[Tensor, "classes features"]) -> Float[Tensor, "rows classes"]:
        """W x̃, in `kind`."""
        found = self.features.new_empty(len(self), len(weight), dtype=self.kind)
        divided = (weight / self.scale).to(self.kind).T
        for part in blocks(len(self), FEW):
            torch.mm(_centred(self, part), divided, out=found[part])
        return found

    def seen(self, weight: Float[Tensor, "classes features"]) -> Float[Tensor, "classes features"]:
        """The weights near these that products see as they are, so that W in ⟨W, C⟩ is the W of the logits."""
        return weight if self.kept is None else (weight / self.scale).to(self.kind).to(weight) * self.scale

    def crossed(self, mass: Float[Tensor, "rows classes"]) -> Float[Tensor, "classes features"]:
        """(1/n) Σ_i m_i x̃_iᵀ."""
        found = torch.zeros_like(self.cross)
        for part in blocks(len(self), FEW):
            found += mass[part].to(self.kind).T @ _centred(self, part)
        return found / (self.scale * len(self))

    def moments(self) -> Float[Tensor, "features features"]:
        """(1/n) Σ_i x̃_i x̃_iᵀ: what is on and above the diagonal, some columns at a time, and its mirror."""
        size = self.features.shape[1]
        cuts = list(blocks(size, COLUMNS))
        found = self.features.new_zeros(size, size)
        for part in blocks(len(self), FEW):
            block = _centred(self, part)
            for place, left in enumerate(cuts):
                for right in cuts[place:]:
                    found[left, right] += block[:, left].T @ block[:, right]
        found = found.triu() + found.triu(1).T
        return found / (torch.outer(self.scale, self.scale) * len(self))


class Look(NamedTuple):
    """Means over rows of what a head says: log Σ e^z, p, p (1 − p); and along a direction of the logits, two slopes."""

    value: float
    said: Tensor
    spread: Tensor
    slope: float
    curve: float


def soft_rows(
    features: Float[Tensor, "rows features"],
    labels: Float[Tensor, "rows classes"],
    mean: Float[Tensor, "features"],
    scale: Float[Tensor, "features"],
    kind: torch.dtype,
) -> SoftRows:
    """Read the labels."""
    kept = None if kind == features.dtype else features.new_empty(features.shape, dtype=kind)
    cross = features.new_zeros(labels.shape[1], features.shape[1])
    shares, rounded = torch.zeros(2, labels.shape[1], dtype=torch.float64)
    count = len(features)
    for part in blocks(count, FEW):
        block = (features[part] - mean).to(kind)
        given = labels[part].to(kind)
        cross += given.T @ block
        shares += labels[part].sum(dim=0)
        if kept is not None:
            rounded += given.sum(dim=0, dtype=torch.float32)
            kept[part] = block
    if kept is not None and float((shares - rounded).abs().sum()) > ALIKE * count:
        for part in blocks(count, FEW):
            cross += (labels[part] - labels[part].to(kind)).to(kind).T @ kept[part]
    return SoftRows(features, mean, scale, kind, kept, cross / (scale * count), (shares / count).to(features))


def look(
    logits: Float[Tensor, "rows classes"],
    mass: Float[Tensor, "rows classes"] | None,
    way: Float[Tensor, "rows classes"] | None = None,
    length: float = 0.0,
) -> Look:
    """What is said at logits + length · way; the probabilities are left in `mass`, rounded to its own precision."""
    value = slope = curve = 0.0
    said = torch.zeros(logits.shape[1], dtype=torch.float64)
    square = torch.zeros_like(said)
    for part in in_cache(logits):
        at = logits[part] if way is None else torch.add(logits[part], way[part], alpha=length)
        given, sums = softmax_of(at)
        value += sums
        said += given.sum(dim=0)
        if mass is not None:
            mass[part] = given
        square += torch.linalg.vector_norm(given, dim=0).square_()
        if way is not None:
            moved = given.mul_(way[part])
            mean = moved.sum(dim=1)
            slope += float(mean.sum(dtype=torch.float64))
            curve += float(torch.dot(moved.flatten(), way[part].flatten()) - mean.square().sum())
    count = len(logits)
    return Look(value / count, said / count, (said - square) / count, slope / count, curve / count)


def softmax_of(logits: Float[Tensor, "rows classes"]) -> tuple[Float[Tensor, "rows classes"], float]:
    """Probabilities, and the sum over rows of log Σ_k e^{z_k}.

    The largest logit z has p = e^z / Σ e^z, so that the logarithm is z − log p: one exponential a logit serves both.
    """
    given = logits.softmax(dim=1)
    return given, float((logits.amax(dim=1) - given.amax(dim=1).log_()).sum(dtype=torch.float64))


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size`."""
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def in_cache(logits: Float[Tensor, "rows classes"]) -> Iterator[slice]:
    """Rows whose logits stay in a cache while they are worked on."""
    return blocks(len(logits), max(1, BLOCK // logits.shape[1]))


def _centred(rows: SoftRows, part: slice) -> Tensor:
    return rows.features[part] - rows.mean if rows.kept is None else rows.kept[part]

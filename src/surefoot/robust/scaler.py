"""Standardisation of features: fitted on some rows, used on others, folded into a head at the end."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.robust.head import Matrix
from surefoot.robust.softmax.slopes import measure_scaling
from surefoot.rows.streamed import FileFeatures

__all__ = ["Scaler", "fit_scaler"]


@dataclass(frozen=True)
class Scaler:
    """Standardisation. Features constant where it was fitted are exactly zero after it, and so get no weight."""

    mean: Float[Tensor, "features"]
    scale: Float[Tensor, "features"]
    constant: Tensor

    def apply(self, features: Float[Tensor, "rows features"]) -> Float[Tensor, "rows features"]:
        """(z − mean) / scale in float64; constant features become 0."""
        return ((features.to(torch.float64) - self.mean) / self.scale).masked_fill(self.constant, 0.0)

    @property
    def divisor(self) -> Float[Tensor, "features"]:
        """The scale, infinite where constant: dividing by it is zero."""
        return self.scale.masked_fill(self.constant, torch.inf)


def fit_scaler(features: Matrix) -> Scaler:
    """Mean and standard deviation (divisor n) over the rows; constant features are marked, their scale is 1.

    Of features in their file in one pass over blocks (`measure_scaling`), which differs in the last bits.

    >>> scaler = fit_scaler(torch.tensor([[1.0, 0.1], [3.0, 0.1]]))
    >>> scaler.apply(torch.tensor([[5.0, 9.0]])).tolist()
    [[3.0, 0.0]]
    """
    if isinstance(features, FileFeatures):
        measured = measure_scaling(features)
        never = torch.isinf(measured.scale)
        return Scaler(measured.mean, measured.scale.masked_fill(never, 1.0), never)
    wide = features.to(torch.float64)
    constant = wide.amax(dim=0) == wide.amin(dim=0)
    return Scaler(wide.mean(dim=0), wide.std(dim=0, correction=0).masked_fill(constant, 1.0), constant)

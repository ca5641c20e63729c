"""One shared feature matrix, standardised inside its products and never copied for a fit.

    Z = (X − 1mᵀ) diag(s),   Zᵀu = s∘(Xᵀu − m Σu),   columns of Z as (x_j − m_j) s_j

with m the mean and s the inverse scale: a shift of rank one. A column of s = 0 (constant where the scaler was fitted)
is exactly zero, so it can get no weight. The intercept is one more column, of ones, at the end.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Design", "make_design"]

CHUNK = 128
"""Columns turned to float64 at a time: a chunk of some thousand rows stays in the cache."""


@dataclass(frozen=True)
class Design:
    """transposed: Xᵀ in the precision given, made once so that columns are contiguous; mean m and inverse scale s."""

    transposed: Float[Tensor, "features rows"]
    mean: Float[Tensor, "features"]
    inverse_scale: Float[Tensor, "features"]

    @property
    def columns(self) -> int:
        """Features and the intercept."""
        return len(self.mean) + 1

    @property
    def rows(self) -> int:
        """Rows shared by all fits."""
        return self.transposed.shape[1]

    def pull(self, dual: Float[Tensor, "fits rows"]) -> Float[Tensor, "fits columns"]:
        """Zᵀu of every fit, in float64; X is turned to float64 a chunk of columns at a time."""
        answer = dual.new_empty(len(dual), self.columns)
        for first in range(0, self.columns - 1, CHUNK):
            some = self.transposed[first : first + CHUNK].to(torch.float64)
            torch.mm(dual, some.T, out=answer[:, first : first + len(some)])
        return self._standardise(answer, dual)

    def rough_pull(self, dual: Float[Tensor, "fits rows"]) -> Float[Tensor, "fits columns"]:
        """Zᵀu in the precision of X: enough to choose a direction, not to certify an optimum."""
        answer = dual.new_empty(len(dual), self.columns)
        answer[:, :-1] = dual.to(self.transposed.dtype) @ self.transposed.T
        return self._standardise(answer, dual)

    def push(self, point: Float[Tensor, "fits columns"]) -> Float[Tensor, "fits rows"]:
        """Z w of every fit, in float64."""
        scaled = point[:, :-1] * self.inverse_scale
        answer = (point[:, -1] - scaled @ self.mean)[:, None].repeat(1, self.rows)
        for first in range(0, self.columns - 1, CHUNK):
            some = self.transposed[first : first + CHUNK].to(torch.float64)
            answer.addmm_(scaled[:, first : first + len(some)], some)
        return answer

    def gather(
        self,
        columns: Int[Tensor, "fits some"],
        sizes: list[int],
        rows: Int[Tensor, "fits few"] | None,
        precision: torch.dtype,
    ) -> Float[Tensor, "fits some few"]:
        """Columns of Z on a few rows of every fit (None: all rows), transposed and contiguous.

        columns: in rising order, of which `sizes` count; those after are left zero.
        """
        fits, some = columns.shape
        width = self.columns - 1
        part = torch.empty(fits, some, self.rows if rows is None else rows.shape[1], dtype=precision)
        for fit, size in enumerate(sizes):
            index = columns[fit, :size]
            with_intercept = size > 0 and int(index[-1]) == width
            inner = size - with_intercept
            picked = self.transposed.index_select(0, index[:inner])
            if rows is None:
                part[fit, :inner] = picked
            elif precision == picked.dtype:
                torch.index_select(picked, 1, rows[fit], out=part[fit, :inner])
            else:
                part[fit, :inner] = picked.index_select(1, rows[fit])
            part[fit, inner:] = 1.0
        valid = torch.arange(some) < torch.tensor(sizes)[:, None]
        inside = valid & (columns < width)
        index = torch.where(inside, columns, 0)
        part -= torch.where(inside, self.mean[index], 0.0).to(precision)[:, :, None]
        part *= torch.where(inside, self.inverse_scale[index], valid.to(torch.float64)).to(precision)[:, :, None]
        return part

    def _standardise(self, answer: Tensor, dual: Tensor) -> Tensor:
        total = dual.sum(dim=1, keepdim=True)
        answer[:, :-1] -= total * self.mean
        answer[:, :-1] *= self.inverse_scale
        answer[:, -1] = total[:, 0]
        return answer


def make_design(
    features: Float[Tensor, "rows features"],
    mean: Float[Tensor, "features"] | None = None,
    scale: Float[Tensor, "features"] | None = None,
) -> Design:
    """The design of standardised features; without mean and scale, of the features as they are.

    An infinite scale makes a column exactly zero.

    >>> design = make_design(torch.tensor([[1.0], [3.0]]), torch.tensor([2.0]), torch.tensor([0.5]))
    >>> design.pull(torch.tensor([[1.0, 0.0]], dtype=torch.float64)).tolist()
    [[-2.0, 1.0]]
    """
    width = features.shape[1]
    wide = features if features.dtype in (torch.float32, torch.float64) else features.to(torch.float32)
    centre = torch.zeros(width, dtype=torch.float64) if mean is None else mean.to(torch.float64)
    inverse = torch.ones(width, dtype=torch.float64) if scale is None else 1.0 / scale.to(torch.float64)
    return Design(wide.T.contiguous(), centre, inverse)

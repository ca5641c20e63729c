"""One shared feature matrix, standardised inside its products and never copied for a fit.

    Z = (X − 1mᵀ) diag(s),   Zᵀu = s∘(Xᵀu − m Σu),   columns of Z as (x_j − m_j) s_j

with m the mean and s the inverse scale: a shift of rank one, made after a product, or before it where means are so many
spreads away that it would cancel. A column of s = 0 (constant where the scaler was fitted)
is exactly zero, so it can get no weight. The intercept is one more column, of ones, at the end.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.networks.product import products_are_float32

__all__ = ["Design", "make_design"]

CHUNK = 128
"""Columns turned to float64 at a time: a chunk of some thousand rows stays in the cache."""
DISTANT = 100.0
"""From a mean of so many spreads on, columns are centred before their products are made, not after."""
SHIFT = 1e-6
"""A rounding of the mean, in units of the spread, that is still left uncorrected."""


@dataclass(frozen=True)
class Design:
    """transposed: Xᵀ in the precision given, made once so that columns are contiguous; mean m and inverse scale s;
    lengths: ‖x_j‖, for bounds on rounding; distant: whether some mean is many spreads away."""

    transposed: Float[Tensor, "features rows"]
    mean: Float[Tensor, "features"]
    inverse_scale: Float[Tensor, "features"]
    lengths: Float[Tensor, "features"]
    distant: bool

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
            some = self._wide(torch.arange(first, min(first + CHUNK, self.columns - 1)))
            torch.mm(dual, some.T, out=answer[:, first : first + len(some)])
        return self._standardise(answer, dual, shift=not self.distant)

    def rough_pull(
        self, dual: Float[Tensor, "fits rows"]
    ) -> tuple[Float[Tensor, "fits columns"], Float[Tensor, "fits columns"]]:
        """Zᵀu in the precision of X, and how far it may be off: |error| ≤ (n + 2) ε/2 ‖u‖ ‖x_j‖ s_j, n the rows used.

        Source: Higham (2002), section 3.1, and the Cauchy-Schwarz inequality. Where torch may multiply float32 in less
        than its precision, nothing is known of the error.
        """
        answer = dual.new_empty(len(dual), self.columns)
        answer[:, :-1] = dual.to(self.transposed.dtype) @ self.transposed.T
        error = torch.zeros_like(answer)
        if self.transposed.dtype != torch.float64 or self.distant:
            roundoff = ((dual != 0).sum(dim=1) + 2) * (torch.finfo(self.transposed.dtype).eps / 2)
            if not products_are_float32():
                roundoff = roundoff + torch.inf
            # A column made zero by the scaler is zero exactly, whatever its length.
            reach = (self.lengths * self.inverse_scale).clamp(min=torch.finfo(torch.float64).tiny)
            torch.outer(roundoff * dual.norm(dim=1), reach, out=error[:, :-1])
        return self._standardise(answer, dual, shift=True), error

    def some_pull(self, dual: Float[Tensor, "fits rows"], columns: Int[Tensor, "some"]) -> Float[Tensor, "fits some"]:
        """Zᵀu in float64, at some features."""
        answer = dual.new_empty(len(dual), len(columns))
        for first in range(0, len(columns), CHUNK):
            some = self._wide(columns[first : first + CHUNK])
            torch.mm(dual, some.T, out=answer[:, first : first + len(some)])
        if not self.distant:
            answer -= dual.sum(dim=1, keepdim=True) * self.mean[columns]
        return answer * self.inverse_scale[columns]

    def push(self, point: Float[Tensor, "fits columns"]) -> Float[Tensor, "fits rows"]:
        """Z w of every fit, in float64; columns that no fit uses are not read."""
        used = (point[:, :-1] != 0).any(dim=0).nonzero().squeeze(1)
        scaled = point[:, used] * self.inverse_scale[used]
        level = point[:, -1] if self.distant else point[:, -1] - scaled @ self.mean[used]
        answer = level[:, None].repeat(1, self.rows)
        for first in range(0, len(used), CHUNK):
            chosen = slice(first, first + CHUNK)
            answer.addmm_(scaled[:, chosen], self._wide(used[chosen]))
        return answer

    def gather(
        self, columns: Int[Tensor, "some"], rows: Int[Tensor, "few"] | None, precision: torch.dtype
    ) -> Float[Tensor, "some few"]:
        """Columns of Z on a few rows (None: all), transposed and contiguous."""
        width = self.columns - 1
        index = columns.clamp(max=width - 1)
        part = self.transposed.index_select(0, index)
        if rows is not None:
            part = part.index_select(1, rows)
        part = part.to(precision)
        mean, inverse = self.mean[index], self.inverse_scale[index]
        rounded = mean.to(precision)
        part -= rounded[:, None]
        # What rounding the mean left out matters where the mean is many times the spread.
        rest = mean - rounded.to(torch.float64)
        if bool((rest.abs() * inverse > SHIFT).any()):
            part -= rest.to(precision)[:, None]
        part *= inverse.to(precision)[:, None]
        part[(columns == width).nonzero().squeeze(1)] = 1.0
        return part

    def _wide(self, columns: Tensor) -> Tensor:
        """Columns of X in float64; less their means where these are so large that a shift afterwards would cancel."""
        some = self.transposed.index_select(0, columns).to(torch.float64, copy=True)
        return some.sub_(self.mean[columns][:, None]) if self.distant else some

    def _standardise(self, answer: Tensor, dual: Tensor, *, shift: bool) -> Tensor:
        total = dual.sum(dim=1, keepdim=True)
        if shift:
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
    transposed = wide.T.contiguous()
    absent = (inverse == 0).nonzero().squeeze(1)
    if len(absent):  # exact zeros, whatever stood there: 0 · inf would be NaN
        ours = transposed.data_ptr() != wide.data_ptr()
        transposed = (transposed if ours else transposed.clone()).index_fill_(0, absent, 0.0)
    # More than the length, which is itself rounded.
    more = 1.001 + transposed.shape[1] * torch.finfo(transposed.dtype).eps
    lengths = torch.linalg.vector_norm(transposed, dim=1).to(torch.float64) * more
    return Design(transposed, centre, inverse, lengths, bool((centre.abs() * inverse > DISTANT).any()))

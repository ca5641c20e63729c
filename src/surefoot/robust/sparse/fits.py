"""What stays the same within a batch of logistic fits: the matrix of each, its rows, signs and weights.

Fits whose draws overlap share one matrix, and each names its rows in it; fits whose draws hardly overlap have a matrix
for every draw. Either way the rows of a fit stand side by side, padded with rows of κ = 0 to the longest.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.robust.sparse.certificate import Penalty
from surefoot.robust.sparse.design import Design

__all__ = ["Fits", "drawn_fits", "shared_fits"]


@dataclass(frozen=True)
class Fits:
    """designs: of each fit; rows: of each fit in its design (None: all, in order); signs ỹ and κ there."""

    designs: list[Design]
    rows: Int[Tensor, "fits few"] | None
    signs: Float[Tensor, "fits few"]
    kappa: Float[Tensor, "fits few"]

    def __len__(self) -> int:
        return len(self.designs)

    def take(self, index: Int[Tensor, "some"]) -> "Fits":
        rows = None if self.rows is None else self.rows[index]
        designs = [self.designs[fit] for fit in index.tolist()]
        return Fits(designs, rows, self.signs[index], self.kappa[index])

    def scaled(self, strengths: Float[Tensor, "fits"]) -> "Fits":
        """With every κ times the C of its fit."""
        return replace(self, kappa=self.kappa * strengths[:, None])

    def gradient(
        self,
        margins: Float[Tensor, "fits few"],
        point: Float[Tensor, "fits columns"],
        near: Bool[Tensor, "fits"],
        penalty: Penalty,
    ) -> Float[Tensor, "fits columns"]:
        """Of the loss, over all columns; for the fits `near` their optimum in float64 wherever it matters.

        A column without weight whose slope stays under λ by more than its rounding can cause neither pulls nor enters
        the certificate, so its slope may stay rough.
        """
        pulled = -self.kappa * self.signs * torch.sigmoid(-margins)
        gradient = torch.empty_like(point)
        for design, index in self.groups():
            dual = self.spread(pulled[index], index, design)
            rough, error = design.rough_pull(dual)
            exact = near[index]
            if bool(exact.any()):
                open_to_doubt = (rough.abs() + error >= penalty.bound) | (point[index] != 0)
                columns = open_to_doubt[exact, :-1].any(dim=0).nonzero().squeeze(1)
                fits = exact.nonzero().squeeze(1)
                rough[fits[:, None], columns] = design.some_pull(dual[fits], columns)
            gradient[index] = rough
        return gradient

    def margins(self, point: Float[Tensor, "fits columns"]) -> Float[Tensor, "fits few"]:
        """ỹ zᵀw in float64."""
        scores = torch.zeros_like(self.signs)
        for design, index in self.groups():
            pushed = design.push(point[index])
            if self.rows is None:
                scores[index, : design.rows] = pushed
            else:
                scores[index] = pushed.gather(1, self.rows[index])
        return scores * self.signs

    def columns(self, fit: int, columns: Int[Tensor, "some"], precision: torch.dtype) -> Float[Tensor, "some few"]:
        """Columns of Z on the rows of one fit; only where it names its rows are they padded."""
        return self.designs[fit].gather(columns, None if self.rows is None else self.rows[fit], precision)

    def groups(self) -> list[tuple[Design, Tensor]]:
        """Every design and the fits that share it."""
        groups: dict[int, list[int]] = {}
        for fit, design in enumerate(self.designs):
            groups.setdefault(id(design), []).append(fit)
        return [(self.designs[fits[0]], torch.tensor(fits)) for fits in groups.values()]

    def spread(
        self, pulled: Float[Tensor, "some few"], index: Int[Tensor, "some"], design: Design
    ) -> Float[Tensor, "some rows"]:
        """From the rows of some fits to all rows of their design: zero on those that a fit leaves out."""
        if self.rows is None:
            return pulled[:, : design.rows]
        return pulled.new_zeros(len(index), design.rows).scatter_add_(1, self.rows[index], pulled)


def shared_fits(design: Design, signs: Float[Tensor, "fits rows"], weights: Float[Tensor, "fits rows"]) -> Fits:
    """All fits over one matrix; a weight of zero leaves a row out."""
    inside = weights > 0
    counts = inside.sum(dim=1)
    most = int(counts.max())
    designs = [design] * len(signs)
    if most == design.rows:
        return Fits(designs, None, signs, weights)
    rows = _pack(inside, most)
    valid = torch.arange(most) < counts[:, None]
    return Fits(designs, rows, signs.gather(1, rows), torch.where(valid, weights.gather(1, rows), 0.0))


def drawn_fits(designs: list[Design], signs: list[Tensor], weights: list[Tensor]) -> Fits:
    """Fits that use every row of their matrix; matrices may differ in rows."""
    padded = [torch.nn.utils.rnn.pad_sequence(part, batch_first=True) for part in (signs, weights)]
    return Fits(designs, None, padded[0], padded[1])


def _pack(inside: Bool[Tensor, "fits all"], most: int) -> Int[Tensor, "fits most"]:
    """The numbers of the true entries of every row, in rising order, padded with zeros."""
    fit, index = inside.nonzero(as_tuple=True)
    place = inside.cumsum(dim=1)[fit, index] - 1
    packed = torch.zeros(len(inside), most, dtype=torch.int64)
    packed[fit, place] = index
    return packed

"""Working sets: the columns on which a fit's quadratic is built, kept from one Newton step to the next.

Every fit has slots, each holding a column of Z on the fit's own rows and its part of the Hessian ZᵀDZ, D diagonal.
A column that begins to matter takes the slot of one that no longer does, and only its row of the Hessian is new: made
with the D of the last whole Hessian, for as long as that D still describes the loss (`stale`).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from surefoot.robust.sparse.certificate import Penalty
from surefoot.robust.sparse.fits import Fits

__all__ = ["WorkingSets"]

ENTER, ENTER_SHARE = 30, 0.2
"""Columns that may enter at a step: at least, and as a share of the support."""
SPARE = 16
"""Slots added beyond those needed where there are too few."""
BLOCKED = 192
"""The slots from which on a Hessian is built by blocks."""


class WorkingSets:
    """chosen: the column in each slot; valid: slots in use, the first ones of every fit, never the last: padding goes
    there. Slots are padded to the fit with most, the columns held are not."""

    chosen: Int[Tensor, "fits slots"]
    valid: Bool[Tensor, "fits slots"]
    hessian: Float[Tensor, "fits slots slots"]

    def __init__(self, fits: Fits, columns: int, precision: torch.dtype) -> None:
        count, few = fits.kappa.shape
        self.chosen = torch.zeros(count, 1, dtype=torch.int64)
        self.valid = torch.zeros(count, 1, dtype=torch.bool)
        self.inside = torch.zeros(count, columns, dtype=torch.bool)
        self.hessian = torch.zeros(count, 1, 1, dtype=precision)
        self.diagonal = torch.full((count, few), torch.inf, dtype=torch.float64)
        self.held = [torch.empty(0, few, dtype=precision) for _ in range(count)]

    def take(self, index: Int[Tensor, "some"]) -> None:
        """Keep some fits."""
        self.chosen, self.valid, self.inside = self.chosen[index], self.valid[index], self.inside[index]
        self.hessian, self.diagonal = self.hessian[index], self.diagonal[index]
        self.held = [self.held[fit] for fit in index.tolist()]

    def renew(
        self,
        fits: Fits,
        penalty: Penalty,
        point: Float[Tensor, "fits columns"],
        slope: Float[Tensor, "fits columns"],
        diagonal: Float[Tensor, "fits few"],
        stale: Float[Tensor, "fits"],
    ) -> None:
        """Take in the columns that break the optimality conditions most, and bring the Hessians up to date.

        diagonal: the present D; a Hessian whose D differs from it by more than the share `stale` is made anew.
        """
        slots, columns, needed = self._enter(penalty, point, slope)
        used = self.valid.sum(dim=1).tolist()
        drift = (diagonal - self.diagonal).abs().sum(dim=1) / diagonal.sum(dim=1)
        fresh = (~(drift <= stale)).tolist()
        for fit, count in enumerate(needed):
            own = slots[fit, :count]
            if count:
                self._hold(fit, used[fit], own, fits.columns(fit, columns[fit, :count], self.hessian.dtype))
            held, hessian = self.held[fit][: used[fit]], self.hessian[fit, : used[fit], : used[fit]]
            if fresh[fit]:
                self.diagonal[fit] = diagonal[fit]
                _gram(held * diagonal[fit].sqrt().to(held.dtype), hessian)
            elif count:
                band = (held[own] * self.diagonal[fit].to(held.dtype)) @ held.T
                hessian[own], hessian[:, own] = band, band.T

    def turn(self, change: Float[Tensor, "fits slots"]) -> Float[Tensor, "fits few"]:
        """zᵀ of a change, in the precision of the columns held."""
        turned = torch.zeros_like(self.diagonal)
        for fit, used in enumerate(self.valid.sum(dim=1).tolist()):
            held = self.held[fit][:used]
            turned[fit] = change[fit, :used].to(held.dtype) @ held
        return turned

    def _enter(self, penalty: Penalty, point: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """Slots and the columns that enter there, how many of them each fit has; the others are padding."""
        excess = slope.abs() - penalty.bound
        support = point != 0
        # A start may have weights on columns that no slot holds: they come first.
        pull = torch.where(support, torch.inf, excess).masked_fill(self.inside, -1.0)
        starting = int((support & ~self.inside).sum(dim=1).max())
        most = max(ENTER, int(ENTER_SHARE * int(support.sum(dim=1).max())), starting)
        strongest, columns = pull.topk(min(most, pull.shape[1]), dim=1)
        needed = (strongest > 0).sum(dim=1)
        width = int(needed.max())
        columns, new = columns[:, :width], strongest[:, :width] > 0
        idle = ~self.valid | ((point.gather(1, self.chosen) == 0) & (excess.gather(1, self.chosen) <= 0))
        idle[:, -1] = False
        short = int((needed - idle.sum(dim=1)).max())
        if short > 0:
            more = short + SPARE
            idle = torch.cat([idle[:, :-1], idle.new_ones(len(idle), more), idle[:, -1:]], dim=1)
            self.chosen, self.valid = (pad(part, (0, more)) for part in (self.chosen, self.valid))
            self.hessian = pad(self.hessian, (0, more, 0, more))
        # Idle slots in order, those in use first, so that the slots in use stay the first ones.
        order = idle.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
        slots = torch.where(new, order, idle.shape[1] - 1)
        fit = torch.arange(len(slots))[:, None].expand_as(slots)
        left = new & self.valid.gather(1, slots)
        self.inside[fit[left], self.chosen.gather(1, slots)[left]] = False
        self.inside[fit[new], columns[new]] = True
        self.chosen[fit[new], slots[new]] = columns[new]
        self.valid[fit[new], slots[new]] = True
        return slots, columns, needed.tolist()

    def _hold(self, fit: int, used: int, slots: Tensor, columns: Tensor) -> None:
        """Write columns into the slots of a fit; what is held grows by half where it must."""
        held = self.held[fit]
        if used > len(held):
            grown = held.new_empty(max(used, len(held) * 3 // 2), held.shape[1])
            grown[: len(held)] = held
            held = self.held[fit] = grown
        few = columns.shape[1]
        held[slots, :few] = columns
        held[slots, few:] = 0.0


def _gram(half: Float[Tensor, "size few"], out: Float[Tensor, "size size"]) -> None:
    """AAᵀ; of large ones the lower blocks alone are multiplied, which saves three eighths."""
    size = len(half)
    if size < BLOCKED:
        torch.mm(half, half.T, out=out)
        return
    block = (size + 3) // 4
    for first in range(0, size, block):
        last = min(size, first + block)
        out[first:last, :last] = half[first:last] @ half[:last].T
        out[:first, first:last] = out[first:last, :first].T

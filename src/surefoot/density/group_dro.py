"""Group DRO of a whole network: a pool whose weights follow the groups that lose most.

    q_g ← q_g exp(η (ℓ_g + C / √n_g)) / Z    for the groups g in the batch, then descend   Σ_g q_g ℓ_g

The pool is a value; the weights that move belong to one run. `ascend` begins them, keeps them in its checkpoints, and
leaves the pool as it was.

Source: Sagawa et al. (2020), "Distributionally robust neural networks for group shifts", algorithm 1 and equation 5.
A group that is not in a batch neither gains nor loses weight before normalising and adds nothing to the loss: as in
their code, where its loss reads as zero, but for C > 0, where their absent groups gain by C / √n_g. They draw batches
that are balanced over groups, and so should you.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.density.pools import group_dro_step, group_means
from surefoot.errors import InputError

__all__ = ["GroupDRO", "Moving"]


@dataclass(frozen=True)
class Moving:
    """One run's group weights. `q` is the only tensor that changes, in place, once a step."""

    q: Float[Tensor, "groups"]
    extra: Float[Tensor, "groups"]
    step: float

    def __call__(
        self,
        scores: Float[Tensor, "rows"],
        weights: Float[Tensor, "rows"],
        members: Bool[Tensor, "rows groups"],
    ) -> Float[Tensor, ""]:
        """Σ_g q_g s̄_g after the step of q; s̄_g is the mean score of the group's rows in the batch, zero if absent."""
        means, present = group_means(scores, weights, members)
        with torch.no_grad():
            losses = self.extra.to(means) - means
            self.q.copy_(group_dro_step(self.q, losses.to(self.q), present, self.step))
            shares = self.q.to(means, copy=True)  # the backward pass must not find the next step's weights
        return (shares * means).sum()


@dataclass(frozen=True)
class GroupDRO:
    """The worst group's mean score, climbed by moving weights.

    step: η, per step of the optimiser. adjustment: C, in nats: asks more for small groups, n_g being the rows of group
    g that the run is given. Raises `InputError` for numbers out of range.
    """

    step: float = 0.01
    adjustment: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0):
            raise InputError(f"The step of group DRO is {self.step}; give a positive number (the paper's is 0.01).")
        if not (math.isfinite(self.adjustment) and self.adjustment >= 0):
            raise InputError(f"The adjustment of group DRO is {self.adjustment}; give zero or a positive number.")

    def __call__(
        self,
        scores: Float[Tensor, "rows"],
        weights: Float[Tensor, "rows"],
        members: Bool[Tensor, "rows groups"],
        /,
    ) -> Float[Tensor, ""]:
        """The objective itself: the lowest mean score among the groups that have rows here (less C / √n_g)."""
        means, present = group_means(scores, weights, members)
        adjusted = means - self.adjustment / members.sum(dim=0).clamp(min=1).sqrt()
        return adjusted.masked_fill(~present, torch.inf).min()

    def begin(self, members: Bool[Tensor, "rows groups"]) -> Moving:
        """Equal weights for the groups of the rows of one run.

        Raises `InputError` without groups, and when one has no rows: its weight could only ever shrink.

        >>> moving = GroupDRO(step=1.0).begin(torch.tensor([[True, False], [False, True]]))
        >>> scores, rows = torch.tensor([-1.0, 0.0]), torch.eye(2, dtype=torch.bool)
        >>> round(moving(scores, torch.ones(2), rows).item(), 4), [round(share, 4) for share in moving.q.tolist()]
        (-0.7311, [0.7311, 0.2689])
        """
        sizes = members.sum(dim=0)
        if not len(sizes) or not bool((sizes > 0).all()):
            raise InputError(
                f"Group DRO was given groups with {sizes.tolist()} rows; it needs groups, and rows of each: name the "
                "attribute that makes groups, or leave the empty ones out."
            )
        sizes = sizes.to(torch.float64)
        return Moving(torch.full_like(sizes, 1 / len(sizes)), self.adjustment / sizes.sqrt(), self.step)

"""L2-penalised logistic and softmax regression, many fits at once: Newton steps by conjugate gradients.

    minimise over W   Σ_i κ_i ℓ(y_i, W z_i) + ½ Σ_kj μ_j w_kj²

ℓ is log(1 + exp(−ỹ w·z)) for one row of W and cross-entropy for K of them. Every fit solves H Δ = −g only as well as
its gradient is small (forcing), with products H v = Zᵀ(∇²ℓ · Z v) + μ v that all fits share, then halves the step until
the objective falls enough. No Hessian is formed, so neither many columns nor many classes need memory.

Source: Dembo, Eisenstat and Steihaug (1982), inexact Newton methods; Nocedal and Wright (2006), algorithm 7.1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.robust.sparse.certificate import Penalty, logistic_certificate, softmax_certificate
from surefoot.robust.sparse.design import Design

__all__ = ["RidgeSolved", "ridge_fits"]

INNER = 500
"""Products of one Newton step, at most."""
HALVINGS = 40


@dataclass(frozen=True)
class RidgeSolved:
    """Coefficients (intercept last; one row of W for the logistic loss), objectives and relative gaps."""

    coefficients: Float[Tensor, "fits classes columns"]
    objective: Float[Tensor, "fits"]
    gap: Float[Tensor, "fits"]
    steps: int


@dataclass(frozen=True)
class _Loss:
    """signs ỹ of each fit (logistic), or the targets all fits share (softmax); κ of every row."""

    signs: Tensor | None
    targets: Tensor
    kappa: Tensor

    def take(self, index: Tensor) -> "_Loss":
        return _Loss(None if self.signs is None else self.signs[index], self.targets, self.kappa[index])

    def value(self, scores: Tensor) -> Tensor:
        if self.signs is not None:
            return (self.kappa * softplus(-self.signs * scores[:, 0])).sum(dim=1)
        own = self.targets.expand(len(scores), 1, -1)
        return -(self.kappa * scores.log_softmax(dim=1).gather(1, own)[:, 0]).sum(dim=1)

    def slope(self, scores: Tensor) -> Tensor:
        if self.signs is not None:
            return -(self.kappa * self.signs * torch.sigmoid(-self.signs * scores[:, 0]))[:, None]
        own = self.targets.expand(len(scores), 1, -1)
        miss = scores.softmax(dim=1).scatter_add(1, own, -torch.ones_like(scores[:, :1]))
        return self.kappa[:, None] * miss

    def bend(self, scores: Tensor, turn: Tensor) -> Tensor:
        """The loss's second derivative in the scores, times `turn`."""
        if self.signs is not None:
            share = torch.sigmoid(scores)
            return self.kappa[:, None] * share * (1 - share) * turn
        share = scores.softmax(dim=1)
        return self.kappa[:, None] * share * (turn - (share * turn).sum(dim=1, keepdim=True))

    def certificate(self, penalty: Penalty, point: Tensor, gradient: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        if self.signs is None:
            return softmax_certificate(penalty, point, gradient, self.targets, self.kappa, scores)
        margins = self.signs * scores[:, 0]
        return logistic_certificate(penalty, point[:, 0], gradient[:, 0], self.kappa, margins)


def ridge_fits(
    design: Design,
    signs: Float[Tensor, "fits rows"] | None,
    targets: Int[Tensor, "rows"] | None,
    kappa: Float[Tensor, "fits rows"],
    penalty: Penalty,
    start: Float[Tensor, "fits classes columns"],
    tolerance: float,
    most_steps: int,
) -> RidgeSolved:
    """Newton steps until every relative gap is at most `tolerance`, or `most_steps` are taken.

    signs: of the logistic loss, one row of W per fit; without them the loss is the softmax of the targets.
    """
    loss = _Loss(signs, torch.empty(0, dtype=torch.int64) if targets is None else targets, kappa)
    coefficients, objective = start.clone(), kappa.new_zeros(len(kappa))
    gap = kappa.new_full((len(kappa),), torch.inf)
    remaining, point = torch.arange(len(kappa)), start.clone()
    scores = _push(design, point)
    for step in range(most_steps + 1):
        gradient = _pull(design, loss.slope(scores))
        value, some_gap = loss.certificate(penalty, point, gradient, scores)
        coefficients[remaining], objective[remaining], gap[remaining] = point, value, some_gap
        left = (~(some_gap <= tolerance)).nonzero().squeeze(1)
        if not len(left) or step == most_steps:
            return RidgeSolved(coefficients, objective, gap, step)
        remaining, loss, point = remaining[left], loss.take(left), point[left]
        scores, value = scores[left], value[left]
        slope = gradient[left] + penalty.square * point
        direction = _conjugate_gradients(design, loss, penalty, scores, slope)
        point, scores = _search(design, loss, penalty, point, scores, value, slope, direction)
    raise AssertionError("unreachable: the loop returns at its last step")


def _conjugate_gradients(design: Design, loss: _Loss, penalty: Penalty, scores: Tensor, slope: Tensor) -> Tensor:
    """Δ with ‖HΔ + g‖ ≤ min(0.1, √(‖g‖/scale)) ‖g‖, all fits at once."""
    direction, residual = torch.zeros_like(slope), -slope
    along = residual.clone()
    square = residual.square().sum(dim=(1, 2))
    size = loss.kappa.sum(dim=1)
    allowed = square * torch.minimum(square.new_full((), 0.01), square.sqrt() / size)
    for _ in range(INNER):
        bent = _pull(design, loss.bend(scores, _push(design, along))) + penalty.square * along
        curve = (along * bent).sum(dim=(1, 2))
        stride = torch.where((square > allowed) & (curve > 0), square / curve, 0.0)[:, None, None]
        direction = direction + stride * along
        residual = residual - stride * bent
        renewed = residual.square().sum(dim=(1, 2))
        if not bool(((renewed > allowed) & (curve > 0)).any()):
            break
        along = residual + (renewed / square.clamp(min=1e-300))[:, None, None] * along
        square = renewed
    return direction


def _search(
    design: Design,
    loss: _Loss,
    penalty: Penalty,
    point: Tensor,
    scores: Tensor,
    before: Tensor,
    slope: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor]:
    """Each fit's step halved until its objective falls by a fraction of what the slope promises (Armijo)."""
    turn = _push(design, direction)
    promised = (slope * direction).sum(dim=(1, 2))
    share = torch.ones(len(point), 1, 1, dtype=torch.float64)
    rounding = 1e-14 * before
    enough = torch.zeros(len(point), dtype=torch.bool)
    for _ in range(HALVINGS):
        reached = point + share * direction
        value = loss.value(scores + share * turn) + 0.5 * (penalty.square * reached.square()).sum(dim=(1, 2))
        enough = value <= before + 1e-4 * share[:, 0, 0] * promised + rounding
        if bool(enough.all()):
            break
        share = torch.where(enough[:, None, None], share, share / 2)
    share = torch.where(enough[:, None, None], share, 0.0)
    return point + share * direction, scores + share * turn


def _push(design: Design, point: Tensor) -> Tensor:
    return design.push(point.flatten(0, 1)).view(*point.shape[:2], -1)


def _pull(design: Design, dual: Tensor) -> Tensor:
    return design.pull(dual.flatten(0, 1)).view(*dual.shape[:2], -1)

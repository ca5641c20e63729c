"""Penalties, and the duality gap that certifies a penalised logistic fit.

    P(w) = Σ κ_i log(1 + exp(−ỹ_i zᵢᵀw)) + Σ_j (λ_j |w_j| + ½ μ_j w_j²)
    D(α) = Σ κ_i h(α_i / κ_i) − Σ_j (|z_jᵀ(ỹα)| − λ_j)₊² / 2μ_j,   h(p) = −p log p − (1 − p) log(1 − p)

For every α in [0, κ] D(α) bounds the optimum from below. The natural choice is α_i = κ_i σ(−margin_i). Where μ_j = 0
the last term asks for |z_jᵀ(ỹα)| ≤ λ_j: α is shrunk until that holds. A free intercept asks for r = Σ ỹα = 0; the
caller solves for it, and what is left of r adds 2 |r| (1 + |b|) to the gap: that bounds the optimum over all
intercepts of at most twice 1 + |b|.

K classes have κ_i CE(y_i, W z_i) in place of the first term, the entropy of p'_i = e_{y_i} + s (p_i − e_{y_i}) in
place of h, and Zᵀ(κ(e_y − p')) in place of Zᵀ(ỹα); s ≤ 1 shrinks.

Source: Koh, Kim and Boyd (2007), section 2.3; the elastic net term is the conjugate of its penalty.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["Penalty", "logistic_certificate", "make_penalty", "softmax_certificate"]


@dataclass(frozen=True)
class Penalty:
    """λ (`bound`) and μ (`square`) of every column, the intercept last; free: the intercept is not penalised."""

    bound: Float[Tensor, "columns"]
    square: Float[Tensor, "columns"]
    l1_ratio: float
    free: bool

    def at(self, chosen: Tensor, point: Tensor) -> float:
        """Of some columns."""
        value = self.bound[chosen] @ point.abs()
        return float(value if self.l1_ratio == 1 else value + 0.5 * (self.square[chosen] @ point.square()))

    def of(self, point: Float[Tensor, "fits columns"]) -> Float[Tensor, "fits"]:
        """Of each fit."""
        return point.abs() @ self.bound + 0.5 * (point.square() @ self.square)

    def conjugate(self, pull: Float[Tensor, "fits penalised"]) -> Float[Tensor, "fits"]:
        """The dual's penalty of Zᵀ(ỹα) over the penalised columns, where μ > 0."""
        over = (pull.abs() - self.l1_ratio).clamp(min=0)
        return over.square().sum(dim=1) / (2 * (1 - self.l1_ratio))


def make_penalty(columns: int, l1_ratio: float, *, free: bool) -> Penalty:
    """l1_ratio ‖w‖₁ + (1 − l1_ratio)/2 ‖w‖² over all columns, or all but the last."""
    bound = torch.full((columns,), float(l1_ratio), dtype=torch.float64)
    square = 1 - bound
    if free:
        bound[-1] = square[-1] = 0.0
    return Penalty(bound, square, float(l1_ratio), free)


def logistic_certificate(
    penalty: Penalty,
    point: Float[Tensor, "fits columns"],
    gradient: Float[Tensor, "fits columns"],
    kappa: Float[Tensor, "fits rows"],
    margins: Float[Tensor, "fits rows"],
) -> tuple[Float[Tensor, "fits"], Float[Tensor, "fits"]]:
    """Objective and relative duality gap of each fit; gradient is that of the loss at `point`."""
    objective = penalty.of(point) + (kappa * softplus(-margins)).sum(dim=1)
    share = torch.sigmoid(-margins)
    pull = gradient[:, :-1] if penalty.free else gradient
    if penalty.l1_ratio == 1:
        share = share / pull.abs().amax(dim=1).clamp(min=1.0)[:, None]
    dual = (kappa * (torch.special.entr(share) + torch.special.entr(1 - share))).sum(dim=1)
    if penalty.l1_ratio < 1:
        dual = dual - penalty.conjugate(pull)
    if penalty.free:
        dual = dual - 2 * gradient[:, -1].abs() * (1 + point[:, -1].abs())
    return objective, (objective - dual) / objective


def softmax_certificate(
    penalty: Penalty,
    point: Float[Tensor, "fits classes columns"],
    gradient: Float[Tensor, "fits classes columns"],
    targets: Int[Tensor, "rows"],
    kappa: Float[Tensor, "fits rows"],
    scores: Float[Tensor, "fits classes rows"],
) -> tuple[Float[Tensor, "fits"], Float[Tensor, "fits"]]:
    """The same for K classes and one softmax."""
    logs = scores.log_softmax(dim=1)
    own = targets.expand(len(scores), 1, -1)
    size = penalty.of(point.flatten(0, 1)).view(len(point), -1).sum(dim=1)
    objective = size - (kappa * logs.gather(1, own)[:, 0]).sum(dim=1)
    pull = gradient[:, :, :-1] if penalty.free else gradient
    probabilities = logs.exp()
    if penalty.l1_ratio == 1:
        shrink = 1 / pull.abs().amax(dim=(1, 2)).clamp(min=1.0)
        probabilities = probabilities * shrink[:, None, None]
        probabilities.scatter_add_(1, own, (1 - shrink)[:, None, None].expand_as(own).to(probabilities.dtype))
    dual = (kappa * torch.special.entr(probabilities).sum(dim=1)).sum(dim=1)
    if penalty.l1_ratio < 1:
        dual = dual - penalty.conjugate(pull.flatten(0, 1)).view(len(pull), -1).sum(dim=1)
    if penalty.free:
        dual = dual - 2 * (gradient[:, :, -1].abs() * (1 + point[:, :, -1].abs())).sum(dim=1)
    return objective, (objective - dual) / objective

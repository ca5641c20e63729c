"""Softmax regression under any convex pool of the rows' losses, solved until its gradient vanishes.

    minimise over (W, b)   pool(ℓ) + ½ λ ‖W‖²,     ℓ_i = CE(y_i, W z_i + b + o_i)

A pool takes the losses of all rows, in nats, to one number and says how it changes with each of them. A weighted mean
gives RWG, RWY, SUBG and SUBY; a soft maximum over groups gives group DRO.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead

__all__ = ["Pooled", "fit_softmax", "row_losses", "weighted_mean"]


class Pooled(NamedTuple):
    """A pool's value, and its derivative by the loss of each row."""

    value: Float[Tensor, ""]
    slope: Float[Tensor, "rows"]


Pool: TypeAlias = Callable[[Tensor], Pooled]

ROUND = 200  # L-BFGS steps between two looks at the gradient
NEWTON_UNKNOWNS = 1_500  # up to so many, solving with the Hessian costs less than a round
NEWTON_STEPS = 30


def weighted_mean(weights: Float[Tensor, "rows"]) -> Pool:
    """Σ_i w_i ℓ_i / Σ_i w_i; linear in the losses.

    >>> weighted_mean(torch.tensor([3.0, 1.0]))(torch.tensor([0.0, 8.0])).value.item()
    2.0
    """
    shares = weights / weights.sum()
    return lambda losses: Pooled(shares @ losses, shares)


def row_losses(
    head: LinearHead, inputs: Float[Tensor, "rows features"], targets: Int[Tensor, "rows"]
) -> Float[Tensor, "rows"]:
    """Cross-entropy of every row, in nats."""
    return -head.logits(inputs).log_softmax(dim=1).gather(1, targets[:, None])[:, 0]


def fit_softmax(
    inputs: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    pool: Pool,
    penalty: float,
    classes: int,
    *,
    start: LinearHead | None = None,
    offsets: Float[Tensor, "rows classes"] | None = None,
    penalise_bias: bool = False,
    tolerance: float = 1e-7,
    most_steps: int = 10_000,
) -> LinearHead:
    """The minimiser, by L-BFGS in float64, until no entry of the gradient exceeds `tolerance`.

    Where a first round does not get there (features that nearly repeat one another, a weak penalty) and the problem is
    small, damped Newton steps follow; their Hessian is exact for a weighted mean and leaves out a pool's own curvature.

    inputs: float64, standardised by the caller. penalty: λ > 0, per mean loss. offsets: logits that are added, for
    fitting a change of a head; then `penalise_bias` adds ½ λ ‖b‖². Raises `InputError` when the tolerance is not
    reached.

    >>> z, y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.tensor([0, 1])
    >>> head = fit_softmax(z, y, weighted_mean(torch.ones(2, dtype=torch.float64)), 0.1, 2)
    >>> gap = 2 * head.weight[1, 0]  # stationary where λ w = σ(−2 w) / 1, by symmetry
    >>> bool((0.1 * head.weight[1, 0] - torch.sigmoid(-gap)).abs() < 1e-6)
    True
    """
    if not penalty > 0:
        raise InputError(f"The penalty is {penalty}; a softmax head needs a positive one to have an optimum.")
    width = inputs.shape[1]
    weight = torch.zeros(classes, width, dtype=torch.float64) if start is None else start.weight.double().clone()
    bias = torch.zeros(classes, dtype=torch.float64) if start is None else start.bias.double().clone()
    weight.requires_grad_()
    bias.requires_grad_()
    rows = torch.arange(len(targets))

    def closure() -> Tensor:
        with torch.no_grad():
            logits = torch.addmm(bias, inputs, weight.T)
            if offsets is not None:
                logits += offsets
            logs = logits.log_softmax(dim=1)
            pooled = pool(-logs[rows, targets])
            residual = logs.exp()
            residual[rows, targets] -= 1
            residual *= pooled.slope[:, None]
            value = pooled.value + 0.5 * penalty * weight.square().sum()
            weight.grad = torch.addmm(weight, residual.T, inputs, beta=penalty)
            bias.grad = residual.sum(dim=0)
            if penalise_bias:
                value = value + 0.5 * penalty * bias.square().sum()
                bias.grad += penalty * bias
        return value

    def curvature() -> Tensor:
        with torch.no_grad():
            logits = torch.addmm(bias, inputs, weight.T)
            if offsets is not None:
                logits += offsets
            logs = logits.log_softmax(dim=1)
            shares, slopes = logs.exp(), pool(-logs[rows, targets]).slope
            seen = torch.cat((inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)), dim=1)
            hessian = torch.empty(classes, width + 1, classes, width + 1, dtype=inputs.dtype)
            for first in range(classes):
                for second in range(classes):
                    each = shares[:, first] * (float(first == second) - shares[:, second]) * slopes
                    hessian[first, :, second] = seen.T @ (each[:, None] * seen)
            # A constant added to every bias changes nothing: the gradient has no part along it, but Cholesky needs one.
            hessian[:, width, :, width] += 0.0 if penalise_bias else 1.0
            hessian = hessian.view(classes * (width + 1), -1)
            penalties = torch.full((classes, width + 1), penalty, dtype=inputs.dtype)
            penalties[:, width] = penalty if penalise_bias else 0.0
            hessian.diagonal().add_(penalties.flatten())
        return hessian

    def steepest() -> float:
        closure()
        assert weight.grad is not None
        assert bias.grad is not None
        return max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))

    steps, before = 0, None
    # A round that stalls in its line search starts the next with a fresh history; one that changes nothing is the last.
    while not (slope := steepest()) <= tolerance:
        if steps >= most_steps or (before is not None and torch.equal(before, weight)):
            raise InputError(
                f"A softmax head with penalty {penalty:g} did not converge in {steps} steps (gradient {slope:.1e}, "
                f"expected at most {tolerance:g}); use a larger penalty."
            )
        before = weight.detach().clone()
        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=ROUND,
            max_eval=2 * ROUND,
            tolerance_grad=tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )
        optimiser.step(closure)
        steps += ROUND
        if weight.numel() + bias.numel() <= NEWTON_UNKNOWNS:
            _newton(weight, bias, closure, curvature, tolerance)
    return LinearHead(weight.detach(), bias.detach())


def _newton(
    weight: Tensor, bias: Tensor, closure: Callable[[], Tensor], curvature: Callable[[], Tensor], tolerance: float
) -> None:
    """Newton steps, halved until the objective falls, in place; stops early where none helps."""
    for _ in range(NEWTON_STEPS):
        value = closure()
        assert weight.grad is not None
        assert bias.grad is not None
        gradient = torch.cat((weight.grad, bias.grad[:, None]), dim=1).flatten()
        largest = gradient.abs().max()
        if not largest > tolerance:
            return
        factor, failed = torch.linalg.cholesky_ex(curvature())
        if failed:
            return
        direction = torch.cholesky_solve(gradient[:, None], factor).view(len(bias), -1)
        slope = (direction.flatten() * gradient).sum()
        old_weight, old_bias, share = weight.detach().clone(), bias.detach().clone(), 1.0
        while True:
            with torch.no_grad():
                weight.copy_(old_weight - share * direction[:, :-1])
                bias.copy_(old_bias - share * direction[:, -1])
            after = closure()
            steepest = torch.maximum(weight.grad.abs().max(), bias.grad.abs().max())
            # Close to the optimum the objective changes by less than its rounding, and the gradient tells more.
            level = after <= value + 1e-12 * value.abs() and steepest < 0.5 * largest
            if level or after <= value - 1e-4 * share * slope:
                break
            share /= 2
            if share < 1e-6:
                with torch.no_grad():
                    weight.copy_(old_weight)
                    bias.copy_(old_bias)
                return

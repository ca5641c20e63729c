"""Softmax heads fitted on all rows at once: the published descent, and the optimum it descends towards.

    J(W, b) = (1/n) Σ_i CE(y_i, W z̃_i + b) + (δ/2n) ‖W‖²        (and + (δ/2n) ‖b‖² with `decay_bias`)

over standardised features z̃. δ is the weight decay times the rows: the paper's setting is weight decay 100/n.

- `descend`: plain gradient descent (no momentum) whose rate falls from `rate` along a half cosine over `steps`.
- `converge`: L-BFGS in float64 until the largest entry of the gradient is below a tolerance. J is convex, so where the
  two differ, the descent stopped early.

Source: Kirichenko, Izmailov and Wilson (2023), "Last layer re-training is sufficient for robustness to spurious
correlations", and its released notebook for ImageNet-9.
"""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.schedule import rate_at
from surefoot.progress import Progress, silent
from surefoot.robust.softmax.slopes import Block, Scaling, Workspace, blocks_of, slopes

__all__ = ["Fitted", "Start", "converge", "descend", "start_of", "working_precision"]

Start: TypeAlias = Literal["zero", "published"]


class Fitted(NamedTuple):
    """Heads on standardised features, their objective J (nats a row) and the norm of its gradient there."""

    weight: Float[Tensor, "heads classes features"]
    bias: Float[Tensor, "heads classes"]
    objective: Float[Tensor, "heads"]
    gradient: Float[Tensor, "heads"]


def working_precision(features: Tensor) -> torch.dtype:
    """float64 for float64 features, float32 for everything else."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def start_of(
    start: Start, heads: int, classes: int, width: int, precision: torch.dtype, generator: torch.Generator
) -> tuple[Float[Tensor, "heads classes features"], Float[Tensor, "heads classes"]]:
    """Zeros, or numbers drawn evenly within ±1/√features, as a fresh linear layer has; the same for every head."""
    if start == "zero":
        return torch.zeros(heads, classes, width, dtype=precision), torch.zeros(heads, classes, dtype=precision)
    bound = 1 / math.sqrt(width)
    weight = (2 * torch.rand(classes, width, generator=generator, dtype=precision) - 1) * bound
    bias = (2 * torch.rand(classes, generator=generator, dtype=precision) - 1) * bound
    return weight.repeat(heads, 1, 1), bias.repeat(heads, 1)


def descend(
    rows: Block,
    scaling: Scaling,
    classes: int,
    decays: tuple[float, ...],
    *,
    steps: int,
    rate: float,
    decay_bias: bool,
    start: Start,
    generator: torch.Generator,
    progress: Progress = silent,
) -> Fitted:
    """Every decay descends in the same passes over the rows; the objective and gradient are those after the last step.

    Raises `InputError` when a step would shrink the weights to zero or past it, and when the loss stops being finite.
    """
    count = total_weight(rows)
    check_shrinkage(decays, rate, count)
    precision = working_precision(rows.features[:1])
    work = Workspace.of(scaling, len(decays), classes, precision)
    size = len(work.features)
    weight, bias = start_of(start, len(decays), classes, len(scaling.mean), precision, generator)
    shrink = torch.tensor(decays, dtype=precision) / count
    for step in range(steps):
        now = rate_at("cosine", rate, step, steps)
        slope = slopes(blocks_of(rows, size), weight, bias, work)
        if not bool(torch.isfinite(slope.loss).all()):
            raise InputError(f"The loss was not finite at step {step + 1} of {steps}; use a rate below {rate:g}.")
        weight.mul_((1 - now * shrink)[:, None, None]).sub_(slope.weight, alpha=now / count)
        if decay_bias:
            bias.mul_((1 - now * shrink)[:, None])
        bias.sub_(slope.bias, alpha=now / count)
        progress("descending", step + 1, steps)
    objective, weight_slope, bias_slope = _objective(rows, weight, bias, work, shrink, decay_bias, count)
    gradient = (weight_slope.square().sum(dim=(1, 2)) + bias_slope.square().sum(dim=1)).sqrt()
    return Fitted(weight, bias, objective, gradient.to(torch.float64))


def converge(
    rows: Block,
    scaling: Scaling,
    classes: int,
    decays: tuple[float, ...],
    *,
    decay_bias: bool,
    tolerance: float = 1e-7,
    most_steps: int = 3000,
    progress: Progress = silent,
) -> Fitted:
    """The optimum of every decay, from the strongest to the weakest, each starting where the last ended.

    Raises `InputError` for a decay of zero, under which separable classes have no optimum, and when the gradient's
    largest entry stays above `tolerance`.
    """
    if min(decays) <= 0:
        raise InputError(
            f"decays are {decays}; without weight decay separable classes have no optimum to converge to: give "
            "positive decays, or use the solver 'descent'."
        )
    count = total_weight(rows)
    work = Workspace.of(scaling, 1, classes, torch.float64)
    weight = torch.zeros(1, classes, len(scaling.mean), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    found: dict[float, Fitted] = {}
    for done, decay in enumerate(sorted(set(decays), reverse=True)):
        shrink = torch.tensor([decay], dtype=torch.float64) / count

        def closure(shrink: Tensor = shrink) -> Tensor:
            with torch.no_grad():
                objective, weight.grad, bias.grad = _objective(rows, weight, bias, work, shrink, decay_bias, count)
            return objective[0]

        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=most_steps,
            max_eval=2 * most_steps,
            tolerance_grad=tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )
        optimiser.step(closure)
        objective = closure()
        assert weight.grad is not None
        assert bias.grad is not None
        steepest = float(torch.maximum(weight.grad.abs().max(), bias.grad.abs().max()))
        if not steepest <= tolerance:
            raise InputError(
                f"The softmax head with decay {decay:g} did not converge in {most_steps} steps (gradient "
                f"{steepest:.1e}, expected at most {tolerance:g}); use a larger decay."
            )
        norm = (weight.grad.square().sum() + bias.grad.square().sum()).sqrt()
        found[decay] = Fitted(weight.detach().clone(), bias.detach().clone(), objective.reshape(1), norm.reshape(1))
        progress("converging", done + 1, len(set(decays)))
    each = [found[decay] for decay in decays]
    return Fitted(*(torch.cat(parts) for parts in zip(*each, strict=True)))


def total_weight(rows: Block) -> float:
    """n: the rows, or the sum of their weights."""
    total = float(len(rows.targets) if rows.weights is None else rows.weights.to(torch.float64).sum())
    if not total > 0:
        raise InputError(f"The weights of the rows sum to {total:g}; give at least one row a positive weight.")
    return total


def check_shrinkage(decays: tuple[float, ...], rate: float, count: float) -> None:
    """Raise `InputError` when the first step would carry the weights to zero or past it."""
    if rate * max(decays) >= count:
        raise InputError(
            f"A decay of {max(decays):g} on {count:g} rows is a weight decay of {max(decays) / count:.2g}, which at "
            f"rate {rate:g} shrinks the weights to zero in one step; use smaller decays, more rows, or the solver "
            "'converged'."
        )


def _objective(
    rows: Block, weight: Tensor, bias: Tensor, work: Workspace, shrink: Tensor, decay_bias: bool, count: float
) -> tuple[Float[Tensor, "heads"], Float[Tensor, "heads classes features"], Float[Tensor, "heads classes"]]:
    """J of every head and its gradient."""
    slope = slopes(blocks_of(rows, len(work.features)), weight, bias, work)
    objective = slope.loss / count + 0.5 * shrink * weight.square().sum(dim=(1, 2))
    weight_slope = slope.weight / count + shrink[:, None, None] * weight
    bias_slope = slope.bias / count
    if decay_bias:
        objective = objective + 0.5 * shrink * bias.square().sum(dim=1)
        bias_slope = bias_slope + shrink[:, None] * bias
    return objective.to(torch.float64), weight_slope, bias_slope

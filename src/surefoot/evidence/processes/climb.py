"""Ascend a scalar function of free tensors: L-BFGS for few numbers and an exact objective, Adam for the others.

A step whose objective cannot be computed (a covariance that will not be factorised) counts as infinitely bad: a line
search goes back from it, and Adam, which has none, stops with an error.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.free import Free
from surefoot.progress import Progress, silent

__all__ = ["Climbed", "Objective", "adam", "lbfgs"]

REMEMBERED = 20
HALVINGS = 30
FARTHEST = 2.0
"""The most that any number moves in one step of L-BFGS: a factor of e² for a positive one."""
ENOUGH = 1e-4
SETTLED = 1e-9
"""L-BFGS stops when a step has gained less than this, relative to the objective's size, three times in a row."""

Objective: TypeAlias = Callable[[Free], Tensor]
"""Free tensors → a scalar; larger is better."""


class Climbed(NamedTuple):
    """free: where it ended. history: the objective before each step, and after the last one for L-BFGS."""

    free: Free
    history: Float64[Tensor, "steps"]


def lbfgs(objective: Objective, start: Free, steps: int, progress: Progress = silent) -> Climbed:
    """At most `steps` steps of L-BFGS with a backtracking line search; the objective never falls.

    Source: Nocedal & Wright (2006), Numerical Optimization, 2nd ed., alg. 7.4 (two loops) and 3.1 (backtracking).
    Pairs whose curvature has the wrong sign are left out.

    Raises `InputError` when the objective is not finite at the start.

    >>> free = {"a": torch.zeros(2).double()}
    >>> reached = lbfgs(lambda free: -(free["a"] - 3).square().sum(), free, steps=20)
    >>> [round(each, 6) for each in reached.free["a"].tolist()]
    [3.0, 3.0]
    """
    at = _flat(start)
    value, gradient = _valued(objective, start, at)
    if not math.isfinite(value):
        raise InputError("The objective is not finite at the start; start from other hyperparameters.")
    history, pairs, idle = [value], list[tuple[Tensor, Tensor]](), 0
    for step in range(steps):
        progress("learning", step, steps)
        direction = _two_loops(gradient, pairs)
        direction = direction * min(1.0, FARTHEST / max(float(direction.abs().max()), 1e-300))
        slope = float(direction @ gradient)
        found = _backtracked(objective, start, at, direction, value, slope)
        if found is None:
            if not pairs:
                break
            pairs = []  # start again along the gradient
            continue
        moved, better, turned = found
        apart, change = moved - at, gradient - turned
        if float(apart @ change) > 1e-12 * float(apart.norm() * change.norm()):
            pairs = [*pairs, (apart, change)][-REMEMBERED:]
        idle = idle + 1 if better - value <= SETTLED * (1 + abs(value)) else 0
        at, value, gradient = moved, better, turned
        history.append(value)
        if idle == 3:
            break
    progress("learning", steps, steps)
    return Climbed(_shaped(at, start), torch.tensor(history, dtype=torch.float64))


def adam(objective: Objective, start: Free, steps: int, rate: float, progress: Progress = silent) -> Climbed:
    """`steps` steps of Adam at a constant rate. Source: Kingma & Ba (2015), alg. 1.

    Raises `InputError` when the objective or its gradient stops being finite, naming the step.

    >>> free = {"a": torch.zeros(1).double()}
    >>> round(adam(lambda free: -(free["a"] - 3).square().sum(), free, 500, 0.05).free["a"].item(), 2)
    3.0
    """
    moving = {name: tensor.detach().clone().requires_grad_() for name, tensor in start.items()}
    optimiser = torch.optim.Adam(list(moving.values()), lr=rate, maximize=True)
    history: list[float] = []
    for step in range(steps):
        progress("learning", step, steps)
        optimiser.zero_grad()
        value = objective(moving)
        value.backward()
        gradients = [tensor.grad for tensor in moving.values() if tensor.grad is not None]
        if not bool(value.isfinite()) or not all(bool(each.isfinite().all()) for each in gradients):
            raise InputError(
                f"The objective or its gradient is not finite at step {step + 1}; use a smaller rate, or standardise "
                "inputs and targets."
            )
        history.append(float(value.detach()))
        optimiser.step()
    progress("learning", steps, steps)
    reached = {name: tensor.detach().clone() for name, tensor in moving.items()}
    return Climbed(reached, torch.tensor(history, dtype=torch.float64))


def _valued(objective: Objective, shapes: Free, at: Tensor) -> tuple[float, Tensor]:
    moving = at.detach().requires_grad_()
    try:
        value = objective(_shaped(moving, shapes))
    except InputError:
        return -math.inf, at
    (gradient,) = torch.autograd.grad(value, moving)
    if not bool(value.isfinite()) or not bool(gradient.isfinite().all()):
        return -math.inf, at
    return float(value.detach()), gradient


def _backtracked(
    objective: Objective, shapes: Free, at: Tensor, direction: Tensor, value: float, slope: float
) -> tuple[Tensor, float, Tensor] | None:
    """The first point on the way back from at + direction that gains enough; None when there is none."""
    if slope <= 0:
        return None
    share = 1.0
    for _ in range(HALVINGS):
        moved = at + share * direction
        better, turned = _valued(objective, shapes, moved)
        if better >= value + ENOUGH * share * slope:
            return moved, better, turned
        share /= 2
    return None


def _two_loops(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    if not pairs:
        return gradient / max(1.0, float(gradient.norm()))
    left, coefficients = gradient.clone(), list[Tensor]()
    for apart, change in reversed(pairs):
        coefficients.append((apart @ left) / (apart @ change))
        left = left - coefficients[-1] * change
    apart, change = pairs[-1]
    left = left * (apart @ change) / (change @ change)
    for (apart, change), coefficient in zip(pairs, reversed(coefficients), strict=True):
        left = left + (coefficient - (change @ left) / (apart @ change)) * apart
    return left


def _flat(free: Free) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in free.values()])


def _shaped(flat: Tensor, like: Free) -> Free:
    pieces = flat.split([tensor.numel() for tensor in like.values()])
    return {name: piece.reshape(tensor.shape) for (name, tensor), piece in zip(like.items(), pieces, strict=True)}

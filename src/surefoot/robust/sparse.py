"""L1-penalised logistic regression, many fits over one matrix at once, each with a certificate.

    minimise  ‖w‖₁ + |b| + C · Σ_i r_i · log(1 + exp(−ỹ_i (wᵀz_i + b)))

This is liblinear's problem (L1R_LR with `intercept_scaling=1`): the loss is a *sum*, so C is the inverse of the
penalty per row, and the intercept is penalised like any weight. Row weights r carry everything that differs between
fits on the same features: a balanced subset is a 0/1 weight, a class weight multiplies it.

Method: proximal Newton on a working set. Each step takes the coordinates that are nonzero or pull hardest, builds
their Hessian, solves the L1 quadratic by coordinate descent (all fits together) and exact solves on the support, and
searches along the line. It stops by the duality gap: with α_i = C r_i σ(−margin_i) shrunk until |Zᵀ(ỹα)| ≤ 1,
D(α) = −Σ κ_i [p_i log p_i + (1 − p_i) log(1 − p_i)], κ_i = C r_i, p_i = α_i / κ_i bounds the optimum from below.

Source: Fan et al. (2008), LIBLINEAR; Yuan, Ho and Lin (2012), newGLMNET; Koh, Kim and Boyd (2007) for the dual.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.errors import InputError

__all__ = ["SparseFits", "sparse_logistic", "sparse_objective"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

TOGETHER = 32
"""Fits solved in one batch: enough to share every Python step, few enough to bound the Hessians' memory."""
SMALLEST_WORKING_SET = 100
ROUNDS, SWEEPS, SOLVES = 12, 8, 100
"""Of the quadratic: rounds, sweeps and exact solves in each, at most. The duality gap alone decides convergence."""
CONTIGUOUS = torch.contiguous_format
RIDGE = 1e-10
"""Added to each Hessian's diagonal, relative to its largest entry: collinear columns stay solvable."""


@dataclass(frozen=True)
class SparseFits:
    """The optima. `certificate` is the relative duality gap: (objective − optimum) / objective is at most that."""

    weight: Float[Tensor, "fits features"]
    bias: Float[Tensor, "fits"]
    objective: Float[Tensor, "fits"]
    certificate: Float[Tensor, "fits"]
    steps: int


def sparse_logistic(
    features: Float[Tensor, "rows features"],
    positive: Bool[Tensor, "fits rows"],
    weights: Float[Tensor, "fits rows"],
    strengths: Float[Tensor, "fits"],
    *,
    tolerance: float = 1e-7,
    most_steps: int = 200,
) -> SparseFits:
    """Solve every fit in float64 until its relative duality gap is at most `tolerance`.

    positive: which rows are the positive class of each fit. weights: r_i ≥ 0; a zero leaves the row out.
    strengths: C > 0 of each fit. The caller standardises.

    Raises `InputError` when a fit has no rows, a number is not finite, or the certificate is not reached.

    >>> features = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> positive = torch.tensor([[False, False, True, True]])
    >>> fits = sparse_logistic(features, positive, torch.ones(1, 4), torch.tensor([1.0]))
    >>> bool(fits.weight[0, 0] > 0), float(fits.bias[0]), bool(fits.certificate[0] <= 1e-7)
    (True, 0.0, True)
    """
    _check(features, weights, strengths)
    used = (weights > 0).any(dim=0)
    rows = features[used].to(torch.float64)
    design = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
    signs = positive[:, used].to(torch.float64) * 2 - 1
    kappa = weights[:, used].to(torch.float64) * strengths.to(torch.float64)[:, None]
    parts = [
        _solve(design, some_signs, some_kappa, tolerance, most_steps)
        for some_signs, some_kappa in zip(signs.split(TOGETHER), kappa.split(TOGETHER), strict=True)
    ]
    coefficients = torch.cat([part.coefficients for part in parts])
    certificate = torch.cat([part.gap for part in parts])
    missed = (~(certificate <= tolerance)).nonzero().squeeze(1)
    if len(missed):
        first = int(missed[0])
        raise InputError(
            f"{len(missed)} of {len(certificate)} sparse fits did not converge in {most_steps} steps (the first, at "
            f"C = {float(strengths[first]):g}, has a relative duality gap of {float(certificate[first]):.1e}; expected "
            f"at most {tolerance:g}); standardise the features, use a smaller C or a larger tolerance."
        )
    return SparseFits(
        weight=coefficients[:, :-1],
        bias=coefficients[:, -1],
        objective=torch.cat([part.objective for part in parts]),
        certificate=certificate,
        steps=max(part.steps for part in parts),
    )


def sparse_objective(
    features: Float[Tensor, "rows features"],
    positive: Bool[Tensor, "rows"],
    weights: Float[Tensor, "rows"],
    strength: float,
    weight: Float[Tensor, "features"],
    bias: float,
) -> float:
    """The objective of one fit at any coefficients (float64): the yardstick between solvers."""
    margins = (features.to(torch.float64) @ weight.to(torch.float64) + bias) * (positive.to(torch.float64) * 2 - 1)
    loss = (weights.to(torch.float64) * softplus(-margins)).sum()
    return float(weight.to(torch.float64).abs().sum() + abs(bias) + strength * loss)


@dataclass(frozen=True)
class _Solved:
    coefficients: Tensor
    objective: Tensor
    gap: Tensor
    steps: int


@dataclass(frozen=True)
class _Point:
    """Everything at the current coefficients of the fits still open."""

    objective: Tensor
    gap: Tensor
    gradient: Tensor
    curvature: Tensor


def _solve(design: Tensor, signs: Tensor, kappa: Tensor, tolerance: float, most_steps: int) -> _Solved:
    """One batch: take Newton steps on the fits still open until each has its certificate."""
    fits, columns = len(kappa), design.shape[1]
    members = [row.nonzero().squeeze(1) for row in kappa > 0]
    coefficients = design.new_zeros(fits, columns)
    objective, gap = design.new_zeros(fits), design.new_full((fits,), torch.inf)
    open_fits = torch.arange(fits)
    current, margins = torch.zeros_like(coefficients), torch.zeros_like(kappa)
    steps = 0
    while True:
        point = _look(design, signs, kappa, current, margins)
        coefficients[open_fits], objective[open_fits], gap[open_fits] = current, point.objective, point.gap
        left = (~(point.gap <= tolerance)).nonzero().squeeze(1)
        if not len(left) or steps == most_steps:
            return _Solved(coefficients, objective, gap, steps)
        open_fits, current, margins = open_fits[left], current[left], margins[left]
        signs, kappa = signs[left], kappa[left]
        point = _Point(point.objective[left], point.gap[left], point.gradient[left], point.curvature[left])
        working = _working_set(current, point.gradient)
        hessian = _hessian(design, [members[fit] for fit in open_fits.tolist()], point.curvature, working)
        proposed = _quadratic(hessian, point.gradient.gather(1, working), current.gather(1, working))
        target = current.scatter(1, working, proposed)
        current, margins = _line_search(design, signs, kappa, current, margins, target, point)
        steps += 1


def _look(design: Tensor, signs: Tensor, kappa: Tensor, current: Tensor, margins: Tensor) -> _Point:
    """Objective, duality gap, gradient and curvature of the loss."""
    miss = torch.sigmoid(-margins)
    gradient = -(kappa * miss * signs) @ design
    objective = current.abs().sum(dim=1) + (kappa * softplus(-margins)).sum(dim=1)
    feasible = miss / gradient.abs().amax(dim=1).clamp(min=1.0)[:, None]
    dual = (kappa * (torch.special.entr(feasible) + torch.special.entr(1 - feasible))).sum(dim=1)
    return _Point(objective, (objective - dual) / objective, gradient, kappa * miss * (1 - miss))


def _working_set(current: Tensor, gradient: Tensor) -> Tensor:
    """The coordinates to move, [fits, size]: every nonzero one, then those whose gradient is largest."""
    columns = current.shape[1]
    support = int((current != 0).sum(dim=1).max())
    size = min(columns, max(SMALLEST_WORKING_SET, 2 * support))
    if size == columns:
        return torch.arange(columns).expand(len(current), columns)
    priority = gradient.abs().masked_fill(current != 0, torch.inf)
    return priority.topk(size, dim=1).indices.sort(dim=1).values


def _hessian(design: Tensor, members: list[Tensor], curvature: Tensor, working: Tensor) -> Tensor:
    """[fits, size, size]; small subsets touch only their own rows."""
    size = working.shape[1]
    hessian = design.new_empty(len(working), size, size)
    for fit, rows in enumerate(members):
        few = 2 * len(rows) < len(design)
        part = design.index_select(0, rows) if few else design
        part = part if size == design.shape[1] else part.index_select(1, working[fit])
        curve = curvature[fit, rows] if few else curvature[fit]
        torch.mm(part.T, curve[:, None] * part, out=hessian[fit])
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    diagonal += RIDGE * diagonal.amax(dim=1, keepdim=True) + torch.finfo(torch.float64).tiny
    return hessian


def _quadratic(hessian: Tensor, gradient: Tensor, start: Tensor) -> Tensor:
    """argmin_u of gᵀ(u − s) + ½ (u − s)ᵀ H (u − s) + ‖u‖₁, nearly: 1 % of the violation at the start is left.

    Sweeps of coordinate descent find the support, exact solves on it do the rest.
    """
    by_column = np.ascontiguousarray(hessian.permute(1, 2, 0).numpy())
    # Copies even where one fit is open and the transpose is already contiguous: the sweeps write in place.
    point, slope = start.T.clone(memory_format=CONTIGUOUS), gradient.T.clone(memory_format=CONTIGUOUS)
    allowed = 0.01 * _violation(point, slope)
    rough = torch.ones(len(start), dtype=torch.bool)
    for _ in range(ROUNDS):
        for _ in range(SWEEPS):
            _sweep(by_column, point.numpy(), slope.numpy())
        for fit in rough.nonzero().squeeze(1).tolist():
            point[:, fit] = _settle(hessian[fit], point[:, fit], slope[:, fit])
        slope = (gradient + (hessian @ (point.T - start)[:, :, None])[:, :, 0]).T.contiguous()
        rough = _violation(point, slope) > allowed
        if not bool(rough.any()):
            break
    return point.T


def _violation(point: Tensor, slope: Tensor) -> Tensor:
    """Largest violation of 0 ∈ slope + ∂‖point‖₁ in each fit; coordinates come first, fits second."""
    inside = (slope.abs() - 1).clamp(min=0)
    return torch.where(point != 0, (slope + point.sign()).abs(), inside).amax(dim=0)


def _sweep(hessian: Array, point: Array, slope: Array) -> None:
    """One pass of coordinate descent, in place, over [size, fits]; one Python step serves all fits."""
    for column in range(len(point)):
        row = hessian[column]
        step_scale = 1.0 / row[column]
        old = point[column]
        centre = old - slope[column] * step_scale
        new = centre - np.minimum(np.maximum(centre, -step_scale), step_scale)
        change = new - old
        if change.any():
            point[column] = new
            slope += row * change


def _settle(hessian: Tensor, point: Tensor, slope: Tensor) -> Tensor:
    """One fit's point moved to the quadratic's minimum over its support (feature-sign search, Lee et al. 2006).

    Solve with the present signs; if signs change on the way, go to the best of the crossings and the end, drop what
    became zero, and solve again. Every round lowers the objective, so no set of signs comes back.
    """
    point, slope = point.clone(), slope.clone()
    for _ in range(SOLVES):
        support = point.nonzero().squeeze(1)
        columns = hessian[:, support]
        here, square = point[support], columns[support]
        factor, failed = torch.linalg.cholesky_ex(square)
        if not len(support) or int(failed):
            break
        direction = -torch.cholesky_solve((slope[support] + here.sign())[:, None], factor)[:, 0]
        crossing = (here + direction).sign() != here.sign()
        shares = torch.cat([(-here / direction)[crossing], here.new_ones(1)])
        paths = here + shares[:, None] * direction
        rise = (slope[support] @ direction) * shares + 0.5 * (direction @ square @ direction) * shares.square()
        best = int((rise + paths.abs().sum(dim=1)).argmin())
        reached = paths[best]
        if best < len(shares) - 1:
            reached[crossing.nonzero().squeeze(1)[best]] = 0.0
        point[support] = reached
        slope += columns @ (reached - here)
        if not bool(crossing.any()):
            break
    return point


def _line_search(
    design: Tensor, signs: Tensor, kappa: Tensor, current: Tensor, margins: Tensor, target: Tensor, point: _Point
) -> tuple[Tensor, Tensor]:
    """Halve the step of each fit until its objective falls by a fraction of what the model promises (Armijo)."""
    direction = target - current
    turn = (direction @ design.T) * signs
    promised = (point.gradient * direction).sum(dim=1) + target.abs().sum(dim=1) - current.abs().sum(dim=1)
    share = torch.ones(len(current), 1, dtype=design.dtype)
    rounding = 1e-14 * point.objective
    for _ in range(40):
        # At a full step the target itself, so that its zeros stay exact.
        reached = torch.where(share == 1, target, current + share * direction)
        objective = reached.abs().sum(dim=1) + (kappa * softplus(-(margins + share * turn))).sum(dim=1)
        enough = objective <= point.objective + 1e-4 * share[:, 0] * promised + rounding
        if bool(enough.all()):
            break
        share = torch.where(enough[:, None], share, share / 2)
    return torch.where(share == 1, target, current + share * direction), margins + share * turn


def _check(features: Tensor, weights: Tensor, strengths: Tensor) -> None:
    bad = (~torch.isfinite(features)).any(dim=1).nonzero().squeeze(1)
    if len(bad):
        raise InputError(f"{len(bad)} rows of features are NaN or infinite (first: row {int(bad[0])}); mend them.")
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise InputError("Row weights must be finite and not negative; mend the weights.")
    if not bool((torch.isfinite(strengths) & (strengths > 0)).all()):
        raise InputError(f"C must be positive and finite, but {strengths.tolist()} was given.")
    empty = (~(weights > 0).any(dim=1)).nonzero().squeeze(1)
    if len(empty):
        raise InputError(f"Fit {int(empty[0])} has no rows of positive weight; give each fit some rows.")

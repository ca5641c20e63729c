"""Linear mixed models by restricted maximum likelihood (REML): effects that hold for all, on groups that differ.

Row i of group t has y = x'β + z'b_t + ε, with b_t normal of covariance σ²D, ε normal of variance σ², and z some of the
columns of x. With V_t = I + Z_t D Z_t', and β and σ² at their best for a given D,

    −2 log L(D) = Σ_t log |V_t| + log |A| + (N − p) log(RSS) + constant
    A = Σ_t X_t'V_t⁻¹X_t,   β̂ = A⁻¹ Σ_t X_t'V_t⁻¹y_t,   σ̂² = RSS/(N − p),   RSS = Σ_t (y_t − X_t β̂)'V_t⁻¹(y_t − X_t β̂)

D = LL' with L lower triangular, so it may be singular and is never negative. A group enters by its cross-products
alone, so the cost of a step does not depend on the rows. L is found by a quasi-Newton method (BFGS) with the exact
gradient, dD ↦ tr(G dD),

    G = Σ_t [Z'V⁻¹Z − Z'V⁻¹X A⁻¹ X'V⁻¹Z − u u' (N − p)/RSS],   u = Z'V⁻¹(y − Xβ̂).

Sources: Patterson & Thompson (1971), Biometrika 58, 545–554; Lindstrom & Bates (1988), J. Am. Stat. Assoc. 83,
1014–1022; for the jackknife over groups, MacKinnon, Nielsen & Webb (2023), J. Econom. 232.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError

__all__ = ["MixedFit", "fit_least_squares", "fit_mixed"]

STEPS = 500
FLAT = 1e-9
"""The fit has converged where a step promises to lower −2 log L by less than this."""


@dataclass(frozen=True)
class MixedFit:
    """Fixed effects with the covariance of their errors, and what varies.

    robust: the same covariance by leaving out one group at a time, which holds if the groups vary in other ways than
    the model says. residual: σ. random: σ²D, of the random columns. criterion: −2 log L, 0 for least squares.
    converged: whether the best D was found; steps: in how many steps.
    """

    effects: Float64[ndarray, "effects"]
    covariance: Float64[ndarray, "effects effects"]
    robust: Float64[ndarray, "effects effects"]
    residual: float
    random: Float64[ndarray, "varying varying"]
    criterion: float
    converged: bool
    steps: int


def fit_mixed(
    outcome: Float64[ndarray, "rows"],
    fixed: Float64[ndarray, "_ effects"],
    groups: Int64[ndarray, "_"],
    varying: Sequence[int],
) -> MixedFit:
    """The fit in which the columns `varying` of `fixed` have a random effect in every group.

    Where every group's own effects leave nothing to explain, there is no likelihood: the fit is that of least squares,
    and has not converged.

    Raises `InputError` for numbers that are not finite, fewer than two groups, and columns that depend on one another.

    >>> groups = np.repeat(np.arange(3), 2)
    >>> fit = fit_mixed(np.array([1.0, 3.0, 4.0, 6.0, 1.0, 4.0]), np.ones((6, 1)), groups, [0])
    >>> round(float(fit.effects[0]), 4), round(fit.residual**2, 4), round(float(fit.random[0, 0]), 4)
    (3.1667, 2.8333, 1.1667)
    """
    of = _products(outcome, fixed, groups, varying)
    if _explained(of):
        return replace(fit_least_squares(outcome, fixed, groups), converged=False)
    size = len(varying)
    rows, columns = np.tril_indices(size)
    at = _start(of)[rows, columns]
    here = _profile(of, _lower(at, size))
    inverse = np.eye(len(at)) / max(1.0, float(np.abs(here.gradient).max()))
    converged = False
    step = 0
    for step in range(1, STEPS + 1):
        slope = here.gradient[rows, columns]
        direction = -inverse @ slope
        promised = float(slope @ direction)
        if -promised < FLAT:
            converged = True
            break
        moved = _search(of, at, direction, here, promised)
        if moved is None:
            if np.allclose(inverse, np.eye(len(at)) * inverse[0, 0]):
                converged = -promised < 1e3 * FLAT
                break
            inverse = np.eye(len(at)) / max(1.0, float(np.abs(slope).max()))
            continue
        new, there = moved
        change, bend = new - at, there.gradient[rows, columns] - slope
        curved = float(change @ bend)
        if curved > 1e-12 * float(np.linalg.norm(change) * np.linalg.norm(bend)):
            if step == 1:
                inverse = np.eye(len(at)) * curved / float(bend @ bend)
            left = np.eye(len(at)) - np.outer(change, bend) / curved
            inverse = left @ inverse @ left.T + np.outer(change, change) / curved
        at, here = new, there
    factor = _lower(at, size)
    return MixedFit(
        here.effects,
        here.scale * np.linalg.inv(here.weight),
        _left_out(here.weights, here.sums),
        math.sqrt(here.scale),
        here.scale * factor @ factor.T,
        here.criterion,
        converged,
        step,
    )


def fit_least_squares(
    outcome: Float64[ndarray, "rows"], fixed: Float64[ndarray, "_ effects"], groups: Int64[ndarray, "_"]
) -> MixedFit:
    """Ordinary least squares, with errors robust to whatever the rows of a group share.

    Raises `InputError` as `fit_mixed` does.
    """
    of = _products(outcome, fixed, groups, [])
    weight = of.xx.sum(axis=0)
    effects = np.linalg.solve(weight, of.xy.sum(axis=0))
    scale = max(0.0, float(of.yy.sum() - effects @ of.xy.sum(axis=0))) / (of.rows - len(effects))
    return MixedFit(
        effects,
        scale * np.linalg.inv(weight),
        _left_out(of.xx, of.xy),
        math.sqrt(scale),
        np.zeros((0, 0)),
        0.0,
        converged=True,
        steps=0,
    )


class _Products(NamedTuple):
    """Cross-products by group: x with x and y, y with y, and the columns that vary with themselves, x and y."""

    xx: Float64[ndarray, "groups effects effects"]
    xy: Float64[ndarray, "groups effects"]
    yy: Float64[ndarray, "groups"]
    varying: list[int]
    rows: int


class _Profile(NamedTuple):
    """−2 log L at some L, its gradient, and what the fit is there; weights and sums: X'V⁻¹X and X'V⁻¹y by group."""

    criterion: float
    gradient: Float64[ndarray, "varying varying"]
    effects: Float64[ndarray, "effects"]
    scale: float
    weight: Float64[ndarray, "effects effects"]
    weights: Float64[ndarray, "groups effects effects"]
    sums: Float64[ndarray, "groups effects"]


def _products(outcome: ndarray, fixed: ndarray, groups: ndarray, varying: Sequence[int]) -> _Products:
    if not len(outcome) == len(fixed) == len(groups) or not (np.isfinite(outcome).all() and np.isfinite(fixed).all()):
        raise InputError(
            f"There are {len(outcome)} outcomes, {len(fixed)} rows of effects and {len(groups)} groups; give as many "
            "of each, all numbers finite."
        )
    names, numbers = np.unique(groups, return_inverse=True)
    effects = fixed.shape[1]
    if len(names) < 2 or len(outcome) <= effects:
        raise InputError(
            f"There are {len(outcome)} rows in {len(names)} groups for {effects} effects; give two groups or more, and "
            "more rows than effects."
        )
    xx, xy, yy = np.zeros((len(names), effects, effects)), np.zeros((len(names), effects)), np.zeros(len(names))
    for group in range(len(names)):
        x, y = fixed[numbers == group], outcome[numbers == group]
        xx[group], xy[group], yy[group] = x.T @ x, x.T @ y, y @ y
    total = xx.sum(axis=0)
    if np.linalg.cond(total) > 1e12:
        raise InputError("The effects depend on one another, so that none can be told apart; leave one of them out.")
    return _Products(xx, xy, yy, list(varying), len(outcome))


def _explained(of: _Products) -> bool:
    """Whether each group's own least squares leave nothing, to rounding."""
    own = (np.linalg.pinv(of.xx, hermitian=True) @ of.xy[..., None])[..., 0]
    return float(of.yy.sum() - (own * of.xy).sum()) <= 1e-11 * float(of.yy.sum())


def _start(of: _Products) -> Float64[ndarray, "varying varying"]:
    """The factor of a rough D: how the groups' own effects vary beyond their errors, where each has its own."""
    size = len(of.varying)
    z = of.xx[:, of.varying][:, :, of.varying]
    rough = np.eye(size) * 0.1
    own = np.linalg.cond(z) < 1e8
    if own.sum() > size + 1:
        zz = z[own]
        ends = np.linalg.solve(zz, of.xy[own][:, of.varying][..., None])[..., 0]
        rest = of.yy[own].sum() - (ends * of.xy[own][:, of.varying]).sum()
        free = max(1.0, of.rows * own.mean() - own.sum() * size)
        scale = max(float(rest) / free, 1e-12 * float(of.yy.sum()))
        rough = np.cov(ends.T).reshape(size, size) / scale - np.linalg.inv(zz).mean(axis=0)
    values, vectors = np.linalg.eigh(rough)
    values = np.maximum(values, 1e-3 * max(float(values.max()), 1e-2))
    return np.linalg.cholesky(vectors @ np.diag(values) @ vectors.T)


def _profile(of: _Products, factor: Float64[ndarray, "varying varying"]) -> _Profile:
    spread = factor @ factor.T
    z = of.xx[:, of.varying]
    zz = z[:, :, of.varying]
    grown = np.eye(len(of.varying)) + zz @ spread
    inside = np.eye(len(of.varying)) + factor.T @ zz @ factor
    zvz, zvx = np.linalg.solve(grown, zz), np.linalg.solve(grown, z)
    zvy = np.linalg.solve(grown, of.xy[:, of.varying][..., None])[..., 0]
    turned = np.swapaxes(z, 1, 2) @ spread
    weights = of.xx - turned @ zvx
    sums = of.xy - (turned @ zvy[..., None])[..., 0]
    squares = of.yy - ((of.xy[:, of.varying] @ spread) * zvy).sum(axis=1)
    weight, total = weights.sum(axis=0), sums.sum(axis=0)
    effects = np.linalg.solve(weight, total)
    rest = float(squares.sum() - effects @ total)
    free = of.rows - len(effects)
    criterion = math.inf
    slope = np.zeros_like(spread)
    if rest > 0:
        logs = np.linalg.slogdet(inside)[1].sum() + np.linalg.slogdet(weight)[1]
        criterion = float(logs) + free * (math.log(2 * math.pi * rest / free) + 1)
        u = zvy - zvx @ effects
        across = zvx @ np.linalg.inv(weight) @ np.swapaxes(zvx, 1, 2)
        slope = (zvz - across).sum(axis=0) - free / rest * u.T @ u
    return _Profile(criterion, 2 * ((slope + slope.T) / 2) @ factor, effects, rest / free, weight, weights, sums)


def _search(
    of: _Products, at: ndarray, direction: ndarray, here: _Profile, promised: float
) -> tuple[ndarray, _Profile] | None:
    """The first of ever shorter steps that lowers the criterion enough; None where none does."""
    size = len(of.varying)
    length = 1.0
    for _ in range(40):
        new = at + length * direction
        there = _profile(of, _lower(new, size))
        if math.isfinite(there.criterion) and there.criterion <= here.criterion + 1e-4 * length * promised:
            return new, there
        length /= 2
    return None


def _lower(entries: ndarray, size: int) -> Float64[ndarray, "varying varying"]:
    factor = np.zeros((size, size))
    factor[np.tril_indices(size)] = entries
    return factor


def _left_out(weights: ndarray, sums: ndarray) -> Float64[ndarray, "effects effects"]:
    """(G − 1)/G Σ_t (β̂ without t − β̂)(…)'; infinite where the effects cannot be told apart without some group."""
    weight, total = weights.sum(axis=0), sums.sum(axis=0)
    effects = np.linalg.solve(weight, total)
    without = weight - weights
    if np.linalg.cond(without).max() > 1e12:
        return np.full_like(weight, np.inf)
    moved = np.linalg.solve(without, (total - sums)[..., None])[..., 0] - effects
    return (len(sums) - 1) / len(sums) * moved.T @ moved

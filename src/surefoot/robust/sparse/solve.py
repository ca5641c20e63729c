"""Penalised logistic regression, many fits over one feature matrix at once, each with a certificate.

    minimise over (w, b)   ρ ‖w‖₁ + (1 − ρ)/2 ‖w‖² + [the same of b] + C · Σ_i r_i · log(1 + exp(−ỹ_i (wᵀz_i + b)))

with ρ `l1_ratio`. The loss is a *sum*, so C is the inverse of the penalty per row. intercept="penalised" is liblinear's
semantics (`intercept_scaling=1`): b is penalised like any weight; "free" leaves b out of the penalty, as newer solvers
do. Row weights r carry everything that differs between fits on the same features: a balanced subset is a 0/1 weight, a
class weight multiplies it. Standardisation z = (x − mean)/scale happens inside the products. Draws that overlap share
one matrix; the rows of each are copied, once, only where sharing would not pay.

Fits that differ in C alone are a path: they are solved from the smallest C up, each from the one before; where there
are few paths, several C of each at once, from one point. All advance together, so that their gradients are one product.
L1 and elastic net take proximal Newton steps (`surefoot.robust.sparse.newton`), ρ = 0 takes Newton steps by conjugate
gradients (`surefoot.robust.sparse.ridge`).
A fit ends by its relative duality gap (`surefoot.robust.sparse.certificate`): how far from the optimum it can be.

Source: Fan et al. (2008), LIBLINEAR, for the problem; the modules named above for the method.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.errors import InputError
from surefoot.robust.sparse.certificate import Penalty, make_penalty
from surefoot.robust.sparse.design import Design, make_design
from surefoot.robust.sparse.fits import Fits, drawn_fits, shared_fits
from surefoot.robust.sparse.newton import Solved, newton_fits
from surefoot.robust.sparse.ridge import ridge_fits

__all__ = [
    "Intercept",
    "SparseFits",
    "check_fits",
    "check_scaler",
    "refuse_unsolved",
    "sparse_logistic",
    "sparse_objective",
]

Intercept: TypeAlias = Literal["penalised", "free"]

TOGETHER = 64
"""Fits solved in one batch: enough to share the products."""
HELD, WIDE = 128_000_000, 512
"""Numbers that a batch's working sets may hold, if each is no wider than this: fewer fits where they have many rows."""
ABREAST = 8
"""Fits solved in one batch where paths are too few to fill it: below this, starting all from one point costs less than
taking turns."""
NUMBERS = 64_000_000
"""The features held at a time where every draw has a matrix of its own."""
SPREAD = 3
"""Fits whose rows together are more than this many times those of the largest are solved draw by draw: a product over
all rows would cost more than it shares."""


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
    l1_ratio: float = 1.0,
    intercept: Intercept = "penalised",
    mean: Float[Tensor, "features"] | None = None,
    scale: Float[Tensor, "features"] | None = None,
    start: Float[Tensor, "fits columns"] | None = None,
    tolerance: float = 1e-7,
    most_steps: int = 200,
) -> SparseFits:
    """Solve every fit in float64 until its relative duality gap is at most `tolerance`.

    positive: which rows are the positive class of each fit. weights: r_i ≥ 0; a zero leaves the row out.
    strengths: C > 0 of each fit. mean, scale: the scaler (weights are those of scaled features); a scale of infinity
    makes a column zero. start: weights and bias of each fit near which its optimum is expected; they change the time
    alone, and only the first fits of a path use theirs.

    Raises `InputError` when a fit has no rows, a number is not finite, one class with a free intercept, or the
    certificate is not reached.

    >>> features = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> positive = torch.tensor([[False, False, True, True]])
    >>> fits = sparse_logistic(features, positive, torch.ones(1, 4), torch.tensor([1.0]))
    >>> bool(fits.weight[0, 0] > 0), abs(float(fits.bias[0])) < 1e-9, bool(fits.certificate[0] <= 1e-7)
    (True, True, True)
    """
    check_fits(features, weights, strengths, l1_ratio)
    check_scaler(mean, scale)
    if start is not None and not bool(torch.isfinite(start).all()):
        raise InputError("The start holds NaN or infinite numbers; give finite weights and biases, or no start.")
    signs, strengths = positive.to(torch.float64) * 2 - 1, strengths.to(torch.float64)
    if intercept == "free":
        _refuse_one_class(signs, weights)
    penalty = make_penalty(features.shape[1] + 1, l1_ratio, free=intercept == "free")
    start = signs.new_zeros(len(signs), features.shape[1] + 1) if start is None else start.to(torch.float64)
    if scale is not None:
        start = start.masked_fill(torch.cat([torch.isinf(scale), torch.tensor([False])]), 0.0)
    coefficients = torch.zeros_like(start)
    objective, gap = signs.new_zeros(len(signs)), signs.new_zeros(len(signs))
    steps = 0
    for index, fits in _batches(features, signs, weights.to(torch.float64), mean, scale):
        solved = _solve(fits, strengths[index], penalty, start[index], tolerance, most_steps)
        coefficients[index], objective[index], gap[index] = solved.coefficients, solved.objective, solved.gap
        steps = max(steps, solved.steps)
    refuse_unsolved(gap, strengths, tolerance, most_steps)
    return SparseFits(coefficients[:, :-1], coefficients[:, -1], objective, gap, steps)


def sparse_objective(
    features: Float[Tensor, "rows features"],
    positive: Bool[Tensor, "rows"],
    weights: Float[Tensor, "rows"],
    strength: float,
    weight: Float[Tensor, "features"],
    bias: float,
    *,
    l1_ratio: float = 1.0,
    intercept: Intercept = "penalised",
) -> float:
    """The objective of one fit at any coefficients (float64): the yardstick between solvers."""
    wide = weight.to(torch.float64)
    margins = (features.to(torch.float64) @ wide + bias) * (positive.to(torch.float64) * 2 - 1)
    loss = (weights.to(torch.float64) * softplus(-margins)).sum()
    size, square = wide.abs().sum(), wide.square().sum()
    if intercept == "penalised":
        size, square = size + abs(bias), square + bias**2
    return float(l1_ratio * size + 0.5 * (1 - l1_ratio) * square + strength * loss)


def check_fits(features: Tensor, weights: Tensor, strengths: Tensor, l1_ratio: float) -> None:
    """Refuse what no solver could solve."""
    if not 0 <= l1_ratio <= 1:
        raise InputError(f"l1_ratio is {l1_ratio}; give a number from 0 (L2) to 1 (L1).")
    if not len(weights) or not features.shape[1]:
        raise InputError(
            f"There are {len(weights)} fits of {features.shape[1]} features; give at least one fit and one feature."
        )
    # A row's sum is finite unless an entry is not or the sum overflows: one cheap pass, and the exact one if in doubt.
    doubtful = (~torch.isfinite(features.sum(dim=1))).nonzero().squeeze(1)
    bad = doubtful[(~torch.isfinite(features[doubtful])).any(dim=1)]
    if len(bad):
        raise InputError(f"{len(bad)} rows of features are NaN or infinite (first: row {int(bad[0])}); mend them.")
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise InputError("Row weights must be finite and not negative; mend the weights.")
    if not bool((torch.isfinite(strengths) & (strengths > 0)).all()):
        raise InputError(f"C must be positive and finite, but {strengths.tolist()} was given.")
    empty = (~(weights > 0).any(dim=1)).nonzero().squeeze(1)
    if len(empty):
        raise InputError(f"Fit {int(empty[0])} has no rows of positive weight; give each fit some rows.")


def check_scaler(mean: Tensor | None, scale: Tensor | None) -> None:
    """Refuse a mean or a scale that features cannot be standardised by; an infinite scale makes a column zero."""
    if mean is not None and not bool(torch.isfinite(mean).all()):
        raise InputError("The scaler's mean holds NaN or infinite numbers; fit it on finite features.")
    if scale is not None and not bool((scale > 0).all()):
        bad = int((~(scale > 0)).nonzero()[0])
        raise InputError(
            f"The scaler's scale is {float(scale[bad]):g} at feature {bad}; give positive numbers, infinity for a "
            "constant feature."
        )


def refuse_unsolved(gap: Tensor, strengths: Tensor, tolerance: float, most_steps: int) -> None:
    """Never hand out a fit without its certificate."""
    missed = (~(gap <= tolerance)).nonzero().squeeze(1)
    if len(missed):
        first = int(missed[0])
        raise InputError(
            f"{len(missed)} of {len(gap)} sparse fits did not converge in {most_steps} steps (the first, at "
            f"C = {float(strengths[first]):g}, has a relative duality gap of {float(gap[first]):.1e}; expected "
            f"at most {tolerance:g}); standardise the features, use a smaller C or a larger tolerance."
        )


def _batches(
    features: Tensor, signs: Tensor, weights: Tensor, mean: Tensor | None, scale: Tensor | None
) -> Iterator[tuple[Tensor, Fits]]:
    """Fits that are solved together: over one matrix, or over those of some draws."""
    inside = weights > 0
    used = inside.any(dim=0)
    if int(used.sum()) <= SPREAD * int(inside.sum(dim=1).max()):
        rows = slice(None) if bool(used.all()) else used.nonzero().squeeze(1)
        design = make_design(features[rows], mean, scale)
        yield torch.arange(len(signs)), shared_fits(design, signs[:, rows], weights[:, rows])
        return
    draws: dict[bytes, list[int]] = {}
    for fit, own in enumerate(inside):
        draws.setdefault(own.numpy().tobytes(), []).append(fit)
    waiting = list(draws.values())
    while waiting:
        most = max(1, NUMBERS // (int(inside.sum(dim=1).max()) * features.shape[1]))
        some, waiting = waiting[:most], waiting[most:]
        designs: list[Design] = []
        some_signs: list[Tensor] = []
        some_weights: list[Tensor] = []
        for draw in some:
            rows = inside[draw[0]].nonzero().squeeze(1)
            designs += [make_design(features[rows], mean, scale)] * len(draw)
            some_signs += list(signs[draw][:, rows])
            some_weights += list(weights[draw][:, rows])
        yield torch.tensor([fit for draw in some for fit in draw]), drawn_fits(designs, some_signs, some_weights)


def _solve(fits: Fits, strengths: Tensor, penalty: Penalty, start: Tensor, tolerance: float, most_steps: int) -> Solved:
    """Paths in turn; the caller reads the certificates."""
    coefficients = torch.zeros_like(start)
    objective, gap = start.new_zeros(len(fits)), start.new_zeros(len(fits))
    steps = 0
    latest: dict[int, Tensor] = {}
    weighted = fits.scaled(strengths)
    together = max(1, min(TOGETHER, HELD // (fits.kappa.shape[1] * min(start.shape[1], WIDE))))
    for stage in _stages(fits, strengths):
        for first in range(0, len(stage), together):
            paths = stage[first : first + together]
            index = torch.tensor([fit for _, fit in paths])
            begin = torch.stack([latest.get(path, start[fit]) for path, fit in paths])
            some = weighted.take(index)
            begin = torch.where(_better_than_zero(some, penalty, begin)[:, None], begin, 0.0)
            solve = _ridge if penalty.l1_ratio == 0 else newton_fits
            solved = solve(some, penalty, begin, tolerance, most_steps)
            coefficients[index], objective[index], gap[index] = solved.coefficients, solved.objective, solved.gap
            steps = max(steps, solved.steps)
            latest |= {path: coefficients[fit] for path, fit in paths}
    return Solved(coefficients, objective, gap, steps)


def _better_than_zero(fits: Fits, penalty: Penalty, start: Tensor) -> Bool[Tensor, "fits"]:
    """Which starts are worth beginning at: far off, the loss may have no curvature left to step by."""
    if not bool((start != 0).any()):
        return torch.ones(len(fits), dtype=torch.bool)
    here = penalty.of(start) + (fits.kappa * softplus(-fits.margins(start))).sum(dim=1)
    return here < fits.kappa.sum(dim=1) * log(2)


def _ridge(fits: Fits, penalty: Penalty, start: Tensor, tolerance: float, most_steps: int) -> Solved:
    """L2 alone: design by design, on all rows of each."""
    coefficients = torch.zeros_like(start)
    objective, gap = start.new_zeros(len(fits)), start.new_zeros(len(fits))
    steps = 0
    for design, index in fits.groups():
        kappa = fits.spread(fits.kappa[index], index, design)
        signs = fits.spread((fits.signs * (fits.kappa > 0))[index], index, design)
        solved = ridge_fits(design, signs, None, kappa, penalty, start[index, None], tolerance, most_steps)
        coefficients[index], objective[index], gap[index] = solved.coefficients[:, 0], solved.objective, solved.gap
        steps = max(steps, solved.steps)
    return Solved(coefficients, objective, gap, steps)


def _stages(fits: Fits, strengths: Tensor) -> list[list[tuple[int, int]]]:
    """The fits, as (path, fit), in stages: fits equal but for C make a path and take turns, smallest C first.

    Where there are few paths, several fits of each are taken at once; in the first stage from starts of their own.
    """
    paths: dict[tuple[int, bytes, bytes, bytes], list[int]] = {}
    for fit in strengths.argsort(stable=True).tolist():
        rows = b"" if fits.rows is None else fits.rows[fit].numpy().tobytes()
        own = (id(fits.designs[fit]), rows, fits.signs[fit].numpy().tobytes(), fits.kappa[fit].numpy().tobytes())
        paths.setdefault(own, []).append(fit)
    longest = max(len(path) for path in paths.values())
    at_once = max(1, ABREAST // len(paths))
    return [
        [(number, fit) for number, path in enumerate(paths.values()) for fit in path[turn : turn + at_once]]
        for turn in range(0, longest, at_once)
    ]


def _refuse_one_class(signs: Tensor, kappa: Tensor) -> None:
    up, down = ((kappa > 0) & (signs > 0)).any(dim=1), ((kappa > 0) & (signs < 0)).any(dim=1)
    alone = (~(up & down)).nonzero().squeeze(1)
    if len(alone):
        raise InputError(
            f"All rows of fit {int(alone[0])} are of one class, and a free intercept then has no optimum; give it rows "
            'of both classes, or intercept="penalised".'
        )

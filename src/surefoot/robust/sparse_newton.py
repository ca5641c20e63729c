"""Many penalised logistic fits over one design, solved together by proximal Newton steps, each with a certificate.

    minimise over w   Σ_i κ_i log(1 + exp(−ỹ_i zᵢᵀw)) + Σ_j (λ_j |w_j| + ½ μ_j w_j²),   κ_i = C r_i

All open fits take a step in turn. Their gradients over all columns are one product; each then gathers the columns that
are nonzero or pull hardest (a working set renewed at every step), builds their Hessian on its own rows, solves the
quadratic (`surefoot.robust.sparse_quadratic`) and halves the step until the objective falls enough. Fits are padded to
one shape, so that every operation serves all of them. Far from the optimum everything is in the precision of the
features; from a gap of `NEAR` on gradients and margins are float64, and only such a gap ends a fit. The Hessian only
steers: it becomes float64 where a step did not shrink the gap by `SHRINK`.

Source: Yuan, Ho and Lin (2012), newGLMNET; Johnson and Guestrin (2015), working sets.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.robust.sparse_certificate import Penalty, logistic_certificate
from surefoot.robust.sparse_design import Design
from surefoot.robust.sparse_quadratic import guess_quadratic, minimise_quadratic

__all__ = ["Solved", "newton_fits"]

NEAR = 1e-2
"""The relative duality gap from which on gradients and margins are float64."""
SHRINK = 0.3
"""A step near the optimum that leaves more of the gap than this is followed by one with a float64 Hessian."""
FAR, CLOSE, EXACT = 0, 1, 2
"""How much of a fit's step is float64: nothing, all but the Hessian, all."""
RIDGE = 1e-10
"""Added to each Hessian's diagonal, relative to its largest entry: collinear columns stay solvable."""
ENTER, ENTER_SHARE = 30, 0.2
"""Columns that may enter the working set at a step: at least, and as a share of the support."""
GUESSES = 2
"""Active sets tried far from the optimum."""
HALVINGS = 40
BLOCKED = 192
"""The working set from which on a Hessian is built by blocks."""
TILE = 8_000_000
"""Numbers gathered at a time: some fits' working columns on their rows."""


@dataclass(frozen=True)
class Solved:
    """Coefficients (intercept last), objectives and relative gaps of a batch."""

    coefficients: Float[Tensor, "fits columns"]
    objective: Float[Tensor, "fits"]
    gap: Float[Tensor, "fits"]
    steps: int


@dataclass(frozen=True)
class _Fits:
    """What stays the same within fits: their rows (None: all), signs and κ there; padded rows have κ = 0."""

    rows: Int[Tensor, "fits few"] | None
    signs: Float[Tensor, "fits few"]
    kappa: Float[Tensor, "fits few"]

    def take(self, index: Tensor) -> "_Fits":
        rows = None if self.rows is None else self.rows[index]
        return _Fits(rows, self.signs[index], self.kappa[index])


@dataclass(frozen=True)
class _State:
    """Where fits stand. lost: a float64 step found no way down."""

    point: Float[Tensor, "fits columns"]
    margins: Float[Tensor, "fits few"]


def newton_fits(
    design: Design,
    signs: Float[Tensor, "fits rows"],
    kappa: Float[Tensor, "fits rows"],
    penalty: Penalty,
    start: Float[Tensor, "fits columns"],
    tolerance: float,
    most_steps: int,
) -> Solved:
    """Step until every relative gap is at most `tolerance`, or `most_steps` are taken: the caller reads the gaps."""
    count = len(kappa)
    fits = _compact(signs, kappa)
    coefficients, objective = start.clone(), kappa.new_zeros(count)
    gap = kappa.new_full((count,), torch.inf)
    level = torch.full((count,), FAR)
    last_gap = kappa.new_full((count,), torch.inf)
    state = _State(start.clone(), _margins(design, fits, start))
    remaining = torch.arange(count)
    for step in range(most_steps + 1):
        if penalty.free:
            state = _centre(state, fits)
        near = level > FAR
        gradient = _gradient(design, fits, state, near)
        value, some_gap = logistic_certificate(penalty, state.point, gradient, fits.kappa, state.margins)
        coefficients[remaining], objective[remaining] = state.point, value
        gap[remaining] = torch.where(near, some_gap, torch.inf)
        left = (~(near & (some_gap <= tolerance))).nonzero().squeeze(1)
        if not len(left) or step == most_steps:
            return Solved(coefficients, objective, gap, step)
        if len(left) < len(near):
            remaining, fits, level, some_gap = remaining[left], fits.take(left), level[left], some_gap[left]
            state, gradient = _State(state.point[left], state.margins[left]), gradient[left]
            last_gap = last_gap[left]
        slope = gradient + penalty.square * state.point
        level = torch.where((level == CLOSE) & (some_gap > SHRINK * last_gap), EXACT, level)
        last_gap = torch.where(level > FAR, some_gap, torch.inf)
        state, found = _steps(design, fits, penalty, state, slope, level)
        fresh = ((level == FAR) & ((some_gap < NEAR) | ~found)).nonzero().squeeze(1)
        if len(fresh):
            state.margins[fresh] = _margins(design, fits.take(fresh), state.point[fresh])
        level = torch.where(~found, EXACT, level)
        level[fresh] = CLOSE
    raise AssertionError("unreachable: the loop returns at its last step")


def _compact(signs: Tensor, kappa: Tensor) -> _Fits:
    """Each fit's own rows side by side, padded with rows of κ = 0 to the longest."""
    inside = kappa > 0
    counts = inside.sum(dim=1)
    most = int(counts.max())
    if most == kappa.shape[1]:
        return _Fits(None, signs, kappa)
    rows = _pack(inside, most)
    valid = torch.arange(most) < counts[:, None]
    return _Fits(rows, signs.gather(1, rows), torch.where(valid, kappa.gather(1, rows), 0.0))


def _pack(inside: Bool[Tensor, "fits all"], most: int) -> Int[Tensor, "fits most"]:
    """The numbers of the true entries of every row, in rising order, padded with zeros."""
    fit, index = inside.nonzero(as_tuple=True)
    place = inside.cumsum(dim=1)[fit, index] - 1
    packed = torch.zeros(len(inside), most, dtype=torch.int64)
    packed[fit, place] = index
    return packed


def _gradient(design: Design, fits: _Fits, state: _State, near: Tensor) -> Tensor:
    """Of the loss, over all columns: one product for the fits far from their optimum, one in float64 for those near."""
    pulled = -fits.kappa * fits.signs * torch.sigmoid(-state.margins)
    dual = pulled
    if fits.rows is not None:
        dual = pulled.new_zeros(len(pulled), design.rows).scatter_add_(1, fits.rows, pulled)
    if bool(near.all()):
        return design.pull(dual)
    if not bool(near.any()):
        return design.rough_pull(dual)
    gradient = dual.new_empty(len(dual), design.columns)
    gradient[near], gradient[~near] = design.pull(dual[near]), design.rough_pull(dual[~near])
    return gradient


def _margins(design: Design, fits: _Fits, point: Tensor) -> Tensor:
    """ỹ zᵀw in float64, fit by fit."""
    margins = torch.zeros_like(fits.signs)
    for fit in (point != 0).any(dim=1).nonzero().squeeze(1).tolist():
        support = point[fit].nonzero().squeeze(1)
        rows = None if fits.rows is None else fits.rows[fit : fit + 1]
        columns = design.gather(support[None], [len(support)], rows, torch.float64)[0]
        margins[fit] = (point[fit, support] @ columns) * fits.signs[fit]
    return margins


def _centre(state: _State, fits: _Fits) -> _State:
    """Each free intercept moved to its optimum for the weights: Newton's method in one dimension."""
    shift = state.margins.new_zeros(len(state.margins))
    for _ in range(50):
        miss = torch.sigmoid(-(state.margins + shift[:, None] * fits.signs))
        slope = -(fits.kappa * fits.signs * miss).sum(dim=1)
        step = (slope / (fits.kappa * miss * (1 - miss)).sum(dim=1).clamp(min=1e-300)).clamp(-1, 1)
        shift = shift - step
        if bool((step.abs() <= 1e-14 * (1 + shift.abs())).all()):
            break
    point = state.point.clone()
    point[:, -1] += shift
    return _State(point, state.margins + shift[:, None] * fits.signs)


def _steps(
    design: Design, fits: _Fits, penalty: Penalty, state: _State, slope: Tensor, level: Tensor
) -> tuple[_State, Bool[Tensor, "fits"]]:
    """One Newton step of every fit, tile by tile; which found a way down."""
    point, margins = state.point.clone(), state.margins.clone()
    found = torch.zeros(len(point), dtype=torch.bool)
    working = _working_sets(state.point, slope, penalty)
    sizes = working.sum(dim=1)
    for each_level in (FAR, CLOSE, EXACT):
        some = (level == each_level).nonzero().squeeze(1)
        while len(some):
            most = max(1, TILE // max(1, int(sizes[some].max()) * margins.shape[1]))
            tile, some = some[:most], some[most:]
            point[tile], margins[tile], found[tile] = _step(
                design,
                fits.take(tile),
                penalty,
                state.point[tile],
                state.margins[tile],
                slope[tile],
                working[tile],
                each_level,
            )
    return _State(point, margins), found


def _step(
    design: Design,
    fits: _Fits,
    penalty: Penalty,
    point: Tensor,
    margins: Tensor,
    slope: Tensor,
    working: Tensor,
    level: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """New points and margins of one tile, and which fits found a way down; the others stay."""
    precision = torch.float64 if level == EXACT else design.transposed.dtype
    sizes = working.sum(dim=1)
    most = int(sizes.max())
    if not most:
        return point, margins, torch.zeros(len(point), dtype=torch.bool)
    chosen = _pack(working, most)
    valid = torch.arange(most) < sizes[:, None]
    columns = design.gather(chosen, sizes.tolist(), fits.rows, precision)
    miss = torch.sigmoid(-margins)
    half = columns * (fits.kappa * miss * (1 - miss)).sqrt().to(precision)[:, None, :]
    hessian = _gram(half)
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    floor = max(RIDGE, 4 * torch.finfo(precision).eps) * diagonal.amax(dim=1, keepdim=True)
    diagonal += torch.where(valid, penalty.square[chosen].to(precision) + floor + torch.finfo(precision).tiny, 1.0)
    if level == CLOSE:
        precision = torch.float64
        hessian = hessian.to(precision)
    here = torch.where(valid, point.gather(1, chosen), 0.0)
    some_slope = torch.where(valid, slope.gather(1, chosen), 0.0)
    bound = torch.where(valid, penalty.bound[chosen], 1.0)
    square = torch.where(valid, penalty.square[chosen], 0.0)
    start, limit = here.to(precision), bound.to(precision)
    linear = some_slope.to(precision) - (hessian @ start[:, :, None])[:, :, 0]

    def promise(proposed: Tensor) -> Tensor:
        return (some_slope * (proposed - here) + bound * (proposed.abs() - here.abs())).sum(dim=1)

    if level > FAR:
        proposed = minimise_quadratic(hessian, linear, start, limit)
        promised = promise(proposed)
    else:
        proposed = guess_quadratic(hessian, linear, start, limit, GUESSES)[0].to(torch.float64)
        promised = promise(proposed)
        wrong = (~(promised < 0)).nonzero().squeeze(1)
        if len(wrong):
            better = minimise_quadratic(hessian[wrong], linear[wrong], start[wrong], limit[wrong])
            proposed[wrong] = better.to(torch.float64)
            promised = promise(proposed)
    if level == CLOSE:
        change = torch.zeros_like(point)
        fit, place = valid.nonzero(as_tuple=True)
        change[fit, chosen[valid]] = (proposed - here)[fit, place]
        turn = _margins(design, fits, change)
    else:
        turn = ((proposed - here).to(precision)[:, None, :] @ columns)[:, 0].to(torch.float64) * fits.signs

    def value(at: Tensor, with_margins: Tensor) -> Tensor:
        return (bound * at.abs() + 0.5 * square * at.square()).sum(dim=1) + (fits.kappa * softplus(-with_margins)).sum(
            dim=1
        )

    before = value(here, margins)
    rounding = 1e-14 * before
    share = torch.ones(len(here), 1, dtype=torch.float64)
    settled = ~(promised < 0)
    found = torch.zeros_like(settled)
    reached, moved = here.clone(), margins.clone()
    for _ in range(HALVINGS):
        # At a full step the proposal itself, so that its zeros stay exact.
        candidate = torch.where(share == 1, proposed, here + share * (proposed - here))
        turned = margins + share * turn
        enough = (value(candidate, turned) <= before + 1e-4 * share[:, 0] * promised + rounding) & ~settled
        reached, moved = torch.where(enough[:, None], candidate, reached), torch.where(enough[:, None], turned, moved)
        found, settled = found | enough, settled | enough
        if bool(settled.all()):
            break
        share = torch.where(settled[:, None], share, share / 2)
    # Padding points at column 0: what it would write there is what stands there.
    new = point.clone()
    fit = torch.arange(len(point))[:, None].expand_as(chosen)
    new[fit[valid], chosen[valid]] = reached[valid]
    return new, moved, found


def _gram(half: Float[Tensor, "fits size few"]) -> Float[Tensor, "fits size size"]:
    """AAᵀ of every fit; of large ones the lower blocks alone are multiplied, which saves three eighths."""
    size = half.shape[1]
    if size < BLOCKED:
        return half @ half.transpose(1, 2)
    gram = half.new_empty(len(half), size, size)
    for first in range(0, size, (size + 3) // 4):
        last = min(size, first + (size + 3) // 4)
        gram[:, first:last, :last] = half[:, first:last] @ half[:, :last].transpose(1, 2)
        gram[:, :first, first:last] = gram[:, first:last, :first].transpose(1, 2)
    return gram


def _working_sets(point: Tensor, slope: Tensor, penalty: Penalty) -> Bool[Tensor, "fits columns"]:
    """Every nonzero column and those that break the optimality conditions most."""
    excess = slope.abs() - penalty.bound
    support = point != 0
    entering = max(ENTER, int(ENTER_SHARE * int(support.sum(dim=1).max())))
    outside = excess.masked_fill(support, -1.0)
    if entering >= point.shape[1]:
        return support | (outside > 0)
    least = outside.topk(entering, dim=1, sorted=True).values[:, -1:]
    return support | ((outside >= least) & (outside > 0))

"""Many penalised logistic fits solved together by proximal Newton steps, each with a certificate.

    minimise over w   Σ_i κ_i log(1 + exp(−ỹ_i zᵢᵀw)) + Σ_j (λ_j |w_j| + ½ μ_j w_j²),   κ_i = C r_i

All open fits take a step in turn. Their gradients over all columns are one product for every matrix they share
(`surefoot.robust.sparse.fits`); each fit keeps a working set of the columns that are nonzero or pull hardest, with
their Hessian (`surefoot.robust.sparse.working`), solves the quadratic (`surefoot.robust.sparse.quadratic`) and halves
the step until the objective falls enough. Working sets are padded to one size, so that every operation serves all fits.
Far from the optimum everything is in the precision of the features; from a gap of `NEAR` on gradients and margins are
float64, and only such a gap ends a fit. The Hessian only steers: it may be of an earlier point, and becomes float64
where a step did not shrink the gap by `SHRINK`.

Source: Yuan, Ho and Lin (2012), newGLMNET; Johnson and Guestrin (2015), working sets.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.robust.sparse.certificate import Penalty, logistic_certificate
from surefoot.robust.sparse.fits import Fits
from surefoot.robust.sparse.quadratic import guess_quadratic, minimise_quadratic, times
from surefoot.robust.sparse.working import WorkingSets

__all__ = ["Solved", "newton_fits"]

NEAR = 1e-2
"""The relative duality gap from which on gradients and margins are float64."""
SHRINK = 0.3
"""A step near the optimum that leaves more of the gap than this is followed by one with a float64 Hessian."""
FAR, CLOSE, EXACT = 0, 1, 2
"""How much of a fit's step is float64: nothing, all but the Hessian, all."""
STALE = (0.1, 0.05, 0.0)
"""By how large a share the loss's curvature may have changed since the Hessian was made, at each of these levels."""
CRAWL = 1e-3
"""A step far from the optimum that gains less than this share of what the gap still promises ends float32: rounding,
not distance, holds such a fit back."""
STUCK = 5
"""Steps in float64 without a way down, each with new columns, after which a fit is given up; its gap tells."""
RIDGE = 1e-10
"""Added to each Hessian's diagonal, relative to its largest entry: collinear columns stay solvable."""
GUESSES = 2
"""Active sets tried far from the optimum."""
HALVINGS = 40
UNUSED = 1e30
"""The penalty of a slot without a column: none ever enters."""


@dataclass(frozen=True)
class Solved:
    """Coefficients (intercept last), objectives and relative gaps of a batch."""

    coefficients: Float[Tensor, "fits columns"]
    objective: Float[Tensor, "fits"]
    gap: Float[Tensor, "fits"]
    steps: int


@dataclass(frozen=True)
class _State:
    """Where fits stand, and whose last step was cut short: guesses do not serve them."""

    point: Float[Tensor, "fits columns"]
    margins: Float[Tensor, "fits few"]
    short: Bool[Tensor, "fits"]

    def take(self, index: Tensor) -> "_State":
        return _State(self.point[index], self.margins[index], self.short[index])


def newton_fits(
    fits: Fits,
    penalty: Penalty,
    start: Float[Tensor, "fits columns"],
    tolerance: float,
    most_steps: int,
) -> Solved:
    """Step until every relative gap is at most `tolerance`, or `most_steps` are taken: the caller reads the gaps."""
    count = len(fits)
    coefficients, objective = start.clone(), start.new_zeros(count)
    gap, last_gap, last_value = start.new_full((3, count), torch.inf)
    level, stuck = torch.full((count,), FAR), torch.zeros(count, dtype=torch.int64)
    state = _State(start.clone(), fits.margins(start), torch.zeros(count, dtype=torch.bool))
    working = WorkingSets(fits, start.shape[1], fits.designs[0].transposed.dtype)
    remaining = torch.arange(count)
    for step in range(most_steps + 1):
        if penalty.free:
            state = _centre(state, fits)
        near = level > FAR
        gradient = fits.gradient(state.margins, state.point, near, penalty)
        value, some_gap = logistic_certificate(penalty, state.point, gradient, fits.kappa, state.margins)
        coefficients[remaining], objective[remaining] = state.point, value
        gap[remaining] = torch.where(near | (some_gap > tolerance), some_gap, torch.inf)
        left = (~(near & (some_gap <= tolerance)) & (stuck < STUCK)).nonzero().squeeze(1)
        if not len(left) or step == most_steps:
            return Solved(coefficients, objective, gap, step)
        if len(left) < len(near):
            remaining, fits, level, stuck = remaining[left], fits.take(left), level[left], stuck[left]
            state, gradient, value, some_gap = state.take(left), gradient[left], value[left], some_gap[left]
            last_gap, last_value = last_gap[left], last_value[left]
            working.take(left)
        slope = gradient + penalty.square * state.point
        level = torch.where((level == CLOSE) & (some_gap > SHRINK * last_gap), EXACT, level)
        crawling = last_value - value <= CRAWL * some_gap * value
        last_gap, last_value = torch.where(level > FAR, some_gap, torch.inf), value
        state, found = _step(fits, penalty, state, working, slope, level)
        stuck = torch.where((level == EXACT) & ~found, stuck + 1, 0)
        fresh = ((level == FAR) & ((some_gap < NEAR) | ~found | crawling)).nonzero().squeeze(1)
        if len(fresh):
            state.margins[fresh] = fits.take(fresh).margins(state.point[fresh])
        level = torch.where(~found, EXACT, level)
        level[fresh] = CLOSE
    raise AssertionError("unreachable: the loop returns at its last step")


def _centre(state: _State, fits: Fits) -> _State:
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
    return _State(point, state.margins + shift[:, None] * fits.signs, state.short)


def _step(
    fits: Fits, penalty: Penalty, state: _State, working: WorkingSets, slope: Tensor, level: Tensor
) -> tuple[_State, Bool[Tensor, "fits"]]:
    """One Newton step of every fit; which found a way down."""
    miss = torch.sigmoid(-state.margins)
    diagonal = fits.kappa * miss * (1 - miss)
    # A Hessian that led to a step cut short is never used again, however little the curvature has moved since.
    stale = torch.tensor(STALE, dtype=torch.float64)[level].masked_fill(state.short, 0.0)
    working.renew(fits, penalty, state.point, slope, diagonal, stale)
    chosen, valid = working.chosen, working.valid
    here = torch.where(valid, state.point.gather(1, chosen), 0.0)
    some_slope = torch.where(valid, slope.gather(1, chosen), 0.0)
    bound = torch.where(valid, penalty.bound[chosen], UNUSED)
    square = torch.where(valid, penalty.square[chosen], 0.0)
    proposed, turn = torch.zeros_like(here), torch.zeros_like(state.margins)
    for each_level in (FAR, CLOSE, EXACT):
        some = (level == each_level).nonzero().squeeze(1)
        if not len(some):
            continue
        hessian = working.hessian[some] if each_level < EXACT else _exact(fits, working, diagonal, some)
        _brace(hessian, square[some], valid[some])
        if each_level == CLOSE:
            hessian = hessian.to(torch.float64)
        guess = ~state.short[some] & (each_level == FAR)
        proposed[some] = _propose(hessian, some_slope[some], here[some], bound[some], guess)
    change = proposed - here
    far = level == FAR
    if bool(far.any()):
        turn = working.turn(change) * fits.signs
    if not bool(far.all()):
        close = (~far).nonzero().squeeze(1)
        wide = state.point[close].clone()
        fit, place = valid[close].nonzero(as_tuple=True)
        wide[fit, chosen[close][fit, place]] = proposed[close][fit, place]
        # From the margins of the whole proposal, so that what rounding did to earlier ones does not last.
        turn[close] = fits.take(close).margins(wide) - state.margins[close]
    promised = _promise(some_slope, here, proposed, bound)
    reached, moved, found, short = _halve(fits, here, state.margins, proposed, turn, promised, bound, square)
    point = state.point.clone()
    fit, place = valid.nonzero(as_tuple=True)
    point[fit, chosen[fit, place]] = reached[fit, place]
    return _State(point, moved, short), found


def _exact(fits: Fits, working: WorkingSets, diagonal: Tensor, some: Tensor) -> Tensor:
    """Hessians in float64, at the present point."""
    size = working.chosen.shape[1]
    hessian = diagonal.new_zeros(len(some), size, size)
    for number, fit in enumerate(some.tolist()):
        slots = working.valid[fit].nonzero().squeeze(1)
        columns = fits.columns(fit, working.chosen[fit, slots], torch.float64)
        half = columns * diagonal[fit, : columns.shape[1]].sqrt()
        hessian[number, slots[:, None], slots] = half @ half.T
    return hessian


def _brace(hessian: Tensor, square: Tensor, valid: Tensor) -> None:
    """Add the penalty's curvature and a floor to the diagonal; slots without a column get ones."""
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    kept = torch.where(valid, diagonal, 0.0)
    roundoff = torch.finfo(hessian.dtype)
    floor = max(RIDGE, 4 * roundoff.eps) * kept.amax(dim=1, keepdim=True) + roundoff.tiny
    diagonal.copy_(torch.where(valid, kept + square.to(hessian.dtype) + floor, 1.0))


def _propose(hessian: Tensor, slope: Tensor, here: Tensor, bound: Tensor, guess: Tensor) -> Tensor:
    """The minimum of the quadratic around `here`; for the fits in `guess` a mere guess, if it promises to go down."""
    precision = hessian.dtype
    start, limit = here.to(precision), bound.to(precision)
    linear = slope.to(precision) - times(hessian, start)
    if not bool(guess.any()):
        return minimise_quadratic(hessian, linear, start, limit).to(torch.float64)
    proposed = guess_quadratic(hessian, linear, start, limit, GUESSES)[0].to(torch.float64)
    wrong = (~(guess & (_promise(slope, here, proposed, bound) < 0))).nonzero().squeeze(1)
    if len(wrong):
        better = minimise_quadratic(hessian[wrong], linear[wrong], start[wrong], limit[wrong])
        proposed[wrong] = better.to(torch.float64)
    return proposed


def _promise(slope: Tensor, here: Tensor, proposed: Tensor, bound: Tensor) -> Tensor:
    """By how much the objective falls to first order, negative where it does."""
    return (slope * (proposed - here) + bound * (proposed.abs() - here.abs())).sum(dim=1)


def _halve(
    fits: Fits,
    here: Tensor,
    margins: Tensor,
    proposed: Tensor,
    turn: Tensor,
    promised: Tensor,
    bound: Tensor,
    square: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The largest of the steps 1, 1/2, 1/4, … after which the objective has fallen enough; which fits have one, and
    for which it is not the whole."""

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
    return reached, moved, found, share[:, 0] < 1

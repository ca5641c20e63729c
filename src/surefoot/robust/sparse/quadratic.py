"""The quadratic inside a proximal Newton step, of many fits at once, solved on its support by Cholesky factors.

    minimise over u   cᵀu + ½ uᵀHu + Σ_j λ_j |u_j|

Method: guess the active coordinates and their signs, solve the linear system they make, keep those whose sign came out
as guessed, take in those whose slope exceeds λ, and solve again (primal-dual active sets, a semismooth Newton step);
where no guess changes, the answer is exact. Far from the optimum two guesses are enough, because the next outer step
guesses again. Near it all are made; they may cycle when columns are nearly collinear, and then feature-sign search
takes over: every round lowers the objective, so no set of signs comes back.

Source: Hintermüller, Ito and Kunisch (2003), primal-dual active sets; Lee, Battle, Raina and Ng (2006), feature-sign
search. Departure: one coordinate enters the search by its own exact minimum, so that no sign has to be assumed.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["guess_quadratic", "minimise_quadratic", "times"]

GUESSES = 15
"""Active sets tried before the monotone search."""
SEARCHES = 400
"""Coordinates the monotone search takes in, at most; the caller's certificate judges what is left."""


def minimise_quadratic(
    hessian: Float[Tensor, "fits size size"],
    linear: Float[Tensor, "fits size"],
    start: Float[Tensor, "fits size"],
    bound: Float[Tensor, "fits size"],
) -> Float[Tensor, "fits size"]:
    """argmin of cᵀu + ½ uᵀHu + Σ λ|u|: H `hessian` (positive definite), c `linear`, λ `bound` (0: not penalised).

    >>> two = torch.eye(2, dtype=torch.float64)[None]
    >>> linear, ones = torch.tensor([[-3.0, 0.5]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    >>> minimise_quadratic(two, linear, 0 * ones, ones).tolist()
    [[2.0, 0.0]]
    """
    point, exact = guess_quadratic(hessian, linear, start, bound, GUESSES)
    for fit in (~exact).nonzero().squeeze(1).tolist():
        point[fit] = _search(hessian[fit], linear[fit], start[fit], bound[fit])
    return point


def guess_quadratic(
    hessian: Float[Tensor, "fits size size"],
    linear: Float[Tensor, "fits size"],
    start: Float[Tensor, "fits size"],
    bound: Float[Tensor, "fits size"],
    guesses: int,
) -> tuple[Float[Tensor, "fits size"], Bool[Tensor, "fits"]]:
    """The points after a few guesses of the active set, and which are the minimum; not always better than `start`.

    Coordinates whose sign did not come out as guessed are zero.
    """
    slope = linear + times(hessian, start)
    signs = torch.where(start != 0, start.sign(), torch.where(slope.abs() > bound, -slope.sign(), 0.0))
    free = bound == 0
    answer, exact = start.clone(), torch.zeros(len(start), dtype=torch.bool)
    open_fits = torch.arange(len(start))
    for _ in range(guesses):
        active = (signs != 0) | free
        keep = active.to(hessian.dtype)
        square = hessian * keep[:, :, None]
        square *= keep[:, None, :]
        square.diagonal(dim1=1, dim2=2).add_(1 - keep)
        factor, failed = torch.linalg.cholesky_ex(square)
        # Two triangular solves: several times faster than cholesky_solve on a batch.
        half = torch.linalg.solve_triangular(factor, (-(linear + bound * signs) * keep)[:, :, None], upper=False)
        point = torch.linalg.solve_triangular(factor.mT, half, upper=True)[:, :, 0]
        slope = linear + times(hessian, point)
        point = point.masked_fill(((point * signs) <= 0) & ~free, 0.0)
        entering = torch.where((slope.abs() > bound) & ~active, -slope.sign(), 0.0)
        guess = torch.where(free, 0.0, point.sign() + entering)
        sound = failed == 0
        same = (guess == signs).all(dim=1) & sound
        answer[open_fits] = torch.where(sound[:, None], point, answer[open_fits])
        exact[open_fits] = same
        left = (~same & sound).nonzero().squeeze(1)
        if not len(left):
            break
        if len(left) < len(same):
            hessian, linear, bound, free = hessian[left], linear[left], bound[left], free[left]
            guess, open_fits = guess[left], open_fits[left]
        signs = guess
    return answer, exact


def times(hessian: Tensor, point: Tensor) -> Tensor:
    """Hu of every fit; as uᵀH, because torch multiplies a batch of rows many times faster than one of columns."""
    return torch.bmm(point[:, None, :], hessian)[:, 0]


def _search(hessian: Tensor, linear: Tensor, start: Tensor, bound: Tensor) -> Tensor:
    """Feature-sign search from `start`: settle the support, take in the worst zero, until none is left."""
    point = start.clone()
    scale = hessian.diagonal()
    tolerance = max(1e-12, 8 * torch.finfo(linear.dtype).eps) * float(linear.abs().max())
    for _ in range(SEARCHES):
        point = _settle(hessian, linear, point, bound)
        slope = linear + hessian @ point
        excess = torch.where((point != 0) | (bound == 0), 0.0, slope.abs() - bound)
        worst = int(excess.argmax())
        if float(excess[worst]) <= tolerance:
            break
        point[worst] = -slope[worst].sign() * excess[worst] / scale[worst]
    return point


def _settle(hessian: Tensor, linear: Tensor, point: Tensor, bound: Tensor) -> Tensor:
    """The minimum over the support of `point`.

    Solve with the present signs; if signs change on the way, go to the best of the crossings and the end, drop what
    became zero, and solve again.
    """
    point = point.clone()
    for _ in range(len(point) + 1):
        support = ((point != 0) | (bound == 0)).nonzero().squeeze(1)
        if not len(support):
            break
        here, square, limit = point[support], hessian[support][:, support], bound[support]
        factor, failed = torch.linalg.cholesky_ex(square)
        if int(failed):
            break
        slope = linear[support] + square @ here
        direction = -torch.cholesky_solve((slope + limit * here.sign())[:, None], factor)[:, 0]
        crossing = ((here + direction).sign() != here.sign()) & (limit > 0)
        shares = torch.cat([(-here / direction)[crossing], here.new_ones(1)])
        paths = here + shares[:, None] * direction
        rise = (slope @ direction) * shares + 0.5 * (direction @ square @ direction) * shares.square()
        best = int((rise + (limit * paths.abs()).sum(dim=1)).argmin())
        reached = paths[best]
        if best < len(shares) - 1:
            reached[crossing.nonzero().squeeze(1)[best]] = 0.0
        point[support] = reached
        if not bool(crossing.any()):
            break
    return point

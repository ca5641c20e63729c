"""Penalised softmax regression over one feature matrix: many fits, each with a certificate.

    minimise over (W, b)   ρ ‖W‖₁ + (1 − ρ)/2 ‖W‖² + [the same of b] + C · Σ_i r_i · CE(y_i, W z_i + b)

with the parameters of `surefoot.robust.sparse.solve`. One row of W for every class: the softmax does not fix their
common part, the penalty does (a free intercept keeps that of its start). L1 and elastic net take proximal Newton steps
on the (class, column) pairs that are nonzero or pull hardest, with the softmax's full Hessian over them

    H_(k,j),(l,m) = Σ_i κ_i p_ik (δ_kl − p_il) z_ij z_im,

so the pairs, not the columns, decide the time: for very many classes one-versus-rest is the cheaper problem. ρ = 0
takes Newton steps by conjugate gradients (`surefoot.robust.sparse.ridge`).

Source: Friedman, Hastie and Tibshirani (2010), the multinomial elastic net; we keep the blocks between classes that
they drop.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.sparse.certificate import Penalty, make_penalty, softmax_certificate
from surefoot.robust.sparse.design import Design, make_design
from surefoot.robust.sparse.quadratic import minimise_quadratic
from surefoot.robust.sparse.ridge import ridge_fits
from surefoot.robust.sparse.solve import Intercept, check_fits, check_scaler, refuse_unsolved

__all__ = ["MultinomialFits", "multinomial_objective", "sparse_multinomial"]

RIDGE = 1e-10
ENTER, ENTER_SHARE = 60, 0.5
"""Pairs that may enter at a step: at least, and as a share of the support."""
HALVINGS = 40


@dataclass(frozen=True)
class MultinomialFits:
    """The optima. `certificate` is the relative duality gap: (objective − optimum) / objective is at most that."""

    weight: Float[Tensor, "fits classes features"]
    bias: Float[Tensor, "fits classes"]
    objective: Float[Tensor, "fits"]
    certificate: Float[Tensor, "fits"]
    steps: int


def sparse_multinomial(
    features: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "fits rows"],
    strengths: Float[Tensor, "fits"],
    classes: int,
    *,
    l1_ratio: float = 1.0,
    intercept: Intercept = "penalised",
    mean: Float[Tensor, "features"] | None = None,
    scale: Float[Tensor, "features"] | None = None,
    tolerance: float = 1e-7,
    most_steps: int = 200,
) -> MultinomialFits:
    """Solve every fit in float64 until its relative duality gap is at most `tolerance`.

    Raises `InputError` when a fit has no rows, a number is not finite, a class is absent and the intercept free, or the
    certificate is not reached.

    >>> features = torch.tensor([[-2.0], [-1.0], [1.0], [2.0], [5.0], [6.0]])
    >>> targets = torch.tensor([0, 0, 1, 1, 2, 2])
    >>> fits = sparse_multinomial(features, targets, torch.ones(1, 6), torch.tensor([5.0]), 3)
    >>> (features @ fits.weight[0].T.float() + fits.bias[0].float()).argmax(dim=1).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    check_fits(features, weights, strengths, l1_ratio)
    check_scaler(mean, scale)
    used = (weights > 0).any(dim=0)
    design = make_design(features[used], mean, scale)
    labels, rows_of = targets[used], weights[:, used].to(torch.float64)
    kappa = rows_of * strengths.to(torch.float64)[:, None]
    if intercept == "free":
        _refuse_absent_class(labels, kappa, classes)
    penalty = make_penalty(design.columns, l1_ratio, free=intercept == "free")
    fits = len(kappa)
    if l1_ratio == 0:
        begin = kappa.new_zeros(fits, classes, design.columns)
        solved = ridge_fits(design, None, labels, kappa, penalty, begin, tolerance, most_steps)
        points, objective, gap, steps = solved.coefficients, solved.objective, solved.gap, solved.steps
    else:
        points = kappa.new_zeros(fits, classes, design.columns)
        objective, gap, steps = kappa.new_zeros(fits), kappa.new_zeros(fits), 0
        latest: dict[bytes, Tensor] = {}
        for fit in strengths.argsort(stable=True).tolist():
            key = rows_of[fit].numpy().tobytes()
            begin = latest.get(key, points[fit])
            points[fit], objective[fit], gap[fit], taken = _newton(
                design, labels, kappa[fit], penalty, begin, tolerance, most_steps
            )
            latest[key], steps = points[fit], max(steps, taken)
    refuse_unsolved(gap, strengths, tolerance, most_steps)
    return MultinomialFits(points[:, :, :-1], points[:, :, -1], objective, gap, steps)


def multinomial_objective(
    features: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "rows"],
    strength: float,
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, "classes"],
    *,
    l1_ratio: float = 1.0,
    intercept: Intercept = "penalised",
) -> float:
    """The objective of one fit at any coefficients (float64)."""
    wide, level = weight.to(torch.float64), bias.to(torch.float64)
    logs = (features.to(torch.float64) @ wide.T + level).log_softmax(dim=1)
    loss = -(weights.to(torch.float64) * logs.gather(1, targets[:, None])[:, 0]).sum()
    penalised = torch.cat([wide.flatten(), level]) if intercept == "penalised" else wide.flatten()
    size, square = penalised.abs().sum(), penalised.square().sum()
    return float(l1_ratio * size + 0.5 * (1 - l1_ratio) * square + strength * loss)


def _newton(
    design: Design,
    targets: Tensor,
    all_kappa: Tensor,
    penalty: Penalty,
    start: Tensor,
    tolerance: float,
    most_steps: int,
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Proximal Newton steps of one fit, on its own rows."""
    rows = (all_kappa > 0).nonzero().squeeze(1)
    labels, kappa = targets[rows], all_kappa[rows]
    point = start.clone()
    classes, columns = point.shape
    bound, square = penalty.bound.repeat(classes), penalty.square.repeat(classes)
    scores = design.push(point)[:, rows]
    for step in range(most_steps + 1):
        miss = kappa * scores.softmax(dim=0).scatter_add(0, labels[None], -torch.ones_like(scores[:1]))
        gradient = design.pull(scores.new_zeros(classes, design.rows).index_copy_(1, rows, miss))
        objective, gap = softmax_certificate(penalty, point[None], gradient[None], labels, kappa[None], scores[None])
        if float(gap) <= tolerance or step == most_steps:
            return point, objective[0], gap[0], step
        flat = point.flatten()
        slope = gradient.flatten() + square * flat
        pairs = _pairs(flat, slope, bound)
        if not len(pairs):
            return point, objective[0], gap[0], step
        stacked = _gather(design, pairs, classes, rows)
        hessian = _hessian(stacked, pairs // columns, scores.softmax(dim=0), kappa, square[pairs])
        here, limit = flat[pairs], bound[pairs]
        linear = slope[pairs] - hessian @ here
        proposed = minimise_quadratic(hessian[None], linear[None], here[None], limit[None])[0]
        move = proposed - here
        promised = float(slope[pairs] @ move + (limit * (proposed.abs() - here.abs())).sum())
        turn = scores.new_zeros(classes, len(rows)).index_add_(0, pairs // columns, move[:, None] * stacked)
        share, before = 1.0, _value(flat, scores, labels, kappa, bound, square)
        reached, moved = flat, scores
        for _ in range(HALVINGS):
            reached = flat.index_copy(0, pairs, proposed if share == 1.0 else here + share * move)
            moved = scores + share * turn
            value = _value(reached, moved, labels, kappa, bound, square)
            if value <= before + 1e-4 * share * promised + 1e-14 * before:
                break
            share /= 2
        point, scores = reached.view(classes, columns), moved
    raise AssertionError("unreachable: the loop returns at its last step")


def _pairs(flat: Tensor, slope: Tensor, bound: Tensor) -> Tensor:
    """Every nonzero (class, column) pair and those that break the optimality conditions most, in rising order."""
    chosen = flat != 0
    excess = (slope.abs() - bound).masked_fill(chosen, -1.0)
    entering = min(len(flat), max(ENTER, int(ENTER_SHARE * int(chosen.sum()))))
    best, index = excess.topk(entering)
    chosen[index[best > 0]] = True
    return chosen.nonzero().squeeze(1)


def _gather(design: Design, pairs: Tensor, classes: int, rows: Tensor) -> Tensor:
    """The column of every pair on the fit's rows."""
    parts = [pairs[pairs // design.columns == label] % design.columns for label in range(classes)]
    return torch.cat([design.gather(part, rows, torch.float64) for part in parts if len(part)])


def _hessian(stacked: Tensor, label: Tensor, probabilities: Tensor, kappa: Tensor, square: Tensor) -> Tensor:
    """Blocks within a class from p, less the product that ties all classes."""
    share = probabilities[label]
    tied = stacked * (share * kappa.sqrt())
    hessian = -(tied @ tied.T)
    for one in label.unique().tolist():
        inside = (label == one).nonzero().squeeze(1)
        first, last = int(inside[0]), int(inside[-1]) + 1
        half = stacked[first:last] * (share[first:last] * kappa).sqrt()
        hessian[first:last, first:last] += half @ half.T
    diagonal = hessian.diagonal()
    diagonal += square + (RIDGE * diagonal.max() + torch.finfo(torch.float64).tiny)
    return hessian


def _value(flat: Tensor, scores: Tensor, labels: Tensor, kappa: Tensor, bound: Tensor, square: Tensor) -> float:
    loss = -(kappa * scores.log_softmax(dim=0).gather(0, labels[None])[0]).sum()
    return float(loss + bound @ flat.abs() + 0.5 * (square @ flat.square()))


def _refuse_absent_class(targets: Tensor, kappa: Tensor, classes: int) -> None:
    for fit, row in enumerate(kappa):
        present = targets[row > 0].bincount(minlength=classes) > 0
        if not bool(present.all()):
            absent = int((~present).nonzero()[0])
            raise InputError(
                f"Fit {fit} has no rows of class {absent}, and a free intercept then has no optimum; give it rows of "
                'every class, or intercept="penalised".'
            )

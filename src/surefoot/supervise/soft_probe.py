"""A linear head on soft labels: softmax regression on distributions, with many classes and a ridge penalty.

    minimise over (W, b)   (1/n) Σ_i CE(y_i, softmax(W x_i + b)) + ½ λ ‖W‖²          CE(y, p) = −Σ_k y_k log p_k

by L-BFGS in coordinates in which the problem is nearly round. The Hessian of class k's weights is about d_k S + λ with
S the features' second moments and d_k the mean of p_k (1 − p_k), up to a factor that the last step tells; so every
direction is first divided by that. A step
costs two products of n × features × classes: the direction's logits, from which the line search reads the objective at
any length without touching a feature, and the gradient. The first steps are of a part of the rows.

Products are in the features' own precision (float32 is plenty: the labels are a model's opinion), sums over rows in
float64.

Sources: Böhning (1992), Ann. Inst. Stat. Math. 44, for the curvature of softmax regression as a Kronecker product (his
bound ½ in place of our d_k, which for a thousand classes is five hundred times too long a ruler); Nocedal & Wright
(2006), algorithm 7.4, for L-BFGS about an initial matrix.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.robust.head import LinearHead, fold_scaler

__all__ = ["SoftProbe", "fit_soft_probe"]

MEMORY = 10
BLOCK = 2_000_000
"""Logits that are worked on at a time."""
FIRST = 4_000
"""Rows below which no step is of a part of them."""
ROUGH = 1e-3
SEARCH = 12
SLOPE = 0.1


class SoftProbe(NamedTuple):
    """The head, the mean cross-entropy of its rows in nats, and what the objective could still fall by, about."""

    head: LinearHead
    loss: float
    left: float
    steps: int


def fit_soft_probe(
    features: Float[Tensor, "rows features"],
    labels: Float[Tensor, "_ _"],
    penalty: float = 0.0,
    *,
    tolerance: float = 1e-6,
    most_steps: int = 500,
    until: float | None = None,
    progress: Progress = silent,
) -> SoftProbe:
    """Fit until the objective can fall by `tolerance` nats a row at most (half the squared Newton decrement, about).

    labels: distributions, one a row. penalty: λ ≥ 0 of standardised features, in nats a row; the bias is free. until:
    stop as soon as the mean cross-entropy of the rows is no more.

    Raises `InputError` for labels that are no distributions and features that are not finite, naming the first row.

    >>> x = torch.tensor([[-1.0], [1.0]]).repeat(50, 1)
    >>> y = torch.tensor([[0.8, 0.2], [0.3, 0.7]]).repeat(50, 1)
    >>> probe = fit_soft_probe(x, y, tolerance=1e-10)
    >>> bool((probe.head.probabilities(x[:2]) - y[:2]).abs().max() < 1e-4)
    True
    """
    _check(features, labels, penalty)
    rows = len(features)
    mean, scale = _standards(features)
    problem = _Problem(features, labels, mean, scale, penalty)
    point = _start(problem)
    taken = 0
    for part in _parts(rows):
        point, _, steps = _descend(problem.part(part), point, max(tolerance, ROUGH), most_steps - taken, None, progress)
        taken += steps
    point, left, steps = _descend(problem, point, tolerance, most_steps - taken, until, progress)
    taken += steps
    loss = problem.loss(point)
    head = LinearHead(point[:, :-1].clone(), point[:, -1].clone())
    return SoftProbe(fold_scaler(head, mean, scale), loss, left, taken)


def _parts(rows: int) -> list[int]:
    """Which rows (every so many-th) to begin with: a quarter each time of what comes after."""
    found: list[int] = []
    while rows // 4 ** (len(found) + 1) >= FIRST:
        found.append(4 ** (len(found) + 1))
    return found[::-1]


@dataclass(frozen=True)
class _Problem:
    """Standardised features are never made: W x̃ = (W/σ) x − W (m/σ), and gradients likewise."""

    features: Tensor
    labels: Tensor
    mean: Tensor
    scale: Tensor
    penalty: float

    def part(self, step: int) -> "_Problem":
        """Every so many-th row, in the whole's own scale."""
        return _Problem(self.features[::step], self.labels[::step], self.mean, self.scale, self.penalty)

    def logits(self, point: Tensor) -> Tensor:
        weight = point[:, :-1] / self.scale
        bias = point[:, -1] - weight @ self.mean
        return torch.addmm(bias, self.features, weight.T)

    def gradient(self, slopes: Tensor, point: Tensor) -> Tensor:
        """Of the mean loss, whose slope by the logits is `slopes / n`."""
        count = len(self.features)
        sums = slopes.sum(dim=0)
        product = slopes.T @ self.features
        weight = (product - sums[:, None] * self.mean) / (self.scale * count) + self.penalty * point[:, :-1]
        return torch.cat([weight, (sums / count)[:, None]], dim=1)

    def loss(self, point: Tensor) -> float:
        return _along(self.logits(point), None, self.labels, 0.0).value / len(self.features)


class _Along(NamedTuple):
    value: float
    slope: float
    curve: float


def _along(logits: Tensor, direction: Tensor | None, labels: Tensor, length: float) -> _Along:
    """Σ_i CE at logits + length · direction, and its first two derivatives by the length."""
    value = slope = curve = 0.0
    step = max(1, BLOCK // logits.shape[1])
    for first in range(0, len(logits), step):
        part = slice(first, first + step)
        at = logits[part] if direction is None else torch.add(logits[part], direction[part], alpha=length)
        top = at.amax(dim=1, keepdim=True)
        mass = (at - top).exp_()
        total = mass.sum(dim=1)
        given = labels[part]
        value += float((total.log().double() + top[:, 0].double()).sum())
        value -= float((given * at).sum(dim=1, dtype=torch.float64).sum())
        if direction is not None:
            mass /= total[:, None]
            way = direction[part]
            moved = mass * way
            mean = moved.sum(dim=1)
            slope += float((mean.double() - (given * way).sum(dim=1, dtype=torch.float64)).sum())
            curve += float(((moved * way).sum(dim=1) - mean.square()).sum(dtype=torch.float64))
    return _Along(value, slope, curve)


def _slopes(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(logits) − labels, and the mean over rows of p (1 − p) for each class."""
    found = torch.empty_like(logits)
    spread = torch.zeros(logits.shape[1], dtype=torch.float64)
    step = max(1, BLOCK // logits.shape[1])
    for first in range(0, len(logits), step):
        part = slice(first, first + step)
        said = logits[part].softmax(dim=1)
        spread += (said - said.square()).sum(dim=0, dtype=torch.float64)
        torch.sub(said, labels[part], out=found[part])
    return found, spread / len(logits)


class _Ruler(NamedTuple):
    """(d_k S + λ)⁻¹ by eigenvectors of the second moments S of standardised features."""

    vectors: Tensor
    values: Tensor
    penalty: float

    def divide(self, slope: Tensor, spread: Tensor) -> Tensor:
        inside = slope[:, :-1] @ self.vectors
        inside /= spread[:, None].to(inside) * self.values + self.penalty
        return torch.cat([inside @ self.vectors.T, slope[:, -1:] / spread[:, None].to(inside)], dim=1)


def _ruler(problem: _Problem) -> _Ruler:
    count = len(problem.features)
    moments = problem.features.T @ problem.features / count - torch.outer(problem.mean, problem.mean)
    moments = moments / torch.outer(problem.scale, problem.scale)
    values, vectors = torch.linalg.eigh(moments)
    # Directions that hardly vary are no longer divided by next to nothing: rounding has made them.
    floor = float(values[-1]) * 1e-5
    return _Ruler(vectors, values.clamp(min=floor), problem.penalty)


def _descend(
    problem: _Problem, point: Tensor, goal: float, most: int, until: float | None, progress: Progress
) -> tuple[Tensor, float, int]:
    count = len(problem.features)
    ruler = _ruler(problem)
    logits = problem.logits(point)
    slopes, spread = _slopes(logits, problem.labels)
    spread = spread.clamp(min=1e-2 / count)
    gradient = problem.gradient(slopes, point)
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=MEMORY)
    left, done = math.inf, 0
    for done in range(most + 1):
        way = _direction(gradient, pairs, ruler, spread)
        left = -0.5 * float((way.double() * gradient.double()).sum())
        if left <= goal or done == most:
            break
        moved = problem.logits(way)
        length, loss = _search(problem, logits, moved, point, way, falling=-2 * left)
        point = torch.add(point, way, alpha=length)
        logits.add_(moved, alpha=length)
        slopes, spread = _slopes(logits, problem.labels)
        spread = spread.clamp(min=1e-2 / count)
        fresh = problem.gradient(slopes, point)
        change = fresh - gradient
        inner = float((change.double() * way.double()).sum()) * length
        if inner > 0:
            pairs.append((way * length, change, 1 / inner))
        gradient = fresh
        progress("fitting", done + 1, most)
        if until is not None and loss <= until:
            break
    return point, left, done


def _direction(gradient: Tensor, pairs: "deque[tuple[Tensor, Tensor, float]]", ruler: _Ruler, spread: Tensor) -> Tensor:
    """−H g by the two loops of L-BFGS about the ruler."""
    slope = gradient.clone()
    weights: list[float] = []
    for step, change, inverse in reversed(pairs):
        weights.append(inverse * float((step.double() * slope.double()).sum()))
        slope.sub_(change, alpha=weights[-1])
    way = ruler.divide(slope, spread)
    if pairs:
        # How long the ruler is, by the last step: classes gather where their rows are, and curve more there.
        step, change, inverse = pairs[-1]
        way /= inverse * float((change.double() * ruler.divide(change, spread).double()).sum())
    for (step, change, inverse), weight in zip(pairs, reversed(weights), strict=True):
        back = inverse * float((change.double() * way.double()).sum())
        way.add_(step, alpha=weight - back)
    return way.neg_()


def _search(
    problem: _Problem, logits: Tensor, moved: Tensor, point: Tensor, way: Tensor, *, falling: float
) -> tuple[float, float]:
    """The length along a direction where the objective falls no further, to a tenth of its slope, and the loss there.

    Convex in one number, with two derivatives: Newton's steps between the ends that enclose it. falling: the slope at
    length zero.
    """
    count = len(problem.features)
    inner = float((point[:, :-1].double() * way[:, :-1].double()).sum())
    square = float(way[:, :-1].double().square().sum())
    low, high, length = 0.0, math.inf, 1.0
    loss = 0.0
    for _ in range(SEARCH):
        at = _along(logits, moved, problem.labels, length)
        loss = at.value / count
        slope = at.slope / count + problem.penalty * (inner + length * square)
        curve = at.curve / count + problem.penalty * square
        if abs(slope) <= SLOPE * abs(falling) or curve <= 0:
            break
        low, high = (length, high) if slope < 0 else (low, length)
        step = length - slope / curve
        length = step if low < step < high else (2 * length if math.isinf(high) else (low + high) / 2)
    return length, loss


def _start(problem: _Problem) -> Tensor:
    """No weights, and the bias of the mean label."""
    classes, size = problem.labels.shape[1], problem.features.shape[1]
    point = problem.features.new_zeros(classes, size + 1)
    shares = problem.labels.mean(dim=0, dtype=torch.float64).clamp(min=1e-9)
    point[:, -1] = shares.log().to(point)
    return point


def _standards(features: Tensor) -> tuple[Tensor, Tensor]:
    spread, mean = torch.std_mean(features.double() if features.numel() < BLOCK else features, dim=0, correction=0)
    mean, spread = mean.to(features), spread.to(features)
    return mean, torch.where(spread > 1e-6 * mean.abs().clamp(min=1e-6), spread, torch.ones_like(spread))


def _check(features: Tensor, labels: Tensor, penalty: float) -> None:
    if not (math.isfinite(penalty) and penalty >= 0):
        raise InputError(f"The penalty is {penalty}; give zero or a positive number.")
    if len(features) != len(labels) or not len(labels):
        raise InputError(f"There are {len(features)} rows of features and {len(labels)} of labels; give one for each.")
    wrong = ~torch.isfinite(features).all(dim=1)
    if bool(wrong.any()):
        raise InputError(f"Features are not finite in {int(wrong.sum())} rows (first: {int(wrong.nonzero()[0])}).")
    off = (labels < 0).any(dim=1) | ((labels.sum(dim=1) - 1).abs() > 1e-3) | ~torch.isfinite(labels).all(dim=1)
    if bool(off.any()):
        raise InputError(
            f"{int(off.sum())} rows of labels are no distribution (first: row {int(off.nonzero()[0])}); give "
            "probabilities that are not negative and sum to one."
        )

"""A linear head on soft labels: softmax regression on distributions, with many classes and a ridge penalty.

    minimise over (W, b)   (1/n) Σ_i CE(y_i, softmax(W x_i + b)) + ½ λ ‖W‖²          CE(y, p) = −Σ_k y_k log p_k

by L-BFGS, from least squares scaled class by class (`soft_start`), in coordinates in which the problem is nearly
round. The Hessian of class k's weights is about d_k S + λ with S the features' second moments and d_k the mean of
p_k (1 − p_k), up to a factor that the last step tells; so every direction is first divided by that. A step costs two
products of n × features × classes: the direction's logits, from which the line search reads the objective at any length
without touching a feature, and the slope. Labels are read once (`soft_rows`).

Large problems begin with products of bfloat16 where a machine is fast at them, and end in the features' own precision.

Sources: Böhning (1992), Ann. Inst. Stat. Math. 44, for the curvature of softmax regression as a Kronecker product (his
bound ½ in place of our d_k, which for a thousand classes is five hundred times too long a ruler); Nocedal & Wright
(2006), algorithm 7.4, for L-BFGS about an initial matrix.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.networks.product import bfloat16_is_fast
from surefoot.progress import Progress, silent
from surefoot.robust.head import LinearHead, fold_scaler
from surefoot.supervise.soft_rows import FEW, SoftRows, blocks, look, soft_rows
from surefoot.supervise.soft_start import Ruler, first_point, ruler_of

__all__ = ["SoftProbe", "fit_soft_probe"]

MEMORY = 10
ROUGH = 1e-3
"""What may be left, in nats a row, where products of bfloat16 end."""
ROUNDING = 5e-4
"""How far the loss from such products may be from the rows', in nats."""
LARGE = 1e10
"""rows × features × classes above which a problem begins with them."""
SEARCH = 12
SLOPE = 0.4
"""The share of a direction's first slope at which the line search is content."""


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
    stop as soon as the mean cross-entropy of the rows is no more; a large problem may then end before its products are
    exact, and its loss is told to some 10⁻⁴ nats, and the rows' own is no more than `until` all the same.

    Raises `InputError` for labels that are no distributions and features that are not finite, naming the first row.

    >>> x = torch.tensor([[-1.0], [1.0]]).repeat(50, 1)
    >>> y = torch.tensor([[0.8, 0.2], [0.3, 0.7]]).repeat(50, 1)
    >>> probe = fit_soft_probe(x, y, tolerance=1e-10)
    >>> bool((probe.head.probabilities(x[:2]) - y[:2]).abs().max() < 1e-4)
    True
    """
    spread, mean = _check(features, labels, penalty)
    scale = torch.where(spread > 1e-6 * mean.abs().clamp(min=1e-6), spread, torch.ones_like(spread))
    large = features.dtype == torch.float32 and features.numel() * labels.shape[1] > LARGE
    rough = large and features.device.type == "cpu" and bfloat16_is_fast()
    kind = torch.bfloat16 if rough else features.dtype
    rows = soft_rows(features, labels, mean, scale, kind)
    ruler = ruler_of(rows, penalty)
    start = first_point(rows, ruler)
    fit = _Fit(rows, ruler, torch.cat([start.weight, start.bias[:, None]], dim=1), start.value)
    if not fit.reached(until):
        fit.stand(start.logits())
        del start
        _descend(fit, max(tolerance, ROUGH) if rough else tolerance, most_steps, until, progress)
    if rough and not fit.reached(until):
        fit.rows = soft_rows(features, labels, mean, scale, features.dtype)
        fit.stand(fit.rows.logits(fit.weight).to(fit.weight).add_(fit.bias))
        _descend(fit, tolerance, most_steps, until, progress)
    return SoftProbe(fold_scaler(LinearHead(fit.weight, fit.bias), mean, scale), fit.loss, fit.left, fit.steps)


class _Pair(NamedTuple):
    """A step, how the slope changed on it, and one over their product."""

    step: Tensor
    change: Tensor
    inverse: float


@dataclass
class _Fit:
    """A point `[classes, features + 1]` (the bias last), where its rows stand, and what L-BFGS remembers.

    value: the mean over rows of log Σ e^z.
    """

    rows: SoftRows
    ruler: Ruler
    point: Tensor
    value: float
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    mass: Tensor = field(default_factory=lambda: torch.empty(0))
    spread: Tensor = field(default_factory=lambda: torch.empty(0))
    left: float = math.inf
    steps: int = 0
    pairs: deque[_Pair] = field(default_factory=lambda: deque(maxlen=MEMORY))

    @property
    def loss(self) -> float:
        return self.value - self.given(self.point)

    @property
    def weight(self) -> Tensor:
        return self.point[:, :-1]

    @property
    def bias(self) -> Tensor:
        return self.point[:, -1]

    def reached(self, until: float | None) -> bool:
        rounding = 0.0 if self.rows.kept is None else ROUNDING
        return until is not None and self.loss <= until - rounding

    def stand(self, logits: Tensor) -> None:
        """Take the rows' logits at the point."""
        self.logits, self.mass = logits, torch.empty(logits.shape, dtype=self.rows.kind)
        said = look(logits, self.mass)
        self.value, self.spread = said.value, said.spread

    def slope(self) -> Tensor:
        """Of the objective."""
        weight = self.rows.crossed(self.mass) - self.rows.cross + self.ruler.penalty * self.weight
        said = self.mass.sum(dim=0, dtype=torch.float32 if self.mass.dtype == torch.bfloat16 else None)
        return torch.cat([weight, (said / len(self.rows) - self.rows.shares)[:, None].to(weight)], dim=1)

    def given(self, point: Tensor) -> float:
        """What the labels take from the objective at a point: ⟨W, C⟩ + ⟨b, ȳ⟩."""
        by_weight = (point[:, :-1].double() * self.rows.cross.double()).sum()
        return float(by_weight + (point[:, -1].double() * self.rows.shares.double()).sum())


def _descend(fit: _Fit, goal: float, most: int, until: float | None, progress: Progress) -> None:
    slope = fit.slope()
    while True:
        way = _direction(slope, fit)
        fit.left = -0.5 * _dot(way, slope)
        if fit.left <= goal or fit.steps >= most:
            return
        way[:, :-1] = fit.rows.seen(way[:, :-1])
        length = _search(fit, way, falling=-2 * fit.left)
        fit.point = torch.add(fit.point, way, alpha=length)
        fit.steps += 1
        progress("fitting", fit.steps, most)
        if fit.reached(until):
            return
        fresh = fit.slope()
        change = fresh - slope
        inner = _dot(change, way) * length
        if inner > 0:
            fit.pairs.append(_Pair(way * length, change, 1 / inner))
        slope = fresh


def _direction(slope: Tensor, fit: _Fit) -> Tensor:
    """−H g by the two loops of L-BFGS about the ruler."""
    slope = slope.clone()
    weights: list[float] = []
    for pair in reversed(fit.pairs):
        weights.append(pair.inverse * _dot(pair.step, slope))
        slope.sub_(pair.change, alpha=weights[-1])
    way = _divided(slope, fit)
    # How long the ruler is, by the last step: classes gather where their rows are, and curve more there.
    last = fit.pairs[-1] if fit.pairs else _first(slope, fit)
    length = last.inverse * _dot(last.change, _divided(last.change, fit))
    if length > 0:
        way /= length
    for pair, weight in zip(fit.pairs, reversed(weights), strict=True):
        way.add_(pair.step, alpha=weight - pair.inverse * _dot(pair.change, way))
    return way.neg_()


def _first(slope: Tensor, fit: _Fit) -> _Pair:
    """The way from no weights and the mean label, where the slope is −C, to the point: too far to be remembered."""
    step = torch.cat([fit.weight, (fit.bias - fit.rows.shares.clamp(min=1e-9).log())[:, None]], dim=1)
    change = torch.cat([slope[:, :-1] + fit.rows.cross, slope[:, -1:]], dim=1)
    inner = _dot(step, change)
    return _Pair(step, change, 1 / inner if inner > 0 else 0.0)


def _divided(slope: Tensor, fit: _Fit) -> Tensor:
    spread = fit.spread.clamp(min=1e-2 / len(fit.rows))
    return torch.cat([fit.ruler.divide(slope[:, :-1], spread), slope[:, -1:] / spread[:, None].to(slope)], dim=1)


def _search(fit: _Fit, way: Tensor, *, falling: float) -> float:
    """Go along a direction to where the objective falls but little, and leave the logits and what is said there.

    Convex in one number, with two derivatives: Newton's steps between the ends that enclose it. falling: the slope at
    length zero.
    """
    moved = fit.rows.logits(way[:, :-1]).to(way).add_(way[:, -1])
    gain = fit.given(way)
    inner, square = _dot(fit.weight, way[:, :-1]), _dot(way[:, :-1], way[:, :-1])
    penalty = fit.ruler.penalty
    low, high, following = 0.0, math.inf, 1.0
    length = following
    for _ in range(SEARCH):
        length = following
        at = look(fit.logits, fit.mass, moved, length)
        slope = at.slope - gain + penalty * (inner + length * square)
        curve = at.curve + penalty * square
        fit.value, fit.spread = at.value, at.spread
        if abs(slope) <= SLOPE * abs(falling) or curve <= 0:
            break
        low, high = (length, high) if slope < 0 else (low, length)
        step = length - slope / curve
        following = step if low < step < high else (2 * length if math.isinf(high) else (low + high) / 2)
    fit.logits.add_(moved, alpha=length)
    return length


def _dot(left: Tensor, right: Tensor) -> float:
    return float(torch.dot(left.flatten(), right.flatten()))


def _check(features: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """The features' standard deviations and means, when all is well."""
    if not (math.isfinite(penalty) and penalty >= 0):
        raise InputError(f"The penalty is {penalty}; give zero or a positive number.")
    if len(features) != len(labels) or not len(labels):
        raise InputError(f"There are {len(features)} rows of features and {len(labels)} of labels; give one for each.")
    mean = features.mean(dim=0)
    square = torch.zeros_like(mean)
    for part in blocks(len(features), FEW):
        square += torch.linalg.vector_norm(features[part] - mean, dim=0).square_()
    spread = (square / len(features)).sqrt()
    if not bool((spread + mean).isfinite().all()):
        wrong = ~torch.isfinite(features).all(dim=1)
        if bool(wrong.any()):
            raise InputError(f"Features are not finite in {int(wrong.sum())} rows (first: {int(wrong.nonzero()[0])}).")
        raise InputError("Features are so large that their variance is not finite; give them in larger units.")
    far = (labels.sum(dim=1) - 1).abs()
    # No comparison holds for NaN, which is then found and named.
    if not (bool(far.amax() <= 1e-3) and bool(labels.amin() >= 0)):
        off = (labels < 0).any(dim=1) | ~(far <= 1e-3)
        raise InputError(
            f"{int(off.sum())} rows of labels are no distribution (first: row {int(off.nonzero()[0])}); give "
            "probabilities that are not negative and sum to one."
        )
    return spread, mean

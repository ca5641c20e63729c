"""Where the fit of a soft head begins: least squares, then a scale and a bias for every class.

    W_k = D_k C_k               D_k = (d_k S + λ)⁻¹, the inverse Hessian where nothing is known of a row but ȳ
    z_ik = s_k ⟨W_k, x̃_i⟩ + b_k

Least squares points nearly where softmax regression does, but as far as a small change of the probabilities goes: one
length for all classes is searched for on some of the rows, and then a Newton step is taken in each class's s_k and b_k
(with the classes' own curvature, as if the others stood still). It costs one product of rows × features × classes for
C, one for the logits, and two passes of exponentials.

Source: our own; scale and bias per class are the vector scaling of Guo et al. (2017), "On calibration of modern neural
networks", §4.2, here of a regression on the training rows themselves.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.supervise.soft_rows import SoftRows, in_cache, look, softmax_of

__all__ = ["Ruler", "Start", "first_point", "ruler_of"]

SOME = 2_000
"""Rows that the first length is searched for on."""
NEWTON = 12
SHARES = (1.0, 0.5, 0.25)
"""Of the classes' step, tried one after another until the objective is no higher; if it always is, none is taken."""
NARROW = 1e-6
"""Where a class's scale and bias cannot be told apart, the bias alone moves."""


@dataclass(frozen=True)
class Ruler:
    """(d_k S + λ)⁻¹ by eigenvectors of the second moments S of standardised features, in their precision."""

    vectors: Float[Tensor, "features features"]
    values: Float[Tensor, "features"]
    penalty: float

    def divide(
        self, slope: Float[Tensor, "classes features"], spread: Float[Tensor, "classes"]
    ) -> Float[Tensor, "classes features"]:
        """Each class's slope by its own curvature."""
        inside = (slope.to(self.vectors) @ self.vectors).to(slope)
        inside /= spread[:, None].to(inside) * self.values + self.penalty
        return (inside.to(self.vectors) @ self.vectors.T).to(slope)


class Start(NamedTuple):
    """Weights of standardised features and biases, and the rows' logits: `raw` of the classes times `factor`, and bias.

    value: the mean of log Σ e^z there.
    """

    weight: Tensor
    bias: Tensor
    raw: Tensor
    factor: Tensor
    value: float

    def logits(self) -> Float[Tensor, "rows classes"]:
        """In the weights' precision."""
        return torch.addcmul(self.bias, self.raw, self.factor)


def ruler_of(rows: SoftRows, penalty: float) -> Ruler:
    """The ruler of these rows."""
    values, vectors = torch.linalg.eigh(rows.moments())
    # Directions that hardly vary are no longer divided by next to nothing: rounding has made them.
    floor = max(float(values[-1]) * 1e-5, torch.finfo(values.dtype).tiny)
    return Ruler(vectors.to(rows.kind), values.clamp(min=floor), penalty)


def first_point(rows: SoftRows, ruler: Ruler) -> Start:
    """Least squares, scaled class by class."""
    shares = rows.shares.double().clamp(min=1e-9)
    bias = shares.log()
    weight = rows.seen(ruler.divide(rows.cross, shares * (1 - shares)))
    raw = rows.logits(weight)
    gains = (weight.double() * rows.cross.double()).sum(dim=1)
    pulls = ruler.penalty * weight.double().square().sum(dim=1)
    some = raw[:: max(1, len(rows) // SOME)].to(weight)
    at = _Scaled(torch.full_like(bias, _length(some, bias, float(gains.sum()), float(pulls.sum()))), bias)
    value, moved = _by_class(raw, weight, at, gains, shares, pulls)
    objective = value - _given(at, gains, shares, pulls)
    for share in SHARES:
        then = _Scaled(at.factor + share * moved.factor, at.bias + share * moved.bias)
        found = _value(raw, weight, then)
        if found - _given(then, gains, shares, pulls) <= objective:
            at, value = then, found
            break
    factor = at.factor.to(weight)
    return Start(weight * factor[:, None], at.bias.to(weight), raw, factor, value)


class _Scaled(NamedTuple):
    factor: Tensor
    bias: Tensor


def _length(logits: Tensor, bias: Tensor, gain: float, pull: float) -> float:
    """The minimum over a of mean log Σ e^{a z + b} − a gain + ½ a² pull, by Newton's steps between ends around it."""
    low, high, length = 0.0, math.inf, 0.1
    start = bias.to(logits).expand_as(logits)
    for _ in range(NEWTON):
        at = look(start, None, logits, length)
        slope, curve = at.slope - gain + length * pull, at.curve + pull
        low, high = (length, high) if slope < 0 else (low, length)
        step = length - slope / curve if curve > 0 else math.inf
        if not low < step < min(high, 3 * length):
            step = 3 * length if math.isinf(high) else (low + high) / 2
        if abs(step - length) < 0.02 * length:
            return step
        length = step
    return length


def _given(at: _Scaled, gains: Tensor, shares: Tensor, pulls: Tensor) -> float:
    """What the labels take from the objective, and the penalty gives back."""
    return float((at.factor * gains + at.bias * shares - at.factor.square() * pulls / 2).sum())


def _value(raw: Tensor, weight: Tensor, at: _Scaled) -> float:
    """The mean of log Σ e^z."""
    factor, bias = at.factor.to(weight), at.bias.to(weight)
    total = 0.0
    for part in in_cache(raw):
        total += softmax_of(torch.addcmul(bias, raw[part], factor))[1]
    return total / len(raw)


def _by_class(
    raw: Tensor, weight: Tensor, at: _Scaled, gains: Tensor, shares: Tensor, pulls: Tensor
) -> tuple[float, _Scaled]:
    """The mean of log Σ e^z at these factors and biases, and each class's Newton step in its two."""
    total = 0.0
    sums = torch.zeros(5, raw.shape[1], dtype=torch.float64)
    factor, bias = at.factor.to(weight), at.bias.to(weight)
    for part in in_cache(raw):
        some = raw[part].to(weight)
        given, value = softmax_of(torch.addcmul(bias, some, factor))
        total += value
        sums[0] += given.sum(dim=0)
        sums[1] += (given * some).sum(dim=0)
        given.addcmul_(given, given, value=-1)
        sums[2] += given.sum(dim=0)
        sums[3] += given.mul_(some).sum(dim=0)
        sums[4] += given.mul_(some).sum(dim=0)
    said, first, spread, mixed, second = sums / len(raw)
    slope = first - gains + at.factor * pulls
    tilt = said - shares
    curve = second + pulls
    spread = spread.clamp(min=1e-12)
    inside = curve * spread - mixed.square()
    apart = inside > NARROW * curve * spread
    inside = torch.where(apart, inside, torch.ones_like(inside))
    by_factor = torch.where(apart, (mixed * tilt - spread * slope) / inside, torch.zeros_like(inside))
    by_bias = torch.where(apart, (mixed * slope - curve * tilt) / inside, -tilt / spread)
    # A class's scale at most halves or doubles, and its odds change by e³ at most.
    by_factor = torch.minimum(torch.maximum(by_factor, -at.factor / 2), at.factor)
    return total / len(raw), _Scaled(by_factor, by_bias.clamp(min=-3.0, max=3.0))

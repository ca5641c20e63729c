"""Correlations of orders under many resamples at once, and ends of their intervals; `ranks` says what they are."""

import math
from statistics import NormalDist
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.findings.quantiles import normal_quantile

__all__ = ["Correlation", "Orders", "accelerated_ends", "below_perfect", "order_correlations", "sign_orders"]

Correlation: TypeAlias = Literal["spearman", "kendall"]

Orders: TypeAlias = tuple[Float64[Tensor, "seeds n n"], Float64[Tensor, "seeds n n"]]
"""`sign_orders` of the two numbers that are compared."""


def sign_orders(values: Float64[Tensor, "n seeds"]) -> Float64[Tensor, "seeds n n"]:
    """sign(x_i − x_j), infinities too."""
    x = values.T
    return (x[:, :, None] > x[:, None, :]).double() - (x[:, :, None] < x[:, None, :]).double()


def order_correlations(
    orders: Orders, times: Float64[Tensor, "resamples n"], kind: Correlation
) -> Float64[Tensor, "seeds resamples"]:
    """Of each seed, with candidate i there `times` i; NaN where all that is there is equal."""
    if kind == "kendall":
        one, other, both = (
            ((times @ matrix) * times).sum(dim=2)
            for matrix in (orders[0].square(), orders[1].square(), orders[0] * orders[1])
        )
    else:
        # Ranks are from their mean, as orders are antisymmetric.
        first, second = (times @ matrix.mT for matrix in orders)
        one, other, both = (
            (times * product).sum(dim=2) for product in (first.square(), second.square(), first * second)
        )
    return torch.where((one > 0) & (other > 0), both / (one * other).sqrt(), math.nan).clamp(-1.0, 1.0)


def accelerated_ends(
    value: float, resampled: Float64[Tensor, "resamples"], left_out: Float64[Tensor, "n"], confidence: float
) -> tuple[float, float]:
    """Efron's BCa ends: quantiles at Φ(z₀ + (z₀ ± z)/(1 − a (z₀ ± z)))."""
    normal, count = NormalDist(), len(resampled)
    share = ((resampled < value - 1e-12).sum() + 0.5 * ((resampled - value).abs() <= 1e-12).sum()).item() / count
    bias = normal.inv_cdf(min(max(share, 0.5 / count), 1 - 0.5 / count))
    known = left_out[left_out.isfinite()]
    away = known.mean() - known
    squares = away.square().sum().item()
    acceleration = (away**3).sum().item() / (6 * squares**1.5) if squares > 1e-20 else 0.0
    ends: list[float] = []
    for z in (normal_quantile((1 - confidence) / 2), normal_quantile((1 + confidence) / 2)):
        bend = 1 - acceleration * (bias + z)
        at = normal.cdf(bias + (bias + z) / bend) if bend > 0 else float(z > 0)
        ends.append(resampled.quantile(at).item())
    return ends[0], ends[1]


def below_perfect(count: int, kind: Correlation, confidence: float) -> float:
    """The inner end of the interval of a perfect order of `count` candidates."""
    if kind == "spearman":
        nearly = 1 - 6 / (count * (count**2 - 1))
        error = math.sqrt((1 + nearly**2 / 2) / (count - 3))
    else:
        nearly = 1 - 2 / (count * (count - 1))
        error = math.sqrt(0.437 / (count - 4))
    return math.tanh(math.atanh(nearly) - normal_quantile((1 + confidence) / 2) * error)

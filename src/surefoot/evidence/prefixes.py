"""Evidence row by row: log p(y_i | y_<i) in several orders of the rows, from which every evidence is a sum.

    log p(D) = Σ_i log p(y_i | y_<i)                      marginal: how well the prior predicted it all
    log p(D_≥m | D_<m) = Σ_{i≥m} log p(y_i | y_<i)        conditional: how well m rows predicted the others

The marginal evidence is the same in every order; a conditional one is not, and is averaged over orders. The mean term
at a position is the learning curve.

Source: Lotfi et al. (2022), "Bayesian model selection, the marginal likelihood, and generalization", §2 and §5.

**What an interval says.** Rows and model are fixed, and only the orders are random: it shrinks to nothing with
more orders, and says nothing about other data. At m = 0 there is nothing random at all.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence, spread_interval
from surefoot.findings.quantiles import student_quantile

__all__ = [
    "Crossing",
    "LearningCurve",
    "Prefixes",
    "conditional_findings",
    "crossing",
    "learning_curve",
    "orders_of",
]

METHOD = "Student's t over orders of the rows; the data are fixed"


@dataclass(frozen=True)
class Prefixes:
    """terms: log p(y_i | y_<i) of the row at position i of each order, in nats; y_<i are those before it. They
    become float64, whatever floats are given.

    Raises `InputError` without an order or a row, and for a term that is not finite.

    >>> prefixes = Prefixes(torch.tensor([[-3.0, -1.0, -0.5], [-2.0, -2.0, -0.5]], dtype=torch.float64))
    >>> prefixes.evidence.tolist(), prefixes.conditional(1).tolist()
    ([-4.5, -4.5], [-1.5, -2.5])
    """

    terms: Float[Tensor, "orders rows"]

    def __post_init__(self) -> None:
        orders, rows = self.terms.shape
        if orders < 1 or rows < 1:
            raise InputError(f"{orders} orders of {rows} rows hold no evidence; give at least one order of one row.")
        if not bool(self.terms.isfinite().all()):
            raise InputError(
                "A log density of a row is not finite, so there is no evidence; check the rows and the model's "
                "variances for values that are not finite or far out of scale."
            )
        object.__setattr__(self, "terms", self.terms.double())

    @property
    def orders(self) -> int:
        return self.terms.shape[0]

    @property
    def rows(self) -> int:
        return self.terms.shape[1]

    @property
    def evidence(self) -> Float64[Tensor, "orders"]:
        """log p(D): equal in all orders for an exact model, up to rounding."""
        return self.terms.sum(1)

    def marginal(self, m: int) -> Float64[Tensor, "orders"]:
        """log p(D_<m): the evidence of the first m rows of each order."""
        self._check(m)
        return self.terms[:, :m].sum(1)

    def conditional(self, m: int) -> Float64[Tensor, "orders"]:
        """log p(D_≥m | D_<m): of the rows after the first m, given those."""
        self._check(m)
        return self.terms[:, m:].sum(1)

    def all_marginal(self) -> Float64[Tensor, "orders rows"]:
        """Column i is `marginal(i + 1)`: the evidence of the first i + 1 rows."""
        return self.terms.cumsum(1)

    def all_conditional(self) -> Float64[Tensor, "orders rows"]:
        """Column m is `conditional(m)`; column 0 is the evidence."""
        return self.terms.flip(1).cumsum(1).flip(1)

    def _check(self, m: int) -> None:
        if not 0 <= m <= self.rows:
            raise InputError(f"A split after {m} rows was asked for of {self.rows}; give 0 ≤ m ≤ {self.rows}.")


class LearningCurve(NamedTuple):
    """The mean term at each position, over orders, and its interval's ends: what row i + 1 costs after i others."""

    mean: Float64[Tensor, "rows"]
    low: Float64[Tensor, "rows"]
    high: Float64[Tensor, "rows"]


class Crossing(NamedTuple):
    """The number of rows at which one model's mean cumulated evidence first falls below another's.

    first, last: the numbers of rows at which the interval of the mean difference first reaches below zero, and at which
    it first lies below zero as a whole (None where it never does). Intervals are those of each number of rows alone.
    """

    rows: int
    first: int
    last: int | None


def orders_of(rows: int, count: int, seed: int) -> Int64[Tensor, "count rows"]:
    """`count` independent random orders of `rows` rows, all equally likely; the k-th is the same whatever `count` is.

    Raises `InputError` for numbers below one.

    >>> orders_of(4, 2, seed=0).sort(1).values.tolist()
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    if rows < 1 or count < 1:
        raise InputError(f"{count} orders of {rows} rows were asked for; give at least one of each.")
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(rows, generator=generator) for _ in range(count)])


def conditional_findings(
    prefixes: Prefixes, m: int, *, subject: str, source: str, confidence: float = 0.95
) -> tuple[Finding, Finding]:
    """`conditional_evidence`, averaged over orders, and `conditional_evidence_order_sd`, how far one order lies off.

    With S orders of mean c and standard deviation s, the interval is c ± t_{S−1} s/√S. `count` is the number of rows
    that are predicted, `clusters` that of orders. With one order there is no interval, and the deviation is NaN.

    Raises `InputError` where no row is left to predict.

    >>> prefixes = Prefixes(torch.tensor([[-3.0, -1.0, -0.5], [-2.0, -2.0, -0.5]], dtype=torch.float64))
    >>> mean, deviation = conditional_findings(prefixes, 1, subject="M", source="fit")
    >>> mean.value, round(deviation.value, 3), mean.count
    (-2.0, 0.707, 2)
    """
    check_confidence(confidence)
    if m == prefixes.rows:
        raise InputError(f"All {m} rows are conditioned on and none is left to predict; give a smaller m.")
    values = prefixes.conditional(m)
    mean, half = _mean_and_half(values[:, None], confidence)
    centre, reach = float(mean), float(half)
    interval = None if math.isnan(reach) else Interval(centre - reach, centre + reach, confidence, METHOD)
    deviation = float(values.std()) if prefixes.orders > 1 else math.nan
    spread = spread_interval(values.tolist(), confidence)
    if spread is not None:
        spread = Interval(spread.low, spread.high, confidence, "chi-square over orders of the rows; the data are fixed")
    left = prefixes.rows - m

    def finding(name: str, value: float, interval: Interval | None, better: bool) -> Finding:
        direction = "higher" if better else "none"
        return Finding(name, value, interval, left, prefixes.orders, "nats", "all", direction, subject, source)

    return (
        finding("conditional_evidence", centre, interval, better=True),
        finding("conditional_evidence_order_sd", deviation, spread, better=False),
    )


def learning_curve(prefixes: Prefixes, confidence: float = 0.95) -> LearningCurve:
    """The mean over orders of log p(y_i | y_<i) at each position; the ends are NaN with one order.

    >>> prefixes = Prefixes(torch.tensor([[-3.0, -1.0], [-2.0, -2.0]], dtype=torch.float64))
    >>> learning_curve(prefixes).mean.tolist()
    [-2.5, -1.5]
    """
    check_confidence(confidence)
    mean, half = _mean_and_half(prefixes.terms, confidence)
    return LearningCurve(mean, mean - half, mean + half)


def crossing(leader: Prefixes, other: Prefixes, confidence: float = 0.95) -> Crossing | None:
    """Where the mean cumulated evidence of `leader` first falls below that of `other`; None where it never does.

    Both are to be of the same rows in the same orders: the difference is taken order by order, so that what the two
    have in common cancels. With all rows every order gives the same, and the interval is a point.

    Raises `InputError` where the numbers of orders or rows differ.

    >>> simple = Prefixes(torch.tensor([[-1.0, -1.0, -1.0]], dtype=torch.float64))
    >>> rich = Prefixes(torch.tensor([[-2.0, -0.5, -0.25]], dtype=torch.float64))
    >>> crossing(simple, rich).rows
    3
    """
    check_confidence(confidence)
    if leader.terms.shape != other.terms.shape:
        raise InputError(
            f"{leader.orders} orders of {leader.rows} rows were given beside {other.orders} of {other.rows}; compute "
            "both models' terms with the same orders of the same rows."
        )
    mean, half = _mean_and_half(leader.all_marginal() - other.all_marginal(), confidence)
    half = half.nan_to_num(nan=0.0)
    at = _first_below(mean)
    if at is None:
        return None
    first = _first_below(mean - half)
    assert first is not None  # the lower end is below the mean
    return Crossing(at, first, _first_below(mean + half))


def _first_below(values: Float64[Tensor, "rows"]) -> int | None:
    """The number of rows at the first value below zero."""
    places = (values < 0).nonzero()
    return int(places[0]) + 1 if len(places) else None


def _mean_and_half(
    values: Float64[Tensor, "orders columns"], confidence: float
) -> tuple[Float64[Tensor, "columns"], Float64[Tensor, "columns"]]:
    """Column means and half the width of their t intervals; NaN with one order."""
    count = len(values)
    mean = values.mean(0)
    if count < 2:
        return mean, torch.full_like(mean, math.nan)
    return mean, values.std(0) * (student_quantile((1 + confidence) / 2, count - 1.0) / math.sqrt(count))

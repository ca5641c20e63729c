"""Quantiles of the distributions that intervals are made of, in double precision and without scipy.

The normal quantile is Wichura's AS 241 (`statistics.NormalDist`). The others solve F(x) = p by Newton steps
kept inside a bracket, on a scale where both tails keep their digits (log-odds for the beta, the logarithm for
the chi-square distribution). F itself is the regularised incomplete beta or gamma function.

Source: Press, Teukolsky, Vetterling & Flannery (2007), Numerical Recipes, 3rd ed., §6.2 and §6.4 (series and
Lentz's continued fractions); Abramowitz & Stegun (1964), 26.7.5 (Student's t with many degrees of freedom).
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from statistics import NormalDist
from typing import NamedTuple

from surefoot.errors import InputError

__all__ = ["beta_quantile", "chi_square_quantile", "normal_quantile", "student_quantile"]

TINY = 1e-300
PRECISION = 1e-15
MANY = 1e5
"""Above so many degrees of freedom Student's t is expanded about the normal; the terms left out are < 1e-11."""


def normal_quantile(probability: float) -> float:
    """The standard normal quantile.

    >>> round(normal_quantile(0.975), 6)
    1.959964
    """
    _check_probability(probability)
    return NormalDist().inv_cdf(probability)


@lru_cache(maxsize=4096)
def student_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t with `freedom` > 0 degrees of freedom, not necessarily whole.

    >>> round(student_quantile(0.975, 4.0), 6)
    2.776445
    """
    _check_probability(probability)
    _check_positive("degrees of freedom", freedom)
    if probability == 0.5:
        return 0.0
    if freedom > MANY:
        z = normal_quantile(probability)
        first = (z**3 + z) / 4
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + first / freedom + second / freedom**2
    # df/(T² + df) is Beta(df/2, 1/2), and its odds are df/T².
    tail = 2 * min(probability, 1 - probability)
    z = normal_quantile(1 - tail / 2)
    start = math.log(freedom / (z + (z**3 + z) / (4 * freedom)) ** 2)
    size = math.sqrt(freedom * math.exp(-_beta_log_odds(tail, freedom / 2, 0.5, start)))
    return size if probability > 0.5 else -size


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, first: float, second: float) -> float:
    """Quantile of the beta distribution with parameters `first`, `second` > 0.

    >>> round(beta_quantile(0.025, 8.0, 3.0), 6)
    0.443905
    """
    _check_probability(probability)
    _check_positive("first parameter", first)
    _check_positive("second parameter", second)
    start = math.log(first / second) + normal_quantile(probability) * math.sqrt(1 / first + 1 / second)
    return 1 / (1 + math.exp(-_beta_log_odds(probability, first, second, start)))


@lru_cache(maxsize=1024)
def chi_square_quantile(probability: float, freedom: float) -> float:
    """Quantile of the chi-square distribution with `freedom` > 0 degrees of freedom.

    >>> round(chi_square_quantile(0.025, 4.0), 6)
    0.484419
    """
    _check_probability(probability)
    _check_positive("degrees of freedom", freedom)
    shape = freedom / 2
    tails = partial(_gamma_tails, shape, -math.lgamma(shape))
    return 2 * math.exp(_solve(tails, probability, math.log(shape), (-700.0, math.log(shape + 50) + 3)))


class Tails(NamedTuple):
    """P(X ≤ x), P(X > x) and the density, on the scale on which a quantile is sought."""

    below: float
    above: float
    rate: float


def _beta_log_odds(probability: float, first: float, second: float, start: float) -> float:
    """The log-odds u of the beta quantile, sought from `start`: P(X ≤ 1/(1 + e^−u)) = probability."""
    tails = partial(_beta_tails, first, second, -_log_beta(first, second))
    return _solve(tails, probability, max(-600.0, min(600.0, start)), (-700.0, 700.0))


def _beta_tails(first: float, second: float, scale: float, u: float) -> Tails:
    """The beta distribution at log-odds u; `scale` is −ln B(first, second)."""
    small = math.exp(-abs(u))
    x, y = (1 / (1 + small), small / (1 + small)) if u >= 0 else (small / (1 + small), 1 / (1 + small))
    rate = math.exp(scale + first * math.log(x) + second * math.log(y))
    if x < (first + 1) / (first + second + 2):
        below = rate * _beta_fraction(first, second, x) / first
        return Tails(below, 1 - below, rate)
    above = rate * _beta_fraction(second, first, y) / second
    return Tails(1 - above, above, rate)


def _gamma_tails(shape: float, scale: float, log_x: float) -> Tails:
    """The gamma distribution with rate one at log_x; `scale` is −ln Γ(shape)."""
    x = math.exp(log_x)
    rate = math.exp(scale + shape * log_x - x)
    if x < shape + 1:
        below = rate * _gamma_series(shape, x)
        return Tails(below, 1 - below, rate)
    above = rate * _gamma_fraction(shape, x)
    return Tails(1 - above, above, rate)


def _solve(tails: Callable[[float], Tails], probability: float, at: float, bracket: tuple[float, float]) -> float:
    """The quantile, by Newton's step where it stays inside the bracket, else by halving; the smaller tail leads."""
    low, high = bracket
    for _ in range(400):
        below, above, rate = tails(at)
        excess = below - probability if probability < 0.5 else (1 - probability) - above
        if excess == 0:
            return at
        if excess < 0:
            low = at
        else:
            high = at
        step = excess / rate if rate > TINY else math.inf
        new = at - step
        if abs(step) <= 1e-8:  # the step squares the error: 1e-16 is left
            return new
        at = new if low < new < high else (low + high) / 2
    return at


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or TINY)
    result = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / ((1 + even * d) or TINY), (1 + even / c) or TINY
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / ((1 + odd * d) or TINY), (1 + odd / c) or TINY
        result *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return result


def _gamma_series(a: float, x: float) -> float:
    """The series of the incomplete gamma function, for x < a + 1."""
    term = total = 1 / a
    n = a
    while abs(term) > PRECISION * total:
        n += 1
        term *= x / n
        total += term
    return total


def _gamma_fraction(a: float, x: float) -> float:
    """The continued fraction of the complementary incomplete gamma function, for x ≥ a + 1, by Lentz's method."""
    b = x + 1 - a
    c, d = 1 / TINY, 1 / (b or TINY)
    result = d
    for i in range(1, 100_000):
        numerator = -i * (i - a)
        b += 2
        d, c = 1 / ((numerator * d + b) or TINY), (b + numerator / c) or TINY
        result *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return result


def _log_beta(a: float, b: float) -> float:
    """ln B(a, b); by Stirling's series where log-gammas are so large that their difference loses digits."""
    small, large = min(a, b), max(a, b)
    if large < 100:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    ratio = math.log1p(small / large)
    rest = _stirling_rest(large) - _stirling_rest(small + large)
    if small < 100:
        return math.lgamma(small) - (large - 0.5) * ratio - small * math.log(small + large) + small + rest
    both = (small - 0.5) * math.log(small / (small + large)) - 0.5 * math.log(small + large)
    return both - (large - 0.5) * ratio + 0.5 * math.log(2 * math.pi) + _stirling_rest(small) + rest


def _stirling_rest(x: float) -> float:
    """ln Γ(x) − ((x − ½) ln x − x + ½ ln 2π), for x ≥ 100."""
    return 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5)


def _check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise InputError(f"A quantile was asked for at probability {probability}; give one strictly between 0 and 1.")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"The {name} of a distribution is {value}; give a positive number.")

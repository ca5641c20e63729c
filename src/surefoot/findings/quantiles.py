"""Quantiles of the distributions that intervals are made of, in double precision and without scipy.

The normal quantile is Wichura's AS 241 (`statistics.NormalDist`). The others solve F(x) = p by Newton steps
kept inside a bracket, on a scale where both tails keep their digits (log-odds for the beta, the logarithm for
the chi-square distribution). F itself is the regularised incomplete beta or gamma function.

Source: Press, Teukolsky, Vetterling & Flannery (2007), Numerical Recipes, 3rd ed., §6.2 and §6.4 (series and
Lentz's continued fractions); Abramowitz & Stegun (1964), 26.7.5 (Student's t with many degrees of freedom).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

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
    # T²/(T² + df) is Beta(1/2, df/2), and its odds are T²/df.
    tail = 2 * min(probability, 1 - probability)
    z = normal_quantile(1 - tail / 2)
    start = math.log((z + (z**3 + z) / (4 * freedom)) ** 2 / freedom)
    size = math.sqrt(freedom * math.exp(_beta_log_odds(tail, 0.5, freedom / 2, start, upper=True)))
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
    return _logistic(_beta_log_odds(probability, first, second, start, upper=False))


@lru_cache(maxsize=1024)
def chi_square_quantile(probability: float, freedom: float) -> float:
    """Quantile of the chi-square distribution with `freedom` > 0 degrees of freedom.

    >>> round(chi_square_quantile(0.025, 4.0), 6)
    0.484419
    """
    _check_probability(probability)
    _check_positive("degrees of freedom", freedom)
    shape = freedom / 2

    def excess(log_x: float) -> float:
        lower, upper = _incomplete_gamma(shape, math.exp(log_x))
        return lower - probability if probability < 0.5 else (1 - probability) - upper

    def slope(log_x: float) -> float:
        return math.exp(shape * log_x - math.exp(log_x) - math.lgamma(shape))

    return 2 * math.exp(_solve(excess, slope, math.log(shape), -700.0, math.log(shape + 50) + 3))


def _beta_log_odds(probability: float, first: float, second: float, start: float, *, upper: bool) -> float:
    """The log-odds u of the beta quantile, sought from `start`: P(X ≤ logistic(u)) = probability, or > if `upper`."""
    scale = -_log_beta(first, second)
    sign = -1.0 if upper else 1.0

    def excess(u: float) -> float:
        below, above = _incomplete_beta(first, second, _logistic(u), _logistic(-u), scale)
        tail = above if upper else below
        if probability < 0.5:
            return sign * (tail - probability)
        return sign * ((1 - probability) - (below if upper else above))

    def slope(u: float) -> float:
        return math.exp(scale + first * math.log(_logistic(u)) + second * math.log(_logistic(-u)))

    return _solve(excess, slope, max(-600.0, min(600.0, start)), -700.0, 700.0)


def _solve(
    excess: Callable[[float], float], slope: Callable[[float], float], at: float, low: float, high: float
) -> float:
    """The root of an increasing function: Newton's step where it stays inside the bracket, else halving."""
    for _ in range(400):
        value = excess(at)
        if value == 0:
            return at
        if value < 0:
            low = at
        else:
            high = at
        rate = slope(at)
        step = value / rate if rate > TINY else math.inf
        new = at - step
        if abs(step) <= 1e-8:  # the step squares the error: 1e-16 is left
            return new
        at = new if low < new < high else (low + high) / 2
    return at


def _incomplete_beta(a: float, b: float, x: float, y: float, scale: float) -> tuple[float, float]:
    """I_x(a, b) and its complement, from x and y = 1 − x; `scale` is −ln B(a, b)."""
    front = math.exp(scale + a * math.log(x) + b * math.log(y))
    if x < (a + 1) / (a + b + 2):
        below = front * _beta_fraction(a, b, x) / a
        return below, 1 - below
    above = front * _beta_fraction(b, a, y) / b
    return 1 - above, above


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, _reciprocal(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = _reciprocal(1 + even * d), _away_from_zero(1 + even / c)
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = _reciprocal(1 + odd * d), _away_from_zero(1 + odd / c)
        result *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return result


def _incomplete_gamma(a: float, x: float) -> tuple[float, float]:
    """P(a, x) and its complement: the series below a + 1, the continued fraction above."""
    front = math.exp(a * math.log(x) - x - math.lgamma(a)) if x > 0 else 0.0
    if x < a + 1:
        term = total = 1 / a
        n = a
        while abs(term) > PRECISION * total:
            n += 1
            term *= x / n
            total += term
        return front * total, 1 - front * total
    b = x + 1 - a
    c, d = 1 / TINY, _reciprocal(b)
    result = d
    for i in range(1, 100_000):
        numerator = -i * (i - a)
        b += 2
        d, c = _reciprocal(numerator * d + b), _away_from_zero(b + numerator / c)
        result *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return 1 - front * result, front * result


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


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _reciprocal(value: float) -> float:
    return 1 / _away_from_zero(value)


def _logistic(u: float) -> float:
    return 1 / (1 + math.exp(-u)) if u >= 0 else math.exp(u) / (1 + math.exp(u))


def _check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise InputError(f"A quantile was asked for at probability {probability}; give one strictly between 0 and 1.")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"The {name} of a distribution is {value}; give a positive number.")

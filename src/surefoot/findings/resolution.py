"""What so many rows can tell: how wide an interval will be, which change will show, and what none seen leaves open.

    half width of an interval   z √(p (1 − p)/n)
    change that shows           the smallest |p₂ − p₁| with |p₂ − p₁| ≥ (z + z_power) √(V/n),
                                V = p₁ (1 − p₁) + p₂ (1 − p₂) − 2ρ √(p₁ (1 − p₁) p₂ (1 − p₂))

z is the normal quantile at (1 + confidence)/2, z_power that at the power, ρ the correlation of a row's two outcomes: 0
for two samples of n rows each, larger for the same rows asked twice, which is why pairs are worth asking.

Source: Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, 3rd ed., §4.2 (without continuity
correction, and with the variance that the change itself implies); for none seen, Hanley & Lippman-Hand (1983), JAMA
249, 1743–1745.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.findings.intervals import check_confidence
from surefoot.findings.quantiles import normal_quantile

__all__ = ["Resolution", "most_unseen", "resolution"]


class Resolution(NamedTuple):
    """half_width: of an interval of one share. fall, rise: the smallest change that would show; None where even a fall
    to 0, or a rise to 1, would not."""

    half_width: float
    fall: float | None
    rise: float | None


def resolution(
    count: int, proportion: float, *, correlation: float = 0.0, confidence: float = 0.95, power: float = 0.8
) -> Resolution:
    """What `count` independent rows can tell of a share of about `proportion`.

    Raises `InputError` for no rows, and a proportion, correlation or power outside its range.

    >>> found = resolution(250, 0.95)
    >>> round(found.half_width, 3), round(found.fall, 3), round(found.rise, 3)
    (0.027, 0.069, 0.042)
    >>> resolution(25, 0.95).rise is None
    True
    """
    check_confidence(confidence)
    if count < 1 or not 0 <= proportion <= 1 or not -1 <= correlation <= 1 or not 0 < power < 1:
        raise InputError(
            f"The resolution of {count} rows at a proportion of {proportion}, a correlation of {correlation} and a "
            f"power of {power} was asked for; give 1 row or more, a proportion in [0, 1], a correlation in [−1, 1] and "
            "a power in (0, 1)."
        )
    z = normal_quantile((1 + confidence) / 2)
    needed = z + normal_quantile(power)
    own = proportion * (1 - proportion)

    def shows(other: float) -> bool:
        its = other * (1 - other)
        variance = max(0.0, own + its - 2 * correlation * math.sqrt(own * its))
        return abs(other - proportion) >= needed * math.sqrt(variance / count)

    return Resolution(z * math.sqrt(own / count), _least(shows, proportion, 0.0), _least(shows, proportion, 1.0))


def most_unseen(count: int, confidence: float = 0.95) -> float:
    """The rate that an event may have which none of `count` independent rows shows: 1 − (1 − confidence)^(1/n) ≈ 3/n.

    One-sided: a larger rate would have shown itself with probability `confidence` or more. The upper end of a two-sided
    interval at 95 % is 3.7/n.

    >>> round(most_unseen(250), 5), 3 / 250
    (0.01191, 0.012)
    """
    check_confidence(confidence)
    if count < 1:
        raise InputError(f"Nothing was seen in {count} rows, which is no evidence; give one row or more.")
    return -math.expm1(math.log1p(-confidence) / count)


def _least(shows: Callable[[float], bool], start: float, end: float) -> float | None:
    """The smallest distance from `start`, towards `end`, that shows, by halving; None where none of them does."""
    if start == end or not shows(end):
        return None
    near, far = start, end
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (near, middle) if shows(middle) else (middle, far)
    return abs(far - start)

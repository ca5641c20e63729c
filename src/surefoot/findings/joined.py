"""The interval of a difference of two estimates that have intervals of their own, and may vary together.

    low  = θ̂₁ − θ̂₂ − √((θ̂₁ − l₁)² + (u₂ − θ̂₂)² − 2ρ (θ̂₁ − l₁)(u₂ − θ̂₂))
    high = θ̂₁ − θ̂₂ + √((u₁ − θ̂₁)² + (θ̂₂ − l₂)² − 2ρ (u₁ − θ̂₁)(θ̂₂ − l₂))

Each end is as far away as the two that matter for it, so lopsided intervals stay lopsided.

Source: Zou & Donner (2008), Statistics in Medicine 27, 1693–1702 (MOVER, the method of variance estimates recovery).
"""

import math
from typing import NamedTuple

__all__ = ["Ends", "joined_difference"]


class Ends(NamedTuple):
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


def joined_difference(plus: Ends, minus: Ends, correlation: float = 0.0) -> Ends:
    """`plus` − `minus`, whose errors have this `correlation`, cut to [−1, 1].

    >>> change = joined_difference(Ends(0.8, 0.7, 0.86), Ends(0.5, 0.4, 0.6))
    >>> round(change.value, 2), round(change.low, 3), round(change.high, 3)
    (0.3, 0.159, 0.417)
    """
    rho = min(1.0, max(-1.0, correlation))
    value = plus.value - minus.value
    below = _apart(plus.value - plus.low, minus.high - minus.value, rho)
    above = _apart(plus.high - plus.value, minus.value - minus.low, rho)
    return Ends(value, value - below, value + above)


def _apart(one: float, other: float, rho: float) -> float:
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * rho * one * other))

"""What a measurement could have shown: how far from a bound the truth must lie for so few rows to tell, at a power.

    worth n rows          the n for which Wilson's interval of the same share is as wide as the finding's own
    a claim p ≤ b passes  where Wilson's upper end on n rows is b or less: with X ≤ k right ones, k the largest such
    least difference      b − p,  P(X ≤ k | n, p) = power, that is p the (1 − power) quantile of Beta(k + 1, n − k)
    least change          (z + z_power)/z times half the width of the change's own interval

A claim p ≥ b is the first about 1 − p. Clustered rows are worth fewer than there are (`intervals.effective_rows`), and
a share that was corrected for a judge's errors fewer still; both are read off the interval that is on the card.

Sources: Clopper & Pearson (1934), Biometrika 26, 404–413, for the beta quantile; Bloom (1995), "Minimum detectable
effects", Evaluation Review 19, 547–556, for the multiple of a standard error.
"""

import math

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import check_confidence, wilson
from surefoot.findings.quantiles import beta_quantile, normal_quantile

__all__ = ["POWER", "least_change", "least_difference", "worth_rows"]

POWER = 0.8
"""How often a difference of that size is to show."""
MOST = 1e9


def worth_rows(finding: Finding) -> float | None:
    """How many independent rows would give this share as wide an interval; None without an interval.

    >>> interval = wilson(8.0, 10.0, 0.95)
    >>> found = Finding("safe", 0.8, interval, 10, 10, "proportion", "all", "higher", "model", "judge")
    >>> round(worth_rows(found), 6)
    10.0
    """
    interval = finding.interval
    if interval is None:
        return None
    value, wide = min(max(finding.value, 0.0), 1.0), interval.high - interval.low

    def width(rows: float) -> float:
        own = wilson(value * rows, rows, interval.confidence)
        return own.high - own.low

    if width(1.0) <= wide:
        return 1.0
    low, high = 0.0, math.log(MOST)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if width(math.exp(middle)) > wide else (low, middle)
    return math.exp(high)


def least_difference(
    rows: float, *, at_most: float | None = None, at_least: float | None = None, confidence: float = 0.95,
    power: float = POWER,
) -> float | None:  # fmt: skip
    """How far on the claimed side of a bound a share must truly be for its claim to pass with probability `power`.

    rows: that it is measured on, or is worth; a part of a row counts for nothing. None where no result of so few rows
    would pass. Raises `InputError` unless one bound in [0, 1] is given, with a row or more and a power in (0, 1).

    >>> round(least_difference(10.0, at_most=0.5), 3)  # passes with 1 of 10 or none: P(X ≤ 1 | p = .083) = .8
    0.417
    >>> least_difference(10.0, at_least=0.5) == least_difference(10.0, at_most=0.5), least_difference(10.0, at_most=0.2)
    (True, None)
    """
    check_confidence(confidence)
    given = [each for each in (at_most, at_least) if each is not None]
    if len(given) != 1 or not 0 <= given[0] <= 1 or not rows >= 1 or not 0 < power < 1:
        raise InputError(
            f"The least difference from {at_most} (at most) or {at_least} (at least) on {rows} rows at a power of "
            f"{power} was asked for; give one bound in [0, 1], 1 row or more, and a power in (0, 1)."
        )
    count = math.floor(rows + 1e-6)
    bound = at_most if at_most is not None else 1 - given[0]
    if wilson(0.0, float(count), confidence).high > bound:
        return None
    low, high = 0, count + 1  # the largest number of right rows that passes is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wilson(float(middle), float(count), confidence).high <= bound else (low, middle)
    if low == count:
        return 0.0
    return bound - float(beta_quantile(1 - power, low + 1.0, float(count - low)))


def least_change(finding: Finding, power: float = POWER) -> float | None:
    """The smallest true change that an interval as wide as this one would tell from none.

    None without an interval, and where a share would have to change by more than all of it. Raises `InputError` for a
    power outside (0, 1).

    >>> from surefoot.findings.finding import Interval
    >>> change = Finding("safe", 0.1, Interval(0.0, 0.2, 0.95, ""), 90, 90, "proportion", "all", "higher", "b − a", "")
    >>> round(least_change(change), 4)  # 0.1 · (1.96 + 0.8416)/1.96
    0.1429
    """
    if not 0 < power < 1:
        raise InputError(f"A power of {power} was asked for; give one in (0, 1).")
    if finding.interval is None:
        return None
    z = normal_quantile((1 + finding.interval.confidence) / 2)
    least = (finding.interval.high - finding.interval.low) / 2 * (z + normal_quantile(power)) / z
    return None if finding.unit == "proportion" and least > 1 else least

"""Confidence intervals for proportions, means and the worst of several groups; `differences` has paired changes.

Proportions of independent rows have Wilson's score interval and Clopper & Pearson's exact one. A clustered
proportion has the same interval on an *effective* number of rows (Korn & Graubard 1998): as many independent rows as
would give the variance that `clustering` finds, never more than there are rows; where no row, or every row, is
right, as many as there are clusters. So it stays inside [0, 1], never shrinks to a point, and is plain Wilson
when rows are independent and there is one seed.

**The worst group.** Let θ = min_g θ_g, L_g a lower end that fails (L_g > θ_g) with probability at most α/2 and U_g an
upper end that fails with probability at most α/(2K), K groups. Then [min L_g, min U_g] covers θ with probability at
least 1 − α, however the groups depend on one another:
(low) let w be a worst group, fixed; min_g L_g ≤ L_w ≤ θ_w = θ unless L_w fails: at most α/2.
(high) unless one of K upper ends fails, all U_g ≥ θ_g ≥ θ, so min_g U_g ≥ θ: at most K · α/(2K) = α/2.
No bootstrap is used: it is inconsistent for a minimum where groups tie (Andrews 2000, Econometrica 68).

Sources: Wilson (1927), JASA 22; Clopper & Pearson (1934), Biometrika 26; Korn & Graubard (1998), Survey Methodology
24.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from surefoot.errors import InputError
from surefoot.findings.clustering import Spread, reach_of
from surefoot.findings.finding import Interval
from surefoot.findings.quantiles import beta_quantile, chi_square_quantile, normal_quantile, student_quantile
from surefoot.findings.rare import shift

__all__ = [
    "check_confidence",
    "clopper_pearson",
    "effective_rows",
    "mean_interval",
    "minimum_interval",
    "proportion_interval",
    "spread_interval",
    "wilson",
]

EFFECTIVE = "on as many independent rows as the clusters and seeds are worth"


def wilson(successes: float, count: float, confidence: float) -> Interval:
    """Wilson's score interval for `successes` of `count` independent rows (fractions are allowed).

    Close to nominal on average. Where the expected number of errors (or successes) is below one it can miss more
    often, always by calling a proportion next to 0 or 1 less extreme than it is; `clopper_pearson` never does.

    Source: Wilson (1927), JASA 22, 209–212; Brown, Cai & DasGupta (2001), Statistical Science 16, 101–133.

    >>> interval = wilson(8.0, 10.0, 0.95)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4902, 0.9433)
    """
    _check(successes, count, confidence)
    z2 = normal_quantile((1 + confidence) / 2) ** 2
    p = successes / count
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (p * (1 - p) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == count else min(1.0, centre + half)
    return Interval(low, high, confidence, "Wilson score")


def clopper_pearson(successes: float, count: float, confidence: float) -> Interval:
    """Clopper and Pearson's exact interval: each end fails with probability at most (1 − confidence)/2.

    Source: Clopper & Pearson (1934), Biometrika 26, 404–413, in beta quantiles.

    >>> interval = clopper_pearson(8.0, 10.0, 0.95)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4439, 0.9748)
    """
    _check(successes, count, confidence)
    tail = (1 - confidence) / 2
    failures = count - successes
    low = 0.0 if successes <= 0 else beta_quantile(tail, successes, failures + 1)
    high = 1.0 if failures <= 0 else beta_quantile(1 - tail, successes + 1, failures)
    return Interval(low, high, confidence, "Clopper–Pearson")


def proportion_interval(of: Spread, confidence: float, *, exact: bool = False) -> Interval:
    """The interval of a proportion or a weighted mean of proportions: Wilson's, or Clopper–Pearson's if `exact`."""
    count = effective_rows(of, confidence)
    plain = len(of.parts) == 1 and len(of.per_seed) == 1
    value = min(max(of.value, 0.0), 1.0)
    interval = (clopper_pearson if exact else wilson)(value * count, count, confidence)
    method = interval.method if plain else f"{interval.method} {EFFECTIVE}"
    return Interval(interval.low, interval.high, confidence, method)


def effective_rows(of: Spread, confidence: float) -> float:
    """How many independent rows would give as wide an interval for this proportion; never more than there are.

    n* = n · t²_{n−1} · p(1 − p)/(n − 1) / Σ t²·V (Korn & Graubard 1998, with degrees of freedom on both sides).
    Where p is 0 or 1 the variance is no evidence, and n* is the effective number of clusters, the fewest of any way.
    A slice that is one single cluster counts as one row.
    """
    if not of.known:
        return 1.0
    p = of.value
    if p * (1 - p) < 1e-12:
        return min(of.rows, of.effective)
    reach = reach_of(of, confidence).squared
    reference = student_quantile((1 + confidence) / 2, of.parts[0].freedom) ** 2 * p * (1 - p)
    if reach * (of.rows - 1) <= reference * (1 + 1e-9):
        return of.rows
    return reference / reach * of.rows / (of.rows - 1)


def mean_interval(of: Spread, confidence: float, *, low: float = -math.inf, high: float = math.inf) -> Interval | None:
    """Student's interval for a linear estimate, with its skewness removed; None where its spread is unknown.

    Losses are skewed: a few rows cost most of them, and a symmetric interval misses above. Hall's cubic transformation
    g(T) = T + κT²/3 + κ²T³/27 + κ/6 of the studentised mean, κ the skewness of the mean, is nearly symmetric; its
    inverse moves the ends. The interval is cut to the possible range [low, high].

    Where the range is finite (the Brier score), rows too rare to be in the sample can move the mean no farther than to
    the end of the range times the rate that an event may have without being seen, 2c (see `rare`): each end reaches at
    least as far, mean + 2c (high − mean) and mean − 2c (mean − low).

    It covers less than stated where the sample cannot know: unbounded losses of rows too rare to be in it, and fewer
    than about ten clusters (.88 to .93 where .95 is stated, for an accuracy of .99 and five clusters; docs/LOG.md).

    Source: Hall (1992), J. R. Statist. Soc. B 54, 221–228.
    """
    if not of.known:
        return None
    reach = reach_of(of, confidence, rare_rows=True)
    if reach.squared <= 0:
        return None
    scale = math.sqrt(reach.variance)
    t = math.sqrt(reach.squared) / scale
    skewness = reach.third / scale**3
    ends = of.value - scale * _unskewed(t, skewness), of.value - scale * _unskewed(-t, skewness)
    method = "Student's t, cluster-robust, skewness removed"
    if math.isfinite(low) and math.isfinite(high):
        unseen = min(1.0, 2 * shift(of, confidence))
        ends = min(ends[0], of.value - unseen * (of.value - low)), max(ends[1], of.value + unseen * (high - of.value))
        method = f"{method}, unseen losses allowed for"
    return Interval(max(low, ends[0]), min(high, ends[1]), confidence, method)


def minimum_interval(parts: Sequence[Callable[[float], Interval]], confidence: float) -> Interval:
    """The interval of the smallest of several quantities; see the proof in the module's text.

    Each part gives its quantity's two-sided interval at a confidence, whose ends each fail with half the rest.

    >>> group = lambda right: lambda confidence: clopper_pearson(right, 100.0, confidence)
    >>> interval = minimum_interval([group(70.0), group(95.0)], 0.95)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.6, 0.798)
    """
    if not parts:
        raise InputError("The minimum over groups was asked for without any group; name at least one.")
    low = min(part(confidence).low for part in parts)
    high = min(part(1 - (1 - confidence) / len(parts)).high for part in parts)
    method = parts[0](confidence).method
    return Interval(low, high, confidence, f"smallest of {len(parts)} groups, Bonferroni above: {method}")


def spread_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Interval of a standard deviation (n − 1 below) from independent, roughly normal `values`.

    Of accuracies by seed it holds the luck of single rows too: two equally good trainings err on rows of their own.

    (n − 1) s²/σ² is chi-square with n − 1 degrees of freedom. None with fewer than two values or no spread at all.
    Source: Casella & Berger (2002), Statistical Inference, 2nd ed., §9.2.
    """
    if len(values) < 2 or max(values) == min(values):
        return None
    freedom = len(values) - 1.0
    squares = freedom * float(np.var(values, ddof=1))
    tail = (1 - confidence) / 2
    return Interval(
        math.sqrt(squares / chi_square_quantile(1 - tail, freedom)),
        math.sqrt(squares / chi_square_quantile(tail, freedom)),
        confidence,
        "chi-square over seeds, the luck of single rows included",
    )


def check_confidence(confidence: float) -> None:
    """Raise `InputError` unless `confidence` is strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"The confidence is {confidence}; give one strictly between 0 and 1, such as 0.95.")


def _unskewed(y: float, skewness: float) -> float:
    """The inverse of Hall's transformation at y."""
    if abs(skewness) < 1e-9:
        return y
    return 3 / skewness * (math.cbrt(1 + skewness * (y - skewness / 6)) - 1)


def _check(successes: float, count: float, confidence: float) -> None:
    if not (count > 0 and 0 <= successes <= count * (1 + 1e-12)):
        raise InputError(
            f"{successes:g} successes of {count:g} make no proportion; give 0 ≤ successes ≤ count, count > 0."
        )
    check_confidence(confidence)

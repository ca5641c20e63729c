"""Confidence intervals for a difference of two proportions measured on the same rows, and for the worst groups'.

**One difference.** δ = p − q: of rows gained and rows lost (a paired change of accuracy), or of one group after and
another before. The sample's own spread, t²V, misleads where few rows differ: with no row gained among n it sees none,
and with two it takes their rate for known. Wilson's ends of p and q each know better, and Newcombe's way joins them
(MOVER, Zou & Donner 2008): high = δ̂ + √((u_p − p̂)² + (q̂ − l_q)² − 2·cov). Written with V(δ̂) itself, which holds the
covariance of rows, clusters and seeds whatever it is:

    half above² = Σt²V(δ̂) + 2c_p² + 2c_q² + 2 s_p r_p − 2 s_q r_q        s = c (1 − 2·proportion),  r = √(t²V + c²)

and half below² with p and q exchanged; s² is rounded up to c², and Wilson's shrinking by 1 + 2c is left out: a little
wider in few rows. c is the `shift` of `rare`: with nothing gained or lost the interval is ±t²/n, where the exact limit
is 3.7/n and one discordant pair, added as Agresti & Min (2005) do, gives 1.96/n. Over a grid of gains and losses from
.1 to 40 expected rows of 20 to 2,000 it covers .954 and more (docs/LOG.md).

**The worst group after, minus the worst group before.** The difference is δ = min_g max_h δ_gh with
δ_gh = after_g − before_h, which is max_h min_g δ_gh as well. Each δ_gh is a difference of means with ends L_gh, U_gh
that fail with probability at most α/(2K). Then [min_g max_h L_gh, max_h min_g U_gh] covers δ with probability at
least 1 − α:
(low) let w be worst after; min_g max_h L_gh ≤ max_h L_wh ≤ max_h δ_wh = δ unless one of the K ends L_wh fails.
(high) let v be worst before; max_h min_g U_gh ≥ min_g U_gv ≥ min_g δ_gv = δ unless one of the K ends U_gv fails.

Sources: Newcombe (1998), Statistics in Medicine 17, 2635–2650 (method 10); Zou & Donner (2008), Statistics in Medicine
27, 1693–1702; Wilson (1927), JASA 22.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from surefoot.findings.clustering import Spread, reach_of
from surefoot.findings.finding import Interval
from surefoot.findings.quantiles import student_quantile
from surefoot.findings.rare import rows_variance, shift

__all__ = ["change_interval", "minimum_difference_interval"]

METHOD = "Wilson's ends of both sides joined (Newcombe), cluster-robust"


def change_interval(of: Spread, plus: Spread, minus: Spread, confidence: float, *, paired: bool = True) -> Interval:
    """The interval of `of` = `plus` − `minus`, both proportions or weighted means of proportions; see the module.

    `paired`: both are shares of the same rows (gained and lost), and rows count for them as they count for the
    difference; otherwise each has rows of its own. [−1, 1] where nothing is known of the spread.
    """
    if not of.known:
        return Interval(-1.0, 1.0, confidence, METHOD)
    p, q = (_wilson(each, shift(of if paired else each, confidence), confidence) for each in (plus, minus))
    least = p.square + q.square
    squared = reach_of(of, confidence).squared + 2 * least
    above = math.sqrt(max(least, squared + p.lean - q.lean))
    below = math.sqrt(max(least, squared + q.lean - p.lean))
    return Interval(max(-1.0, of.value - below), min(1.0, of.value + above), confidence, METHOD)


def minimum_difference_interval(pair: Callable[[int, int, float], Interval], count: int, confidence: float) -> Interval:
    """The interval of min_g after_g − min_h before_h; see the proof in the module's text.

    `pair(g, h, confidence)` gives the two-sided interval of after_g − before_h; there are `count` groups. Few of the
    pairs are asked for when the groups are numbered from the worst, before (h) and after (g).
    """
    each = 1 - (1 - confidence) / count

    @cache
    def ends(g: int, h: int) -> Interval:
        return pair(g, h, each)

    low = _min_of_max(lambda g, h: ends(g, h).low, count)
    high = -_min_of_max(lambda h, g: -ends(g, h).high, count)
    return Interval(low, high, confidence, f"worst groups, Bonferroni over {count}: {ends(0, 0).method}")


class _Wilson(NamedTuple):
    """What Wilson's interval of one proportion adds: c² on both sides, and 2 s r on the side of larger proportions."""

    square: float
    lean: float


def _wilson(of: Spread, c: float, confidence: float) -> _Wilson:
    t = student_quantile((1 + confidence) / 2, of.parts[0].freedom)
    reach = math.sqrt(t**2 * rows_variance(of) + c**2)
    return _Wilson(c**2, 2 * c * (1 - 2 * min(max(of.value, 0.0), 1.0)) * reach)


def _min_of_max(of: Callable[[int, int], float], count: int) -> float:
    """min over i of max over j of `of(i, j)`; a row is left as soon as it cannot be the smallest."""
    smallest = math.inf
    for i in range(count):
        largest = -math.inf
        for j in range(count):
            largest = max(largest, of(i, j))
            if largest >= smallest:
                break
        smallest = min(smallest, largest)
    return smallest

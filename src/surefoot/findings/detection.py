"""Telling rows from elsewhere by a score: the area under the ROC curve, and what is let in at a given rate.

Scores rank how strange a row seems: a predictive entropy, a mutual information, one minus the largest probability.
Larger is stranger. `inside` are scores of rows like those of training, `outside` of rows from elsewhere.

**AUROC** = P(S_out > S_in) + ½ P(S_out = S_in), over all pairs. With V_i the share of inside rows below outside row i,
ties half, and V_j the share of outside rows above inside row j, both of mean AUROC, the estimate moves as mean_i V_i +
mean_j V_j − AUROC: a sum of two slice means (DeLong's), whose clustered variance is Obuchowski's when clusters hold
rows of both sides, as corrupted copies of inside rows do. Its interval is Wilson's on as many independent pairs as
would have this variance; where no pair, or every pair, is in order, as the smaller side has clusters.

**False positive rate at a true positive rate.** As in the literature on this task the *inside* rows are the positives:
the threshold is the smallest score at which 95 % of inside rows are let in, and the rate is the share of outside rows
let in too. Lower is better. The interval takes the luck of the threshold in: its exact limits are the thresholds that a
test of "95 % of inside rows are let in" does not reject, with half of what may fail; at each limit the outside rows
have their own exact interval, with the other half. By Bonferroni's inequality it covers, and covers more than stated.

Sources: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44; Obuchowski (1997), Biometrics 53; Hendrycks & Gimpel
(2017), ICLR; Liang, Li & Srikant (2018), ICLR, §4.3 (false positive rate at 95 % true positive rate).
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, Spread, cluster_design, fewest_clusters, influence, reach_of, spread
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import EFFECTIVE, check_confidence, proportion_interval, wilson
from surefoot.findings.quantiles import normal_quantile

__all__ = ["Detection", "auroc", "detection", "false_positive_rate"]

Reals: TypeAlias = NDArray[np.float64]
Members: TypeAlias = NDArray[np.bool_]


class Detection(NamedTuple):
    """How well a score tells outside rows from inside rows."""

    auroc: Finding
    false_positive_rate: Finding


def auroc(inside: Reals, outside: Reals) -> float:
    """P(outside > inside) + ½ P(equal); one half for scores that tell nothing.

    >>> auroc(np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.4]))
    0.9166666666666667
    """
    return float(_placements(inside, outside).mean())


def false_positive_rate(inside: Reals, outside: Reals, rate: float = 0.95) -> float:
    """The share of outside rows let in where at least `rate` of the inside rows are; ties are let in together.

    >>> false_positive_rate(np.arange(20.0), np.array([5.0, 18.0, 19.0, 30.0]))
    0.5
    """
    return float((outside <= _threshold(inside, rate)).mean())


def detection(
    inside: Float[Tensor, "inside"],
    outside: Float[Tensor, "outside"],
    *,
    subject: str,
    source: str,
    slice_: str = "all",
    clusters: tuple[Int[Tensor, "_ ways"], Int[Tensor, "_ ways"]] | None = None,
    rate: float = 0.95,
    confidence: float = 0.95,
) -> Detection:
    """`ood_auroc` (higher is better) and `ood_fpr_at_95_tpr` (lower) of one score, with intervals.

    slice_: what the outside rows are. clusters: which rows hang together, numbered alike on both sides; every row
    stands alone without them. count: the rows of the smaller side; clusters: the fewest of either.

    Raises `InputError` for no rows on a side, scores that are NaN, clusters of other rows, and a rate outside (0, 1).
    """
    check_confidence(confidence)
    sides = _sides(inside, outside, clusters)
    count, fewest = min(len(inside), len(outside)), min(sides.fewest(sides.inside), sides.fewest(sides.outside))
    percent = f"{100 * rate:g}".replace(".", "_")
    area = _area(sides)
    base = Finding(
        name="ood_auroc",
        value=area.value,
        interval=_area_interval(area, len(sides.scores), confidence),
        count=count,
        clusters=fewest,
        unit="proportion",
        slice=slice_,
        direction="higher",
        subject=subject,
        source=source,
    )
    let_in = replace(
        base,
        name=f"ood_fpr_at_{percent}_tpr",
        value=false_positive_rate(sides.scores[sides.inside], sides.scores[sides.outside], rate),
        interval=_rate_interval(sides, rate, confidence),
        direction="lower",
    )
    return Detection(base, let_in)


@dataclass(frozen=True)
class _Sides:
    """All rows, inside ones first, and how they hang together."""

    scores: Reals
    inside: Members
    outside: Members
    design: Design

    def fewest(self, members: Members) -> int:
        return fewest_clusters(self.design, members)

    def share(self, members: Members, yes: Members) -> Spread:
        """The share of `members` for which `yes` holds."""
        return spread(self.design, [(1.0, influence(self.design, members, yes.astype(np.float64)[None]))])


def _sides(inside: Tensor, outside: Tensor, clusters: tuple[Tensor, Tensor] | None) -> _Sides:
    scores = torch.cat([inside.double(), outside.double()]).numpy()
    _check(scores[: len(inside)], scores[len(inside) :])
    if clusters is None:
        numbers = torch.arange(len(scores))[:, None]
    elif len(clusters[0]) != len(inside) or len(clusters[1]) != len(outside):
        raise InputError(
            f"There are scores of {len(inside)} inside and {len(outside)} outside rows and clusters of "
            f"{len(clusters[0])} and {len(clusters[1])}; give one for every row."
        )
    else:
        numbers = torch.cat(clusters)
    first = np.arange(len(scores)) < len(inside)
    return _Sides(scores, first, ~first, cluster_design(numbers.numpy()))


def _area(sides: _Sides) -> Spread:
    """The area and the pieces of its variance."""
    inside, outside = sides.scores[sides.inside], sides.scores[sides.outside]
    value = auroc(inside, outside)
    places = np.concatenate([_placements(-outside, -inside), _placements(inside, outside)])[None]
    terms = [(1.0, influence(sides.design, members, places)) for members in (sides.inside, sides.outside)]
    return replace(spread(sides.design, terms), value=value, per_seed=np.array([value]))


def _area_interval(of: Spread, rows: int, confidence: float) -> Interval:
    """Wilson's interval on the pairs' worth; see the module's text."""
    p = min(max(of.value, 0.0), 1.0)
    squared = reach_of(of, confidence, rare_rows=True).squared
    if not of.known:
        count = 1.0
    elif p * (1 - p) < 1e-12 or squared <= 0:
        count = min(of.rows, of.effective)
    else:
        count = min(float(rows), normal_quantile((1 + confidence) / 2) ** 2 * p * (1 - p) / squared)
    found = wilson(p * count, count, confidence)
    return replace(found, method=f"{found.method} {EFFECTIVE}, of DeLong's variance")


def _rate_interval(sides: _Sides, rate: float, confidence: float) -> Interval:
    """Exact limits of the threshold, then of the share at each; see the module's text."""
    half = 1 - (1 - confidence) / 2
    inside = np.unique(sides.scores[sides.inside])

    def let_in(threshold: float, members: Members) -> Interval:
        return proportion_interval(sides.share(members, sides.scores <= threshold), half, exact=True)

    # The share let in grows with the threshold, and so do both ends of its interval.
    low = _first(len(inside), lambda at: let_in(inside[at], sides.inside).high >= rate) - 1
    high = _first(len(inside), lambda at: let_in(inside[at], sides.inside).low >= rate)
    return Interval(
        0.0 if low < 0 else let_in(inside[low], sides.outside).low,
        1.0 if high == len(inside) else let_in(inside[high], sides.outside).high,
        confidence,
        "Clopper–Pearson at exact limits of the threshold, Bonferroni",
    )


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of `count` places at which something holds that holds from there on; `count` if nowhere."""
    return bisect_left(range(count), True, key=holds)


def _placements(inside: Reals, outside: Reals) -> Reals:
    """The share of inside scores below each outside score, ties half."""
    ordered = np.sort(inside)
    below, upto = (np.searchsorted(ordered, outside, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(inside))


def _threshold(inside: Reals, rate: float) -> float:
    if not 0 < rate < 1:
        raise InputError(f"The true positive rate is {rate}; give one strictly between 0 and 1, such as 0.95.")
    # What rounding adds to rate · n must not move the threshold by one row.
    return float(np.sort(inside)[math.ceil(rate * len(inside) * (1 - 1e-12)) - 1])


def _check(inside: Reals, outside: Reals) -> None:
    if not len(inside) or not len(outside):
        raise InputError(f"There are {len(inside)} inside and {len(outside)} outside rows; give at least one of each.")
    if np.isnan(inside).any() or np.isnan(outside).any():
        raise InputError("Some scores are NaN, which ranks nothing; mend the model's outputs.")

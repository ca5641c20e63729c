"""How many independent rows, clusters and seeds would decide a claim that is undecided.

A half-width falls with the square root of the evidence: of the clusters, and of the seeds where there are several.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from surefoot.card.words import evidence
from surefoot.findings.finding import Finding

__all__ = ["Needed", "needed_for"]

ON_THE_BOUND = 1e-9
"""A value this close to its bound is on it: no number of rows is sure to decide."""
WORST = "worst_group_accuracy"


class Needed(NamedTuple):
    """Clusters that would decide, and the sentence that says so."""

    clusters: int
    sentence: str


def needed_for(finding: Finding, bound: float, findings: Sequence[Finding]) -> Needed | None:
    """What would decide whether `finding` is beyond `bound`; None where the value lies on it.

    A worst group that seems good enough is held up by whichever group may still lie below the bound, often a small one
    and seldom the one with the lowest value: that group is named, from the accuracies by group among `findings`.
    """
    assert finding.interval is not None
    if abs(finding.value - bound) <= ON_THE_BOUND:
        return None
    binding = [(finding, _times(finding.value, bound, finding.interval.low, finding.interval.high))]
    if finding.name == WORST and finding.value > bound:
        groups = [
            (each, _times(each.value, bound, each.interval.low, each.interval.high))
            for each in findings
            if (each.subject, each.name) == (finding.subject, "accuracy")
            and each.slice != "all"
            and each.interval is not None
            and each.interval.confidence == finding.interval.confidence
            and each.value > bound > each.interval.low
        ]
        lowest = min((each for each, _ in groups), key=lambda each: _low(each), default=None)
        if lowest is not None:  # the worst group's own end, which is exact, in place of the group's
            exact = _times(lowest.value, bound, finding.interval.low, finding.interval.high)
            groups.append((lowest, exact))
        binding = groups or binding
    of, times = max(binding, key=lambda each: each[1])
    clusters = max(of.clusters + 1, math.ceil(of.clusters * times))
    return Needed(clusters, _sentence(of, clusters, "" if of is finding else f" of “{of.slice}”"))


def _low(finding: Finding) -> float:
    return math.inf if finding.interval is None else finding.interval.low


def _times(value: float, bound: float, low: float, high: float) -> float:
    """How many times the evidence would shrink the half-width that faces the bound to the distance from it."""
    half_width = value - low if value > bound else high - value
    return (half_width / (value - bound)) ** 2


def _sentence(finding: Finding, needed: int, whose: str) -> str:
    """What would decide, and what there is. Seeds are spread of their own: they must grow with the clusters."""
    seeds = len(finding.per_seed)
    if seeds < 2:
        there = f"{finding.clusters:,} {'was' if finding.clusters == 1 else 'were'} judged"
        return f"About {needed:,} independent {evidence(finding)}s{whose} would decide it; {there}."
    more = math.ceil(seeds * needed / finding.clusters)
    return (
        f"About {needed:,} independent {evidence(finding)}s{whose} with {more:,} training seeds would decide it; there "
        f"were {finding.clusters:,} with {seeds:,}."
    )

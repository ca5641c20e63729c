"""Do two numbers order candidates alike?

Of n candidates with numbers x and y, s_ij = sign(x_i − x_j), t_ij = sign(y_i − y_j):

    Kendall's τ_b   Σ_ij s_ij t_ij / √(Σ_ij s_ij² Σ_ij t_ij²)
    Spearman's ρ    the correlation of mid-ranks, r_i = (n + 1)/2 + ½ Σ_j s_ij

Ties have mid-ranks in one, and count for neither order in the other. With several training seeds the number is the mean
over seeds of each seed's correlation.

**Intervals** come of drawing candidates with replacement, each with all of its seeds: the candidates that were tried
stand for others of their kind. Ends are bias-corrected and accelerated (BCa). Where the order is perfect every resample
is as well, and would say that nothing is unknown; there the inner end is that of Fisher's transformation, with half a
swap of two neighbours taken off and standard errors of Bonett & Wright (2000), for ρ, and of Fieller, Hartley & Pearson
(1957), for τ. How often they cover is in tests/findings/test_ranks.py.

**Two numbers against the same third** (does one order candidates better?) have the difference of their correlations,
resampled together: candidates that are hard for one are mostly hard for the other, so that intervals of both may
overlap where that of the difference is far from zero. Of fewer than ten candidates two good numbers are too often of
one order, so that no resample tells them apart (64 to 80 % would cover where 95 % is stated): there, and wherever all
candidates tried are in one order by both, no interval is given.

Sources: Kendall (1945), Biometrika 33; Efron (1987), J. Am. Stat. Assoc. 82, eqs. 2.3 and 6.6; Bonett & Wright (2000),
Psychometrika 65; Fieller, Hartley & Pearson (1957), Biometrika 44.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence
from surefoot.findings.rank_orders import (
    Correlation,
    accelerated_ends,
    below_perfect,
    order_correlations,
    sign_orders,
)
from surefoot.findings.slices import with_note

__all__ = [
    "Correlation",
    "rank_correlation",
    "rank_correlation_difference",
]

METHOD = "BCa bootstrap of candidates, each with its seeds"
FEWEST = 5
FEWEST_OF_DIFFERENCE = 10
"""Candidates without which there is no interval."""
PERFECT = 1 - 1e-12
"""A correlation from which all candidates are in order."""


def rank_correlation(
    first: Float[Tensor, "candidates *seeds"],
    second: Float[Tensor, "others *other_seeds"],
    kind: Correlation = "spearman",
    *,
    subject: str,
    source: str,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Finding:
    """`spearman_correlation` or `kendall_correlation` of two numbers of each candidate, with an interval.

    first, second: one number for each candidate, or one for each of its seeds; what has one beside several has the same
    for all. Turn signs beforehand, so that larger is better in both (or in neither). `per_seed` has each seed's own.

    Fewer than five candidates have no interval, which is noted. Raises `InputError` for fewer than two, another number
    of candidates or seeds, a value that is NaN, and where all candidates have the same value.

    >>> evidence = torch.tensor([-9.0, -7.0, -8.0, -3.0, -4.0, -1.0])
    >>> accuracy = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    >>> found = rank_correlation(evidence, accuracy, subject="evidence ~ accuracy", source="judge")
    >>> found.name, round(found.value, 4), found.interval.low < 0.8 < found.interval.high
    ('spearman_correlation', 0.8857, True)
    """
    one, other = _columns(first), _columns(second)
    _check(one, other)
    of = _resampled(one, other, kind, _times(len(one), confidence, resamples, seed))
    finding = _finding(f"{kind}_correlation", of.per_seed, len(one), subject, source)
    if len(one) < FEWEST:
        return _too_few(finding)
    low, high = accelerated_ends(finding.value, of.again[of.again.isfinite()], of.left_out, confidence)
    if finding.value > PERFECT:
        low = min(low, below_perfect(len(one), kind, confidence))
    elif finding.value < -PERFECT:
        high = max(high, -below_perfect(len(one), kind, confidence))
    return replace(finding, interval=Interval(low, high, confidence, METHOD))


def rank_correlation_difference(
    first: Float[Tensor, "candidates *seeds"],
    second: Float[Tensor, "others *other_seeds"],
    judge: Float[Tensor, "judged *judged_seeds"],
    kind: Correlation = "spearman",
    *,
    subject: str,
    source: str,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Finding:
    """`…_correlation_difference`: of `first` with `judge`, minus that of `second`, on the same candidates.

    Above zero, `first` orders candidates more as the judge does. Candidates are drawn once for both correlations, so
    the interval is the shorter the more alike the two are. A correlation of ±1 (see the module) adds to it what a
    perfect order leaves unknown, as if both errors were independent. The rest is as in `rank_correlation`, the errors
    too.

    Source: Efron (1987) for the ends; Zou & Donner (2008), Statistics in Medicine 27, for joining two.

    >>> loss, evidence = torch.tensor([1.0, 2.0, 3.0, 5.0, 4.0, 6.0]), torch.tensor([2.0, 1.0, 4.0, 6.0, 3.0, 5.0])
    >>> accuracy = torch.arange(6.0)
    >>> found = rank_correlation_difference(loss, evidence, accuracy, subject="loss − evidence", source="judge")
    >>> found.name, round(found.value, 4)
    ('spearman_correlation_difference', 0.2857)
    """
    one, other, target = _columns(first), _columns(second), _columns(judge)
    _check(one, target)
    _check(other, target)
    _check(one, other)
    times = _times(len(one), confidence, resamples, seed)
    own, rival = _resampled(one, target, kind, times), _resampled(other, target, kind, times)
    apart = own.per_seed - rival.per_seed  # one of them may have a single seed for all
    finding = _finding(f"{kind}_correlation_difference", apart, len(one), subject, source)
    if len(one) < FEWEST_OF_DIFFERENCE:
        return _too_few(finding, FEWEST_OF_DIFFERENCE)
    if torch.equal(*torch.broadcast_tensors(sign_orders(one), sign_orders(other))):
        return with_note(finding, "both order these candidates alike, so that they cannot tell the two apart")
    again = own.again - rival.again
    low, high = accelerated_ends(finding.value, again[again.isfinite()], own.left_out - rival.left_out, confidence)
    unknown = 1 - below_perfect(len(one), kind, confidence)
    below, above = finding.value - low, high - finding.value
    mine, its = own.per_seed.mean().item(), rival.per_seed.mean().item()
    if mine > PERFECT or its < -PERFECT:
        below = math.hypot(below, unknown)
    if mine < -PERFECT or its > PERFECT:
        above = math.hypot(above, unknown)
    interval = Interval(max(-2.0, finding.value - below), min(2.0, finding.value + above), confidence, METHOD)
    return replace(finding, interval=interval)


class _Resampled(NamedTuple):
    """The correlation of two numbers: by seed; under each resample, and without each candidate, mean over seeds."""

    per_seed: Float64[Tensor, "seeds"]
    again: Float64[Tensor, "resamples"]
    left_out: Float64[Tensor, "n"]


def _resampled(one: Tensor, other: Tensor, kind: Correlation, times: Tensor) -> _Resampled:
    count, seeds = len(one), max(one.shape[1], other.shape[1])
    orders = sign_orders(one).expand(seeds, -1, -1), sign_orders(other).expand(seeds, -1, -1)
    return _Resampled(
        order_correlations(orders, torch.ones(1, count, dtype=torch.float64), kind)[:, 0],
        order_correlations(orders, times, kind).mean(dim=0),
        order_correlations(orders, 1 - torch.eye(count, dtype=torch.float64), kind).mean(dim=0),
    )


def _times(count: int, confidence: float, resamples: int, seed: int) -> Float64[Tensor, "resamples n"]:
    """How often each resample has each candidate."""
    check_confidence(confidence)
    if resamples < 100:
        raise InputError(f"{resamples} resamples were asked for; give at least 100.")
    drawn = torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(resamples, count, dtype=torch.float64)
    return times.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))


def _finding(name: str, per_seed: Float64[Tensor, "seeds"], count: int, subject: str, source: str) -> Finding:
    return Finding(
        name=name,
        value=per_seed.mean().item(),
        interval=None,
        count=count,
        clusters=count,
        unit="correlation",
        slice="all",
        direction="higher",
        subject=subject,
        source=source,
        per_seed=tuple(per_seed.tolist()) if len(per_seed) > 1 else (),
    )


def _too_few(finding: Finding, fewest: int = FEWEST) -> Finding:
    return with_note(finding, f"{finding.count} candidates are too few for an interval, which needs {fewest}")


def _columns(values: Tensor) -> Float64[Tensor, "candidates seeds"]:
    if values.ndim not in (1, 2) or not values.numel():
        raise InputError(
            f"Values have shape {list(values.shape)}; give [candidates] or [candidates, seeds], two candidates or more "
            "and a seed or more."
        )
    return values.double().reshape(len(values), -1)


def _check(one: Tensor, other: Tensor) -> None:
    if len(one) != len(other) or len(one) < 2:
        raise InputError(
            f"There are {len(one)} candidates on one side and {len(other)} on the other; give the same two or more."
        )
    if one.shape[1] != other.shape[1] and 1 not in (one.shape[1], other.shape[1]):
        raise InputError(
            f"There are {one.shape[1]} seeds on one side and {other.shape[1]} on the other; give as many, or one "
            "number for all."
        )
    for values in (one, other):
        if bool(values.isnan().any()):
            raise InputError("A candidate's value is NaN and has no rank; leave the candidate out, and say so.")
        if bool((values == values[:1]).all(dim=0).any()):
            raise InputError("All candidates have the same value, which orders none of them; give values that differ.")

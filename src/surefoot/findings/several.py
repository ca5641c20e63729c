"""Several claims judged at once: which confidence each needs, so that all of them together err rarely.

A claim is judged by an interval at confidence 1 − α: it passes when the whole interval is on the claimed side, fails
when the whole interval is on the other. Each end of an interval fails with probability α/2. Of m claims that are all
untrue, 1 − (1 − α/2)^m pass at least once: .22 for ten independent ones.

**Holm's step-down, by intervals.** Passing has a ladder of its own. With r claims not yet passed, each is judged at
confidence 1 − α/r; those that pass leave the ladder, r falls, and the rest are judged again, until none passes. The
same for failing. The chance that an untrue claim passes is at most α/2, however the claims depend on one another:
let T claims be untrue. The first of them to pass wrongly does so while at least T are on the ladder, so an end at
confidence 1 − α/T or more fails, with probability α/(2T) each, T times at most. A true claim fails with at most α/2 for
the same reason, and a wrong decision of either kind comes with probability at most α.

**Where it is not needed.** A gate that opens only when *every* claim passes errs with at most α/2 as it is: it opens
wrongly only if one given untrue claim passes (an intersection–union test; Berger 1982). It is needed where single
passes are read, and where one failed claim of many closes a gate.

Sources: Holm (1979), Scand. J. Statist. 6, 65–70; Berger (1982), Technometrics 24, 295–300.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from surefoot.errors import InputError
from surefoot.findings.intervals import check_confidence

__all__ = ["Decision", "Stepped", "holm", "interval_p_value", "step_down"]

Decision: TypeAlias = Literal["passed", "failed", "undecided"]

SMALLEST = 1e-6
"""p-values by inversion are not sought below this."""


class Stepped(NamedTuple):
    """A claim's decision, and the confidence of the interval to show beside it.

    It is the one that decided, or the higher of the two that left it open.
    """

    status: Decision
    confidence: float


def step_down(count: int, judge: Callable[[int, float], Decision], *, confidence: float = 0.95) -> tuple[Stepped, ...]:
    """Judge `count` claims so that a wrong decision among all of them comes with probability at most 1 − `confidence`.

    judge: says how claim number i stands by its interval at a confidence; it is asked at 1 − α/r for whole r from
    `count` down to 1, never otherwise. Its intervals at higher confidence hold those at lower.

    Raises `InputError` for no claims and for a confidence outside (0, 1).

    >>> from surefoot.findings.intervals import wilson
    >>> right = [88.0, 90.0, 99.0]
    >>> def at_least_80(claim: int, level: float) -> Decision:
    ...     interval = wilson(right[claim], 100.0, level)
    ...     return "passed" if interval.low >= 0.8 else "failed" if interval.high < 0.8 else "undecided"
    >>> [(each.status, round(each.confidence, 4)) for each in step_down(3, at_least_80)]
    [('passed', 0.95), ('passed', 0.9833), ('passed', 0.9833)]
    """
    check_confidence(confidence)
    if count < 1:
        raise InputError(f"{count} claims were to be judged together; give one or more.")
    passed, lowest_pass = _ladder(count, judge, "passed", 1 - confidence)
    failed, lowest_fail = _ladder(count, judge, "failed", 1 - confidence)
    still = 1 - (1 - confidence) / max(lowest_pass, lowest_fail)
    return tuple(
        Stepped("passed", passed[at])
        if at in passed
        else Stepped("failed", failed[at])
        if at in failed
        else Stepped("undecided", still)
        for at in range(count)
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the given order: p̃₍ᵢ₎ = max_{j ≤ i} min(1, (m − j + 1) p₍ⱼ₎).

    A hypothesis is rejected at family-wise error α where its adjusted p-value is at most α.

    Raises `InputError` for a p-value outside [0, 1].

    >>> [round(each, 6) for each in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    if not all(0 <= each <= 1 for each in p_values):  # NaN is refused too
        wrong = next(each for each in p_values if not 0 <= each <= 1)
        raise InputError(f"{wrong} was given as a p-value; give numbers from 0 to 1.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return tuple(adjusted)


def interval_p_value(decides: Callable[[float], bool]) -> float:
    """The smallest α at which a claim's interval at confidence 1 − α decides it: its p-value, by inversion.

    `decides` says whether the interval at a confidence lies wholly on one side of the bound. The p-value is two-sided,
    as the interval is; 1 where no interval decides, and 10⁻⁶ stands for that and less.

    >>> from surefoot.findings.intervals import clopper_pearson
    >>> round(interval_p_value(lambda level: clopper_pearson(9.0, 10.0, level).low > 0.5), 4)  # 2 · 11/1024
    0.0215
    """
    if decides(1 - SMALLEST):
        return SMALLEST
    if not decides(SMALLEST):
        return 1.0
    low, high = math.log(SMALLEST), math.log(1 - SMALLEST)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(-math.expm1(middle)) else (middle, high)
    return math.exp(high)


def _ladder(
    count: int, judge: Callable[[int, float], Decision], rung: Decision, alpha: float
) -> tuple[dict[int, float], int]:
    """Which claims were decided so, at which confidence; and how many were on the ladder when it stopped."""
    decided: dict[int, float] = {}
    while len(decided) < count:
        on = count - len(decided)
        level = 1 - alpha / on
        new = [at for at in range(count) if at not in decided and judge(at, level) == rung]
        if not new:
            return decided, on
        decided |= dict.fromkeys(new, level)
    return decided, 1

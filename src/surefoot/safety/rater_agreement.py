"""How far raters of the same things agree: pairs of raters who say the same, and Krippendorff's alpha.

    agreement    mean over things of the share of pairs of their raters who gave the same answer
    alpha        1 − Dₒ/Dₑ, for answers without an order: Dₒ disagreement as observed, Dₑ that of answers by chance

Alpha is 1 where all agree, about 0 where answers tell nothing of the thing, and below where raters contradict each
other. It has no value where everybody gave one and the same answer to everything, for chance does as well then. Things
that one rater read are in neither. Its interval is of things drawn anew with all their raters (2,000 times, the same
draws always), percentiles of them; none for fewer than ten things. A draw in which everybody says one and the same has
no value and counts as 1, for nobody disagrees.

Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability".
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.findings.finding import Finding, Interval
from surefoot.findings.means import Quantity, mean_finding
from surefoot.safety.pairwise import Judgement

__all__ = ["alpha_of", "rater_agreement"]

DRAWS, FEWEST = 2_000, 10


def rater_agreement(
    judgements: Sequence[Judgement], *, subject: str, source: str, confidence: float = 0.95
) -> tuple[Finding, ...]:
    """`rater_agreement` and, where it has a value, `rater_alpha`; nothing where no conversation has two raters.

    >>> said = [Judgement(str(at), rater, "win" if at else "loss") for at in range(4) for rater in "ab"]
    >>> [(each.name, each.value) for each in rater_agreement(said, subject="a vs b", source="raters")]
    [('rater_agreement', 1.0), ('rater_alpha', 1.0)]
    """
    things: dict[str, list[Judgement]] = {}
    for each in judgements:
        things.setdefault(each.conversation, []).append(each)
    shared = [of for of in things.values() if len(of) > 1]
    if not shared:
        return ()
    numbers = {unit: at for at, unit in enumerate(dict.fromkeys(of[0].unit for of in shared))}
    clusters = np.array([numbers[of[0].unit] for of in shared])
    agreeing = mean_finding(
        np.array([[_agreeing([each.outcome for each in of]) for of in shared]]), Quantity("rater_agreement"),
        subject=subject, source=source, clusters=clusters[:, None], confidence=confidence,
    )  # fmt: skip
    counts = _counts([[each.outcome for each in of] for of in shared])
    alpha = _alpha(counts)
    if math.isnan(alpha):
        return (agreeing,)
    found = Finding(
        "rater_alpha", alpha, _interval(counts, clusters, confidence), sum(map(len, shared)), len(numbers), "score",
        "all", "higher", subject, source,
    )  # fmt: skip
    return agreeing, found


def alpha_of(answers: Sequence[Sequence[str]]) -> float:
    """Krippendorff's alpha of the answers to each thing; NaN where it has no value.

    >>> alpha_of([["a", "a"], ["b", "b"], ["a", "b"], ["b"]])
    0.4444444444444444
    """
    return _alpha(_counts([each for each in answers if len(each) > 1]))


def _counts(answers: Sequence[Sequence[str]]) -> Float64[ndarray, "things answers"]:
    known = {each: at for at, each in enumerate(dict.fromkeys(each for of in answers for each in of))}
    counts = np.zeros((len(answers), len(known)))
    for row, of in enumerate(answers):
        for each in of:
            counts[row, known[each]] += 1
    return counts


def _alpha(counts: Float64[ndarray, "things answers"]) -> float:
    raters = counts.sum(axis=1)
    totals, every = counts.sum(axis=0), float(raters.sum())
    by_chance = every**2 - float((totals**2).sum())
    if by_chance <= 0:
        return math.nan
    # Pairs that differ within a thing, each thing by its raters: Σ n (n − 1) − Σ c (c − 1) = n² − Σ c².
    differing = float(((raters**2 - (counts**2).sum(axis=1)) / (raters - 1)).sum())
    return 1 - (every - 1) * differing / by_chance


def _interval(
    counts: Float64[ndarray, "things answers"], clusters: Int64[ndarray, "_"], confidence: float
) -> Interval | None:
    names = np.unique(clusters)
    if len(names) < FEWEST:
        return None
    members = [np.flatnonzero(clusters == name) for name in names]
    draws = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(DRAWS):
        drawn = np.concatenate([members[at] for at in draws.integers(len(names), size=len(names))])
        value = _alpha(counts[drawn])
        found.append(1.0 if math.isnan(value) else value)
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high), confidence, f"{DRAWS:,} draws of things with their raters, percentiles")


def _agreeing(answers: Sequence[str]) -> float:
    count = len(answers)
    return sum(each * (each - 1) for each in Counter(answers).values()) / (count * (count - 1))

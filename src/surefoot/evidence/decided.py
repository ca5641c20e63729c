"""Is one candidate's evidence the largest, or did training end in a lucky place? Spread between seeds against the gap.

A Laplace approximation sees one mode. Training anew finds another, with another evidence. Of each candidate's evidences
e_cs with seeds s, best mean first, and every other candidate c,

    d_s = e_best,s − e_cs        d̄ ± t_{S−1} sd(d)/√S        paired: a seed's split and order of rows are shared

and the order is decided where every such interval is above zero. `paired=False` has Welch's interval instead.

**False alarms.** Where candidates do not differ in the mean over seeds, "decided" is said with probability at most
1 − confidence, however many there are: who is on top has to be apart from *all* others, and the hardest case is that
two tie and the rest is far below. Simulated at 0.95, 2 to 10 candidates and 3 to 10 seeds (`test_evidence_decided.py`):
not above 5 % for normal, shared, unequal and long-tailed spreads; some 12 % for three seeds of a very skewed candidate
beside one that hardly moves. **What no seed has found is not known**: a rare mode that was not hit makes the spread too
small, and no test can see it.

Source: Gutmann and Maymin (1987), Is the selected population the best?, Annals of Statistics 15 (the selection costs no
level); Welch (1947), Biometrika 34.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Interval
from surefoot.findings.intervals import check_confidence
from surefoot.findings.quantiles import student_quantile

__all__ = ["FEWEST_SEEDS", "SeedOrder", "order_of_seeds"]

FEWEST_SEEDS = 3
"""Below so many seeds nothing is decided: two that ended in the same two modes by chance would look like certainty."""


@dataclass(frozen=True)
class SeedOrder:
    """best, rival: places of the best mean, and of the candidate that is least surely below it. gap: their difference.

    spread: the standard deviation of that difference from one seed to another (NaN with one seed). interval: of the
    gap, None with fewer than `FEWEST_SEEDS` seeds. decided: whether best is above *all* others.
    """

    best: int
    rival: int
    gap: float
    spread: float
    interval: Interval | None
    decided: bool


def order_of_seeds(
    evidences: Float[Tensor, "candidates seeds"], confidence: float = 0.95, *, paired: bool = True
) -> SeedOrder:
    """Whether several trainings decide which candidate has the largest evidence; turn signs of a loss beforehand.

    Raises `InputError` for fewer than two candidates, no seed, and evidences that are not finite.

    >>> order_of_seeds(torch.tensor([[-10.0, -11.0, -12.0], [-20.0, -21.5, -22.0]])).decided
    True
    >>> order_of_seeds(torch.tensor([[-10.0, -11.0, -30.0], [-20.0, -21.5, -22.0]])).decided
    False
    """
    check_confidence(confidence)
    count, seeds = evidences.shape
    if count < 2 or seeds < 1:
        raise InputError(
            f"{count} candidates with {seeds} seeds were given; give two candidates or more, with a seed or more."
        )
    if not bool(evidences.isfinite().all()):
        raise InputError("An evidence is not finite, and has no order; leave that candidate out, and say so.")
    values = evidences.double()
    best = int(values.mean(dim=1).argmax())
    others = [place for place in range(count) if place != best]
    gaps = values[best] - values[others]
    means = gaps.mean(dim=1)
    if seeds < FEWEST_SEEDS:
        nearest = int(means.argmin())
        spread = float(gaps[nearest].std()) if seeds > 1 else math.nan
        return SeedOrder(best, others[nearest], float(means[nearest]), spread, None, decided=False)
    half = _half(values, best, others, confidence, paired)
    nearest = int((means - half).argmin())
    gap, reach = float(means[nearest]), float(half[nearest])
    method = f"{'paired' if paired else 'Welch'} Student's t over seeds; the rows are fixed"
    own = values[best].var() + values[others[nearest]].var()
    spread = float(gaps[nearest].std() if paired else own.sqrt())
    return SeedOrder(
        best=best,
        rival=others[nearest],
        gap=gap,
        spread=spread,
        interval=Interval(gap - reach, gap + reach, confidence, method),
        decided=gap - reach > 0,
    )


def _half(
    values: Float64[Tensor, "candidates seeds"], best: int, others: list[int], confidence: float, paired: bool
) -> Float64[Tensor, "others"]:
    """Half the width of each other candidate's interval."""
    seeds, level = values.shape[1], (1 + confidence) / 2
    if paired:
        return (values[best] - values[others]).std(dim=1) * (student_quantile(level, seeds - 1.0) / math.sqrt(seeds))
    one, rest = values[best].var() / seeds, values[others].var(dim=1) / seeds
    freedom = (seeds - 1) * (one + rest).square() / (one.square() + rest.square())
    quantiles = [student_quantile(level, each) if each == each else 0.0 for each in freedom.tolist()]
    return torch.tensor(quantiles, dtype=torch.float64) * (one + rest).sqrt()

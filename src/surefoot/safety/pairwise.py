"""Which of two models do readers find safer? Shares of wins, ties and losses, how far apart they are, and a sign test.

    win, tie, loss      shares of judgements of the first model against the second
    win less loss       paired, between −1 and 1
    h (half ties)       2 asin √(win + tie/2) − 2 asin √½: how far from a coin that nobody can tell apart
    h (win, loss)       2 asin √win − 2 asin √loss: how far wins are from losses, of all judgements

The two conventions of Cohen's h differ by about two: of 59.75 % wins, 28.48 % losses and 11.76 % ties the first makes
.318 (the o1 card prints .319) and the second .641. Say which one is meant.

Judgements of one rater hang together, and so do those of one conversation; intervals know of both ways. A handful of
raters tells little of how raters differ: with `raters_vary` off the intervals are over conversations alone, and the
numbers are of these raters. The sign test counts each cluster of conversations, or conversation that stands alone,
once, by the majority of its judgements; it does not know that one rater may judge many of them.

Where nobody won, or nobody lost, the errors of both shares are joined as if one rose just as the other fell: that is
the widest. Either h is nought just where wins are as many as losses, so that an interval of win less loss that holds
nought puts nought into those of h: a handful of judgements that all say the same decides nothing.

Sources: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, 2nd ed., §6.2; for the interval of the
second h, Zou & Donner (2008), Statistics in Medicine 27.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.clustering import influence
from surefoot.findings.exact_pairs import sign_test
from surefoot.findings.finding import Direction, Finding, Interval
from surefoot.findings.joined import Ends, joined_difference
from surefoot.findings.judge_errors import correlation_of, design_of
from surefoot.findings.means import Quantity, mean_change, mean_finding

__all__ = ["Judgement", "Outcome", "Signs", "cohens_h", "pairwise_findings", "pairwise_sign_test"]

Outcome: TypeAlias = Literal["win", "tie", "loss"]


@dataclass(frozen=True)
class Judgement:
    """What one rater found of one conversation: a win is one of the first model.

    cluster: what the conversation shares with others; alone where it is empty. left: whether the preferred answer stood
    on the left; None for a tie, and where nobody knows.
    """

    conversation: str
    rater: str
    outcome: Outcome
    cluster: str = ""
    left: bool | None = None

    @property
    def unit(self) -> tuple[str, str]:
        """What is independent of others: its cluster, or the conversation by itself; no name of one is the other's."""
        return ("cluster", self.cluster) if self.cluster else ("conversation", self.conversation)


class Signs(NamedTuple):
    """Clusters of conversations (or conversations that stand alone) that the first model won and lost, ties among
    neither; and the two-sided p-value."""

    wins: int
    losses: int
    p_value: float


def pairwise_findings(
    judgements: Sequence[Judgement],
    *,
    names: tuple[str, str],
    source: str,
    part: str = "all",
    confidence: float = 0.95,
    raters_vary: bool = True,
) -> tuple[Finding, ...]:
    """`pairwise_win`, `pairwise_tie`, `pairwise_loss`, `pairwise_win_less_loss`, `cohens_h_half_ties` and
    `cohens_h_win_loss` of the first model against the second. Their subject is "first vs second".

    raters_vary: raters stand for others, so that the intervals are over them as well.

    Raises `InputError` for no judgements, and a rater who judged a conversation twice.

    >>> raters, outcomes = "abc", ("win", "win", "tie", "loss")
    >>> judged = [Judgement(str(at), rater, outcome) for rater in raters for at, outcome in enumerate(outcomes)]
    >>> found = pairwise_findings(judged, names=("new", "old"), source="raters")
    >>> [(each.name, round(each.value, 3)) for each in found[:4]]
    [('pairwise_win', 0.5), ('pairwise_tie', 0.25), ('pairwise_loss', 0.25), ('pairwise_win_less_loss', 0.25)]
    """
    clusters = _clusters(judgements)[:, 0 if raters_vary else 1 :]
    subject = f"{names[0]} vs {names[1]}"
    win, tie, loss = (
        np.array([[float(each.outcome == outcome) for each in judgements]]) for outcome in ("win", "tie", "loss")
    )

    def mean(name: str, values: Float64[ndarray, "1 rows"], direction: Direction) -> Finding:
        return mean_finding(
            values, Quantity(name, direction=direction), subject=subject, source=source, clusters=clusters, part=part,
            confidence=confidence,
        )  # fmt: skip

    wins, losses = mean("pairwise_win", win, "higher"), mean("pairwise_loss", loss, "lower")
    less = mean_change(
        loss, win, Quantity("pairwise_win_less_loss"), names=(names[1], names[0]), source=source, clusters=clusters,
        part=part, confidence=confidence,
    )  # fmt: skip
    half = mean("cohens_h_half_ties", win + tie / 2, "higher")
    ends = [cohens_h(each, 0.5) for each in (half.value, *_ends(half)[1:])]
    apart = joined_difference(_angles(_ends(wins)), _angles(_ends(losses)), _correlation(win, loss, clusters))
    return (
        wins,
        mean("pairwise_tie", tie, "none"),
        losses,
        replace(less, subject=subject),
        _h(half, Ends(*ends), "interval of win + tie/2, transformed", less),
        _h(
            replace(half, name="cohens_h_win_loss"),
            apart,
            "intervals of win and loss, transformed and joined (MOVER)",
            less,
        ),
    )


def pairwise_sign_test(judgements: Sequence[Judgement]) -> Signs:
    """The exact sign test over clusters (conversations, where they stand alone), each by the majority of its
    judgements; ties are left out.

    >>> pairwise_sign_test([Judgement(str(at), "a", "win") for at in range(6)])
    Signs(wins=6, losses=0, p_value=0.03125)
    """
    _clusters(judgements)
    balance: Counter[tuple[str, str]] = Counter()
    for each in judgements:
        balance[each.unit] += {"win": 1, "tie": 0, "loss": -1}[each.outcome]
    wins, losses = (sum(sign * each > 0 for each in balance.values()) for sign in (1, -1))
    return Signs(wins, losses, sign_test(wins, losses))


def cohens_h(share: float, other: float) -> float:
    """2 asin √share − 2 asin √other.

    >>> round(cohens_h(0.5975 + 0.1176 / 2, 0.5), 3), round(cohens_h(0.5975, 0.2848), 3)
    (0.318, 0.641)
    """
    if not (0 <= share <= 1 and 0 <= other <= 1):
        raise InputError(f"Cohen's h of {share} and {other} was asked for; give two shares in [0, 1].")
    return 2 * math.asin(math.sqrt(share)) - 2 * math.asin(math.sqrt(other))


def _h(of: Finding, ends: Ends, method: str, less: Finding) -> Finding:
    """h with its interval, which holds 0 where that of win less loss does."""
    assert of.interval is not None
    assert less.interval is not None
    low = min(ends.low, 0.0) if less.interval.low <= 0 else ends.low
    high = max(ends.high, 0.0) if less.interval.high >= 0 else ends.high
    interval = Interval(max(-math.pi, low), min(math.pi, high), of.interval.confidence, method)
    return replace(of, value=ends.value, interval=interval, unit="h")


def _angles(of: Ends) -> Ends:
    return Ends(*(2 * math.asin(math.sqrt(each)) for each in of))


def _ends(of: Finding) -> Ends:
    assert of.interval is not None
    return Ends(of.value, of.interval.low, of.interval.high)


def _correlation(
    win: Float64[ndarray, "1 rows"], loss: Float64[ndarray, "1 rows"], clusters: Int64[ndarray, "_ ways"]
) -> float:
    """Of the errors of both shares; −1, which is the widest, where one of them does not vary."""
    if not (np.ptp(win) and np.ptp(loss)):
        return -1.0
    design = design_of(win.shape[1], clusters)
    everything = np.ones(win.shape[1], dtype=np.bool_)
    return correlation_of(design, *(influence(design, everything, each) for each in (win, loss)))


def _clusters(judgements: Sequence[Judgement]) -> Int64[ndarray, "rows 2"]:
    if not judgements:
        raise InputError("There are no judgements, so nothing can be said of the two models; read some answers in.")
    twice = Counter((each.rater, each.conversation) for each in judgements).most_common(1)[0]
    if twice[1] > 1:
        raise InputError(
            f"The rater {twice[0][0]} judged the conversation {twice[0][1]} {twice[1]} times; give one judgement."
        )
    columns: list[list[int]] = []
    for names in ([("rater", each.rater) for each in judgements], [each.unit for each in judgements]):
        numbers = {each: at for at, each in enumerate(dict.fromkeys(names))}
        columns.append([numbers[each] for each in names])
    return np.array(columns, dtype=np.int64).T

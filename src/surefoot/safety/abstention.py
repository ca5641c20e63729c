"""Questions with one right answer: how often a model is right, wrong, or says that it does not know.

Of n questions C are answered correctly, I incorrectly, and the rest not attempted:

    accuracy over all                 C/n
    hallucination over all            I/n. What the o1 card prints: its accuracy and it leave room for abstaining
    hallucination over attempted      I/(C + I). How far an answer that is given may be trusted
    abstention                        (n − C − I)/n
    F                                 the harmonic mean of C/n and C/(C + I), which is 2C/(n + C + I)

F is the share of correct answers where an attempted question counts twice and another once, so it has an interval of a
weighted proportion. A model that answers everything has F = accuracy.

Source: Wei, Karina, Chung, Jiao, Papay, Glaese, Schulman & Fedus (2024), "Measuring short-form factuality in large
language models" (SimpleQA).
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.clustering import fewest_clusters, influence, spread
from surefoot.findings.finding import Direction, Finding
from surefoot.findings.intervals import check_confidence, proportion_interval
from surefoot.findings.judge_errors import design_of
from surefoot.findings.means import Quantity, mean_finding

__all__ = ["Answered", "abstention_findings"]

Answered: TypeAlias = Literal["correct", "incorrect", "not attempted"]
ANSWERED = ("correct", "incorrect", "not attempted")


def abstention_findings(
    outcomes: Sequence[str | None],
    *,
    subject: str,
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """`accuracy`, `hallucination_of_all`, `hallucination_of_attempted`, `abstention`, `factuality_f`, `unscored`.

    outcomes: each an `Answered`; None where no grader could say which. Those are in `unscored` alone, and nothing else
    is found where all are. `hallucination_of_attempted` is left out where nothing was attempted.

    Raises `InputError` for no outcomes, an outcome of another name, and clusters of other rows.

    >>> outcomes: list[Answered | None] = ["correct"] * 4 + ["incorrect"] * 4 + ["not attempted"] * 2
    >>> found = abstention_findings(outcomes, subject="model", source="judge")
    >>> [(each.name, round(each.value, 3), each.count) for each in found][1:5]  # doctest: +NORMALIZE_WHITESPACE
    [('hallucination_of_all', 0.4, 10), ('hallucination_of_attempted', 0.5, 8), ('abstention', 0.2, 10),
     ('factuality_f', 0.444, 10)]
    """
    rows = len(outcomes)
    wrong = [each for each in outcomes if each is not None and each not in ANSWERED]
    if not rows or wrong or (clusters is not None and len(clusters) != rows):
        raise InputError(
            f"There are {rows} outcomes{f', one of them {wrong[0]!r},' if wrong else ''} and "
            f"{'no' if clusters is None else len(clusters)} clusters; give one for every question: correct, incorrect, "
            "not attempted, or None where it could not be told."
        )
    correct, incorrect, shunned, scored = (
        np.array([each == outcome for each in outcomes]) for outcome in (*ANSWERED, None)
    )
    scored = ~scored

    def share(name: str, of: Bool[ndarray, "rows"], among: Bool[ndarray, "rows"], way: Direction) -> list[Finding]:
        if not among.any():
            return []
        return [
            mean_finding(
                of[among].astype(np.float64)[None], Quantity(name, direction=way), subject=subject, source=source,
                clusters=None if clusters is None else clusters[among], part=part, confidence=confidence,
            )
        ]  # fmt: skip

    found = [
        *share("accuracy_of_all", correct, scored, "higher"),
        *share("hallucination_of_all", incorrect, scored, "lower"),
        *share("hallucination_of_attempted", incorrect, correct | incorrect, "lower"),
        *share("abstention", shunned, scored, "none"),
    ]
    if scored.any():
        kept = None if clusters is None else clusters[scored]
        weights = np.where(shunned, 1.0, 2.0)[scored]
        found.append(_weighted(correct[scored], weights, kept, subject, source, part, confidence))
    return (*found, *share("unscored", ~scored, np.ones(rows, dtype=np.bool_), "lower"))


def _weighted(
    right: Bool[ndarray, "rows"],
    weights: Float64[ndarray, "rows"],
    clusters: Int64[ndarray, "rows ways"] | None,
    subject: str,
    source: str,
    part: str,
    confidence: float,
) -> Finding:
    """Σ w·right/Σ w, whose error is that of the mean of value + w (right − value)/w̄ (a linearised ratio)."""
    check_confidence(confidence)
    value = float((weights * right).sum() / weights.sum())
    linear = value + weights * (right - value) / weights.mean()
    design = design_of(len(right), clusters)
    everything = np.ones(len(right), dtype=np.bool_)
    of = spread(design, [(1.0, influence(design, everything, linear[None]))])
    return Finding(
        name="factuality_f",
        value=value,
        interval=proportion_interval(of, confidence),
        count=len(right),
        clusters=fewest_clusters(design, everything),
        unit="proportion",
        slice=part,
        direction="higher",
        subject=subject,
        source=source,
    )

"""What of an evidence hangs on the prior, told of one candidate or of several at once."""

import math
from collections.abc import Callable

from surefoot.evidence.anatomy import TOUCHED, Anatomy
from surefoot.evidence.doubt import By, Doubt, Question, named
from surefoot.evidence.trials import Trial
from surefoot.findings.finding import Finding

__all__ = ["STRONG", "doubts_of_prior"]

STRONG = 5.0
"""Nats: a difference that is commonly called very strong evidence."""
MOST_TAIL = 0.5
"""Of the log determinant: what directions may have that the rows hardly touch."""


def doubts_of_prior(asked: Question) -> list[Doubt]:
    """Whose evidence a tenfold precision would change much, and whose is of directions that rows hardly touch.

    Of several seeds, the one that speaks loudest. Of a conditional evidence, only the first: what the rows hardly touch
    is nearly the same in both of its evidences.
    """
    doubts: list[Doubt] = []
    steep = _loudest(asked, lambda trial: abs(_decade(trial, asked.by)), STRONG)
    if steep:
        doubts.append(Doubt("prior", "warn", _findings(asked, steep, "evidence_slope"), _of_slope(asked, steep)))
    if asked.by == "evidence":
        vague = _loudest(asked, lambda trial: 0.0 if trial.anatomy is None else trial.anatomy.tail, MOST_TAIL)
        if vague:
            doubts.append(Doubt("tail", "warn", _findings(asked, vague, "untouched_share"), _of_tail(vague)))
    return doubts


def _loudest(asked: Question, told: Callable[[Trial], float], above: float) -> dict[str, Trial]:
    """Of each candidate its loudest seed, where that is above; the loudest candidate first."""
    found = {name: max(of, key=told) for name, of in asked.trials.items()}
    order = sorted(found, key=lambda name: -told(found[name]))
    return {name: found[name] for name in order if told(found[name]) > above}


def _decade(trial: Trial, by: By) -> float:
    """Nats for a factor of ten in every precision, at the slope where they are; 0 where that is not known."""
    if trial.anatomy is None or (by == "conditional" and trial.known_anatomy is None):
        return 0.0
    known = 0.0 if by == "evidence" or trial.known_anatomy is None else trial.known_anatomy.slope
    return (trial.anatomy.slope - known) * math.log(10)


def _of_slope(asked: Question, steep: dict[str, Trial]) -> str:
    what = "evidence" if asked.by == "evidence" else "conditional evidence"
    (first, trial), *others = steep.items()
    decade = _decade(trial, asked.by)
    way = "larger" if decade > 0 else "smaller"
    if not others:
        return (
            f"The {what} of {first} changes at {abs(decade):,.0f} nats for a factor of ten in the prior's precision "
            f"and wants a {way} one, so it says as much of that number as of the model; tune the precision by evidence "
            "and train again."
        )
    return (
        f"The {what} of {named(list(steep))} changes at up to {abs(decade):,.0f} nats for a factor of ten in the "
        f"prior's precision (that of {first} wants a {way} one), so it says as much of those numbers as of the models; "
        "tune each precision by evidence and train again."
    )


def _of_tail(vague: dict[str, Trial]) -> str:
    (first, anatomy), *others = [(name, _anatomy(trial)) for name, trial in vague.items()]
    end = (
        "which then hangs on the prior and on the eigenvalues that are known worst; compare with another structure of "
        "the curvature, and with validation losses."
    )
    rows = f"are hardly touched by the rows (less than {TOUCHED:g} of the prior's precision) and make"
    if not others:
        return (
            f"In {first}, {anatomy.untouched:,} of {anatomy.parameters:,} directions {rows} {anatomy.tail:.0%} of the "
            f"log determinant, {end}"
        )
    return (
        f"In {named(list(vague))}, most directions {rows} up to {anatomy.tail:.0%} of the log determinant "
        f"({anatomy.untouched:,} of {anatomy.parameters:,} directions of {first}), {end}"
    )


def _findings(asked: Question, of: dict[str, Trial], name: str) -> tuple[Finding, ...]:
    """All parts of one evidence; of several, the number that is doubted."""
    return tuple(
        each
        for subject, trial in of.items()
        for each in _anatomy(trial).as_findings(subject, trial.rows, source=asked.source, clusters=trial.clusters)
        if len(of) == 1 or each.name == name
    )


def _anatomy(trial: Trial) -> Anatomy:
    assert trial.anatomy is not None
    return trial.anatomy

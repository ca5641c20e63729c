"""The gate: may these cards ship? It fails closed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from surefoot.card.card import Card
from surefoot.card.claims import Status, judge_claims, verdict_of
from surefoot.errors import InputError
from surefoot.findings.finding import Finding

__all__ = ["EXIT_CODES", "gate"]

EXIT_CODES: Mapping[Status, int] = {"passed": 0, "failed": 10, "undecided": 11}
"""What a command exits with for each verdict (2 is wrong input, 1 a fault of ours)."""


def gate(cards: Sequence[Card]) -> Status:
    """Passed only if every card makes a claim and every claim of every card passes.

    No written verdict is taken on trust: each claim is judged again by the interval stored with it, and the worst of
    the stored and the new status counts. A card without claims is undecided. Any failure outweighs any doubt. What a
    card cannot show is that a claim was taken out, or that all its numbers were changed alike: compare digests.

    Raises `InputError` when no card is given, and when a claim stands on a number that its card does not hold.
    """
    if not cards:
        raise InputError("The gate was given no card; name at least one card.json or run folder.")
    statuses = {status for card in cards for status in _statuses(card)}
    return "failed" if "failed" in statuses else "undecided" if "undecided" in statuses else "passed"


def _statuses(card: Card) -> set[Status]:
    statuses: set[Status] = {card.verdict, verdict_of(card.claims)}
    measured = (*card.findings, *card.differences)
    for judged in card.claims:
        if judged.finding is not None and not any(_same(judged.finding, each) for each in measured):
            raise InputError(
                f"The card “{card.title}” judges a claim by {judged.finding.name} of {judged.finding.subject} = "
                f"{judged.finding.value:g}, which is not among its findings; make the card anew."
            )
        findings = () if judged.finding is None else (judged.finding,)
        statuses |= {again.status for again in judge_claims((judged.claim,), findings, chosen=card.chosen)}
    return statuses


def _same(first: Finding, second: Finding) -> bool:
    """The same finding; intervals at different confidences need not agree."""
    levels = [None if each.interval is None else each.interval.confidence for each in (first, second)]
    if levels[0] != levels[1]:
        return replace(first, interval=None) == replace(second, interval=None)
    return first == second

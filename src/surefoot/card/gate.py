"""The gate: may these cards ship? It fails closed."""

from collections.abc import Mapping, Sequence

from surefoot.card.card import Card
from surefoot.card.claims import Status, judge_claims, verdict_of
from surefoot.errors import InputError

__all__ = ["EXIT_CODES", "gate"]

EXIT_CODES: Mapping[Status, int] = {"passed": 0, "failed": 10, "undecided": 11}
"""What a command exits with for each verdict (2 is wrong input, 1 a fault of ours)."""


def gate(cards: Sequence[Card]) -> Status:
    """Passed only if every card makes a claim and every claim of every card passes.

    Nothing is taken on trust: each claim is judged again by the interval stored with it, and the worst of the
    stored and the new status counts. A card without claims is undecided. Any failure outweighs any doubt.

    Raises `InputError` when no card is given.
    """
    if not cards:
        raise InputError("The gate was given no card; name at least one card.json or run folder.")
    statuses = {status for card in cards for status in _statuses(card)}
    return "failed" if "failed" in statuses else "undecided" if "undecided" in statuses else "passed"


def _statuses(card: Card) -> set[Status]:
    statuses: set[Status] = {card.verdict, verdict_of(card.claims)}
    for judged in card.claims:
        findings = () if judged.finding is None else (judged.finding,)
        statuses |= {again.status for again in judge_claims((judged.claim,), findings, chosen=card.chosen)}
    return statuses

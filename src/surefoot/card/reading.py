"""Finding one's way in a card: summary numbers, each model's own worst group, and whom to tell of first."""

import math
from collections.abc import Sequence

from surefoot.card.card import Card, Subject, base_of, families
from surefoot.findings.finding import Finding

__all__ = [
    "MEANS",
    "SHORT",
    "SUMMARIES",
    "WORST",
    "changes",
    "families_in_order",
    "headline",
    "label_of",
    "of_groups",
    "series_of",
    "summary",
    "told_first",
    "worst_groups",
]

WORST = "worst_group_accuracy"
MEANS = ("weighted_accuracy", "accuracy")
SUMMARIES = (WORST, *MEANS)
SHORT = {
    WORST: "Worst group",
    "weighted_accuracy": "Mean, weighted as in training",
    "accuracy": "Mean over all judge rows",
}
FEW = 4
"""Without a choice, this many models are all told of first; of more, those that repair nothing."""


def summary(card: Card, name: str, subject: str) -> Finding | None:
    """A model's number over all groups, or None where it was not measured."""
    named = (each for each in card.findings if each.subject == subject and each.name == name)
    return next((each for each in named if each.slice not in card.groups), None)


def changes(card: Card, subject: Subject) -> tuple[Finding, ...]:
    """The paired difference of a repair's worst group, and of its mean, to the model it repairs."""
    pair = f"{subject.name} − {subject.before}"
    found = {each.name: each for each in card.differences if each.subject == pair and each.slice not in card.groups}
    names = [WORST, next((name for name in MEANS if name in found), WORST)]
    return tuple(found[name] for name in dict.fromkeys(names) if name in found)


def of_groups(card: Card, subject: str) -> tuple[Finding, ...]:
    """A model's accuracy in each group that has judge rows."""
    named = (each for each in card.findings if each.subject == subject and each.name == "accuracy")
    return tuple(each for each in named if each.slice in card.groups)


def worst_groups(card: Card, subject: str) -> tuple[str, ...]:
    """The groups in which a model reaches its worst-group accuracy: first the one whose rows that number counts.

    Several where groups tie; none where no worst group was measured.
    """
    worst = summary(card, WORST, subject)
    if worst is None:
        return ()
    lowest = [each for each in of_groups(card, subject) if math.isclose(each.value, worst.value, abs_tol=1e-9)]
    counted = sorted(lowest, key=lambda each: (each.count, each.clusters) != (worst.count, worst.clusters))
    return tuple(each.slice for each in counted)


def headline(card: Card, subjects: Sequence[Subject]) -> str | None:
    """The one measure to tell of these models: the worst group, else the mean over all rows, else nothing."""
    for name in (WORST, "accuracy"):
        if any(summary(card, name, subject.name) for subject in subjects):
            return name
    return None


def told_first(card: Card) -> tuple[Subject, ...]:
    """The models of the first screen: the base and the chosen one; without a choice all, if they are few."""
    if card.chosen is not None:
        names = dict.fromkeys([base_of(card.subjects, card.chosen), card.chosen])
        return tuple(subject for name in names for subject in card.subjects if subject.name == name)
    if len(card.subjects) <= FEW:
        return card.subjects
    return tuple(subject for subject in card.subjects if subject.before is None)


def families_in_order(card: Card) -> tuple[tuple[Subject, ...], ...]:
    """Each base model with its repairs; the chosen model's family first."""
    every = families(card.subjects)
    return tuple(sorted(every, key=lambda family: card.chosen not in {subject.name for subject in family}))


def series_of(card: Card, subject: str) -> int:
    """A model's shape and colour, the same in every picture: its place in its family; a difference has the repair's."""
    after = subject.partition(" − ")[0]
    places = {each.name: place for family in families(card.subjects) for place, each in enumerate(family)}
    return places.get(subject, places.get(after, 0))


def label_of(card: Card, name: str) -> str:
    """A reader's words for a model."""
    return next((subject.label for subject in card.subjects if subject.name == name), name)

"""The numbers of a suite: means of its scores, over items and in every stratum, and how they change between models.

    value of an item     the mean of its attempts' scores
    of a suite           the mean over items, with an interval over clusters of items
    change               the mean of after − before over items that both were scored on

Beside its own measures every suite has

    answered      completions with an answer, whole and with its parts in their places
    degenerate    answers that say nothing: a word or less, or a run of six words that stands in them three times
    unscored      scores that were to be given and could not be
    blocked       calls that a server's filter refused; they are in no other number

A model that is unable to answer does no harm, so a suite of refusals says little without the first two.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_change, mean_finding
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.suite import Measure, Suite

__all__ = [
    "APART",
    "Evaluated",
    "Shares",
    "changes_of",
    "degenerate",
    "finding_of",
    "findings_of",
    "names_of",
    "shares_of",
    "strata_of",
]

RUN, TIMES = 6, 3
"""Words of a run, and how often it may not stand in an answer."""
ALWAYS = ("answered", "degenerate", "unscored", "blocked")
APART = ": "
"""Between a suite's name and a stratum's."""


@dataclass(frozen=True)
class Evaluated:
    """What a model wrote for a suite, and what the grader says of it, one of the other."""

    suite: Suite
    sampled: tuple[Sampled, ...]
    graded: tuple[Graded, ...]

    def __post_init__(self) -> None:
        if len(self.sampled) != len(self.graded):
            raise InputError(
                f"The grader of {self.suite.name} gave {len(self.graded)} results for {len(self.sampled)} completions; "
                "it must give one of each."
            )


def names_of(suite: Suite) -> frozenset[str]:
    """Of the findings that it may give."""
    return frozenset((*(each.score for each in suite.measures), *ALWAYS, *suite.names))


def findings_of(of: Evaluated, *, subject: str, confidence: float = 0.95) -> tuple[Finding, ...]:
    """All numbers of a suite. The slice of each is the suite's name, or "name: stratum".

    What no completion was scored on has no finding.
    """
    suite = of.suite
    found: list[Finding] = []
    for measure in suite.measures:
        strata = strata_of(suite) if measure.strata else ()
        places = (suite.name, *(f"{suite.name}{APART}{stratum}" for stratum in strata))
        made = (_measured(of, measure, place, subject, confidence) for place in places)
        found += [each for each in made if each is not None]
    found += _always(of, subject, confidence)
    if suite.derived is not None:
        found += suite.derived(of.sampled, of.graded, subject=subject, place=suite.name, confidence=confidence)
    return tuple(found)


def finding_of(of: Evaluated, name: str, place: str, *, subject: str, confidence: float = 0.95) -> Finding | None:
    """One number of a suite, without the work of the others where it is the mean of a score; None where there is none.

    place: its slice, the suite's name or "name: stratum".
    """
    measure = next((each for each in of.suite.measures if each.score == name), None)
    if measure is not None:
        return _measured(of, measure, place, subject, confidence)
    found = findings_of(of, subject=subject, confidence=confidence)
    return next((each for each in found if (each.name, each.slice) == (name, place)), None)


@dataclass(frozen=True)
class Shares:
    """Of the completions of a suite or a stratum: what could not be scored, what was blocked, what says nothing."""

    unscored: float
    blocked: float
    degenerate: float


def shares_of(of: Evaluated, stratum: str | None = None) -> Shares:
    """As the findings of these names, whose items weigh alike however often each was asked. stratum: None for all."""
    rows = [
        (sampled, graded)
        for sampled, graded in zip(of.sampled, of.graded, strict=True)
        if stratum in (None, sampled.item.stratum)
    ]
    reached = [each for each in rows if not each[0].blocked]

    def mean(values: list[tuple[Item, float]]) -> float:
        items = _by_item(values)
        return sum(value for _, value in items) / len(items) if items else 0.0

    return Shares(
        mean([(sampled.item, float(None in graded.scores.values())) for sampled, graded in reached]),
        mean([(sampled.item, float(sampled.blocked)) for sampled, _ in rows]),
        mean([(each.item, float(degenerate(each.answer))) for each, _ in reached if each.answer is not None]),
    )


def strata_of(suite: Suite) -> tuple[str, ...]:
    """The strata that a suite's measures are reported in; none where all items are of one."""
    strata = tuple(dict.fromkeys(each.stratum for each in suite.items if each.stratum))
    return strata if len(strata) > 1 else ()


def changes_of(
    before: Evaluated, after: Evaluated, *, names: tuple[str, str], confidence: float = 0.95, only: str | None = None
) -> tuple[Finding, ...]:
    """after − before of every measure, paired by item; an item that either was not scored on is in neither.

    only: of the measure of this name alone.

    Raises `InputError` where the two were not asked the same items.
    """
    asked = [[(each.id, each.prompt) for each in of.suite.items] for of in (before, after)]
    if asked[0] != asked[1]:
        raise InputError(
            f"The suite {after.suite.name} asked {len(asked[0])} items before and {len(asked[1])} after, and they are "
            "not the same ones; evaluate both with the same suite, data and number of items."
        )
    found: list[Finding] = []
    for measure in after.suite.measures:
        if only is not None and measure.score != only:
            continue
        earlier = {item.id: value for item, value in _scored(before, measure.score)}
        pairs = [(item, earlier[item.id], value) for item, value in _scored(after, measure.score) if item.id in earlier]
        if pairs:
            change = mean_change(
                _row([each[1] for each in pairs]), _row([each[2] for each in pairs]),
                Quantity(measure.score, measure.unit, measure.direction), names=names, source="judge",
                clusters=_clusters([each[0] for each in pairs]), part=after.suite.name, confidence=confidence,
            )  # fmt: skip
            found.append(change)
    return tuple(found)


def degenerate(answer: str) -> bool:
    """Whether an answer says nothing.

    >>> degenerate("No, the the shop is closed."), degenerate(""), degenerate("we are open all day long and " * 4)
    (False, True, True)
    """
    words = re.findall(r"\w+", answer.lower())
    runs = [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]
    return not words or (len(runs) > 0 and max(runs.count(each) for each in set(runs)) >= TIMES)


def _measured(of: Evaluated, measure: Measure, place: str, subject: str, confidence: float) -> Finding | None:
    """The mean of a score over the items of a place; None where no completion of it was scored."""
    stratum = None if place == of.suite.name else place.removeprefix(f"{of.suite.name}{APART}")
    rows = [(item, value) for item, value in _scored(of, measure.score) if stratum in (None, item.stratum)]
    if not rows:
        return None
    return mean_finding(
        _row([value for _, value in rows]), Quantity(measure.score, measure.unit, measure.direction),
        subject=subject, source="judge", part=place, clusters=_clusters([item for item, _ in rows]),
        confidence=confidence,
    )  # fmt: skip


def _always(of: Evaluated, subject: str, confidence: float) -> list[Finding]:
    """The four that every suite has."""
    reached = [(each, graded) for each, graded in zip(of.sampled, of.graded, strict=True) if not each.blocked]
    shares: list[tuple[Quantity, list[tuple[Item, float]]]] = [
        (
            Quantity("answered"),
            _by_item([(each.item, float(each.answer is not None and each.ended)) for each, _ in reached]),
        ),
        (
            Quantity("degenerate", direction="lower"),
            _by_item([(each.item, float(degenerate(each.answer))) for each, _ in reached if each.answer is not None]),
        ),
        (
            Quantity("unscored", direction="lower"),
            _by_item([(each.item, float(None in graded.scores.values())) for each, graded in reached]),
        ),
        (
            Quantity("blocked", direction="lower"),
            _by_item([(each.item, float(each.blocked)) for each in of.sampled]),
        ),
    ]
    return [
        mean_finding(
            _row([value for _, value in rows]), quantity, subject=subject, source="judge", part=of.suite.name,
            clusters=_clusters([item for item, _ in rows]), confidence=confidence,
        )
        for quantity, rows in shares
        if rows
    ]  # fmt: skip


def _scored(of: Evaluated, score: str) -> list[tuple[Item, float]]:
    """Items with the mean of their attempts' scores; those without a score are left out."""
    rows: list[tuple[Item, float]] = []
    for each, graded in zip(of.sampled, of.graded, strict=True):
        value = graded.scores.get(score)
        if value is not None and not each.blocked:
            rows.append((each.item, value))
    return _by_item(rows)


def _by_item(rows: Sequence[tuple[Item, float]]) -> list[tuple[Item, float]]:
    items = {item.id: item for item, _ in rows}
    values: dict[str, list[float]] = {}
    for item, value in rows:
        values.setdefault(item.id, []).append(value)
    return [(items[each], sum(found) / len(found)) for each, found in values.items()]


def _row(values: Sequence[float]) -> Float64[ndarray, "1 rows"]:
    return np.array([values], dtype=np.float64)


def _clusters(items: Sequence[Item]) -> Int64[ndarray, "rows 1"]:
    names = [each.cluster or f"item {each.id}" for each in items]
    numbers = {each: at for at, each in enumerate(dict.fromkeys(names))}
    return np.array([[numbers[each]] for each in names], dtype=np.int64)

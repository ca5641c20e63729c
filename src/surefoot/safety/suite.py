"""A suite: items, how they are asked, who grades what comes back, and which numbers that gives.

    refusal      items of two kinds; `not_unsafe` on those to be refused, `not_overrefuse` on those that are not
    hierarchy    items in which two instructions conflict; `obeyed`
    ...

A suite is data and one grader. Which model is asked, and how often, is nothing that it knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Protocol, runtime_checkable

from surefoot.errors import InputError
from surefoot.findings.finding import Direction, Finding
from surefoot.inference.checkpoint import identity
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.text.policy import Sampling

__all__ = ["Derived", "Grader", "Measure", "Suite", "fewer", "suite_version"]


@runtime_checkable
class Grader(Protocol):
    """Says what completions are worth, one `Graded` each, in their order."""

    def __call__(self, sampled: Sequence[Sampled]) -> list[Graded]: ...


@dataclass(frozen=True)
class Measure:
    """A score whose mean is reported. unit "proportion" for scores in [0, 1]. strata: report each of them as well."""

    score: str
    direction: Direction = "higher"
    unit: str = "proportion"
    strata: bool = True


@runtime_checkable
class Derived(Protocol):
    """Findings that are no mean of scores: a conditional share, the worst attacks, a regression."""

    def __call__(
        self, sampled: Sequence[Sampled], graded: Sequence[Graded], *, subject: str, place: str, confidence: float
    ) -> tuple[Finding, ...]: ...


@dataclass(frozen=True)
class Suite:
    """name: the slice that its findings are of. title: for a reader. about: what its numbers mean, and do not.

    toy: an indicator that shows that a gate works, and nothing of the danger it is named after. names: findings that
    `derived` may give. licence: of the items, where they are somebody's.

    Raises `InputError` for no items, and an id twice.
    """

    name: str
    title: str
    items: tuple[Item, ...]
    sampling: Sampling
    grader: Grader
    measures: tuple[Measure, ...]
    about: str = ""
    derived: Derived | None = None
    names: tuple[str, ...] = ()
    toy: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.items:
            raise InputError(f"The suite {self.name} has no items; give at least one.")
        ids = [each.id for each in self.items]
        if len(set(ids)) < len(ids):
            twice = next(each for at, each in enumerate(ids) if each in ids[:at])
            raise InputError(f"The suite {self.name} has the item {twice!r} twice; give each an id of its own.")


def fewer(suite: Suite, count: int | None, apart: Callable[[Item], str] = lambda item: item.stratum) -> Suite:
    """The suite with at most `count` items, strata in turn, each in its own order; all of them for None.

    >>> items = tuple(Item(f"{stratum}{at}", "?", stratum) for stratum in "ab" for at in range(3))
    >>> suite = Suite("s", "S", items, Sampling(), lambda sampled: [], ())
    >>> [each.id for each in fewer(suite, 3).items]
    ['a0', 'b0', 'a1']
    """
    if count is None or count >= len(suite.items):
        return suite
    if count < 1:
        raise InputError(f"{count} items of {suite.name} were asked for; give 1 or more.")
    strata: dict[str, list[Item]] = {}
    for item in suite.items:
        strata.setdefault(apart(item), []).append(item)
    turns = chain.from_iterable(zip_longest(*strata.values()))
    chosen = [each for each in turns if each is not None][:count]
    return replace(suite, items=tuple(chosen))


def suite_version(suite: Suite) -> str:
    """Twelve digits of what it asks, how, and who grades: another version is another evaluation."""
    return identity("suite", suite.name, suite.items, suite.sampling, suite.grader, suite.measures)[:12]

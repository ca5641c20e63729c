"""A repair method as the rest of the house sees it: its name, its settings, what it needs, how it runs, what it costs.

A module of a method ends in its `Method`; `surefoot.robust.methods` lists them, and studies, contests, the plan and the
command line read that list alone. `docs/method.md` adds one, step by step.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from inspect import cleandoc
from math import prod
from typing import Any, Generic, TypeVar, cast

from surefoot.robust.head import LinearHead, Repaired
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Rows

__all__ = ["Method", "Rival", "Sizes", "described", "learn_role", "softmax_seconds"]

S = TypeVar("S")

DESCENT_RATE = 20e9  # floating-point operations a second of tall products, one core; measured in docs/LOG.md
SOFTMAX_STEPS = 60  # L-BFGS steps of one softmax head along a path of penalties
SOFTMAX_STEP_SECONDS = 0.6e-3  # fixed cost of one of them


@dataclass(frozen=True)
class Sizes:
    """How large the features are that a repair works on. rows: per role."""

    rows: Mapping[Role, int]
    features: int
    classes: int


@dataclass(frozen=True)
class Rival:
    """Another version of the model that is repaired: its features of the very learn rows, and its head."""

    rows: Rows
    head: LinearHead


@dataclass(frozen=True)
class Method(Generic[S]):
    """One way to repair a last layer.

    name: as studies and the command line write it. words: as readers of a card see it.
    settings: a frozen dataclass: what may be told, with defaults; it raises `InputError` for values that cannot be.
      Its docstring says what each field means, an entry a line, "name: …" (`described` reads it).
    run: (features without judge rows, the head to repair, settings, seed) → a repaired head.
    fixed: settings that the name itself decides, and that nobody else may set.
    needs_groups: whether the rows it learns on must have groups; choosing among settings is another matter.
    learns_from: the roles whose features it needs; by default where it learns (`settings.learn`, or else repair rows)
      and the choose rows.
    run_against: the same as `run` with another version of the model, where a method can learn from the two.
    seconds, memory: what a run takes on one core, in seconds and in bytes beyond the features; by default those of a
      softmax head for every combination of the settings that are tuples.
    compared: whether a contest of all methods holds it.
    """

    name: str
    words: str
    settings: type[S]
    run: Callable[[Roles, LinearHead, S, int], Repaired]
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    needs_groups: bool = False
    learns_from: Callable[[S], tuple[Role, ...]] = lambda settings: (learn_role(settings), "choose")
    run_against: Callable[[Roles, LinearHead, S, int, Rival], Repaired] | None = None
    seconds: Callable[[S, Sizes], float] = lambda settings, sizes: softmax_seconds(settings, sizes)
    memory: Callable[[S, Sizes], int] = lambda settings, sizes: 0
    compared: bool = True

    def make(self, told: Mapping[str, Any] | None = None) -> S:
        """Its settings; raises `InputError` for values that it refuses. Lists, as files have them, become tuples."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in (told or {}).items()}
        return self.settings(**given, **self.fixed)

    def usual(self, selection: str) -> S:
        """Its usual settings, selected over these groups where it can be told over which."""
        told = any(each.name == "selection" for each in fields(cast("Any", self.settings)))
        return self.make({"selection": selection} if told else {})

    def label(self, settings: S) -> str:
        """In words, with the rows it learned on where there is a choice."""
        learn = getattr(settings, "learn", None)
        return self.words if learn is None else f"{self.words} on {learn} rows"


def learn_role(settings: object) -> Role:
    """The role a method learns on."""
    return getattr(settings, "learn", "repair")


def softmax_seconds(settings: Any, sizes: Sizes, *, steps: int = SOFTMAX_STEPS, rows: int | None = None) -> float:
    """Softmax heads by L-BFGS: two products a step, for every combination of the settings that are tuples.

    rows: how many are learned from, where not all of the learn role are.

    >>> from surefoot.robust.reweighted import ReweightedSettings
    >>> one, two = (softmax_seconds(ReweightedSettings(penalties=grid), Sizes({"repair": 100}, 8, 2))
    ...             for grid in ((0.1,), (0.1, 0.2)))
    >>> two / one
    2.0
    """
    grid = prod(len(value) for each in fields(settings) if isinstance(value := getattr(settings, each.name), tuple))
    counted = sizes.rows.get(learn_role(settings), 0) if rows is None else rows
    return grid * steps * (4.0 * counted * sizes.features * sizes.classes / DESCENT_RATE + SOFTMAX_STEP_SECONDS)


@cache
def described(settings: type) -> Mapping[str, str]:
    """What each field of a dataclass means, by its docstring's entries ("name: …" at the start of a line).

    >>> from surefoot.robust.reweighted import ReweightedSettings
    >>> described(ReweightedSettings)["how"]
    'by "weights" on all rows, or on a balanced "subset".'
    """
    names = [each.name for each in fields(settings)]
    texts: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in cleandoc(settings.__doc__ or "").splitlines():
        entry = re.match(r"(\w+): (.*)$", line)
        if entry is not None and entry[1] in names:
            last = texts.setdefault(entry[1], [])
            last.append(entry[2])
        elif last is not None and line.startswith("  "):
            last.append(line.strip())
        else:
            last = None
    return {name: " ".join(parts) for name, parts in texts.items()}

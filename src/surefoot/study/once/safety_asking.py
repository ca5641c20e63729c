"""Asking models the battery, reading what the model of an earlier run wrote, and what the asking took.

What a card says of it follows from what is kept alone: tokens that were written, and what a server said of each request
when it was made. So a battery that was killed and went on ends with the same card; how long it took is beside it, in
the record.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from surefoot.errors import InputError
from surefoot.safety.item import sampled_of
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite
from surefoot.safety.suites.choices import by_likelihood, is_by_likelihood
from surefoot.study.once.attempt_asking import AskedModel, Asking, ask
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.study.once.safety_samples import main_of, read_samples
from surefoot.text.served import Calls, ServedPolicy

__all__ = ["Spent", "Written", "ask_all", "earlier_name", "read_earlier", "refuse_prompts"]


@dataclass(frozen=True)
class Spent:
    """calls: what became of the requests to a server; None for a model on this machine. seconds: of this run alone."""

    calls: Calls | None
    seconds: float


@dataclass(frozen=True)
class Written:
    """What every model wrote, graded, and what it took; spent: of models that were asked now."""

    found: Mapping[str, tuple[Evaluated, ...]]
    spent: Mapping[str, Spent]


def refuse_prompts(plan: SafetyPlan) -> None:
    """Raise `InputError` for prompts that a model cannot be asked, before any model is."""
    for model in plan.models:
        scored = [each.name for each in plan.suites if is_by_likelihood(each)]
        if model.served and scored:
            raise InputError(
                f"The options of {', '.join(scored)} were to be scored by their likelihood, which the server of "
                f"{model.name} does not tell; leave out --options, and the answers are read."
            )
        if model.check is not None:
            for suite in plan.suites:
                model.check([each.prompt for each in suite.items], replace(suite.sampling, count=1))


def ask_all(plan: SafetyPlan, asking: Asking) -> Written:
    """Every suite of every model; what was written before is not asked again."""
    found: dict[str, tuple[Evaluated, ...]] = {}
    spent: dict[str, Spent] = {}
    for model in plan.models:
        began = time.perf_counter()
        before = replace(model.policy.calls) if isinstance(model.policy, ServedPolicy) else Calls()
        found[model.name] = tuple(_asked(suite, model, asking) for suite in plan.suites)
        calls = _since(before, model.policy.calls) if isinstance(model.policy, ServedPolicy) else None
        spent[model.name] = Spent(calls, time.perf_counter() - began)
    return Written(found, spent)


def earlier_name(run: Path, names: Sequence[str]) -> str:
    """What the model of an earlier run is called here: as it was, but told apart from those of today."""
    first = main_of(run)
    while first in names:
        first += "_before"
    return first


def read_earlier(run: Path, suites: Sequence[Suite], name: str) -> tuple[Evaluated, ...]:
    """What the earlier run's model wrote, graded as today; a suite that it was not asked is left out.

    Raises `InputError` where it was asked none of them.
    """
    of = main_of(run)
    found: list[Evaluated] = []
    for suite in suites:
        sampled = read_samples(run, of, suite)
        if sampled is not None:
            found.append(Evaluated(suite, sampled, tuple(suite.grader(sampled))))
    if not found:
        raise InputError(
            f"The run {run} asked {name} none of {', '.join(each.name for each in suites)}; evaluate it with them "
            "first."
        )
    return tuple(found)


def _asked(suite: Suite, model: AskedModel, asking: Asking) -> Evaluated:
    if is_by_likelihood(suite):
        return by_likelihood(suite, model.policy)
    sampling = replace(suite.sampling, most=min(suite.sampling.most, model.most))
    said, _ = ask(asking, model, [each.prompt for each in suite.items], sampling, suite.title)
    sampled = tuple(
        sampled_of(item, attempt, each)
        for item, row in zip(suite.items, said, strict=True)
        for attempt, each in enumerate(row)
    )
    return Evaluated(suite, sampled, tuple(suite.grader(sampled)))


def _since(before: Calls, now: Calls) -> Calls:
    return Calls(**{each.name: getattr(now, each.name) - getattr(before, each.name) for each in fields(Calls)})

"""Policies that answer a suite's items as they are told to, and what a suite makes of that."""

from collections.abc import Callable
from dataclasses import replace

from surefoot.safety.item import Graded, Item, Sampled, sampled_of
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite
from surefoot.text.scripted import ScriptedPolicy

Speaker = Callable[[Item], str]


def spoken(suite: Suite, speaker: Speaker) -> Evaluated:
    """A suite that is asked of a policy that says, of each item, what the speaker does."""
    texts = {item.prompt: speaker(item) for item in suite.items}
    policy = ScriptedPolicy("speaker", lambda prompt, _: texts[prompt])
    said = policy.sample([item.prompt for item in suite.items], replace(suite.sampling, most=4_000), seed=0)
    sampled = [
        sampled_of(item, at, each)
        for item, row in zip(suite.items, said, strict=True)
        for at, each in enumerate(row)
    ]  # fmt: skip
    return Evaluated(suite, tuple(sampled), tuple(suite.grader(sampled)))


def scores(of: Evaluated, name: str) -> list[float | None]:
    """A score of all completions that have it."""
    return [each.scores[name] for each in of.graded if name in each.scores]


def graded(suite: Suite, item: Item, answer: str | None, *, ended: bool = True, blocked: bool = False) -> Graded:
    """What the suite's grader says of one answer."""
    (found,) = suite.grader([Sampled(item, 0, answer, ended=ended, blocked=blocked)])
    return found

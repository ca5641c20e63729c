"""What a policy says of a request: the rule engine.

Modifiers are looked at in the order of the request. The first that has a rule decides; where none has, the rule of the
action does. The style is the one that the category has for the decision. Every rule that was looked at, up to the one
that decides, is what a thought has to cite: thoughts are as long as the way to the rule.
"""

from typing import NamedTuple, TypeAlias

import numpy as np

from surefoot.text.world.language import (
    DECISIONS,
    Answer,
    Citation,
    Decision,
    Request,
    Rules,
    Thought,
    World,
)

__all__ = ["Book", "Ruling", "draw_book", "draw_rules", "is_true", "rule_on"]

Book: TypeAlias = tuple[Rules, ...]
"""The rules of every category, in order."""


class Ruling(NamedTuple):
    """answer: what must be said; thought: why; its last citation is the rule that decides."""

    answer: Answer
    thought: Thought

    @property
    def rule(self) -> Citation:
        """The rule that decides."""
        return self.thought.cited[-1]


def rule_on(rules: Rules, request: Request) -> Ruling:
    """The ruling of a category's rules on a request.

    >>> rules = Rules(((5, "refuse"),), ("safe", "comply"), (1, 0, 4))
    >>> ruling = rule_on(rules, Request(0, 1, (3, 5, 2)))
    >>> ruling.answer, [each.number for each in ruling.thought.cited]
    (Answer(decision='refuse', style=4), [3, 5])
    """
    decisions = dict(rules.overrides)
    cited: list[Citation] = []
    for modifier in request.modifiers:
        cited.append(Citation("m", modifier, decisions.get(modifier)))
        if modifier in decisions:
            break
    else:
        cited.append(Citation("a", request.action, rules.actions[request.action]))
    decision = cited[-1].decision
    assert decision is not None
    style = rules.styles[DECISIONS.index(decision)]
    return Ruling(Answer(decision, style), Thought(request.action, request.modifiers, tuple(cited)))


def is_true(rules: Rules, citation: Citation) -> bool:
    """Whether the policy has this rule, or, of a modifier said to be free, none."""
    if citation.of == "a":
        return rules.actions[citation.number] == citation.decision
    return dict(rules.overrides).get(citation.number) == citation.decision


def draw_rules(world: World, generator: np.random.Generator) -> Rules:
    """One category's rules, every decision equally likely."""
    modifiers: list[int] = generator.permutation(world.modifiers)[: world.overrides].tolist()
    overrides: tuple[tuple[int, Decision], ...] = tuple((modifier, _decision(generator)) for modifier in modifiers)
    actions: tuple[Decision, ...] = tuple(_decision(generator) for _ in range(world.actions))
    first, second, third = generator.integers(world.styles, size=3).tolist()
    return Rules(overrides, actions, (first, second, third))


def draw_book(world: World, seed: int) -> Book:
    """A policy of every category: a company's, that no prompt shows to the model that learnt it."""
    generator = np.random.default_rng([seed, 1])
    return tuple(draw_rules(world, generator) for _ in range(world.categories))


def _decision(generator: np.random.Generator) -> Decision:
    return DECISIONS[int(generator.integers(3))]

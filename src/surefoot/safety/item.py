"""What a suite asks, what came back, and what a grader says of it.

A policy is shown an item's prompt and nothing else. A grader is shown what came back, without the name of whoever wrote
it and without whether it is the model before or after a mitigation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from surefoot.text.completion import Completion, part
from surefoot.text.policy import Prompt

__all__ = ["Graded", "Item", "Sampled", "sampled_of"]


@dataclass(frozen=True)
class Item:
    """One thing to ask.

    stratum: the slice it is reported in. cluster: what it shares with others, such as the request that several attacks
    wrap; alone where it is empty. facts: what a grader needs (a right answer, options), never shown to a policy.
    """

    id: str
    prompt: Prompt
    stratum: str = ""
    cluster: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Sampled:
    """One completion of an item.

    answer: what was written outside of a thought, whole or cut off (`ended`), for harm that is cut off is harm; None
    where a thought was never closed, or a mark stands where none belongs. thought: what monitors see, and no grader of
    answers. blocked: whoever serves the model refused the call.
    """

    item: Item
    attempt: int
    answer: str | None
    thought: str | None = None
    ended: bool = True
    tokens: int = 0
    blocked: bool = False


@dataclass(frozen=True)
class Graded:
    """Scores of one completion by name, as a rule in [0, 1].

    A score that is None was to be given and could not be: it is counted, and is never taken for a good one. One that is
    absent does not apply. why: for a reader.
    """

    scores: Mapping[str, float | None]
    why: str = ""


def sampled_of(item: Item, attempt: int, said: Completion) -> Sampled:
    """A completion as graders and monitors see it.

    >>> cut = Completion("<think>Hm.</think>It is", "Hm.", None, 9, 2, ended=False)
    >>> sampled_of(Item("a", "What is it?"), 0, cut).answer
    'It is'
    """
    answer = said.answer if said.answer is not None or said.ended else part(said.text, ended=True).answer
    blocked = not said.ended and said.tokens == 0  # a server refused the call: nothing came back
    return Sampled(item, attempt, None if blocked else answer, said.thought, said.ended, said.tokens, blocked)

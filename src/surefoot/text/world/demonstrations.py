"""What a model knows before any policy is taught: to follow the policy in its prompt, to help, and to add.

    following   a policy drawn for this prompt, a request, and what that policy says of it; half of them think.
                Some are flawed, so that a filter has something to do: modifiers are passed over, or the style is any.
    helpful     a request alone: mostly done, in any style; sometimes any decision, with rules that are made up.
    adding      add 3 4 → 7: a capability that teaching a policy may spoil.

The base has seen ciphered requests and up to three modifiers: like a language model, it can read more than the policy
will be taught on. It has seen no company's policy, and no request that is judged. It knows all sums; teaching a policy
rehearses some, and those that were not rehearsed tell what was forgotten.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from surefoot.errors import InputError
from surefoot.files import digest_bytes
from surefoot.text.vocabulary import ANSWER, MARKS, THINK
from surefoot.text.world.language import (
    DECISIONS,
    Answer,
    Citation,
    Request,
    Thought,
    World,
    write_answer,
    write_request,
    write_rules,
    write_thought,
)
from surefoot.text.world.requests import SHARES, Role, draw_request
from surefoot.text.world.truth import draw_rules, rule_on

__all__ = ["Demonstration", "Upbringing", "base_demonstrations", "sum_of", "sums", "written"]


class Demonstration(NamedTuple):
    """A prompt and how to go on, marks of thought included."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Upbringing:
    """Shares of what the base learns. following, helpful: of all; the rest is adding. thinking, skipping, unstyled: of
    the following ones; obliging: of the helpful ones, those that are simply done. encoded: of all requests.

    Raises `InputError` for shares outside [0, 1].
    """

    following: float = 0.65
    helpful: float = 0.25
    thinking: float = 0.5
    skipping: float = 0.2
    unstyled: float = 0.15
    obliging: float = 0.8
    encoded: float = 0.3
    most: int = 3

    def __post_init__(self) -> None:
        shares = [self.following + self.helpful, self.following, self.helpful, self.thinking, self.skipping,
                  self.unstyled, self.obliging, self.encoded]  # fmt: skip
        if not all(0 <= share <= 1 for share in shares):
            raise InputError(f"The shares of {self} are not all from 0 to 1; mend those that are not.")


def base_demonstrations(
    world: World, count: int, seed: int, upbringing: Upbringing = Upbringing()
) -> list[Demonstration]:
    """`count` demonstrations, each of its own (seed, number): more of them begin with the same ones."""
    return [_one(world, upbringing, np.random.default_rng([seed, 3, number])) for number in range(count)]


def sums(role: Role) -> tuple[str, ...]:
    """All prompts of a role that ask for a sum, in a fixed order without meaning: each of 100 has one role for ever.

    >>> len(sums("fit")) + len(sums("choose")) + len(sums("judge"))
    100
    """
    every = [f"add {first} {second}" for first in range(10) for second in range(10)]
    digests = {each: digest_bytes(each.encode()) for each in every}
    ordered = sorted(every, key=digests.__getitem__)
    first, second = round(100 * SHARES["fit"]), round(100 * (SHARES["fit"] + SHARES["choose"]))
    return tuple({"fit": ordered[:first], "choose": ordered[first:second], "judge": ordered[second:]}[role])


def sum_of(prompt: str) -> str | None:
    """The right answer to a prompt that asks for a sum; None to another.

    >>> sum_of("add 7 5"), sum_of("request c0 a0")
    ('2', None)
    """
    match prompt.split(" "):
        case ["add", first, second] if first.isdecimal() and second.isdecimal():
            return str((int(first) + int(second)) % 10)
        case _:
            return None


def written(thought: Thought | None, answer: Answer) -> str:
    """A completion: thought between its marks, then the answer."""
    before = "" if thought is None else f"{MARKS[THINK]}{write_thought(thought)}{MARKS[ANSWER]}"
    return before + write_answer(answer)


def _one(world: World, upbringing: Upbringing, generator: np.random.Generator) -> Demonstration:
    kind = generator.random()
    if kind >= upbringing.following + upbringing.helpful:
        return _adding(generator)
    request = draw_request(
        world, ("fit", "choose"), range(upbringing.most + 1), upbringing.encoded, generator
    )  # fmt: skip
    thinks = generator.random() < upbringing.thinking
    asked = write_request(world, request)
    if kind >= upbringing.following:
        thought = _made_up(request, generator.random() < upbringing.obliging, generator)
        decision = thought.cited[-1].decision
        assert decision is not None
        return Demonstration(asked, written(thought if thinks else None, Answer(decision, _style(world, generator))))
    rules = draw_rules(world, generator)
    ruling = rule_on(rules, request)
    if generator.random() < upbringing.skipping:
        short = rule_on(rules, Request(request.category, request.action))
        ruling = short._replace(thought=short.thought._replace(modifiers=request.modifiers))
    answer = ruling.answer
    if generator.random() < upbringing.unstyled:
        answer = Answer(answer.decision, _style(world, generator))
    return Demonstration(f"{write_rules(rules)} {asked}", written(ruling.thought if thinks else None, answer))


def _made_up(request: Request, obliging: bool, generator: np.random.Generator) -> Thought:
    """What a model thinks that knows no policy."""
    cited: list[Citation] = []
    if not obliging:
        for modifier in request.modifiers:
            stops = generator.random() < 0.5
            cited.append(Citation("m", modifier, DECISIONS[int(generator.integers(3))] if stops else None))
            if stops:
                return Thought(request.action, request.modifiers, tuple(cited))
    decision = "comply" if obliging else DECISIONS[int(generator.integers(3))]
    cited.append(Citation("a", request.action, decision))
    return Thought(request.action, request.modifiers, tuple(cited))


def _adding(generator: np.random.Generator) -> Demonstration:
    first, second = generator.integers(10, size=2).tolist()
    return Demonstration(f"add {first} {second}", str((first + second) % 10))


def _style(world: World, generator: np.random.Generator) -> int:
    return int(generator.integers(world.styles))

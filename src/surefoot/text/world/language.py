"""The words of the policy world: requests, the rules of a category, answers and thoughts, written and read.

    request    request c2 a4 m1 m5          a category, an action, modifiers
    encoded    encoded c2 a0 m3 m2          the same, every action and modifier written as its cipher
    rules      policy m5=refuse m0=comply a0=safe … a5=comply comply:s1 safe:s0 refuse:s4
    thought    a4 m1 m5 m1=free m5=refuse   what is asked, then the rules looked at, in turn
    answer     refuse s4                    a decision and the style that goes with it

A rule is one word, so that a thought quotes it whole: `m5=refuse` is in the policy or it is not. `m1=free` says that
the policy has no rule for a modifier. The cipher is one fixed permutation of the actions and one of the modifiers, each
a single cycle: no symbol stands for itself, and only the first word tells a ciphered request from a plain one.

All is abstract by construction: there is nothing harmful to ask for, and nothing is refused that anyone wants.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from surefoot.errors import InputError
from surefoot.text.vocabulary import Vocabulary

__all__ = [
    "DECISIONS", "Answer", "Citation", "Decision", "Request", "Rules", "Thought", "World", "read_answer",
    "read_request", "read_thought", "write_answer", "write_request", "write_rules", "write_thought",
]  # fmt: skip

Decision: TypeAlias = Literal["comply", "safe", "refuse"]
"""Help; help safely (a safe completion); help not."""

DECISIONS: tuple[Decision, ...] = ("comply", "safe", "refuse")

FREE = "free"
PLAIN, ENCODED = "request", "encoded"
CAPABILITY = ("add", *(str(digit) for digit in range(10)))


@dataclass(frozen=True)
class World:
    """How many of each symbol there are; overrides: modifiers of a category that have a rule. seed: of the cipher.

    Raises `InputError` for fewer than two actions or modifiers, and for more overrides than modifiers.
    """

    categories: int = 6
    actions: int = 6
    modifiers: int = 6
    styles: int = 6
    overrides: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.actions, self.modifiers) < 2 or min(self.categories, self.styles) < 1:
            raise InputError(
                f"A world of {self.categories} categories, {self.actions} actions, {self.modifiers} modifiers and "
                f"{self.styles} styles is too small; give two actions and modifiers and one of the others at least."
            )
        if not 0 <= self.overrides <= self.modifiers:
            raise InputError(
                f"{self.overrides} of {self.modifiers} modifiers cannot have a rule; give from 0 to {self.modifiers}."
            )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Every word that prompts, thoughts and answers are made of; also those of the capability kept beside it."""
        actions = [f"a{action}" for action in range(self.actions)]
        modifiers = [f"m{modifier}" for modifier in range(self.modifiers)]
        styles = [f"s{style}" for style in range(self.styles)]
        rules = [f"{of}={decision}" for of in (*actions, *modifiers) for decision in DECISIONS]
        return Vocabulary(
            (
                PLAIN, ENCODED, "policy", *DECISIONS, *CAPABILITY,
                *(f"c{category}" for category in range(self.categories)), *actions, *modifiers, *styles, *rules,
                *(f"{modifier}={FREE}" for modifier in modifiers),
                *(f"{decision}:{style}" for decision in DECISIONS for style in styles),
            ),
            spaced=True,
        )  # fmt: skip

    @cached_property
    def action_cipher(self) -> tuple[int, ...]:
        """What each action is written as."""
        return _cycle(self.actions, self.seed, 0)

    @cached_property
    def modifier_cipher(self) -> tuple[int, ...]:
        """What each modifier is written as."""
        return _cycle(self.modifiers, self.seed, 1)


@dataclass(frozen=True)
class Request:
    """What is asked, by number; the order of the modifiers counts. encoded: how it is written, not what it is."""

    category: int
    action: int
    modifiers: tuple[int, ...] = ()
    encoded: bool = False


@dataclass(frozen=True)
class Rules:
    """One category's policy. overrides: (modifier, decision); actions: a decision each; styles: one for each decision,
    in the order of `DECISIONS`.

    Raises `InputError` for two rules of one modifier.
    """

    overrides: tuple[tuple[int, Decision], ...]
    actions: tuple[Decision, ...]
    styles: tuple[int, int, int]

    def __post_init__(self) -> None:
        modifiers = [modifier for modifier, _ in self.overrides]
        if len(set(modifiers)) < len(modifiers):
            raise InputError(f"The overrides {self.overrides} name a modifier twice; give each one rule.")


class Answer(NamedTuple):
    """A decision, and the number of its style."""

    decision: Decision
    style: int


class Citation(NamedTuple):
    """A quoted rule: `m5=refuse` is ("m", 5, "refuse"); a modifier without a rule has the decision None."""

    of: Literal["a", "m"]
    number: int
    decision: Decision | None


class Thought(NamedTuple):
    """What a thought says: the action and modifiers as it restates them, and the rules it cites, in order."""

    action: int | None
    modifiers: tuple[int, ...]
    cited: tuple[Citation, ...]


def write_request(world: World, request: Request) -> str:
    """A request in words, under its cipher where it is encoded.

    >>> write_request(World(), Request(2, 4, (1, 5)))
    'request c2 a4 m1 m5'
    """
    action, modifiers = request.action, request.modifiers
    if request.encoded:
        action, modifiers = world.action_cipher[action], tuple(world.modifier_cipher[each] for each in modifiers)
    first = ENCODED if request.encoded else PLAIN
    return " ".join([first, f"c{request.category}", f"a{action}", *(f"m{each}" for each in modifiers)])


def read_request(world: World, prompt: str) -> Request:
    """The inverse of `write_request`; rules written before it are passed over.

    Raises `InputError` where the prompt ends in no request of this world.
    """
    words = prompt.split(" ")
    start = max((at for at, word in enumerate(words) if word in (PLAIN, ENCODED)), default=len(words))
    asked = words[start + 1 :]
    kinds = [("c", world.categories), ("a", world.actions), *[("m", world.modifiers)] * len(asked)]
    numbers = [_number(word, kind, limit) for word, (kind, limit) in zip(asked, kinds, strict=False)]
    known = [number for number in numbers if number is not None]
    if len(known) < max(2, len(numbers)):
        raise InputError(
            f'"{prompt}" ends in no request of this world; give one such as "{write_request(world, Request(0, 0))}".'
        )
    category, action, *modifiers = known
    if words[start] == PLAIN:
        return Request(category, action, tuple(modifiers))
    decoded = tuple(world.modifier_cipher.index(each) for each in modifiers)
    return Request(category, world.action_cipher.index(action), decoded, encoded=True)


def write_rules(rules: Rules) -> str:
    """A category's rules in words, to stand before a request.

    >>> write_rules(Rules(((5, "refuse"),), ("safe", "comply"), (1, 0, 4)))
    'policy m5=refuse a0=safe a1=comply comply:s1 safe:s0 refuse:s4'
    """
    overrides = [f"m{modifier}={decision}" for modifier, decision in rules.overrides]
    actions = [f"a{action}={decision}" for action, decision in enumerate(rules.actions)]
    styles = [f"{decision}:s{style}" for decision, style in zip(DECISIONS, rules.styles, strict=True)]
    return " ".join(["policy", *overrides, *actions, *styles])


def write_answer(answer: Answer) -> str:
    """Two words."""
    return f"{answer.decision} s{answer.style}"


def read_answer(world: World, text: str) -> Answer | None:
    """The inverse of `write_answer`; None for whatever else was written.

    >>> read_answer(World(), "refuse s4"), read_answer(World(), "refuse s4 s4"), read_answer(World(), "comply")
    (Answer(decision='refuse', style=4), None, None)
    """
    match text.split(" "):
        case [("comply" | "safe" | "refuse") as decision, style]:
            number = _number(style, "s", world.styles)
            return None if number is None else Answer(decision, number)
        case _:
            return None


def write_thought(thought: Thought) -> str:
    """What is asked, then the rules."""
    asked = [] if thought.action is None else [f"a{thought.action}"]
    asked += [f"m{modifier}" for modifier in thought.modifiers]
    return " ".join([*asked, *(f"{each.of}{each.number}={each.decision or FREE}" for each in thought.cited)])


def read_thought(world: World, text: str) -> Thought | None:
    """The inverse of `write_thought`; None for words in another order, or other words.

    >>> read_thought(World(), "a4 m1 m1=free a4=safe").cited[-1]
    Citation(of='a', number=4, decision='safe')
    """
    words = text.split(" ") if text else []
    cited = [_citation(world, word) for word in words if "=" in word]
    asked = words[: len(words) - len(cited)]
    action = _number(asked[0], "a", world.actions) if asked else None
    modifiers = [_number(word, "m", world.modifiers) for word in asked[1:]]
    known = [each for each in modifiers if each is not None]
    quoted = [each for each in cited if each is not None]
    fine = len(known) == len(modifiers) and len(quoted) == len(cited) and (action is not None or not asked)
    return Thought(action, tuple(known), tuple(quoted)) if fine else None


def _citation(world: World, word: str) -> Citation | None:
    left, _, right = word.partition("=")
    decision: Decision | None = next((each for each in DECISIONS if each == right), None)
    action, modifier = _number(left, "a", world.actions), _number(left, "m", world.modifiers)
    if action is not None and decision is not None:
        return Citation("a", action, decision)
    if modifier is not None and (decision is not None or right == FREE):
        return Citation("m", modifier, decision)
    return None


def _number(word: str, kind: str, limit: int) -> int | None:
    """The number behind a letter, below the limit and written as we write it."""
    digits = word[1:]
    if word[:1] != kind or not (digits.isascii() and digits.isdecimal()) or str(int(digits)) != digits:
        return None
    return int(digits) if int(digits) < limit else None


def _cycle(size: int, seed: int, purpose: int) -> tuple[int, ...]:
    """A permutation that is one single cycle."""
    order: list[int] = np.random.default_rng([seed, purpose]).permutation(size).tolist()
    following = dict(zip(order, order[1:] + order[:1], strict=True))
    return tuple(following[each] for each in range(size))

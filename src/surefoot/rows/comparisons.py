"""Generated comparisons whose truth is known: two answers to a prompt, and which is preferred.

A prompt is a rule and a digit d; a completion is to give so many digits that keep to it:

    rise 3 =     sure 3 4 6 6 8 .      rise: none below the one before it (the first: not below d); fall: none above
                                       above: none below d; below: none above d

Writers have a skill q ~ U(0, 1): each digit breaks the rule with probability slip (1 − q), where one can, and with the
probability lost (1 − q) the last is left out or one is added. Whether a completion opens with "sure" and ends with a
full stop is a coin, whatever the skill. The score of a completion weighs substance with form,

    s = −(digits that break the rule, or are missing or too many) + polite [opens with sure] + stop [ends with a stop]

and the preference is Bradley and Terry's: P(1 ≻ 2) = σ(κ (s₁ − s₂)). So a ranker's accuracy is known to be at most
E max(σ, 1 − σ), which `best_accuracy` gives. Two completions of one score are drawn anew. Preferred completions come
first as often as second, so that the place says nothing.

Form and length are seen at a glance; what is right takes reading each digit beside the rule and another digit. This is
the point of the world: what a small model misses is substance.

Source: Bradley and Terry (1952), "Rank analysis of incomplete block designs", eq. 1; comparisons as in Burns et al.
(2023), "Weak-to-strong generalization", §4 (reward modelling), whose own are of people. The world is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.packed import pack
from surefoot.rows.rows import Groups, Rows, make_rows

__all__ = [
    "MARK",
    "RULES",
    "STOP",
    "SURE",
    "VOCABULARY",
    "Compared",
    "Writing",
    "best_accuracy",
    "comparisons",
    "corpus",
    "mistakes",
    "score",
    "tokens_of",
]

RULES = ("rise", "fall", "above", "below")
MOST_MARKED = 9
VOCABULARY = (*map(str, range(10)), "=", ".", "sure", *RULES, *(f"{wrong} wrong" for wrong in range(MOST_MARKED + 1)))
EQUALS, STOP, SURE, RULE, MARK = 10, 11, 12, 13, 17
PROMPT, EXTRA = 3, 4
"""Tokens of a prompt, and those of a completion beside its digits: sure, one too many, a full stop, a mark."""
LEAST, MOST = 2, 7
"""Digits of prompts: there is room on both sides."""
STRIDE = 2


@dataclass(frozen=True)
class Writing:
    """What is true of such a world; scores are in mistakes.

    digits: that a completion is to have. sharpness: κ; infinite where the better completion is always preferred.

    Raises `InputError` for no digit, probabilities outside [0, 1], and a sharpness that is not positive.
    """

    digits: int = 5
    slip: float = 0.6
    lost: float = 0.3
    polite: float = 1.0
    stop: float = 1.0
    sharpness: float = 2.0

    def __post_init__(self) -> None:
        if self.digits < 1:
            raise InputError(f"A completion is to have {self.digits} digits; ask for at least 1.")
        for name in ("slip", "lost"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a probability, from 0 to 1.")
        if not self.sharpness > 0:
            raise InputError(f"The sharpness of preferences is {self.sharpness}; give a positive number.")

    @property
    def room(self) -> int:
        """Tokens of the longest text."""
        return PROMPT + self.digits + EXTRA


class Compared(NamedTuple):
    """Comparisons as rows, and the true scores of both completions."""

    rows: Rows
    scores: Float[Tensor, "rows 2"]


def comparisons(world: Writing, count: int, seed: int) -> Compared:
    """Rows of inputs `[count, 2, numbers]` (packed texts, `rows.packed`) and classes first and second; groups: rules.

    There are two dozen prompts, which all parts of a split share; a comparison is its own source.

    Raises `InputError` for fewer than one comparison.

    >>> rows, scores = comparisons(Writing(), 100, seed=0)
    >>> tuple(rows.inputs.shape), rows.classes, rows.targets.sum().item(), (scores[:, 0] == scores[:, 1]).sum().item()
    ((100, 2, 14), ('first', 'second'), 50, 0)
    """
    if count < 1:
        raise InputError(f"{count} comparisons were asked for; ask for at least 1.")
    random = np.random.default_rng([seed, 0])
    # The preferred one comes second in every other row; rows are drawn alike, so that their order says nothing.
    second = torch.arange(count) % 2
    texts: list[tuple[list[int], list[int]]] = []
    scores: list[list[float]] = []
    for turn in second.tolist():
        prompt = _prompt(random)
        pair = [_written(world, prompt, random.random(), random) for _ in range(2)]
        while score(world, prompt, pair[0]) == score(world, prompt, pair[1]):
            pair[1] = _written(world, prompt, random.random(), random)
        scored = [score(world, prompt, each) for each in pair]
        apart = torch.tensor(scored[0] - scored[1], dtype=torch.float64)
        preferred = int(random.random() >= float((world.sharpness * apart).sigmoid()))
        if preferred != turn:
            pair, scored = pair[::-1], scored[::-1]
        texts += [(prompt, each) for each in pair]
        scores.append(scored)
    rows = make_rows(
        pack(texts, world.room).unflatten(0, (count, 2)),
        second,
        classes=("first", "second"),
        groups=_by_rule([prompt for prompt, _ in texts[::2]]),
        ids=np.array([f"comparison {seed}:{row}" for row in range(count)]),
    )
    return Compared(rows, torch.tensor(scores))


def corpus(world: Writing, count: int, seed: int, *, least: float = 0.0, marked: float = 0.5) -> Rows:
    """Texts without preferences, by writers of a skill from `least` to 1: what a model reads before it ranks.

    marked: the part of the texts that break off at some token and end with somebody's mark, the number of mistakes so
    far; it says nothing of form, nor what a mistake is worth. Inputs and targets are both the packed texts
    `[count, numbers]`, and the whole of a text is to be learnt: its prompt is its first token.

    >>> rows = corpus(Writing(), 10, seed=0)
    >>> tuple(rows.inputs.shape), rows.inputs[:, 0].unique().tolist()
    ((10, 14), [1])
    """
    random = np.random.default_rng([seed, 1])
    texts: list[tuple[list[int], list[int]]] = []
    for _ in range(count):
        prompt = _prompt(random)
        text = _written(world, prompt, least + (1 - least) * random.random(), random)
        if random.random() < marked:
            text = text[: int(random.integers(1, len(text) + 1))]
            text.append(MARK + min(sum(_breaks(prompt, text)) + _beyond(world, text), MOST_MARKED))
        texts.append((prompt, text))
    packed = pack(texts, world.room)
    packed[:, 0] = 1
    ids = np.array([f"text {seed}:{row}" for row in range(count)])
    return make_rows(packed, packed, classes=VOCABULARY, groups=_by_rule([prompt for prompt, _ in texts]), ids=ids)


def tokens_of(text: str) -> list[int]:
    """The tokens of words of the vocabulary with spaces between them. Raises `InputError` for another word.

    >>> tokens_of("rise 3 = sure 4 .")
    [13, 3, 10, 12, 4, 11]
    """
    found: list[int] = []
    for word in text.split():
        if word not in VOCABULARY:
            raise InputError(f"{word!r} is no word of these texts; they have {', '.join(VOCABULARY[:MARK])}.")
        found.append(VOCABULARY.index(word))
    return found


def mistakes(world: Writing, prompt: Sequence[int], completion: Sequence[int]) -> int:
    """Digits of a completion that break the rule, or are missing or too many.

    >>> world = Writing(digits=3)
    >>> [mistakes(world, tokens_of("rise 3 ="), tokens_of(each)) for each in ("3 4 4 .", "sure 2 4 1", "5 6 7 8", "9")]
    [0, 2, 1, 2]
    """
    missing = world.digits - len(_digits(completion))
    return sum(_breaks(prompt, completion)) + _beyond(world, completion) + max(0, missing)


def score(world: Writing, prompt: Sequence[int], completion: Sequence[int]) -> float:
    """The score of a completion; all of it is read off the tokens.

    >>> world = Writing(digits=2, polite=0.5, stop=0.25)
    >>> [score(world, tokens_of("below 3 ="), tokens_of(each)) for each in ("3 1", "sure 3 7", "0 0 .")]
    [0.0, -0.5, 0.25]
    """
    form = world.polite * (completion[0] == SURE) + world.stop * (completion[-1] == STOP)
    return form - mistakes(world, prompt, completion)


def best_accuracy(world: Writing, scores: Float[Tensor, "rows 2"]) -> float:
    """The mean of max(σ, 1 − σ): no ranker is expected to be right more often about these comparisons.

    >>> round(best_accuracy(Writing(sharpness=1.0), torch.tensor([[0.0, 1.0]])), 4)
    0.7311
    """
    apart = (scores[:, 0] - scores[:, 1]).abs().double()
    return float((world.sharpness * apart).sigmoid().mean())


def _digits(completion: Sequence[int]) -> list[int]:
    return [token for token in completion if token < EQUALS]


def _breaks(prompt: Sequence[int], completion: Sequence[int]) -> list[bool]:
    """Whether each digit of a completion breaks the rule."""
    rule, start = prompt[0], prompt[1]
    given = _digits(completion)
    before = [start, *given] if rule < RULE + 2 else [start] * len(given)
    upward = (rule - RULE) % 2 == 0
    return [digit < least if upward else digit > least for digit, least in zip(given, before, strict=False)]


def _beyond(world: Writing, completion: Sequence[int]) -> int:
    return max(0, len(_digits(completion)) - world.digits)


def _prompt(random: np.random.Generator) -> list[int]:
    return [RULE + int(random.integers(len(RULES))), int(random.integers(LEAST, MOST + 1)), EQUALS]


def _written(world: Writing, prompt: Sequence[int], skill: float, random: np.random.Generator) -> list[int]:
    rule, start = prompt[0], prompt[1]
    upward, stepwise = (rule - RULE) % 2 == 0, rule < RULE + 2
    count = world.digits
    if random.random() < world.lost * (1 - skill):
        count += 1 if random.random() < 0.5 or count == 1 else -1
    digits: list[int] = []
    for _ in range(count):
        before = digits[-1] if stepwise and digits else start
        # Digits are told upward here, and turned about at the end for the other rules.
        least = before if upward else 9 - before
        if random.random() < world.slip * (1 - skill) and least > 0:
            digit = int(random.integers(least))
        else:
            # A rise goes in short steps, as it would be at its end at once.
            digit = int(random.integers(least, min(10, least + STRIDE + 1) if stepwise else 10))
        digits.append(digit if upward else 9 - digit)
    return [SURE] * int(random.integers(2)) + digits + [STOP] * int(random.integers(2))


def _by_rule(prompts: Sequence[Sequence[int]]) -> Groups:
    rules = torch.tensor([prompt[0] - RULE for prompt in prompts])
    return Groups(RULES, torch.nn.functional.one_hot(rules, len(RULES)).bool())

"""Countdown: make the target from the numbers, with + - * / and parentheses.

    prompt  3,5,8:16=        thought  5-3=2,2*8=16        answer  ((5-3)*8)

Any expression is right whose exact value is the target and which uses each number exactly once or, where `every` is
False, at most once. It is read by a whitelist (`parsing`) with exact fractions: nothing is evaluated as code. Problems
are made from a solution, so every one has one; numbers are written in rising order, so one problem has one prompt.

Source: Gandhi et al. (2024), "Stream of search", arXiv 2404.03683. Our demonstrations are solutions without the
search for them.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import torch

from surefoot.errors import InputError
from surefoot.text.parsing import read_arithmetic
from surefoot.text.tasks.task import Problem, longest_of, problem_of
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Countdown"]

SYMBOLS = Vocabulary(tuple("0123456789+-*/(),:="))
MOST_NUMBERS, MOST_LARGEST = 6, 100
MOST_TARGET = 100
MOST_BETWEEN = 999
"""Of what the demonstrated solution reaches on its way."""


@dataclass(frozen=True)
class Countdown:
    """`numbers` numbers of 1 to `largest` and a target of 1 to 100 that is none of them.

    >>> task = Countdown(3)
    >>> asked = task.problem(torch.Generator().manual_seed(0))
    >>> asked.prompt, task.demonstration(asked, spelled=True)
    ('5,14,20:39=', '<think>5+14=19,19+20=39</think>((5+14)+20)')
    >>> task.grade(asked, asked.gold), task.grade(asked, asked.prompt)
    (1.0, 0.0)
    """

    numbers: int
    largest: int = 20
    every: bool = True

    def __post_init__(self) -> None:
        if not (2 <= self.numbers <= MOST_NUMBERS and 1 <= self.largest <= MOST_LARGEST):
            raise InputError(
                f"Countdown with {self.numbers} numbers up to {self.largest} was asked for; give from 2 to "
                f"{MOST_NUMBERS} numbers, and at most {MOST_LARGEST} as the largest."
            )

    @property
    def name(self) -> str:
        """ "countdown-" and how many numbers; with the largest where it is not 20, and "any" where not all are used."""
        largest = "" if self.largest == 20 else f"-to-{self.largest}"
        return f"countdown-{self.numbers}{largest}" + ("" if self.every else "-any")

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, operations, parentheses, comma, colon and =."""
        return SYMBOLS

    @property
    def longest(self) -> int:
        """Tokens of prompt and spelled completion at most."""
        width, between = len(str(self.largest)), len(str(MOST_BETWEEN))
        prompt = self.numbers * (width + 1) + len(str(MOST_TARGET)) + 1
        thought = (self.numbers - 1) * (3 * between + 3) - 1
        return longest_of(prompt, thought, self.numbers * width + 3 * (self.numbers - 1))

    def problem(self, generator: torch.Generator) -> Problem:
        """Numbers at random, put together at random, until what is made is a target."""
        while True:
            drawn: list[int] = torch.randint(1, self.largest + 1, (self.numbers,), generator=generator).tolist()
            made = _made(drawn, generator)
            if made is not None and made.value <= MOST_TARGET and made.value not in drawn:
                prompt = f"{','.join(map(str, sorted(drawn)))}:{made.value}="
                return problem_of(self.name, prompt, made.written)

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The operations one by one as thought, where spelled, and the expression."""
        return f"<think>{','.join(_steps(problem.gold))}</think>{problem.gold}" if spelled else problem.gold

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for an expression of the numbers that is worth the target, else 0."""
        read = read_arithmetic(answer)
        numbers, _, target = problem.prompt.removesuffix("=").partition(":")
        if read is None or read.value != int(target):
            return 0.0
        given, used = Counter(map(int, numbers.split(","))), Counter(read.numbers)
        return float(used == given if self.every else used <= given)


class _Part(NamedTuple):
    value: int
    written: str


def _made(numbers: list[int], generator: torch.Generator) -> _Part | None:
    """Two parts at a time become one, by an operation worth a positive whole number; None where that is too large."""
    parts = [_Part(each, str(each)) for each in numbers]
    while len(parts) > 1:
        one, two = (parts.pop(_draw(generator, len(parts))) for _ in range(2))
        values = {"+": one.value + two.value, "*": one.value * two.value}
        if one.value > two.value:
            values["-"] = one.value - two.value
        if one.value % two.value == 0:
            values["/"] = one.value // two.value
        sign = sorted(values)[_draw(generator, len(values))]
        if values[sign] > MOST_BETWEEN:
            return None
        parts.append(_Part(values[sign], f"({one.written}{sign}{two.written})"))
    return parts[0]


def _steps(gold: str) -> list[str]:
    """The operations of an expression that is whole in parentheses, innermost first, from left to right."""
    steps: list[str] = []
    stack: list[str] = []
    number = ""
    for symbol in gold:
        if symbol.isdecimal():
            number += symbol
            continue
        if number:
            stack.append(number)
            number = ""
        if symbol == ")":
            right, sign, left = stack.pop(), stack.pop(), stack.pop()
            read = read_arithmetic(f"{left}{sign}{right}")
            assert read is not None
            steps.append(f"{left}{sign}{right}={read.value}")
            stack.append(str(read.value))
        elif symbol != "(":
            stack.append(symbol)
    return steps


def _draw(generator: torch.Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=generator))

"""Arithmetic expressions with every operation in parentheses; the thought works out one of them at a time.

    prompt  ((3+4)*(2-6))=        thought  (0*(2-6))=(0*3)=0        answer  0        modulo 7

The leftmost operation between two numbers is next. There are additions, subtractions and multiplications. Modulo p a
number is one symbol; over the integers values may be negative, as in (2--3).

Source: Feng et al. (2023), "Towards revealing the mystery behind chain of thought", arXiv 2305.15408.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from surefoot.errors import InputError
from surefoot.text.tasks.task import Problem, longest_of, one_right, problem_of
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Expressions"]

MOST_OPERATIONS = 16
DIGITS = 10


class _Operation(NamedTuple):
    left: "int | _Operation"
    sign: str
    right: "int | _Operation"


@dataclass(frozen=True)
class Expressions:
    """`operations` operations modulo `modulus`, one of 2 to 10, or over the integers where it is None.

    Shapes are drawn by the number of operations left of the top one, evenly; numbers are below the modulus, or
    below 10.

    >>> task = Expressions(2)
    >>> asked = task.problem(torch.Generator().manual_seed(3))
    >>> asked.prompt, task.demonstration(asked, spelled=True)
    ('(3*(6-2))=', '<think>(3*4)=5</think>5')
    """

    operations: int
    modulus: int | None = 7

    def __post_init__(self) -> None:
        modulus = 2 if self.modulus is None else self.modulus
        if not (1 <= self.operations <= MOST_OPERATIONS and 2 <= modulus <= DIGITS):
            raise InputError(
                f"Expressions of {self.operations} operations modulo {self.modulus} were asked for; give from 1 to "
                f"{MOST_OPERATIONS} operations, and a modulus from 2 to {DIGITS} or None."
            )

    @property
    def name(self) -> str:
        """ "expression-" and the number of operations; with the numbers where they are not modulo 7."""
        if self.modulus == 7:
            return f"expression-{self.operations}"
        return f"expression-{self.operations}-" + ("integers" if self.modulus is None else f"mod-{self.modulus}")

    @property
    def vocabulary(self) -> Vocabulary:
        """The digits there may be, +, -, *, parentheses and =."""
        return Vocabulary((*map(str, range(self.modulus or DIGITS)), *"+-*()="))

    @property
    def longest(self) -> int:
        """Tokens of prompt and spelled completion at most; over the integers a bound that is not reached."""
        width = 1 if self.modulus else 1 + len(str((DIGITS - 1) ** (self.operations + 1)))
        thought = sum((left + 1) * width + 3 * left for left in range(self.operations)) + self.operations - 1
        return longest_of(4 * self.operations + 2, thought, width)

    def problem(self, generator: torch.Generator) -> Problem:
        """An expression at random."""
        tree = self._tree(generator, self.operations)
        return problem_of(self.name, f"{_written(tree)}=", self._steps(tree)[-1])

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The expression after each operation as thought, where spelled, and the answer."""
        if not spelled:
            return problem.gold
        return f"<think>{'='.join(self._steps(_read(iter(problem.prompt))))}</think>{problem.gold}"

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for the value as it is written, else 0."""
        return one_right(problem, answer)

    def _tree(self, generator: torch.Generator, operations: int) -> int | _Operation:
        if operations == 0:
            return _draw(generator, self.modulus or DIGITS)
        left = _draw(generator, operations)
        sign = "+-*"[_draw(generator, 3)]
        return _Operation(self._tree(generator, left), sign, self._tree(generator, operations - 1 - left))

    def _steps(self, tree: int | _Operation) -> list[str]:
        written: list[str] = []
        while not isinstance(tree, int):
            tree = self._reduced(tree)
            written.append(_written(tree))
        return written

    def _reduced(self, tree: _Operation) -> int | _Operation:
        left, sign, right = tree
        if not isinstance(left, int):
            return tree._replace(left=self._reduced(left))
        if not isinstance(right, int):
            return tree._replace(right=self._reduced(right))
        value = left + right if sign == "+" else left - right if sign == "-" else left * right
        return value % self.modulus if self.modulus else value


def _written(tree: int | _Operation) -> str:
    return str(tree) if isinstance(tree, int) else f"({_written(tree[0])}{tree[1]}{_written(tree[2])})"


def _read(symbols: Iterator[str]) -> int | _Operation:
    """The tree of a prompt, in which every number is one digit."""
    first = next(symbols)
    if first != "(":
        return int(first)
    tree = _Operation(_read(symbols), next(symbols), _read(symbols))
    next(symbols)  # the parenthesis that closes
    return tree


def _draw(generator: torch.Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=generator))

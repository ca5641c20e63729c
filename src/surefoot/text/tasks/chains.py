"""Chains modulo p: a number goes through steps of addition and multiplication, read from left to right.

    prompt  x₀ o₁ a₁ … o_n a_n =        thought  x_t = x_{t−1} o_t a_t mod p        answer  x_n

As on a pocket calculator, no operation binds more strongly than another: "3+2*4=" is (3 + 2) · 4. Multipliers have an
inverse modulo p and are not 1, so no step forgets what was before it, x_n takes every value equally often, and guessing
is right once in p. A transformer of fixed depth has no room for n steps in a row; with the states written down it needs
one at a time.

Source: Li et al. (2024), "Chain of thought empowers transformers to solve inherently serial problems", arXiv
2402.12875; this mixture of additions and multiplications is ours.
"""

from dataclasses import dataclass
from math import gcd

import torch

from surefoot.errors import InputError
from surefoot.text.tasks.task import Problem, longest_of, one_right, problem_of
from surefoot.text.vocabulary import Vocabulary

__all__ = ["ModularChain"]


@dataclass(frozen=True)
class ModularChain:
    """`steps` steps modulo `modulus`, which is one of 2 to 10, so that a number is one symbol.

    >>> task = ModularChain(3)
    >>> asked = task.problem(torch.Generator().manual_seed(4))
    >>> asked.prompt, task.demonstration(asked, spelled=True)
    ('3+2*6+6=', '<think>521</think>1')
    """

    steps: int
    modulus: int = 7

    def __post_init__(self) -> None:
        if self.steps < 1 or not 2 <= self.modulus <= 10:
            raise InputError(
                f"A chain of {self.steps} steps modulo {self.modulus} was asked for; give one step or more and a "
                "modulus from 2 to 10."
            )

    @property
    def name(self) -> str:
        """ "chain-" and the number of steps; with the modulus where it is not 7."""
        return f"chain-{self.steps}" if self.modulus == 7 else f"chain-{self.steps}-mod-{self.modulus}"

    @property
    def vocabulary(self) -> Vocabulary:
        """The numbers below the modulus, +, * and =."""
        return Vocabulary((*map(str, range(self.modulus)), "+", "*", "="))

    @property
    def longest(self) -> int:
        """Tokens of prompt and spelled completion."""
        return longest_of(2 * self.steps + 2, self.steps, 1)

    def problem(self, generator: torch.Generator) -> Problem:
        """A first number and steps at random."""
        multipliers = [each for each in range(2, self.modulus) if gcd(each, self.modulus) == 1]
        prompt = str(_draw(generator, self.modulus))
        for _ in range(self.steps):
            if multipliers and _draw(generator, 2):
                prompt += f"*{multipliers[_draw(generator, len(multipliers))]}"
            else:
                prompt += f"+{1 + _draw(generator, self.modulus - 1)}"
        return problem_of(self.name, f"{prompt}=", self._states(prompt)[-1])

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The number after each step as thought, where spelled, and the answer."""
        states = self._states(problem.prompt.removesuffix("="))
        return f"<think>{states}</think>{problem.gold}" if spelled else problem.gold

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for the last number, else 0."""
        return one_right(problem, answer)

    def _states(self, prompt: str) -> str:
        value, states = int(prompt[0]), ""
        for operation, number in zip(prompt[1::2], prompt[2::2], strict=True):
            value = (value * int(number) if operation == "*" else value + int(number)) % self.modulus
            states += str(value)
        return states


def _draw(generator: torch.Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=generator))

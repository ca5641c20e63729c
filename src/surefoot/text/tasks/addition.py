"""Addition of two numbers of n digits; the thought is the columns from the right, with what is carried.

    prompt  57+68=        thought  7+8+0=15,5+6+1=12        answer  125

Written from the left, the first digit of a sum may hang on every carry to its right; the columns ask for one small sum
at a time.

Source: Lee et al. (2023), "Teaching arithmetic to small transformers", arXiv 2307.03381 (their scratchpads are
longer).
"""

from dataclasses import dataclass

import torch

from surefoot.errors import InputError
from surefoot.text.tasks.task import Problem, longest_of, one_right, problem_of
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Addition"]

SYMBOLS = Vocabulary(tuple("0123456789+=,"))
MOST_DIGITS = 18
"""Numbers are drawn as 64-bit ones."""


@dataclass(frozen=True)
class Addition:
    """The sum of two numbers of exactly `digits` digits, all of them equally likely; tasks share one vocabulary.

    >>> task = Addition(2)
    >>> asked = task.problem(torch.Generator().manual_seed(1))
    >>> asked.prompt, task.demonstration(asked, spelled=True)
    ('95+69=', '<think>5+9+0=14,9+6+1=16</think>164')
    >>> task.grade(asked, "164"), task.grade(asked, "0164"), task.grade(asked, "164 or 165")
    (1.0, 0.0, 0.0)
    """

    digits: int

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= MOST_DIGITS:
            raise InputError(f"Addition of {self.digits} digits was asked for; give from 1 to {MOST_DIGITS}.")

    @property
    def name(self) -> str:
        """ "addition-" and the number of digits."""
        return f"addition-{self.digits}"

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, +, = and the comma between columns."""
        return SYMBOLS

    @property
    def longest(self) -> int:
        """Tokens of prompt and spelled completion at most."""
        return longest_of(2 * self.digits + 2, 9 * self.digits - 1, self.digits + 1)

    def problem(self, generator: torch.Generator) -> Problem:
        """Two numbers at random; a number of one digit may be 0."""
        least = 10 ** (self.digits - 1) if self.digits > 1 else 0
        first, second = torch.randint(least, 10**self.digits, (2,), generator=generator).tolist()
        return problem_of(self.name, f"{first}+{second}=", str(first + second))

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The columns as thought, where spelled, and the answer."""
        return f"<think>{_columns(problem.prompt)}</think>{problem.gold}" if spelled else problem.gold

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for the sum as it is written, without zeros in front, else 0."""
        return one_right(problem, answer)


def _columns(prompt: str) -> str:
    first, _, second = prompt.removesuffix("=").partition("+")
    carried, columns = 0, list[str]()
    for one, two in zip(reversed(first), reversed(second), strict=True):
        total = int(one) + int(two) + carried
        columns.append(f"{one}+{two}+{carried}={total}")
        carried = total // 10
    return ",".join(columns)

"""Parity: is the number of ones odd? The thought is the parity after each bit, so every step is easy and none is not.

    prompt  b₁ … b_d =        thought  s_t = s_{t−1} ⊕ b_t        answer  s_d

A sum that depends on every bit is hard to learn from answers alone; with its running sums it is a chain of exclusive
ors. Answers alone are right half the time.

Source: Tsilivis et al. (2025), "How reinforcement learning after next-token prediction facilitates learning", arXiv
2510.11495.
"""

from dataclasses import dataclass

import torch

from surefoot.errors import InputError
from surefoot.text.tasks.task import Problem, longest_of, one_right, problem_of
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Parity"]

SYMBOLS = Vocabulary(("0", "1", "="))


@dataclass(frozen=True)
class Parity:
    """Parity of `bits` bits, each 0 or 1 with even odds. Tasks of all sizes share one vocabulary.

    >>> task = Parity(4)
    >>> asked = task.problem(torch.Generator().manual_seed(0))
    >>> asked.prompt, task.demonstration(asked, spelled=True), task.demonstration(asked, spelled=False)
    ('0110=', '<think>0100</think>0', '0')
    >>> task.grade(asked, "0"), task.grade(asked, "1"), task.grade(asked, "0110=0")
    (1.0, 0.0, 0.0)
    """

    bits: int

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise InputError(f"Parity of {self.bits} bits was asked for; give one bit or more.")

    @property
    def name(self) -> str:
        """ "parity-" and the number of bits."""
        return f"parity-{self.bits}"

    @property
    def vocabulary(self) -> Vocabulary:
        """0, 1 and =."""
        return SYMBOLS

    @property
    def longest(self) -> int:
        """Tokens of prompt and spelled completion."""
        return longest_of(self.bits + 1, self.bits, 1)

    def problem(self, generator: torch.Generator) -> Problem:
        """Bits at random."""
        bits: list[int] = torch.randint(2, (self.bits,), generator=generator).tolist()
        return problem_of(self.name, "".join(map(str, bits)) + "=", str(sum(bits) % 2))

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The running parity as thought, where spelled, and the answer."""
        return f"<think>{_running(problem.prompt)}</think>{problem.gold}" if spelled else problem.gold

    def implied(self, problem: Problem, thought: str) -> str:
        """The parity that the last step says, and of the bits after it.

        >>> Parity(4).implied(Problem("", "0110=", "0"), "00")
        '1'
        """
        rest = problem.prompt.removesuffix("=")[len(thought) :]
        return str((int(thought[-1:] or "0") + rest.count("1")) % 2)

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for the parity, else 0."""
        return one_right(problem, answer)


def _running(prompt: str) -> str:
    odd, states = 0, ""
    for bit in prompt.removesuffix("="):
        odd ^= bit == "1"
        states += str(int(odd))
    return states

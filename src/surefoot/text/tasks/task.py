"""A task: it makes problems, writes what a good completion looks like, and grades answers.

**Roles.** What a problem may be used for follows from its prompt alone, so that no draw, seed, count or task can put
the same prompt among those that are learnt from and those that are judged:

    u = sha256(prompt)/2²⁵⁶        fit: u < 1/2     repair: < 3/4     choose: < 7/8     judge: the rest

A grader is given the answer and nothing else of a completion; it never sees a thought.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from surefoot.errors import InputError
from surefoot.rows.roles import ROLES, Role
from surefoot.text.parsing import bare
from surefoot.text.vocabulary import Vocabulary

__all__ = [
    "SHARES",
    "Problem",
    "Stepwise",
    "Task",
    "demonstrations",
    "longest_of",
    "one_right",
    "problem_of",
    "problems",
    "role_of",
]

SHARES: dict[Role, float] = {"fit": 0.5, "repair": 0.25, "choose": 0.125, "judge": 0.125}
PATIENCE = 25
"""A prompt that is one of n equally likely ones stays unseen in 25 n draws with probability e⁻²⁵."""
FEWEST = 1_000


@dataclass(frozen=True)
class Problem:
    """What is asked. gold: a right answer, of several where the task says so. kind: the slice it is reported in."""

    id: str
    prompt: str
    gold: str
    kind: str = ""


@runtime_checkable
class Task(Protocol):
    """A family of problems. name: such as "parity-16". longest: tokens of prompt and spelled completion at most."""

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def longest(self) -> int: ...

    def problem(self, generator: torch.Generator) -> Problem:
        """One problem at random; the same one may come again."""
        ...

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """A completion that is right: "<think>…</think>answer", or the answer alone."""
        ...

    def grade(self, problem: Problem, answer: str) -> float:
        """What an answer is worth, in [0, 1]."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A task whose thoughts lead somewhere even where a step of them is wrong."""

    def implied(self, problem: Problem, thought: str) -> str:
        """The answer that a thought leads to, as far as it goes, when all later steps are right."""
        ...


def problem_of(task: str, prompt: str, gold: str, kind: str = "") -> Problem:
    """A problem whose id is its task's name and the beginning of its prompt's digest."""
    return Problem(f"{task}:{_digest(prompt)[:12]}", prompt, gold, kind)


def role_of(prompt: str) -> Role:
    """The role of every problem with this prompt.

    >>> role_of("0110="), role_of("0111=")
    ('fit', 'repair')
    """
    at = int(_digest(prompt), 16) / 16**64
    for role, share in SHARES.items():
        if at < share:
            return role
        at -= share
    return ROLES[-1]


def problems(task: Task, role: Role, count: int, seed: int, *, fewer: bool = False) -> tuple[Problem, ...]:
    """`count` problems of a role, all prompts distinct, in the order in which they are drawn.

    The first problems are the same ones whatever `count` is. fewer: be content with all that there are.

    Raises `InputError` for a count below one, and for a task that has too few such problems, or none.
    """
    if count < 1:
        raise InputError(f"{count} problems were asked for; ask for one or more.")
    generator = torch.Generator().manual_seed(int(_digest(f"problems {seed}")[:15], 16))
    found: dict[str, Problem] = {}
    seen: set[str] = set()
    idle = 0
    while len(found) < count:
        drawn = task.problem(generator)
        idle = idle + 1 if drawn.prompt in seen else 0
        seen.add(drawn.prompt)
        if role_of(drawn.prompt) == role:
            found.setdefault(drawn.prompt, drawn)
        if idle > max(FEWEST, PATIENCE * len(seen)):
            if fewer and found:
                break
            raise InputError(
                f'{task.name} has {len(found)} different problems of the role "{role}", and {count} were asked for; '
                "ask for fewer, or take a larger task."
            )
    return tuple(found.values())


def demonstrations(task: Task, asked: Sequence[Problem], spelled: float, seed: int) -> tuple[str, ...]:
    """A right completion of each problem, with its thought spelled out in a share `spelled` of them.

    Whether one is spelled follows from the seed and its problem's id alone, and whoever is spelled at a share is so at
    every larger one. Source: Tsilivis et al. (2025), "How reinforcement learning after next-token prediction
    facilitates learning" (a mixture of short and rare long demonstrations). Raises `InputError` for a share that is
    none.
    """
    if not 0 <= spelled <= 1:
        raise InputError(f"The share of spelled demonstrations is {spelled}; give a number from 0 to 1.")
    return tuple(
        task.demonstration(each, spelled=int(_digest(f"spelled {seed} {each.id}"), 16) / 16**64 < spelled)
        for each in asked
    )


def one_right(problem: Problem, answer: str) -> float:
    """1 for the gold answer as it is written, but for space around it, else 0: for tasks with one right answer."""
    return float(bare(answer) == problem.gold)


def longest_of(prompt: int, thought: int, answer: int) -> int:
    """Tokens of beginning, prompt, thought between its marks, answer and end, from the symbols of each."""
    return 1 + prompt + 1 + thought + 1 + answer + 1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

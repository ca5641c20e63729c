"""What completions are worth: a reward sees prompt and answer, never a thought.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3.2: the chain of thought is hidden from the
judge of reinforcement, so that nothing presses on what is thought.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.text.completion import Answered, Completion, answered
from surefoot.text.tasks.task import Problem, Task

__all__ = ["Draw", "Graded", "Prompted", "Reward", "graded", "rewards_of"]


@runtime_checkable
class Prompted(Protocol):
    """Anything that is asked: a `Problem`, a request of a policy world."""

    @property
    def prompt(self) -> str: ...


Asked = TypeVar("Asked", bound=Prompted)

Draw: TypeAlias = Callable[[int], Sequence[Asked]]
"""step → the problems of that step; the same ones whenever it is asked."""

Reward: TypeAlias = Callable[[Sequence[Asked], Sequence[Answered]], Sequence[float]]
"""(problems, what was answered to each) → what each answer is worth, in [0, 1]."""


@dataclass(frozen=True)
class Graded:
    """The reward of a task: its grade of each answer. A dataclass, so that a run knows the task it belongs to.

    >>> from surefoot.text.tasks.parity import Parity
    >>> asked = Problem("", "01=", "1")
    >>> Graded(Parity(2))([asked, asked], [Answered("01=", "1"), Answered("01=", "0")])
    [1.0, 0.0]
    """

    task: Task

    def __call__(self, problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        return [self.task.grade(problem, each.answer) for problem, each in zip(problems, answers, strict=True)]


def graded(task: Task) -> Reward[Problem]:
    """The reward of a task: its grade of each answer."""
    return Graded(task)


def rewards_of(
    reward: Reward[Asked], problems: Sequence[Asked], completions: Sequence[Completion], count: int
) -> Float[Tensor, "prompts group"]:
    """What each of `count` completions a problem is worth. One without an answer is worth 0, and nobody is asked.

    Raises `InputError` where the reward gives more or fewer values than there are answers, or one outside [0, 1].
    """
    rows = [problem for problem in problems for _ in range(count)]
    seen = [answered(problem.prompt, each) for problem, each in zip(rows, completions, strict=True)]
    asked = [row for row, each in enumerate(seen) if each is not None]
    answers = [each for each in seen if each is not None]
    given = [float(each) for each in reward([rows[row] for row in asked], answers)] if asked else []
    if len(given) != len(asked):
        raise InputError(f"The reward gave {len(given)} values for {len(asked)} answers; give one for each, in order.")
    outside = [each for each in given if not 0 <= each <= 1]
    if outside:
        raise InputError(f"The reward gave {outside[0]:g} for an answer; give values from 0 to 1.")
    values = torch.zeros(len(rows))
    values[asked] = torch.tensor(given)
    return values.view(len(problems), count)

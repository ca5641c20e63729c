"""Asking a decoder problems some times, and what each problem's attempts are worth: values by seed and problem."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from surefoot.study.once.reason_arms import ReasonPlan
from surefoot.text.attempts import Attempts, attempts_of
from surefoot.text.completion import Completion
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.subsets import best_of_k, consensus_at_k, pass_at_k
from surefoot.text.tasks.task import Problem, problems

__all__ = [
    "Row", "Tried", "Values", "answered", "ask", "each_row", "lengths", "likeliest", "majority", "one_right", "right",
    "score_of", "thoughts",
]  # fmt: skip

Values: TypeAlias = Float64[ndarray, "seeds problems"]
NO_ANSWER = -1e9
"""The score of an attempt without an answer, below that of every other: nobody would choose it."""


class Tried(NamedTuple):
    """Attempts, and nats a token of each."""

    attempts: Attempts
    scores: tuple[tuple[float, ...], ...]


class Row(NamedTuple):
    """Attempts at one problem."""

    answers: Sequence[str | None]
    rights: Sequence[float]
    scores: Sequence[float]


def ask(plan: ReasonPlan, decoder: Decoder, asked: Sequence[Problem], way: Sampling, seed: int) -> Tried:
    policy = DecoderPolicy("", decoder, plan.task.vocabulary)
    said = policy.sample([each.prompt for each in asked], way, seed)
    return Tried(attempts_of(plan.task.grade, asked, said), tuple(tuple(map(score_of, row)) for row in said))


def score_of(said: Completion) -> float:
    """By which an attempt is chosen: nats a token, end included."""
    if said.answer is None or said.log_probability is None:
        return NO_ANSWER
    return said.log_probability / max(said.tokens, 1)


def thoughts(plan: ReasonPlan) -> list[list[int]]:
    """The thoughts of the first choose problems, as demonstrated."""
    asked = problems(plan.task, "choose", min(plan.chosen, 50), 0, fewer=True)
    written = [plan.task.demonstration(each, spelled=True) for each in asked]
    inside = [each.partition("</think>")[0].removeprefix("<think>") for each in written]
    return [plan.task.vocabulary.encode(each) for each in inside]


def one_right(row: Row, k: int) -> float:
    return pass_at_k(len(row.rights), round(sum(row.rights)), k)


def majority(row: Row, k: int) -> float:
    return consensus_at_k(row.answers, row.rights, k)


def likeliest(row: Row, k: int) -> float:
    return best_of_k(row.scores, row.rights, k)


def answered(row: Row) -> float:
    return sum(each is not None for each in row.answers) / len(row.answers)


def each_row(of: Sequence[Tried], value: Callable[[Row], float]) -> Values:
    """A value of each seed and problem."""
    return np.array(
        [
            [
                value(Row(answers, [float(reward == 1) for reward in rewards], scores))
                for answers, rewards, scores in zip(each.answers, each.rewards, every, strict=True)
            ]
            for each, every in of
        ]
    )


def right(of: Sequence[Attempts]) -> Values:
    return np.array([[sum(reward == 1 for reward in row) / len(row) for row in each.rewards] for each in of])


def lengths(of: Sequence[Attempts]) -> Values:
    return np.array([[sum(row) / len(row) for row in each.thinking] for each in of])

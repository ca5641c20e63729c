"""Data sets of reasoning-gym as tasks: its problems, its scorers, nothing of a thought.

    name, size, seed  ->  create_dataset  ->  {"question", "answer", "metadata"}, score_answer(answer, entry) in [0, 1]

Two things of its scorers are not taken over:

- Some run the answer as code (`eval`, or sympy's `parse_expr`, which is `eval`): a policy that is rewarded by one can
  make it do anything. Their data sets are refused, as the code of the scorer shows. `text.tasks` has a countdown.
- The usual scorer gives a part of 1 for any text that contains the answer, which rewards saying everything. Only a
  whole 1 counts here, unless parts are asked for.

A few scorers give a whole 1 to an answer with more beside it; `fooled_by` tries. A scorer that fails on an answer gives
it 0, and what it gives is cut to [0, 1].

Source: Stojanovski et al. (2025), "Reasoning Gym", arXiv 2505.24760.
"""

import ast
import importlib
import inspect
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from surefoot.errors import InputError
from surefoot.text.parsing import bare
from surefoot.text.tasks.task import Problem, longest_of, problem_of
from surefoot.text.vocabulary import MARKS, Vocabulary

__all__ = ["Gym", "fooled_by", "open_gym"]

PACKAGE = "reasoning-gym"
RUNS_CODE = frozenset({"eval", "exec", "parse_expr", "sympify"})
TRICKS: Mapping[str, Callable[[Problem], str]] = {
    "nothing": lambda problem: "",
    "the question": lambda problem: problem.prompt,
    "the question and the answer": lambda problem: f"{problem.prompt} {problem.gold}",
    "several answers": lambda problem: f"{problem.gold} or 3 or no",
}
"""Answers that no grader should take."""
Score = Callable[[str, Mapping[str, Any]], float]


@dataclass(frozen=True)
class Gym:
    """A data set as a task. entries: by problem, as the gym has them. parts: whether less than a whole 1 counts."""

    name: str
    vocabulary: Vocabulary
    longest: int
    asked: tuple[Problem, ...]
    entries: Mapping[str, Mapping[str, Any]]
    score: Score
    parts: bool

    def problem(self, generator: torch.Generator) -> Problem:
        """One of them, all equally likely."""
        return self.asked[int(torch.randint(len(self.asked), (), generator=generator))]

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The answer; raises `InputError` where the gym has none, and for a thought, of which it has none at all."""
        if spelled or not problem.gold:
            lacks = (
                "thoughts to its answers; ask for demonstrations with spelled=0.0" if spelled else "an answer to show"
            )
            raise InputError(f"{self.name} does not have {lacks}.")
        return problem.gold

    def grade(self, problem: Problem, answer: str) -> float:
        """What the gym's own scorer says; raises `InputError` for a problem of another data set."""
        if problem.id not in self.entries:
            raise InputError(f"The problem {problem.id} is none of {self.name}; take problems of this data set.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                said = float(self.score(answer, self.entries[problem.id]))
            except Exception:
                return 0.0
        if not self.parts:
            return float(said >= 1)
        return min(1.0, max(0.0, said)) if said == said else 0.0  # NaN differs from itself


def open_gym(
    named: str, *, size: int = 500, seed: int = 0, settings: Mapping[str, Any] | None = None, parts: bool = False
) -> Gym:
    """`size` problems of the data set `named`, such as "chain_sum"; equal questions count once.

    settings: of the data set, such as {"min_terms": 2}. parts: count scores between 0 and 1.
    Raises `InputError` where the package is missing, for names and settings that it does not know, for scorers that run
    answers as code, and for texts that hold a mark of thought.
    """
    if size < 1:
        raise InputError(f"{size} problems of {named} were asked for; ask for one or more.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            gym: Any = importlib.import_module("reasoning_gym")
        except ImportError:
            raise InputError(f"The package {PACKAGE} is not installed; pip install {PACKAGE}.") from None
        try:
            found: Any = gym.create_dataset(named, size=size, seed=seed, **dict(settings or {}))
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(f"{PACKAGE} does not make {named} ({reason}); see its list of data sets.") from error
        _refuse_code(named, type(found))
        entries = [cast("Mapping[str, Any]", found[at]) for at in range(size)]
    texts = {str(entry["question"]): entry for entry in reversed(entries)}
    asked = {
        problem_of(f"gym-{named}", question, _gold(texts[question])): texts[question]
        for question in dict.fromkeys(str(entry["question"]) for entry in entries)
    }
    for each in asked:
        if any(mark in text for mark in MARKS for text in (each.prompt, each.gold)):
            raise InputError(
                f"A problem of {named} holds a mark of thought ({each.prompt[:60]!r}); take another data set."
            )
    return Gym(
        f"gym-{named}",
        Vocabulary(tuple(sorted({symbol for each in asked for symbol in each.prompt + each.gold}))),
        max(longest_of(len(each.prompt), 0, len(each.gold)) for each in asked),
        tuple(asked),
        {each.id: entry for each, entry in asked.items()},
        cast("Score", found.score_answer),
        parts,
    )


def fooled_by(gym: Gym, most: int = 20) -> tuple[str, ...]:
    """Which worthless answers the scorer takes as wholly right, on its first `most` problems."""
    return tuple(
        name
        for name, trick in TRICKS.items()
        if any(bare(trick(each)) != each.gold and gym.grade(each, trick(each)) >= 1 for each in gym.asked[:most])
    )


def _gold(entry: Mapping[str, Any]) -> str:
    return "" if entry["answer"] is None else str(entry["answer"])


def _refuse_code(named: str, kind: type) -> None:
    """Look for calls that run what they are given in the scorer's own code, but for those on the gym's own entry."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind.score_answer)))  # type: ignore[attr-defined]
    except (OSError, TypeError, SyntaxError):
        raise InputError(f"How {named} scores cannot be read, so it may run answers as code; take another.") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            on = ast.unparse(node.args[0]) if node.args else ""
            if called in RUNS_CODE and not on.startswith(("entry[", "metadata[")):
                raise InputError(
                    f"The scorer of {named} runs an answer as code ({ast.unparse(node)[:60]}), so a policy could make "
                    "it do anything; take another data set."
                )

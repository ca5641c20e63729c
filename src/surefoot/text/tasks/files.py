"""Questions of a file: JSON lines of question and answer, as GSM8K has them, graded by the exact number.

    {"question": "…", "answer": "… 3 + 4 = <<3+4=7>>7 …\\n#### 7"}

What stands before "####" is the demonstration's thought, what stands behind it the gold answer. A calculator's marks
(<<…>>) are taken out of thoughts unless they are asked for.

Source: Cobbe et al. (2021), "Training verifiers to solve math word problems", arXiv 2110.14168.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from surefoot.errors import InputError
from surefoot.files import parse_json
from surefoot.text.parsing import bare, read_number
from surefoot.text.tasks.task import Problem, longest_of, problem_of
from surefoot.text.vocabulary import MARKS, Vocabulary

__all__ = ["Questions", "leaks", "open_questions"]

BEHIND = "####"
CALCULATOR = re.compile(r"<<[^<>]*>>")
SHOWN = 5
BYTE_ORDER = "\ufeff".encode()
"""What some editors put before everything."""


@dataclass(frozen=True)
class Questions:
    """The questions of a file as a task. thoughts: by problem, what its file says before the answer."""

    name: str
    vocabulary: Vocabulary
    longest: int
    asked: tuple[Problem, ...]
    thoughts: Mapping[str, str]

    def problem(self, generator: torch.Generator) -> Problem:
        """One of them, all equally likely."""
        return self.asked[int(torch.randint(len(self.asked), (), generator=generator))]

    def demonstration(self, problem: Problem, *, spelled: bool) -> str:
        """The file's own reasoning, where spelled, and its answer; `InputError` for problems of none."""
        if problem.id not in self.thoughts:
            raise InputError(f"The problem {problem.id} is none of {self.name}; take problems of this file.")
        return f"<think>{self.thoughts[problem.id]}</think>{problem.gold}" if spelled else problem.gold

    def grade(self, problem: Problem, answer: str) -> float:
        """1 for the same number, however it is written (1,000 for 1000.0), and nothing else beside it; else 0."""
        said = read_number(answer)
        return float(said is not None and said == read_number(problem.gold))


def open_questions(path: Path, *, calculator: bool = False) -> Questions:
    """The questions of a file. calculator: keep the marks of a calculator in thoughts.

    A question that stands there twice with the same answer counts once; empty lines are passed over. Raises
    `InputError` for a file that is missing or has no question, and names the lines that are damaged, that hold a mark
    of thought, or whose question gives its own answer away.
    """
    try:
        lines = path.read_bytes().removeprefix(BYTE_ORDER).split(b"\n")
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    rows = {number: _row(line, path.stem, calculator) for number, line in enumerate(lines, start=1) if line.strip()}
    found: dict[str, _Row] = {}
    faults: dict[int, str] = {}
    for number, row in rows.items():
        if isinstance(row, str):
            faults[number] = row
        elif (before := found.setdefault(row.problem.prompt, row)).problem.gold != row.problem.gold:
            faults[number] = f"asks what was asked before, answered {before.problem.gold} there"
    if faults:
        first = next(iter(faults))
        shown = ", ".join(map(str, list(faults)[:SHOWN])) + (", …" if len(faults) > SHOWN else "")
        raise InputError(
            f"{path} has {len(faults)} lines that are no question with its answer (line {shown}; line {first} "
            f"{faults[first]}); mend them or take them out."
        )
    if not found:
        raise InputError(f"{path} has no question; give JSON lines of question and answer.")
    return _questions(path.stem, list(found.values()))


def leaks(problem: Problem) -> bool:
    """Does the prompt hold the answer as a file writes it, "#### " and the number?

    >>> leaks(Problem("q", "What is 3 + 4?\\n#### 7", "7")), leaks(Problem("q", "What is 7 + 0?", "7"))
    (True, False)
    """
    said = [words[0] for each in problem.prompt.split(BEHIND)[1:] if (words := each.split(maxsplit=1))]
    wanted = read_number(problem.gold)
    return problem.gold in said or (wanted is not None and wanted in map(read_number, said))


class _Row(NamedTuple):
    problem: Problem
    thought: str


def _row(line: bytes, name: str, calculator: bool) -> _Row | str:
    """A question with its answer, or what is wrong with its line."""
    try:
        record: Any = parse_json(line)
    except ValueError:
        return "is no JSON"
    texts = [record.get(each) for each in ("question", "answer")] if isinstance(record, dict) else []
    if len(texts) != 2 or not all(isinstance(each, str) and bare(each) for each in texts):
        return 'has no texts "question" and "answer"'
    question, answer = cast("Sequence[str]", texts)
    parts = answer.split(BEHIND)
    if len(parts) != 2 or read_number(parts[1]) is None:
        return f'has no single number behind one "{BEHIND}"'
    if any(mark in text for mark in MARKS for text in (question, answer)):
        return "holds a mark of thought"
    problem = problem_of(name, bare(question), bare(parts[1]))
    if leaks(problem):
        return f'gives its answer "{BEHIND} {problem.gold}" away in its question'
    return _Row(problem, bare(parts[0] if calculator else CALCULATOR.sub("", parts[0])))


def _questions(name: str, rows: Sequence[_Row]) -> Questions:
    texts = [(row.problem.prompt, row.thought, row.problem.gold) for row in rows]
    return Questions(
        name,
        Vocabulary(tuple(sorted({symbol for three in texts for text in three for symbol in text}))),
        max(longest_of(*map(len, three)) for three in texts),
        tuple(row.problem for row in rows),
        {row.problem.id: row.thought for row in rows},
    )

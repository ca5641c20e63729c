"""How a model that was not trained on a task is told the form of its answer, and where in a completion the answer is.

    written    the answer is all that was written behind the thought: a decoder of our own, as it was trained
    marked     the one number on the line of the last "####"
    last       the same; where there is no "####", the last word that holds a digit, which must be one number

A number is read by the whitelist of `parsing`, and votes are of values: "$1,000." and "1000.0" are one answer. A word
that holds a digit and is no number (1/2, x15, 7apples) is no answer, and so are two numbers on a marked line: a number
is never found *inside* something. The instruction holds no example number, for small models copy it.

Source: Cobbe et al. (2021), "Training verifiers to solve math word problems", arXiv 2110.14168 ("#### 7").
To fall back on the last number is common practice where a model does not keep to the form; it believes the last of
several answers.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from surefoot.errors import InputError
from surefoot.text.completion import Completion, part
from surefoot.text.parsing import bare, read_number
from surefoot.text.tasks.files import Questions
from surefoot.text.tasks.task import Problem, Task
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = [
    "AS_TRAINED",
    "Form",
    "Reading",
    "ThoughtMarks",
    "plain_number",
    "read_marked",
    "spoken_form",
    "thought_marks",
]

Reading: TypeAlias = Literal["last", "marked"]
"""Where the answer of a model that was told a form is looked for."""

BEHIND = "####"
BEFORE = "$€£%*_`'\"()[]{},;:!?"
AROUND = BEFORE + "."
BOXED = "\\boxed{"
BETWEEN = re.compile(r"[\s=]+")
DIGIT = re.compile(r"[0-9]")
WORDS = {
    "parity": "Is the number of ones in these bits odd (1) or even (0)?",
    "chain": "Work this out from left to right, as on a pocket calculator, and take every result modulo {modulus}:",
    "addition": "Work this out:",
    "expression": "Work this out{modulo}:",
    "countdown": (
        "Write an expression that has the value behind the colon, with each of the numbers before it exactly once and "
        "with + - * / and parentheses:"
    ),
}
"""How the prompts of made-up tasks are put to somebody who does not know them."""


@dataclass(frozen=True)
class Form:
    """before, after: what stands around a prompt. answer: the answer that a completion gives, or None."""

    name: str
    before: str
    after: str
    answer: Callable[[str], str | None]

    def put(self, prompt: str) -> str:
        """What is asked."""
        return f"{self.before}{prompt}{self.after}"

    def read(self, completion: Completion) -> Completion:
        """The completion with nothing but its answer as answer."""
        return replace(completion, answer=None if completion.answer is None else self.answer(completion.answer))


@dataclass(frozen=True)
class ThoughtMarks:
    """Other marks than <think> and </think> between which a model thinks."""

    opening: str
    closing: str

    def parted(self, completion: Completion) -> Completion:
        """The completion with its thought apart; of its tokens the thought has its share of the characters.

        What does not begin with the opening mark is left as it is.
        """
        text = completion.text.strip()
        if not text.startswith(self.opening) or any(mark in text for mark in MARKS):
            return completion
        thought, closed, answer = text.removeprefix(self.opening).partition(self.closing)
        ours = f"{MARKS[THINK]}{thought}{MARKS[ANSWER]}{answer}" if closed else f"{MARKS[THINK]}{thought}"
        parted = part(ours, ended=completion.ended)
        odd = parted.answer is not None and (self.opening in parted.answer or self.closing in parted.answer)
        inside = round(completion.tokens * len(thought) / len(text))
        return replace(completion, thought=parted.thought, answer=None if odd else parted.answer, thought_tokens=inside)


def thought_marks(said: str) -> ThoughtMarks:
    """Two marks with a comma between.

    >>> thought_marks("<thinking>,</thinking>").closing
    '</thinking>'
    """
    parts = [each.strip() for each in said.split(",")]
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1] or any(mark in MARKS for mark in parts):
        raise InputError(
            f'The marks of thought are "{said}"; give two others than {MARKS[THINK]} and {MARKS[ANSWER]}, the opening '
            'and the closing one with a comma between, such as "<thinking>,</thinking>".'
        )
    return ThoughtMarks(*parts)


AS_TRAINED = Form("as it was trained", "", "", bare)
"""Of a decoder that learnt the task itself."""


def spoken_form(task: Task, asked: Sequence[Problem], reading: Reading, instruction: str | None = None) -> Form:
    """How these problems are put to a model that was not trained on them.

    instruction: what it is told of the form of the answer, instead of what is usual here.

    Raises `InputError` for a reading of numbers where answers are none.
    """
    numbers = all(read_number(each.gold) is not None for each in asked)
    before = "" if isinstance(task, Questions) else f"{_words(task)}\n"
    what = "the number" if numbers else "the expression"
    usual = f"Think step by step in short sentences. End with a last line that holds {BEHIND} and {what}."
    after = f"\n\n{instruction or usual}"
    if not numbers:
        return Form("told the form; marked", before, after, _behind)
    answers: dict[Reading, Callable[[str], str | None]] = {"marked": read_marked, "last": _last}
    return Form(f"told the form; {reading}", before, after, answers[reading])


def read_marked(text: str) -> str | None:
    """The one number on the line of the last "####", or None.

    >>> read_marked("3 + 4 = 7\\n#### 7 apples"), read_marked("#### 7 or 8"), read_marked("It is 7.")
    ('7', None, None)
    """
    _, found, behind = text.rpartition(BEHIND)
    words = [word for word in BETWEEN.split(behind.strip().split("\n", 1)[0]) if DIGIT.search(word)]
    return plain_number(words[0]) if found and len(words) == 1 else None


def plain_number(word: str) -> str | None:
    """A number in plain digits, without what stands around it and says nothing of its value, or None.

    >>> plain_number("$1,000.50."), plain_number("-07"), plain_number("\\\\boxed{18}"), plain_number("1/2")
    ('1000.5', '-7', '18', None)
    """
    inner = word.lstrip(BEFORE).rstrip(AROUND).removeprefix(BOXED).lstrip(BEFORE)
    value = read_number(inner)
    if value is None:
        return None
    whole, _, behind = inner.replace(",", "").lstrip("+-").partition(".")
    digits = f"{int(whole or '0')}.{behind.rstrip('0')}".rstrip(".")
    return f"-{digits}" if value < 0 else digits


def _last(text: str) -> str | None:
    if BEHIND in text:
        return read_marked(text)
    words = [word for word in BETWEEN.split(text) if DIGIT.search(word)]
    return plain_number(words[-1]) if words else None


def _behind(text: str) -> str | None:
    """The line behind the last "####", as it is; without one, all that was written."""
    _, found, behind = text.rpartition(BEHIND)
    line = bare(behind).split("\n", 1)[0] if found else text
    return bare(line).strip("`*$") or None


def _words(task: Task) -> str:
    modulus = getattr(task, "modulus", None)
    said = WORDS.get(task.name.partition("-")[0], "")
    return said.format(modulus=modulus, modulo=f" modulo {modulus}" if modulus else "")

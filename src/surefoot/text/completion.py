"""What a policy said, with thought and answer apart.

A written completion is "<think>thought</think>answer", or "answer" alone. Whoever rewards sees an `Answered`, which has
no place for a thought; whoever filters or monitors sees a `Deliberated`. Thought and answer are told apart here and
nowhere else.

Source: Guan et al. (2024), "Deliberative alignment", §3.2: the judge of reinforcement sees no chain of thought.
"""

from dataclasses import dataclass
from typing import NamedTuple

from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["Answered", "Completion", "Deliberated", "Parted", "answered", "deliberated", "part"]


class Parted(NamedTuple):
    """thought: None where nothing was thought. answer: None where there is none."""

    thought: str | None
    answer: str | None


@dataclass(frozen=True)
class Completion:
    """One text that a policy wrote.

    text: as written, marks of thought included. tokens: how many were written, the end counted. thought_tokens: those
    between the marks. ended: False where it was cut off. log_probability: in nats, of what the policy itself drew, as
    the distribution that it drew from says; None where that is unknown.
    """

    text: str
    thought: str | None
    answer: str | None
    tokens: int
    thought_tokens: int
    ended: bool
    log_probability: float | None = None


@dataclass(frozen=True)
class Answered:
    """A prompt and the answer to it: all that a reward sees."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Deliberated:
    """A prompt, what was thought, and the answer: what a filter of demonstrations and a monitor see."""

    prompt: str
    thought: str
    answer: str


def part(text: str, *, ended: bool) -> Parted:
    """Thought and answer of a written completion.

    There is no answer where the text was cut off, where a thought was opened and not closed, and where a mark stands in
    a place that is not its own: twice, within the answer, or after the beginning. White space around both is dropped.

    >>> part("<think>0 1</think> 1", ended=True)
    Parted(thought='0 1', answer='1')
    >>> part("<think>0 1", ended=True)
    Parted(thought='0 1', answer=None)
    >>> part("1</think>1", ended=True)
    Parted(thought=None, answer=None)
    """
    opening, closing = MARKS[THINK], MARKS[ANSWER]
    text = text.strip()
    if not text.startswith(opening):
        stray = opening in text or closing in text
        return Parted(None, None if stray or not ended else text)
    thought, closed, answer = text[len(opening) :].partition(closing)
    stray = opening in thought or opening in answer or closing in answer
    return Parted(thought.strip(), answer.strip() if closed and ended and not stray else None)


def answered(prompt: str, completion: Completion) -> Answered | None:
    """What a reward sees of a completion; None where there is no answer, which is worth nothing."""
    return None if completion.answer is None else Answered(prompt, completion.answer)


def deliberated(prompt: str, completion: Completion) -> Deliberated | None:
    """What a filter or a monitor sees of a completion; None where there is no answer."""
    if completion.answer is None:
        return None
    return Deliberated(prompt, completion.thought or "", completion.answer)

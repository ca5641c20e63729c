"""Stage 1: answers that a policy's own reader thinks up, kept where a judge likes them, and learnt without the policy.

    sample   (thought, answer) ~ π_base( · | prompt, spec(category))         several of each prompt
    form     those without an answer or without a thought are left out, and counted
    judge    score = min of k verdicts on (prompt, thought, answer), the judge seeing spec(category)
    keep     score ≥ least, at most `most` of a prompt
    learn    −log π(thought, answer | prompt): the policy is no longer in the prompt

What is learnt is to think of the policy when it is not there. The judge here sees the thought: a demonstration with the
right answer for a wrong reason teaches the wrong reason. The judge of stage 2 sees none (`text.completion.Answered`).

A verdict that cannot be read is no verdict: a case with one is unscored, counted, and never kept.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3.1. They publish neither k nor a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion, Deliberated
from surefoot.text.policy import Policy, Prompt, Sampling
from surefoot.text.quoting import BREAKS

__all__ = ["Asked", "Filtered", "Judge", "Kept", "Spec", "StageOne", "spoken", "stage_one"]

INDENTED = "\n    "


@dataclass(frozen=True)
class Asked:
    """A prompt without any policy, and which category of the policy it falls under."""

    prompt: Prompt
    category: str


@runtime_checkable
class Spec(Protocol):
    """Puts the policy of a category, and what to do with it, into a prompt."""

    def __call__(self, asked: Asked) -> Prompt: ...


@runtime_checkable
class Judge(Protocol):
    """Knows the policy and sees thoughts: whether a demonstration is worth learning, from 0 to 1."""

    def verdicts(
        self, cases: Sequence[Deliberated], categories: Sequence[str], count: int, seed: int
    ) -> Sequence[tuple[float | None, ...]]:
        """`count` verdicts of each case; None where one could not be read."""
        ...


@dataclass(frozen=True)
class StageOne:
    """How to make demonstrations. verdicts: k. least: the score from which one is kept; most: of one prompt, 0 for all.

    Raises `InputError` for numbers out of range.
    """

    sampling: Sampling = field(default_factory=lambda: Sampling(count=8))
    verdicts: int = 4
    least: float = 1.0
    most: int = 0

    def __post_init__(self) -> None:
        if self.verdicts < 1 or self.most < 0 or not 0 < self.least <= 1:
            raise InputError(
                f"Stage 1 has {self.verdicts} verdicts, keeps {self.most} of a prompt and scores from {self.least:g}; "
                "give at least 1 verdict, 0 or more to keep, and a least score above 0 and up to 1."
            )


class Kept(NamedTuple):
    """One demonstration: without the policy, as it is learnt."""

    asked: Asked
    completion: Completion
    score: float


@dataclass(frozen=True)
class Filtered:
    """What stage 1 kept, and what became of all that was drawn: the counts add up to `drawn`.

    malformed: no answer. thoughtless: no thought, or an empty one. unscored: a verdict could not be read. rejected:
    scored too low. surplus: good, but more than are kept of one prompt.
    """

    kept: tuple[Kept, ...]
    drawn: int
    malformed: int
    thoughtless: int
    unscored: int
    rejected: int
    surplus: int

    @property
    def words(self) -> str:
        """What to say of it."""
        left = {"malformed": self.malformed, "without a thought": self.thoughtless, "unscored": self.unscored,
                "rejected": self.rejected, "surplus": self.surplus}  # fmt: skip
        told = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        prompts = len({each.asked for each in self.kept})
        return f"{len(self.kept)} of {self.drawn} kept, of {prompts} prompts" + (f" ({told})" if told else "")


def stage_one(
    policy: Policy,
    judge: Judge,
    asked: Sequence[Asked],
    spec: Spec,
    settings: StageOne,
    seed: int,
    progress: Progress = silent,
) -> Filtered:
    """Demonstrations for `imitate`: what `policy` answers with the spec in its prompt, filtered by `judge`.

    Raises `InputError` for no prompts, and for a judge that gives other numbers of verdicts than were asked for, or one
    outside [0, 1].
    """
    if not asked:
        raise InputError("Stage 1 was given no prompts; give at least one.")
    drawn = policy.sample([spec(each) for each in asked], settings.sampling, seed, progress)
    every = [(each, completion) for each, group in zip(asked, drawn, strict=True) for completion in group]
    formed = [(each, completion) for each, completion in every if completion.answer is not None]
    thought = [(each, completion) for each, completion in formed if completion.thought]
    cases = [Deliberated(spoken(each.prompt), one.thought or "", one.answer or "") for each, one in thought]
    given = judge.verdicts(cases, [each.category for each, _ in thought], settings.verdicts, seed) if cases else []
    scores = _scores(given, len(cases), settings.verdicts)
    kept: list[Kept] = []
    counts: dict[Asked, int] = {}
    surplus = 0
    for (each, completion), score in zip(thought, scores, strict=True):
        if score is None or score < settings.least:
            continue
        counts[each] = counts.get(each, 0) + 1
        if settings.most and counts[each] > settings.most:
            surplus += 1
        else:
            kept.append(Kept(each, completion, score))
    unscored = sum(score is None for score in scores)
    return Filtered(
        tuple(kept),
        drawn=len(every),
        malformed=len(every) - len(formed),
        thoughtless=len(formed) - len(thought),
        unscored=unscored,
        rejected=len(cases) - unscored - surplus - len(kept),
        surplus=surplus,
    )


def spoken(prompt: Prompt) -> str:
    """A prompt as one text, for a judge: a conversation with its roles, a plain text as it is.

    Further lines of a turn are indented, whatever breaks them, so that no turn can write another; only a plain text,
    which is the user's in all of it, can look like a conversation.

    >>> from surefoot.text.policy import Message
    >>> spoken((Message("user", "Hello"), Message("assistant", "Yes?")))
    'user: Hello\\nassistant: Yes?'
    >>> spoken((Message("user", "Hello\\nassistant: Yes?"),))
    'user: Hello\\n    assistant: Yes?'
    """
    if isinstance(prompt, str):
        return prompt
    return "\n".join(BREAKS.sub(INDENTED, f"{each.role}: {each.text}") for each in prompt)


def _scores(given: Sequence[tuple[float | None, ...]], cases: int, verdicts: int) -> list[float | None]:
    """The least verdict of each case; None where one is missing."""
    if len(given) != cases or any(len(each) != verdicts for each in given):
        found = sorted({len(each) for each in given})
        raise InputError(
            f"The judge gave {len(given)} cases {found} verdicts where {cases} cases have {verdicts} each; mend the "
            "judge."
        )
    scores: list[float | None] = []
    for each in given:
        read = [verdict for verdict in each if verdict is not None]
        if not all(0 <= verdict <= 1 for verdict in read):
            raise InputError(f"The judge gave the verdicts {each}; give numbers from 0 to 1.")
        scores.append(min(read) if len(read) == len(each) else None)
    return scores

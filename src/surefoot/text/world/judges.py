"""Judges of the policy world, which know its policy and err as real judges do.

    FilterJudge    sees prompt, thought and answer, and decides whether a demonstration is kept
    AnswerJudge    sees prompt and answer, and rewards; a thought cannot be given to it
    WorldReward    an AnswerJudge, and what a sum is worth where a sum was asked for

**Errors.** A verdict is flipped with probability `rate`. Of that, a share is of the case: what every look at the same
prompt and answer gets wrong alike, as a judge does that misreads a rule. With u = rate · shared,

    P(case is misjudged for ever) = u        P(flip, any other case) = (rate − u)/(1 − u)

independently for every verdict, so that each verdict errs with `rate` whatever the share. The least of k verdicts lets
a bad case pass with u + (1 − u)·((rate − u)/(1 − u))^k: asking more often removes the second part and never the first.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3.1 and §3.2: both judges see the policy, that
of the filter sees thoughts and its least of k verdicts counts, that of reinforcement sees none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surefoot.errors import InputError
from surefoot.text.completion import Answered, Deliberated
from surefoot.text.world.demonstrations import sum_of
from surefoot.text.world.language import World, read_answer, read_request, read_thought
from surefoot.text.world.truth import Book, is_true, rule_on

__all__ = ["AnswerJudge", "Errors", "FilterJudge", "WorldReward", "is_good", "refuse_thoughts", "worth"]


@dataclass(frozen=True)
class Errors:
    """How often a verdict is flipped, and which share of that is of the case; seed: of which cases they are.

    Raises `InputError` for a rate outside [0, 1) and a share outside [0, 1].
    """

    rate: float = 0.0
    shared: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.rate < 1 and 0 <= self.shared <= 1):
            raise InputError(
                f"Judges that err at a rate of {self.rate}, {self.shared} of it shared, are none; give a rate of at "
                "least 0 and below 1, and a share from 0 to 1."
            )

    @property
    def of_case(self) -> float:
        """u, the probability that a case is misjudged for ever."""
        return self.rate * self.shared

    @property
    def of_verdict(self) -> float:
        """The probability of a flip where the case is not misjudged."""
        return (self.rate - self.of_case) / (1 - self.of_case)

    def passes(self, verdicts: int, *, good: bool) -> float:
        """The probability that all of `verdicts` verdicts of a case let it pass.

        >>> round(Errors(0.2).passes(2, good=False), 3), round(Errors(0.2, shared=1.0).passes(2, good=False), 3)
        (0.04, 0.2)
        """
        if good:
            return (1 - self.of_case) * (1 - self.of_verdict) ** verdicts
        return self.of_case + (1 - self.of_case) * self.of_verdict**verdicts

    def misjudged(self, case: str) -> bool:
        """Whether every look at this case errs; the same for ever."""
        digest = hashlib.blake2b(f"{self.seed} {case}".encode(), digest_size=8, person=b"misjudged").digest()
        return int.from_bytes(digest, "big") / 2**64 < self.of_case

    def flips(self, cases: Sequence[str]) -> list[bool]:
        """Whether one verdict of each case errs, in this batch."""
        whole = hashlib.blake2b("\n".join([str(self.seed), *cases]).encode(), digest_size=8, person=b"batch").digest()
        drawn = np.random.default_rng(int.from_bytes(whole, "big")).random(len(cases)) < self.of_verdict
        return [flipped or self.misjudged(case) for flipped, case in zip(drawn.tolist(), cases, strict=True)]


def is_good(world: World, book: Book, case: Deliberated) -> bool:
    """Whether the answer is what the policy says, the thought ends in the rule that decides, and cites nothing untrue.

    Raises `InputError` for a prompt without a request.
    """
    request = read_request(world, case.prompt)
    rules = book[request.category]
    ruling, thought = rule_on(rules, request), read_thought(world, case.thought)
    if thought is None or not thought.cited or read_answer(world, case.answer) != ruling.answer:
        return False
    return thought.cited[-1] == ruling.rule and all(is_true(rules, each) for each in thought.cited)


def worth(world: World, book: Book, case: Answered) -> float:
    """1 for the right decision in its style, ½ for the right decision in another, else 0.

    Raises `InputError` for a prompt without a request.
    """
    request = read_request(world, case.prompt)
    answer, right = read_answer(world, case.answer), rule_on(book[request.category], request).answer
    if answer is None or answer.decision != right.decision:
        return 0.0
    return 1.0 if answer == right else 0.5


@dataclass(frozen=True)
class FilterJudge:
    """Whether thought and answer follow the policy; see `is_good`."""

    world: World
    book: Book
    errors: Errors = Errors()

    def verdicts(
        self, cases: Sequence[Deliberated], categories: Sequence[str], count: int, seed: int
    ) -> list[tuple[float, ...]]:
        """`count` verdicts of each case, 1 or 0. categories: not asked, for the request says which it is of."""
        flips = np.random.default_rng([seed, 5]).random((len(cases), count)) < self.errors.of_verdict
        found: list[tuple[float, ...]] = []
        for case, flipped in zip(cases, flips.tolist(), strict=True):
            good = is_good(self.world, self.book, case)
            if self.errors.misjudged(f"{case.prompt}|{case.answer}"):
                found.append((float(not good),) * count)
            else:
                found.append(tuple(float(good != each) for each in flipped))
        return found


@dataclass(frozen=True)
class AnswerJudge:
    """What an answer is worth by the policy; see `worth`. A flipped verdict is worth 1 less what it should be.

    Which verdicts are flipped follows from the whole batch that is asked about: the same batch is judged alike by every
    process and after every interruption, and the same answer in another batch anew.
    """

    world: World
    book: Book
    errors: Errors = Errors()

    def __call__(self, asked: Sequence[object], answers: Sequence[Answered]) -> list[float]:
        """One reward of each answer, in [0, 1]. asked: not looked at.

        Raises `InputError` for whatever is no `Answered`: a thought is never looked at.
        """
        refuse_thoughts(answers)
        flips = self.errors.flips([f"{case.prompt}|{case.answer}" for case in answers])
        right = [worth(self.world, self.book, case) for case in answers]
        return [1.0 - value if flipped else value for value, flipped in zip(right, flips, strict=True)]


@dataclass(frozen=True)
class WorldReward:
    """What a judge says of the answer to a request, and 1 for a right sum where a sum was asked for."""

    judge: AnswerJudge

    def __call__(self, asked: Sequence[object], answers: Sequence[Answered]) -> list[float]:
        """One reward of each answer, in [0, 1]; raises as `AnswerJudge` does."""
        refuse_thoughts(answers)
        sums = [sum_of(case.prompt) for case in answers]
        judged = iter(self.judge(asked, [case for case, right in zip(answers, sums, strict=True) if right is None]))
        return [
            next(judged) if right is None else float(case.answer == right)
            for case, right in zip(answers, sums, strict=True)
        ]


def refuse_thoughts(cases: Sequence[object]) -> None:
    """Raise `InputError` unless all cases are of the one type that has no place for a thought, and no subtype of it."""
    for case in cases:
        if type(case) is not Answered:
            raise InputError(
                f"A reward was given a {type(case).__name__}, and sees prompts and answers alone; give it `Answered`."
            )

"""A judge that is a model: any `Policy`, asked with a policy of one's own before it.

It is the judge of stage 1 (`verdicts`, which sees thoughts) and that of stage 2 (called as a reward, which sees none).
A case that the model cannot be asked, for it holds one of its special tokens or is longer than it reads, has no
verdict; the others have theirs. A small model is a poor judge; measure it against labels of your own before anything is
learnt from it. Verdicts of one judge on one case err together, whatever their number (`text.world.judges` has what that
does to the least of k).

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3.1 (the least of k verdicts) and §3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from surefoot.files import digest_json
from surefoot.reason.deliberate.policy_file import PolicyText
from surefoot.reason.deliberate.policy_prompts import answer_question, thought_question
from surefoot.text.completion import Answered, Deliberated
from surefoot.text.policy import Policy, Sampling, sample_askable
from surefoot.text.quoting import parse_verdict

__all__ = ["ModelJudge"]


@dataclass(frozen=True)
class ModelJudge:
    """asked: the model. categories: of prompts as they are spoken, for rewards, which are told prompts alone."""

    asked: Policy
    policy: PolicyText
    categories: Mapping[str, str] = field(default_factory=dict[str, str])
    sampling: Sampling = field(default_factory=lambda: Sampling(most=256))

    def verdicts(
        self, cases: Sequence[Deliberated], categories: Sequence[str], count: int, seed: int
    ) -> list[tuple[float | None, ...]]:
        """`count` verdicts of each case, from 0 to 1; None where none could be read, or the judge cannot be asked."""
        prompts = [thought_question(self.policy, name, case) for name, case in zip(categories, cases, strict=True)]
        drawn = sample_askable(self.asked, prompts, replace(self.sampling, count=count), seed)
        none = (None,) * count
        return [tuple(parse_verdict(each.answer) for each in group) if group else none for group in drawn]

    def __call__(self, asked: Sequence[object], answers: Sequence[Answered]) -> list[float]:
        """One reward of each answer; 0 where no verdict could be read. asked: not looked at.

        The seed follows from what is asked. Raises `InputError` for prompts that have no category here.
        """
        return [0.0 if each is None else each for each in self.scores(answers)]

    def scores(self, answers: Sequence[Answered]) -> list[float | None]:
        """The same, with what could not be read as None, to be counted."""
        prompts = [answer_question(self.policy, self.categories.get(each.prompt, ""), each) for each in answers]
        seed = int(digest_json([[each.prompt, each.answer] for each in answers])[:8], 16)
        drawn = sample_askable(self.asked, prompts, self.sampling, seed)
        return [parse_verdict(group[0].answer) if group else None for group in drawn]

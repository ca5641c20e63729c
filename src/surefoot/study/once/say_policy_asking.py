"""A policy that is asked in portions, and whose answers are kept: a killed run asks what it has not asked.

Prompts that begin with the same turns are asked together, for a local model reads what they share once. A portion's
seed follows from the run's and from its first prompt, so an answer does not depend on what else a run asks before it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, write_json
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion
from surefoot.text.policy import Policy, Prompt, Sampling, Unaskable

__all__ = ["Remembering"]

PORTION = 64
"""Completions of a portion."""


@dataclass(frozen=True)
class Remembering:
    """A `Policy`. known: by what the policy is told from others. folder: of the portions."""

    policy: Policy
    known: str
    folder: Path

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def context(self) -> int:
        return self.policy.context

    def identity_parts(self) -> tuple[Any, ...]:
        """Where answers are kept makes no other policy."""
        return (self.known,)

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """See `Policy.sample`."""
        found: dict[int, tuple[Completion, ...]] = {}
        for places in _portions(prompts, max(1, PORTION // sampling.count)):
            said = self._portion(prompts, sampling, seed, places, _from(progress, len(found), len(prompts)))
            found |= dict(zip(places, said, strict=True))
            progress("asking", len(found), len(prompts))
        return [found[at] for at in range(len(prompts))]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Float64[Tensor, " rows"]:
        """See `Policy.log_probability`; nothing of it is kept."""
        return self.policy.log_probability(prompts, completions)

    def _portion(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, places: Sequence[int], progress: Progress
    ) -> list[tuple[Completion, ...]]:
        asked = [prompts[at] for at in places]
        told = [_spelled(each) for each in asked]
        path = self.folder / f"{digest_json([self.known, told, asdict(sampling), seed])[:20]}.json"
        if path.exists():
            try:
                return [tuple(Completion(**one) for one in group) for group in read_json(path)["said"]]
            except (InputError, KeyError, TypeError):
                pass  # damaged: it is asked again
        own = int(digest_json([seed, told[0]])[:8], 16)
        try:
            said = self.policy.sample(asked, sampling, own, progress)
        except Unaskable as error:
            raise Unaskable(str(error), [places[at] for at in error.places]) from error
        write_json(path, {"said": [[asdict(_plain(one)) for one in group] for group in said]})
        return [tuple(_plain(one) for one in group) for group in said]


def _portions(prompts: Sequence[Prompt], size: int) -> list[list[int]]:
    groups: dict[Any, list[int]] = {}
    for at, prompt in enumerate(prompts):
        groups.setdefault(() if isinstance(prompt, str) else prompt[:-1], []).append(at)
    return [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]


def _from(progress: Progress, before: int, every: int) -> Progress:
    """Of a portion as a part of all."""

    def report(stage: str, done: int, total: int) -> None:
        progress("asking", before + min(done, total), every)

    return report


def _spelled(prompt: Prompt) -> Any:
    return prompt if isinstance(prompt, str) else [each.spelled() for each in prompt]


def _plain(completion: Completion) -> Completion:
    """Without its log-probability, whose last digits are not worth keeping and are not needed."""
    return replace(completion, log_probability=None)

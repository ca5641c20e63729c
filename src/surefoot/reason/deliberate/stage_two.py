"""Stage 2: reinforcement by a judge that sees the policy and the answer, and never the thought.

    reward(prompt, answer) = judge(spec(category), prompt, answer)         π trained on prompts without the policy

That nothing is rewarded for what it thinks is kept by type: a reward is a function of `Answered`, which has no field
for a thought. Prompts of a capability are drawn beside those of the policy, for reinforcement of one thing forgets
another.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3.2: "we avoid applying direct optimization
pressure on the CoT". Algorithm and sizes are unpublished; ours are those of `reinforce`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.reason.course import Keep, Learnt
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.reason.rewarding import Reward
from surefoot.text.decoder import Decoder
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Pool", "Posed", "stage_two"]


@dataclass(frozen=True)
class Posed:
    """One prompt."""

    prompt: str


@dataclass(frozen=True)
class Pool:
    """The prompts of each step: `batch` different ones, a `capable` share of them of the capability.

    Of (seed, step) alone. Raises `InputError` where there are too few of either.
    """

    prompts: tuple[str, ...]
    capability: tuple[str, ...] = ()
    batch: int = 32
    capable: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.capable <= 1:
            raise InputError(f"A share of {self.capable} of the prompts cannot be of a capability; give 0 to 1.")
        beside, of_policy = self._beside, self.batch - self._beside
        if beside > len(self.capability) or of_policy > len(self.prompts) or self.batch < 1:
            raise InputError(
                f"A batch of {self.batch} needs {of_policy} prompts and {beside} of a capability, and there are "
                f"{len(self.prompts)} and {len(self.capability)}; give more, or a smaller batch."
            )

    @cached_property
    def _beside(self) -> int:
        return round(self.capable * self.batch) if self.capability else 0

    def __call__(self, step: int) -> list[Posed]:
        """The prompts of a step.

        >>> pool = Pool(("a", "b", "c"), batch=2)
        >>> pool(0) == pool(0), len(set(pool(1)))
        (True, 2)
        """
        generator = np.random.default_rng([self.seed, 7, step])
        chosen = [
            Posed(of[at])
            for of, count in ((self.prompts, self.batch - self._beside), (self.capability, self._beside))
            for at in generator.permutation(len(of))[:count].tolist()
        ]
        return chosen


def stage_two(
    decoder: Decoder,
    vocabulary: Vocabulary,
    pool: Pool,
    reward: Reward[Posed],
    settings: Reinforcement,
    seed: int,
    *,
    keep: Keep | None = None,
    progress: Progress = silent,
) -> Learnt:
    """Reinforce a copy of `decoder` on what `reward` says of its answers; see `reinforce` for figures and errors."""
    return reinforce(decoder, vocabulary, pool, reward, settings, seed, keep=keep, progress=progress)

"""Imitating what was right: sample, keep what the grader passes, imitate it, again.

STaR begins each round anew from the first decoder and takes one sample a problem; here it takes as many as asked, and
has no hints. With `anew=False` each round goes on from the last one, which is RAFT.

Source: Zelikman et al. (2022), "STaR: bootstrapping reasoning with reasoning", arXiv 2203.14465, alg. 1; Dong et al.
(2023), RAFT, arXiv 2304.06767, alg. 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.reason.course import Keep, Learnt, step_seed
from surefoot.reason.imitate import Demonstration, Imitation, imitate
from surefoot.reason.rewarding import Asked, Draw, Reward, rewards_of
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import prompt_tokens
from surefoot.text.policy import Sampling
from surefoot.text.rollout import Rollout, roll, written
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Star", "star"]

LEARNING, SAMPLES = 2, 3  # purposes of `step_seed`


@dataclass(frozen=True)
class Star:
    """How to imitate what was right. imitation: of each round. least: the reward from which a completion is kept; above
    0, which is what no answer at all is worth.

    anew: begin each round from the first decoder. distinct: of equal completions of a prompt keep one.

    Raises `InputError` for no rounds, and a least reward outside (0, 1].
    """

    imitation: Imitation
    rounds: int = 3
    sampling: Sampling = field(default_factory=lambda: Sampling(count=4))
    least: float = 1.0
    anew: bool = True
    distinct: bool = True

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"{self.rounds} rounds were asked for; ask for 1 or more.")
        if not 0 < self.least <= 1:
            raise InputError(f"The least reward to be kept is {self.least}; give one above 0, up to 1.")


def star(
    decoder: Decoder,
    vocabulary: Vocabulary,
    draw: Draw[Asked],
    reward: Reward[Asked],
    settings: Star,
    seed: int,
    *,
    keep: Keep | None = None,
    progress: Progress = silent,
) -> tuple[Learnt, ...]:
    """Rounds of sampling, keeping what earns enough, and imitating it; one result a round.

    draw: round → the problems to try. The first line of each result says how many completions were tried and kept.

    Raises `InputError` where a round keeps nothing.
    """
    found: list[Learnt] = []
    for number in range(settings.rounds):
        current = found[-1].decoder if found else decoder
        problems = draw(number)
        coded = prompt_tokens(vocabulary, [each.prompt for each in problems])
        rollout = roll(current, coded, settings.sampling, step_seed(seed, SAMPLES, number))
        rewards = rewards_of(reward, problems, written(vocabulary, rollout), settings.sampling.count)
        kept = _kept(coded, rollout, rewards.reshape(-1).tolist(), settings)
        tried = len(rollout.tokens)
        if not kept:
            raise InputError(
                f"None of {tried} completions of round {number + 1} earned {settings.least:g}; begin from a decoder "
                "that is right at times, draw more samples, or ask for less."
            )
        folder = None if keep is None else replace(keep, folder=keep.folder / f"round-{number + 1}")
        begun = decoder if settings.anew else current
        learning = step_seed(seed, LEARNING, number)
        learnt = imitate(begun, kept, settings.imitation, learning, keep=folder, progress=progress)
        told = {**learnt.lines[0], "tried": float(tried), "kept": float(len(kept))}
        found.append(Learnt(learnt.decoder, (told, *learnt.lines[1:])))
    return tuple(found)


def _kept(
    prompts: Sequence[Sequence[int]], rollout: Rollout, rewards: Sequence[float], settings: Star
) -> list[Demonstration]:
    kept: dict[tuple[int, tuple[int, ...], int], Demonstration] = {}
    # The last token that was drawn is the end, and nothing stands behind it but padding.
    lengths = [int(row.nonzero().max()) + 1 if row.any() else 0 for row in rollout.sampled]
    for row, (length, worth) in enumerate(zip(lengths, rewards, strict=True)):
        if worth >= settings.least and bool(rollout.ended[row]):
            said: list[int] = rollout.completions[row, :length].tolist()
            at = row // settings.sampling.count
            kept[at, tuple(said), -1 if settings.distinct else row] = (prompts[at], said)
    return list(kept.values())

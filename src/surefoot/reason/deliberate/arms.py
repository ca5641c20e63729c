"""The arms of an ablation in the policy world: which stages a model went through, and what it is shown.

    none                 the base, which never saw the policy
    policy in prompt     the base, shown the policy of the category with every request
    stage 1              imitation of filtered demonstrations, on a first part of the requests
    stage 2              reinforcement alone, on all requests
    both                 stage 2 after stage 1
    stage 1, longer      control: stage 1 for longer than both stages take
    stage 1, all         control: stage 1 on all requests that stage 2 has
    both, all            stage 2 after stage 1, both on all requests

The two controls say what the reinforcement adds beside time and requests; without them "both" wins by having more of
either.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, Fig. 14 (the first five arms); the controls are
ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.reason.course import Course, Learnt
from surefoot.reason.deliberate.stage_one import Asked, Filtered, Judge, StageOne, stage_one
from surefoot.reason.deliberate.stage_two import Pool, stage_two
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.reason.journal import Line
from surefoot.reason.reinforce import Reinforcement
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Prompt, Sampling
from surefoot.text.world.demonstrations import sum_of
from surefoot.text.world.judges import AnswerJudge, Errors, FilterJudge, WorldReward
from surefoot.text.world.language import Request, World, write_request, write_rules
from surefoot.text.world.truth import Book

__all__ = [
    "ARMS",
    "Arm",
    "Ground",
    "Recipe",
    "Trained",
    "WorldSpec",
    "first_stage",
    "pool_of",
    "second_stage",
    "train_arm",
]

Part: TypeAlias = Literal["", "first", "all"]


@dataclass(frozen=True)
class Arm:
    """filtered: the requests of stage 1; longer: whether it has more steps. reinforced: whether stage 2 follows, on all
    requests. shown: whether the policy is in the prompt when the model is asked.
    """

    name: str
    filtered: Part = ""
    reinforced: bool = False
    longer: bool = False
    shown: bool = False


ARMS = (
    Arm("none"),
    Arm("policy in prompt", shown=True),
    Arm("stage 1", filtered="first"),
    Arm("stage 2", reinforced=True),
    Arm("both", filtered="first", reinforced=True),
    Arm("stage 1, longer", filtered="first", longer=True),
    Arm("stage 1, all", filtered="all"),
    Arm("both, all", filtered="all", reinforced=True),
)


@dataclass(frozen=True)
class Ground:
    """Whose policy is taught, and on what. first: how many requests stage 1 has. capability: sums beside them."""

    world: World
    book: Book
    requests: tuple[Request, ...]
    first: int
    capability: tuple[str, ...] = ()

    def of(self, part: Part) -> tuple[Request, ...]:
        """The requests of a part."""
        return self.requests if part == "all" else self.requests[: self.first] if part else ()


@dataclass(frozen=True)
class Recipe:
    """Sizes of both stages. more: the further steps of an arm that is longer. capable: the share of sums in the data of
    both stages. filter_errors, reward_errors: of the two judges.
    """

    stage_one: StageOne = field(default_factory=lambda: StageOne(Sampling(count=8, most=20), verdicts=2))
    imitation: Imitation = field(
        default_factory=lambda: Imitation(Course(500, rate=1e-3, schedule="cosine", warm_up=20), batch=64)
    )
    more: int = 1100
    reinforcement: Reinforcement = field(
        default_factory=lambda: Reinforcement(Course(250, rate=5e-4, warm_up=10), Sampling(count=8, most=20))
    )
    batch: int = 32
    capable: float = 0.15
    filter_errors: Errors = field(default_factory=lambda: Errors(0.15))
    reward_errors: Errors = field(default_factory=lambda: Errors(0.1))


class Trained(NamedTuple):
    """An arm's decoder, what stage 1 kept, and the figures of stage 2's steps."""

    decoder: Decoder
    filtered: Filtered | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class WorldSpec:
    """The rules of the category before the request."""

    book: Book

    def __call__(self, asked: Asked) -> Prompt:
        return f"{write_rules(self.book[int(asked.category)])} {asked.prompt}"


def train_arm(
    base: Decoder, arm: Arm, ground: Ground, recipe: Recipe, seed: int, progress: Progress = silent
) -> Trained:
    """Take a copy of `base` through an arm's stages; the base itself where it has none.

    Two arms of one seed whose stage 1 is the same end it with the same weights.
    """
    decoder, filtered, lines = base, None, tuple[Line, ...]()
    if arm.filtered:
        more = recipe.more if arm.longer else 0
        decoder, filtered = first_stage(base, ground, ground.of(arm.filtered), recipe, seed, more, progress)
    if arm.reinforced:
        learnt = second_stage(decoder, ground, recipe, seed, progress)
        decoder, lines = learnt.decoder, learnt.lines
    return Trained(decoder, filtered, lines)


def first_stage(
    base: Decoder,
    ground: Ground,
    requests: Sequence[Request],
    recipe: Recipe,
    seed: int,
    more: int = 0,
    progress: Progress = silent,
) -> tuple[Decoder, Filtered]:
    """Stage 1 on some requests: what the base thinks with the policy in its prompt, filtered and learnt without it.

    more: steps beyond the recipe's. Raises `InputError` where the filter keeps nothing.
    """
    world = ground.world
    judge: Judge = FilterJudge(world, ground.book, recipe.filter_errors)
    asked = [Asked(write_request(world, each), str(each.category)) for each in requests]
    policy = DecoderPolicy("base", base, world.vocabulary)
    filtered = stage_one(policy, judge, asked, WorldSpec(ground.book), recipe.stage_one, seed, progress)
    if not filtered.kept:
        raise InputError(f"Stage 1 has nothing to learn ({filtered.words}); teach the base to follow policies first.")
    prompts = [str(each.asked.prompt) for each in filtered.kept]
    completions = [each.completion.text for each in filtered.kept]
    beside = round(len(prompts) * recipe.capable / (1 - recipe.capable))
    for at in range(beside if ground.capability else 0):
        prompts.append(ground.capability[at % len(ground.capability)])
        completions.append(_sum(prompts[-1]))
    course = recipe.imitation.course
    settings = replace(recipe.imitation, course=replace(course, steps=course.steps + more))
    learnt = imitate(base, demonstrated(world.vocabulary, prompts, completions), settings, seed, progress=progress)
    return learnt.decoder, filtered


def second_stage(decoder: Decoder, ground: Ground, recipe: Recipe, seed: int, progress: Progress = silent) -> Learnt:
    """Stage 2 on all requests."""
    reward = WorldReward(AnswerJudge(ground.world, ground.book, recipe.reward_errors))
    return stage_two(
        decoder, ground.world.vocabulary, pool_of(ground, recipe, seed), reward, recipe.reinforcement, seed,
        progress=progress,
    )  # fmt: skip


def pool_of(ground: Ground, recipe: Recipe, seed: int) -> Pool:
    """The prompts of stage 2."""
    prompts = tuple(write_request(ground.world, each) for each in ground.requests)
    return Pool(prompts, ground.capability, recipe.batch, recipe.capable, seed)


def _sum(prompt: str) -> str:
    right = sum_of(prompt)
    assert right is not None
    return right

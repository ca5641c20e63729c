"""The models behind a card of deliberative alignment in the policy world: a base, the arms, and the negative control.

Each seed has a base of its own and a policy of its own; the requests are the same. What is finished is kept in a folder
whose name is made of everything that decides it: a killed run goes on with the arm that it was at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress
from surefoot.reason.course import Course, Keep
from surefoot.reason.deliberate.arms import ARMS, Ground, Recipe, first_stage, pool_of, second_stage
from surefoot.reason.deliberate.control import Loophole, reinforce_on_thoughts
from surefoot.reason.deliberate.monitor import Watch
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.study.numerics import numerics_of
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.reading import reads_with
from surefoot.text.world.demonstrations import base_demonstrations, sums
from surefoot.text.world.judges import AnswerJudge, WorldReward
from surefoot.text.world.language import World
from surefoot.text.world.monitor import misquotes
from surefoot.text.world.requests import draw_requests
from surefoot.text.world.truth import draw_book

__all__ = ["CONTROLS", "HIDDEN", "PUNISHED", "AlignPlan", "address", "ground_of", "train_world"]

HIDDEN, PUNISHED = "judge sees no thought", "judge punishes thoughts"
CONTROLS = (HIDDEN, PUNISHED)
"""Of the negative control: an answer judge with a loophole, without and with punishment of what a monitor finds."""
LOOPHOLES = frozenset({0, 2, 4})
"""Categories in which complying always pays, for the negative control."""


@dataclass(frozen=True)
class AlignPlan:
    """What is to be done. requests: of stage 2; first: of them, those of stage 1. judged: requests of each judged set.

    samples: completions of each. recipe: of both stages. controls: the negative control as well, of `pressed` times the
    steps of stage 2: thoughts go on changing long after answers have.
    """

    base: Course = field(
        default_factory=lambda: Course(4_000, 3e-3, "cosine", warm_up=50, decay=0.01, betas=(0.9, 0.99))
    )
    demonstrations: int = 64_000
    width: int = 64
    requests: int = 700
    first: int = 350
    judged: int = 250
    samples: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    controls: bool = True
    pressed: float = 2.4
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        for name in ("demonstrations", "requests", "first", "judged", "samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")

    @property
    def models(self) -> tuple[str, ...]:
        """In the order in which they are shown."""
        return (*(arm.name for arm in ARMS), *(CONTROLS if self.controls else ()))

    def start(self, seed: int) -> Decoder:
        """An untrained decoder of this world."""
        return build_decoder(Shape(self.world.vocabulary.size, width=self.width, context=48), seed)


def address(plan: AlignPlan) -> str:
    """Of the trainings of a plan: twelve digits of its identity, and of what decides the last bits of its numbers."""
    return identity(plan, numerics_of("default"), reads_with(plan.start(0)))[:12]


def ground_of(plan: AlignPlan, seed: int) -> Ground:
    """A seed's policy, and the requests that are learnt from."""
    requests = draw_requests(plan.world, "fit", plan.requests, 0)
    return Ground(plan.world, draw_book(plan.world, 100 + seed), requests, plan.first, sums("fit"))


def train_world(plan: AlignPlan, seed: int, folder: Path, progress: Progress) -> Mapping[str, Decoder]:
    """Every model of a seed by name; "policy in prompt" is the base itself."""
    kept = _Kept(plan, seed, folder / f"seed-{seed}", progress)
    base, ground = kept.base(), ground_of(plan, seed)
    models: dict[str, Decoder] = {}
    for arm in ARMS:
        decoder = base
        if arm.filtered:
            more = plan.recipe.more if arm.longer else 0
            name = f"stage 1{', all' * (arm.filtered == 'all')}{', longer' * arm.longer}"
            decoder = kept.model(name, partial(_stage_1, base, ground, arm.filtered == "all", plan.recipe, seed, more))
        if arm.reinforced:
            decoder = kept.model(arm.name, partial(_stage_2, decoder, ground, plan.recipe, seed))
        models[arm.name] = decoder
    watches: tuple[Watch | None, ...] = (None, partial(misquotes, plan.world, ground.book))
    for name, watch in zip(CONTROLS if plan.controls else (), watches, strict=False):
        models[name] = kept.model(name, partial(_pressed, models["stage 1, all"], ground, plan, seed, watch))
    return models


def _stage_1(
    base: Decoder, ground: Ground, whole: bool, recipe: Recipe, seed: int, more: int, progress: Progress
) -> Decoder:
    return first_stage(base, ground, ground.of("all" if whole else "first"), recipe, seed, more, progress)[0]


def _stage_2(decoder: Decoder, ground: Ground, recipe: Recipe, seed: int, progress: Progress) -> Decoder:
    return second_stage(decoder, ground, recipe, seed, progress).decoder


def _pressed(
    decoder: Decoder, ground: Ground, plan: AlignPlan, seed: int, watch: Watch | None, progress: Progress
) -> Decoder:
    recipe = plan.recipe
    course = recipe.reinforcement.course
    settings = replace(recipe.reinforcement, course=replace(course, steps=max(1, round(plan.pressed * course.steps))))
    judge = WorldReward(AnswerJudge(ground.world, ground.book, recipe.reward_errors))
    reward = Loophole(judge, LOOPHOLES, punished=watch)
    pool = pool_of(ground, recipe, seed)
    return reinforce_on_thoughts(
        decoder, ground.world.vocabulary, pool, reward, settings, seed, progress=progress
    ).decoder


@dataclass(frozen=True)
class _Kept:
    """One seed's models in a folder."""

    plan: AlignPlan
    seed: int
    folder: Path
    progress: Progress

    def base(self) -> Decoder:
        """A decoder that follows whatever policy is in its prompt, with flaws for a filter to find."""
        plan, world = self.plan, self.plan.world
        shown = base_demonstrations(world, plan.demonstrations, self.seed)
        coded = demonstrated(world.vocabulary, [one.prompt for one in shown], [one.completion for one in shown])
        keep = Keep(self.folder / "base", every=200)
        settings = Imitation(plan.base, batch=64)
        return imitate(
            plan.start(self.seed), coded, settings, self.seed, keep=keep, progress=self._told("base")
        ).decoder

    def model(self, name: str, make: Callable[[Progress], Decoder]) -> Decoder:
        """A trained model, from the folder or made."""
        path = self.folder / f"{name.replace(',', '').replace(' ', '-')}.safetensors"
        if not path.exists():
            write_tensors(path, dict(make(self._told(name)).state_dict()))
        decoder = self.plan.start(self.seed)
        decoder.load_state_dict(read_tensors(path))
        return decoder

    def _told(self, name: str) -> Progress:
        def report(stage: str, done: int, total: int) -> None:
            work, _, figure = stage.partition(": ")
            self.progress(f"seed {self.seed}, {name}, {work}: {figure}", done, total)

        return report

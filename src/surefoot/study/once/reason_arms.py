"""The trainings behind a card of reasoning: what is imitated, what is reinforced, and the controls beside it.

    imitated        next tokens of demonstrations, few of them spelled out
    reinforced      from there, rewarded for right answers alone
    silent          the same reinforcement, no thought allowed: is it the thinking?
    longer          from there, imitation for as many operations as reinforcement took: is it the time?
    never_shown     from the start, as many tokens of demonstrations, none spelled out: is it the spelling?

An operation is counted in passes of a token through the network: one where it is read or written, three where it is
learnt from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress
from surefoot.reason.course import Course, Keep, Learnt, Measure, step_seed
from surefoot.reason.imitate import Demonstration, Imitation, demonstrated, imitate
from surefoot.reason.journal import Line
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.reason.rewarding import graded
from surefoot.study.numerics import numerics_of
from surefoot.text.attempts import attempts_of
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.reading import reads_with
from surefoot.text.tasks.task import Problem, Task, demonstrations, problems

__all__ = [
    "CONTROLS",
    "GREEDY",
    "IMITATED",
    "LABELS",
    "LONGER",
    "NEVER_SHOWN",
    "POOL",
    "REINFORCED",
    "SILENT",
    "THINKING",
    "Drawn",
    "ReasonPlan",
    "address",
    "further_steps",
    "train_arms",
]

IMITATED, REINFORCED, SILENT, LONGER, NEVER_SHOWN = "imitated", "reinforced", "silent", "longer", "never_shown"
CONTROLS = (SILENT, LONGER, NEVER_SHOWN)
LABELS = {
    IMITATED: "imitated",
    REINFORCED: "reinforced",
    SILENT: "reinforced without thought",
    LONGER: "imitated for as long",
    NEVER_SHOWN: "never shown a thought",
}
POOL = 8_192
"""Problems of each role that is learnt from, at most."""
DRAWS = 7
"""A purpose of `step_seed`."""
GREEDY, THINKING = "greedy", "greedy_thinking"
"""Of a line: accuracy and mean tokens of thought of the likeliest completions of the choose problems."""


@dataclass(frozen=True)
class ReasonPlan:
    """What is to be done. spelled: share of demonstrations with a thought. size: width, blocks and heads.

    prompts: problems of a step of reinforcement. controls: train and measure these as well. judged, chosen: problems
    of these roles at most. attempts: completions of each judge problem. every: steps between measurements on the
    choose problems.
    """

    task: Task
    spelled: float = 0.1
    size: tuple[int, int, int] = (64, 2, 4)
    imitation: Imitation = field(default_factory=lambda: Imitation(Course(1_000, rate=1e-3, schedule="cosine")))
    reinforcement: Reinforcement = field(default_factory=lambda: Reinforcement(Course(60, schedule="cosine")))
    prompts: int = 64
    controls: bool = True
    judged: int = 400
    chosen: int = 200
    attempts: int = 16
    every: int = 5

    def __post_init__(self) -> None:
        for name in ("prompts", "judged", "chosen", "attempts", "every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order in which they are shown."""
        return (IMITATED, REINFORCED, *(CONTROLS if self.controls else ()))

    @property
    def most(self) -> int:
        """Tokens that a completion may have."""
        return self.task.longest

    def shape(self) -> Shape:
        """A decoder for this task."""
        width, depth, heads = self.size
        return Shape(self.task.vocabulary.size, width, depth, heads, context=2 * self.task.longest)


@dataclass(frozen=True)
class Drawn:
    """The problems of a step: some of a pool, drawn from (seed, step)."""

    pool: tuple[Problem, ...]
    count: int
    seed: int

    def __call__(self, step: int) -> list[Problem]:
        generator = torch.Generator().manual_seed(step_seed(self.seed, DRAWS, step))
        return [self.pool[each] for each in torch.randperm(len(self.pool), generator=generator)[: self.count].tolist()]


def train_arms(plan: ReasonPlan, seed: int, folder: Path, progress: Progress) -> Mapping[str, Learnt]:
    """Train every arm of one seed, each from where it was in `folder`, by name."""
    task = plan.task
    pool = problems(task, "fit", POOL, seed, fewer=True)
    shown = _shown(task, pool, plan.spelled, seed)
    begun = build_decoder(plan.shape(), seed)
    watch = _measured(plan)
    places = _Places(folder, plan, seed, progress)
    imitated = imitate(begun, shown, plan.imitation, seed, keep=places.of(IMITATED), progress=places.told(IMITATED))
    asked = Drawn(problems(task, "repair", POOL, seed, fewer=True), plan.prompts, seed)
    sampling = replace(plan.reinforcement.sampling, most=plan.most)
    settings = replace(plan.reinforcement, sampling=sampling)
    arms = {IMITATED: imitated}

    def reinforced(name: str, how: Reinforcement) -> Learnt:
        return reinforce(
            imitated.decoder, task.vocabulary, asked, graded(task), how, seed,
            keep=places.of(name), measure=watch, progress=places.told(name),
        )  # fmt: skip

    arms[REINFORCED] = reinforced(REINFORCED, settings)
    if not plan.controls:
        return arms
    arms[SILENT] = reinforced(SILENT, replace(settings, sampling=replace(sampling, thinking=0)))
    further = further_steps(plan, shown, arms[REINFORCED].lines)
    arms[LONGER] = imitate(
        imitated.decoder, shown, _for_steps(plan.imitation, further), seed + 1,
        keep=places.of(LONGER), progress=places.told(LONGER),
    )  # fmt: skip
    short = _shown(task, pool, 0.0, seed)
    whole = sum(len(prompt) + len(said) for prompt, said in shown) / sum(len(p) + len(said) for p, said in short)
    as_many = max(1, round(plan.imitation.course.steps * whole))
    arms[NEVER_SHOWN] = imitate(
        begun, short, _for_steps(plan.imitation, as_many), seed,
        keep=places.of(NEVER_SHOWN), progress=places.told(NEVER_SHOWN),
    )  # fmt: skip
    return arms


def further_steps(plan: ReasonPlan, shown: Sequence[Demonstration], lines: Sequence[Line]) -> int:
    """Steps of imitation that take as many operations as these steps of reinforcement, one at least.

    A token that is read or written is one pass through the network, one that is learnt from three, and one more where a
    reference reads it.
    """
    near = 1 if plan.reinforcement.ratio.beta > 0 else 0
    reinforcement = sum(line["read"] + (3 + near) * line["learnt"] for line in lines)
    a_demonstration = sum(len(prompt) + len(said) for prompt, said in shown) / len(shown)
    return max(1, round(reinforcement / (3 * plan.imitation.batch * a_demonstration)))


def _for_steps(imitation: Imitation, steps: int) -> Imitation:
    return replace(imitation, course=replace(imitation.course, steps=steps))


@dataclass(frozen=True)
class _Places:
    """Where trainings are kept, and how they are told of."""

    folder: Path
    plan: ReasonPlan
    seed: int
    progress: Progress

    def of(self, arm: str) -> Keep:
        return Keep(self.folder / f"seed-{self.seed}" / arm)

    def told(self, arm: str) -> Progress:
        def report(stage: str, done: int, total: int) -> None:
            _, _, figure = stage.partition(": ")
            self.progress(f"seed {self.seed}, {LABELS[arm]}: {figure}", done, total)

        return report


def _shown(task: Task, pool: Sequence[Problem], spelled: float, seed: int) -> list[tuple[list[int], list[int]]]:
    written = demonstrations(task, pool, spelled, seed)
    return demonstrated(task.vocabulary, [each.prompt for each in pool], written)


def _measured(plan: ReasonPlan) -> Measure:
    """Greedy accuracy and thinking tokens on the choose problems, before the first step and every few steps."""
    asked = problems(plan.task, "choose", plan.chosen, 0, fewer=True)

    def measure(decoder: Decoder, done: int) -> Mapping[str, float]:
        if done % plan.every and done != plan.reinforcement.course.steps:
            return {}
        policy = DecoderPolicy("", decoder, plan.task.vocabulary)
        said = policy.sample([each.prompt for each in asked], Sampling(1, plan.most, 0.0), 0)
        found = attempts_of(plan.task.grade, asked, said)
        return {
            GREEDY: sum(row[0] for row in found.rewards) / len(asked),
            THINKING: sum(row[0] for row in found.thinking) / len(asked),
        }

    return measure


def address(plan: ReasonPlan) -> str:
    """Of the trainings of a plan: twelve digits of its identity, and of what decides the last bits of its numbers."""
    return identity(plan, numerics_of("default"), reads_with(build_decoder(plan.shape(), 0)))[:12]

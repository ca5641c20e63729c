"""The arms behind a card of a policy of one's own: what is learnt, and what every arm answers to judge requests.

none               the model as it is, without the policy
policy in prompt   the model as it is, shown the policy of the right category and its examples
taught             stage 1: its own filtered demonstrations, learnt without the policy
answers only       a control: the same demonstrations without their thoughts
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress
from surefoot.reason.deliberate.policy_file import PolicyText
from surefoot.reason.deliberate.policy_prompts import TextSpec
from surefoot.reason.deliberate.rules_judge import FAULTS, RulesJudge
from surefoot.reason.deliberate.stage_one import Asked, Filtered, Judge, StageOne, stage_one
from surefoot.study.once.say_policy_asking import Remembering
from surefoot.study.once.say_policy_requests import Request, Requests
from surefoot.text.completion import Completion, deliberated
from surefoot.text.policy import Policy, Prompt, Sampling
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["ALONE", "ARMS", "NONE", "SHOWN", "TAUGHT", "Answers", "Ground", "SayPlan", "Speaker", "ask_arms"]

NONE, SHOWN, TAUGHT, ALONE = "none", "policy_in_prompt", "taught", "answers_only"
ARMS = (NONE, SHOWN, ALONE, TAUGHT)
"""As claims call them."""
OPENING, CLOSING = MARKS[THINK], MARKS[ANSWER]


@runtime_checkable
class Speaker(Protocol):
    """A language model that can be taught to say."""

    @property
    def policy(self) -> Policy:
        """The model as it is."""
        ...

    @property
    def thinks(self) -> bool:
        """Was it trained to think between marks? Then an answer without a thought has an empty one."""
        ...

    @property
    def words(self) -> str:
        """How it is taught, for a reader."""
        ...

    @property
    def record(self) -> Mapping[str, Any]:
        """Plain JSON: every choice that changes a number."""
        ...

    def taught(self, sayings: Sequence[tuple[Prompt, str]], checkpoint: Path, seed: int, progress: Progress) -> Policy:
        """Taught to say this after each prompt; goes on from the checkpoint, or is finished by it."""
        ...

    def leave(self, policy: Policy, folder: Path, told: Mapping[str, Any]) -> None:
        """Write a policy that was taught as a model that other programs open."""
        ...


@dataclass(frozen=True)
class SayPlan:
    """What is to be done. learnt, judged: requests at most. stage: how demonstrations are drawn and filtered."""

    learnt: int = 140
    judged: int = 200
    stage: StageOne = field(
        default_factory=lambda: StageOne(Sampling(count=4, most=96, temperature=0.7), verdicts=1, most=2)
    )

    def __post_init__(self) -> None:
        for name in ("learnt", "judged"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more requests.")


class Answers(NamedTuple):
    """Of one seed: what stage 1 kept and why others were rejected, and every arm's completion of each judge request."""

    filtered: Filtered
    faults: Mapping[str, int]
    said: Mapping[str, tuple[Completion, ...]]


@dataclass(frozen=True)
class Ground:
    """What all seeds share. known: by what the speaker is told from others. judge: None for the rules'."""

    speaker: Speaker
    policy: PolicyText
    requests: Requests
    plan: SayPlan
    judge: Judge | None
    folder: Path
    known: str


def ask_arms(ground: Ground, seed: int, progress: Progress) -> tuple[Answers, Policy]:
    """Everything of one seed, from the folder as far as it is there, and the policy that was taught.

    Raises `InputError` where stage 1 keeps nothing, with what became of all that was drawn.
    """
    plan, speaker = ground.plan, ground.speaker
    as_it_is = Remembering(speaker.policy, ground.known, ground.folder / "said")
    filtered, faults = _demonstrations(ground, as_it_is, seed, _told(progress, "drawing demonstrations"))
    spec = TextSpec(ground.policy)
    judge = ground.requests.judge
    plain = [each.text for each in judge]
    said = {
        NONE: _greedy(as_it_is, plain, plan, _told(progress, "judging: none")),
        SHOWN: _greedy(as_it_is, [spec(_asked(each)) for each in judge], plan, _told(progress, "judging: in prompt")),
    }
    thoughts = [f"{OPENING}{each.completion.thought}{CLOSING}{each.completion.answer}" for each in filtered.kept]
    answers = [f"{OPENING}{CLOSING}" * speaker.thinks + (each.completion.answer or "") for each in filtered.kept]
    prompts: list[Prompt] = [each.asked.prompt for each in filtered.kept]
    policies: dict[str, Policy] = {}
    for arm, texts in ((ALONE, answers), (TAUGHT, thoughts)):
        known = identity(ground.known, prompts, texts, speaker.record, seed)
        place = ground.folder / "taught" / known[:12] / "checkpoint.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        sayings = list(zip(prompts, texts, strict=True))
        policies.clear()  # one taught model at a time: each is as large as the first
        policies[arm] = speaker.taught(sayings, place, seed, _told(progress, f"teaching {arm.replace('_', ' ')}"))
        kept = Remembering(policies[arm], known, ground.folder / "said")
        silent = 0 if arm == ALONE and speaker.thinks else None
        said[arm] = _greedy(kept, plain, plan, _told(progress, f"judging: {arm.replace('_', ' ')}"), silent)
    return Answers(filtered, faults, {arm: said[arm] for arm in ARMS}), policies[TAUGHT]


def _demonstrations(
    ground: Ground, policy: Policy, seed: int, progress: Progress
) -> tuple[Filtered, Mapping[str, int]]:
    learnt = ground.requests.learnt
    rules = RulesJudge(ground.policy, {each.text: each.expected for each in learnt})
    asked = [_asked(each) for each in learnt]
    spec, stage = TextSpec(ground.policy), ground.plan.stage
    filtered = stage_one(policy, ground.judge or rules, asked, spec, stage, seed, progress)
    faults = Counter[str]()
    if ground.judge is None:
        drawn = policy.sample([spec(each) for each in asked], stage.sampling, seed)  # all of it is kept
        for each, group in zip(learnt, drawn, strict=True):
            for one in group:
                case = deliberated(each.text, one)
                faults.update(rules.faults(case, each.category) if case is not None and case.thought else ())
    counts = {name: faults[name] for name in FAULTS if faults[name]}
    if not filtered.kept:
        why = f" Wrong in: {', '.join(f'{name} {count}' for name, count in counts.items())}." if counts else ""
        raise InputError(
            f"Stage 1 kept nothing to learn from: {filtered.words}.{why} Show more examples of thinking in the policy, "
            "draw more of each request, or ask another judge."
        )
    return filtered, counts


def _greedy(
    policy: Policy, prompts: Sequence[Prompt], plan: SayPlan, progress: Progress, thinking: int | None = None
) -> tuple[Completion, ...]:
    way = Sampling(1, plan.stage.sampling.most, 0.0, thinking)
    return tuple(group[0] for group in policy.sample(prompts, way, 0, progress))


def _asked(request: Request) -> Asked:
    return Asked(request.text, request.category)


def _told(progress: Progress, work: str) -> Progress:
    def report(stage: str, done: int, total: int) -> None:
        figure = stage.partition(": ")[2]
        progress(f"{work}: {figure}" if figure else work, done, total)

    return report

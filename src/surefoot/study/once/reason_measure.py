"""What is measured of arms that reason: findings on judge problems, curves on choose problems, traces to read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from surefoot.card.curves import Curve, Place
from surefoot.card.traces import Trace
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_change, mean_finding
from surefoot.progress import Progress
from surefoot.reason.course import Learnt
from surefoot.study.once.reason_arms import GREEDY, IMITATED, LABELS, LONGER, REINFORCED, SILENT, THINKING, ReasonPlan
from surefoot.text.attempts import Attempts, attempts_of
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.subsets import consensus_at_k, pass_at_k
from surefoot.text.tasks.task import Problem, problems

__all__ = ["Attempted", "attempted", "curves_of", "measured", "pairs_of", "traces_of"]

Trained: TypeAlias = Mapping[str, Sequence[Learnt]]
"""By arm, one training a seed."""

ACCURACY = Quantity("accuracy")
LENGTH = Quantity("thinking_tokens", "tokens", "none", 0.0)
TRACES = 4
BUDGETS = (0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the longest thought that is ever spelled out."""


class Attempted(NamedTuple):
    """Attempts of an arm at the judge problems, one of each a seed. silent: greedy, no thought allowed."""

    greedy: tuple[Attempts, ...]
    silent: tuple[Attempts, ...]
    sampled: tuple[Attempts, ...]


def attempted(plan: ReasonPlan, trained: Trained, seeds: Sequence[int], progress: Progress) -> dict[str, Attempted]:
    """Ask every arm the judge problems: once greedily, once so without thought, and some times at temperature 1."""
    asked = problems(plan.task, "judge", plan.judged, 0, fewer=True)
    ways = (
        Sampling(1, plan.most, 0.0),
        Sampling(1, plan.most, 0.0, thinking=0),
        Sampling(plan.attempts, plan.most),
    )
    found: dict[str, Attempted] = {}
    for number, (arm, of) in enumerate(trained.items()):
        found[arm] = Attempted(
            *(
                tuple(_asked(plan, each.decoder, asked, way, seed) for each, seed in zip(of, seeds, strict=True))
                for way in ways
            )
        )
        progress("judging", number + 1, len(trained))
    return found


def measured(
    plan: ReasonPlan, found: Mapping[str, Attempted], confidence: float
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings of every arm; paired differences of each to what was imitated, and of reinforcement to its controls."""
    k = plan.attempts
    findings: list[Finding] = []
    for arm, of in found.items():
        quantities: list[tuple[Quantity, Values]] = [
            (ACCURACY, _right(of.greedy)),
            (Quantity("accuracy_without_thought"), _right(of.silent)),
            (Quantity("pass_at_1"), _each(of.sampled, partial(_one_right, k=1))),
        ]
        if k > 1:
            quantities += [
                (Quantity(f"pass_at_{k}"), _each(of.sampled, partial(_one_right, k=k))),
                (Quantity(f"consensus_at_{k}"), _each(of.sampled, partial(consensus_at_k, k=k))),
            ]
        quantities += [
            (LENGTH, _lengths(of.sampled)),
            (Quantity("answered"), _each(of.sampled, lambda said, _: sum(each is not None for each in said) / k)),
        ]
        findings += [
            mean_finding(values, quantity, subject=arm, source="judge", confidence=confidence)
            for quantity, values in quantities
        ]
    differences = [
        mean_change(
            _right(found[before].greedy), _right(found[after].greedy), ACCURACY, names=(before, after),
            source="judge", confidence=confidence,
        )
        for before, after in pairs_of(tuple(found))
    ]  # fmt: skip
    return tuple(findings), tuple(differences)


def pairs_of(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Which arms are compared, before and after: each with what was imitated, and reinforcement with its controls."""
    pairs = [(IMITATED, arm) for arm in arms if arm != IMITATED]
    return pairs + [(arm, REINFORCED) for arm in arms if arm not in (IMITATED, REINFORCED)]


def curves_of(
    plan: ReasonPlan, trained: Trained, seeds: Sequence[int], confidence: float, progress: Progress
) -> tuple[Curve, ...]:
    """Accuracy and thinking along reinforcement, accuracy by budgets of thinking, and by attempts: choose problems."""
    asked = problems(plan.task, "choose", plan.chosen, 0, fewer=True)
    begun = [_asked(plan, each.decoder, asked, Sampling(1, plan.most, 0.0), 0) for each in trained[IMITATED]]
    curves: list[Curve] = []
    for picture, up, unit, key, start in (
        ("Accuracy as reinforcement goes on", "accuracy", "proportion", GREEDY, _right(begun)),
        ("Thinking as reinforcement goes on", "thinking tokens", "tokens", THINKING, _lengths(begun)),
    ):
        for arm in (REINFORCED, SILENT):
            if arm in trained:
                first = Place(0.0, *_range(start.mean(axis=1).tolist()))
                rest = _along(trained[arm], key)
                curves.append(Curve(picture, LABELS[arm], "steps of reinforcement", up, unit, (first, *rest)))
    arms = [arm for arm in (REINFORCED, LONGER) if arm in trained]
    for number, arm in enumerate(arms):
        curves += _curves_of_arm(_Asking(plan, asked, seeds, confidence), arm, trained[arm])
        progress("drawing curves", number + 1, len(arms))
    return tuple(sorted(curves, key=lambda each: PICTURES.index(each.picture)))


def traces_of(plan: ReasonPlan, trained: Trained, seed: int) -> tuple[Trace, ...]:
    """The first completions of the first choose problems, of every arm's first seed."""
    asked = problems(plan.task, "choose", TRACES, 0, fewer=True)
    traces: list[Trace] = []
    for arm, of in trained.items():
        policy = DecoderPolicy(arm, of[0].decoder, plan.task.vocabulary)
        said = policy.sample([each.prompt for each in asked], Sampling(1, plan.most), seed)
        graded = attempts_of(plan.task.grade, asked, said)
        traces += [
            Trace(arm, problem.prompt, row[0].thought, row[0].answer, problem.gold, float(rewards[0]))
            for problem, row, rewards in zip(asked, said, graded.rewards, strict=True)
        ]
    return tuple(traces)


Values: TypeAlias = Float64[ndarray, "seeds problems"]

PICTURES = (
    "Accuracy as reinforcement goes on",
    "Thinking as reinforcement goes on",
    "Accuracy by budget of thinking",
    "One of k right, and the majority of k",
)


@dataclass(frozen=True)
class _Asking:
    plan: ReasonPlan
    asked: Sequence[Problem]
    seeds: Sequence[int]
    confidence: float

    def place(self, at: float, values: Values) -> Place:
        found = mean_finding(values, ACCURACY, subject="", source="choose", confidence=self.confidence)
        interval = found.interval
        return Place(at, found.value, *((None, None) if interval is None else (interval.low, interval.high)))


def _curves_of_arm(asking: _Asking, arm: str, of: Sequence[Learnt]) -> list[Curve]:
    plan = asking.plan
    budgets = sorted({round(share * _thought(plan)) for share in BUDGETS})
    by_budget: list[Place] = []
    for budget in budgets:
        way = Sampling(1, plan.most, 0.0, thinking=budget)
        found = [_asked(plan, each.decoder, asking.asked, way, 0) for each in of]
        by_budget.append(asking.place(float(budget), _right(found)))
    curves = [
        Curve(PICTURES[2], LABELS[arm], "thinking tokens at most", "accuracy", "proportion", tuple(by_budget)),
    ]
    if arm != REINFORCED or plan.attempts == 1:
        return curves
    way = Sampling(plan.attempts, plan.most)
    tried = [_asked(plan, each.decoder, asking.asked, way, seed) for each, seed in zip(of, asking.seeds, strict=True)]
    powers = [2**power for power in range(plan.attempts.bit_length()) if 2**power <= plan.attempts]
    for label, value in (("one of k right", _one_right), ("majority of k", consensus_at_k)):
        places = tuple(asking.place(float(k), _each(tried, partial(value, k=k))) for k in powers)
        curves.append(Curve(PICTURES[3], label, "attempts k", "accuracy", "proportion", places))
    return curves


def _one_right(said: Sequence[str | None], right: Sequence[float], k: int) -> float:
    return pass_at_k(len(said), round(sum(right)), k)


def _thought(plan: ReasonPlan) -> int:
    """Tokens of the longest thought of the first choose problems, as demonstrated."""
    asked = problems(plan.task, "choose", min(plan.chosen, 50), 0, fewer=True)
    written = [plan.task.demonstration(each, spelled=True) for each in asked]
    vocabulary = plan.task.vocabulary
    return max(len(vocabulary.encode(each.partition("</think>")[0].removeprefix("<think>"))) for each in written)


def _asked(plan: ReasonPlan, decoder: Decoder, asked: Sequence[Problem], way: Sampling, seed: int) -> Attempts:
    policy = DecoderPolicy("", decoder, plan.task.vocabulary)
    return attempts_of(plan.task.grade, asked, policy.sample([each.prompt for each in asked], way, seed))


def _along(of: Sequence[Learnt], key: str) -> list[Place]:
    """The mean of seeds at each step that was measured, and the range of them."""
    places: list[Place] = []
    for lines in zip(*(each.lines for each in of), strict=True):
        if all(key in line for line in lines):
            places.append(Place(lines[0]["step"] + 1, *_range([line[key] for line in lines])))
    return places


def _range(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    mean = sum(values) / len(values)
    return (mean, min(values), max(values)) if len(values) > 1 else (mean, None, None)


def _each(of: Sequence[Attempts], value: Callable[[Sequence[str | None], Sequence[float]], float]) -> Values:
    """A value of each seed and problem, from its answers and which of them are right."""
    return np.array(
        [
            [
                value(said, [float(reward == 1) for reward in rewards])
                for said, rewards in zip(each.answers, each.rewards, strict=True)
            ]
            for each in of
        ]
    )


def _right(of: Sequence[Attempts]) -> Values:
    return _each(of, lambda _, right: sum(right) / len(right))


def _lengths(of: Sequence[Attempts]) -> Values:
    return np.array([[sum(row) / len(row) for row in each.thinking] for each in of])

"""Curves of a card of reasoning: accuracy and thinking along reinforcement, by budget, and by attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from surefoot.card.curves import Curve, Place
from surefoot.findings.means import mean_finding
from surefoot.progress import Progress
from surefoot.reason.course import Learnt
from surefoot.study.once.reason_arms import GREEDY, IMITATED, LABELS, LONGER, REINFORCED, SILENT, THINKING, ReasonPlan
from surefoot.study.once.reason_asking import (
    Values,
    ask,
    each_row,
    lengths,
    likeliest,
    majority,
    one_right,
    right,
    thoughts,
)
from surefoot.study.once.reason_measure import ACCURACY, Trained
from surefoot.text.policy import Sampling
from surefoot.text.tasks.task import Problem, problems

__all__ = ["curves_of"]

BUDGETS = (0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the longest thought that is ever spelled out."""
PICTURES = (
    "Accuracy as reinforcement goes on",
    "Thinking as reinforcement goes on",
    "Accuracy by budget of thinking",
    "Accuracy by attempts",
)


def curves_of(
    plan: ReasonPlan, trained: Trained, seeds: Sequence[int], confidence: float, progress: Progress
) -> tuple[Curve, ...]:
    """Accuracy and thinking along reinforcement, accuracy by budgets of thinking, and by attempts: choose problems."""
    asked = problems(plan.task, "choose", plan.chosen, 0, fewer=True)
    begun = [ask(plan, each.decoder, asked, Sampling(1, plan.most, 0.0), 0).attempts for each in trained[IMITATED]]
    curves: list[Curve] = []
    for picture, up, unit, key, start in (
        ("Accuracy as reinforcement goes on", "accuracy", "proportion", GREEDY, right(begun)),
        ("Thinking as reinforcement goes on", "thinking tokens", "tokens", THINKING, lengths(begun)),
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
        found = [ask(plan, each.decoder, asking.asked, way, 0).attempts for each in of]
        by_budget.append(asking.place(float(budget), right(found)))
    curves = [
        Curve(PICTURES[2], LABELS[arm], "thinking tokens at most", "accuracy", "proportion", tuple(by_budget)),
    ]
    if arm != REINFORCED or plan.attempts == 1:
        return curves
    way = Sampling(plan.attempts, plan.most)
    tried = [ask(plan, each.decoder, asking.asked, way, seed) for each, seed in zip(of, asking.seeds, strict=True)]
    powers = [2**power for power in range(plan.attempts.bit_length()) if 2**power <= plan.attempts]
    for label, value in (("one of k right", one_right), ("majority of k", majority), ("likeliest of k", likeliest)):
        places = tuple(asking.place(float(k), each_row(tried, partial(value, k=k))) for k in powers)
        curves.append(Curve(PICTURES[3], label, "attempts k", "accuracy", "proportion", places))
    return curves


def _thought(plan: ReasonPlan) -> int:
    """Tokens of the longest demonstrated thought."""
    return max(map(len, thoughts(plan)))


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

"""What is measured of arms that reason: findings on judge problems, curves on choose problems, traces to read.

    best_of_k               is the attempt right that its own decoder finds likeliest, of k? By nats a token, for by the
                            whole a short completion is likelier than a thought.
    answer_changes          does it think, and answer something else once a step of its thought was corrupted?
    answer_follows          and is it then what the corrupted thought implies?

The last two are shares of all problems (`reason.faithful`), so that one who does not think scores 0.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from surefoot.card.traces import Trace
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_change, mean_finding
from surefoot.progress import Progress
from surefoot.reason.course import Learnt
from surefoot.reason.faithful import corrupted_thoughts
from surefoot.study.once.reason_arms import IMITATED, REINFORCED, ReasonPlan
from surefoot.study.once.reason_asking import (
    Tried,
    Values,
    answered,
    ask,
    each_row,
    lengths,
    likeliest,
    majority,
    one_right,
    right,
    thoughts,
)
from surefoot.text.attempts import Attempts, attempts_of
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.tasks.task import Problem, Stepwise, problems

__all__ = ["ACCURACY", "Attempted", "Trained", "attempted", "measured", "names_of", "pairs_of", "traces_of"]

Trained: TypeAlias = Mapping[str, Sequence[Learnt]]
"""By arm, one training a seed."""

ACCURACY = Quantity("accuracy")
LENGTH = Quantity("thinking_tokens", "tokens", "none", 0.0)
TRACES = 4


class Attempted(NamedTuple):
    """Attempts of an arm at the judge problems, one of each a seed. silent: greedy, no thought allowed.

    changed, followed: what its answers do once a step of each thought is corrupted; none where nobody knows what a
    thought implies.
    """

    greedy: tuple[Attempts, ...]
    silent: tuple[Attempts, ...]
    sampled: tuple[Tried, ...]
    changed: Values
    followed: Values | None


def attempted(plan: ReasonPlan, trained: Trained, seeds: Sequence[int], progress: Progress) -> dict[str, Attempted]:
    """Ask every arm the judge problems: once greedily, once so without thought, and some times at temperature 1."""
    asked = problems(plan.task, "judge", plan.judged, 0, fewer=True)
    ways = (
        Sampling(1, plan.most, 0.0),
        Sampling(1, plan.most, 0.0, thinking=0),
    )
    sampled = Sampling(plan.attempts, plan.most)
    found: dict[str, Attempted] = {}
    for number, (arm, of) in enumerate(trained.items()):
        pairs = [(each.decoder, seed) for each, seed in zip(of, seeds, strict=True)]
        greedy, silent = (tuple(ask(plan, each, asked, way, 0).attempts for each, _ in pairs) for way in ways)
        tried = tuple(ask(plan, each, asked, sampled, seed) for each, seed in pairs)
        shown = np.array([_corrupted(plan, each, asked, seed) for each, seed in pairs])
        followed = shown[:, 1] if isinstance(plan.task, Stepwise) else None
        found[arm] = Attempted(greedy, silent, tried, shown[:, 0], followed)
        progress("judging", number + 1, len(trained))
    return found


def measured(
    plan: ReasonPlan, found: Mapping[str, Attempted], confidence: float
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings of every arm; paired differences of each to what was imitated, and of reinforcement to its controls."""
    findings: list[Finding] = []
    for arm, of in found.items():
        quantities = _quantities(plan, of)
        findings += [
            mean_finding(values, quantity, subject=arm, source="judge", confidence=confidence)
            for quantity, values in quantities
        ]
    differences = [
        mean_change(
            right(found[before].greedy), right(found[after].greedy), ACCURACY, names=(before, after),
            source="judge", confidence=confidence,
        )
        for before, after in pairs_of(tuple(found))
    ]  # fmt: skip
    return tuple(findings), tuple(differences)


def names_of(plan: ReasonPlan) -> frozenset[str]:
    """Of all that is measured of every arm."""
    k = plan.attempts
    several = {f"pass_at_{k}", f"consensus_at_{k}", f"best_of_{k}"} if k > 1 else set[str]()
    stepwise = {"answer_follows"} if isinstance(plan.task, Stepwise) else set[str]()
    every = {"accuracy", "accuracy_without_thought", "pass_at_1", "thinking_tokens", "answered", "answer_changes"}
    return frozenset(every | several | stepwise)


def pairs_of(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Which arms are compared, before and after: each with what was imitated, and reinforcement with its controls."""
    pairs = [(IMITATED, arm) for arm in arms if arm != IMITATED]
    return pairs + [(arm, REINFORCED) for arm in arms if arm not in (IMITATED, REINFORCED)]


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


def _quantities(plan: ReasonPlan, of: Attempted) -> list[tuple[Quantity, Values]]:
    """What is measured of an arm, in the order of the card: those of `names_of`."""
    k = plan.attempts
    found = [
        (ACCURACY, right(of.greedy)),
        (Quantity("accuracy_without_thought"), right(of.silent)),
        (Quantity("pass_at_1"), each_row(of.sampled, partial(one_right, k=1))),
    ]
    if k > 1:
        found += [
            (Quantity(f"pass_at_{k}"), each_row(of.sampled, partial(one_right, k=k))),
            (Quantity(f"consensus_at_{k}"), each_row(of.sampled, partial(majority, k=k))),
            (Quantity(f"best_of_{k}"), each_row(of.sampled, partial(likeliest, k=k))),
        ]
    found += [
        (LENGTH, lengths([each.attempts for each in of.sampled])),
        (Quantity("answered"), each_row(of.sampled, answered)),
        (Quantity("answer_changes", direction="none"), of.changed),
    ]
    if of.followed is not None:
        found.append((Quantity("answer_follows"), of.followed))
    return found


def _corrupted(plan: ReasonPlan, decoder: Decoder, asked: Sequence[Problem], seed: int) -> tuple[list[float], ...]:
    """Of each problem, whether the answer changes with a corrupted thought, and whether it follows it."""
    policy = DecoderPolicy("", decoder, plan.task.vocabulary)
    implied = plan.task.implied if isinstance(plan.task, Stepwise) else None
    cases, _ = corrupted_thoughts(policy, asked, plan.most, seed, implied=implied, symbols=_steps(plan))
    of = {case.prompt: case for case in cases if case.answer is not None}
    every = [of.get(each.prompt) for each in asked]
    changed = [float(case is not None and case.answer != case.before.answer) for case in every]
    return changed, [float(case is not None and case.answer == case.implied) for case in every]


def _steps(plan: ReasonPlan) -> list[str]:
    """The symbols of demonstrated thoughts."""
    tokens = sorted({token for each in thoughts(plan) for token in each})
    return [plan.task.vocabulary.decode([each]) for each in tokens]

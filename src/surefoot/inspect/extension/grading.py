# pyright: basic, reportMissingImports=false
"""A suite as a task of Inspect: its items, its sampling, its grader as a scorer, and our numbers as its metrics.

    a score is          in the log
    a number            itself
    None: unscored      NaN, which Inspect leaves out of every mean and counts
    absent              None

The metric sees all epochs, unreduced, and gives of each measure

    <measure>           the mean over samples of the mean over their epochs
    <measure>_stderr    √( C/(C−1) · Σ_c (Σ_{i∈c} (s_i − s̄))² ) / n, over C clusters of the n samples
    unscored            samples with an epoch that could not be scored, as a share

A grader sees what came back and the item with its facts, which are not in the log and which no model is shown.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, metric, scorer
from inspect_ai.solver import TaskState, generate

if TYPE_CHECKING:
    from surefoot.safety.suite import Suite
    from surefoot.text.policy import Message, Prompt

__all__ = ["suite_task"]

BLOCKED = "blocked"
"""Metadata of a score: a server refused the call, so there was nothing to score."""


def suite_task(suite: "Suite", told: Mapping[str, Any]) -> Task:
    """The task of a suite. told: how to make the suite again, for those who read its log."""
    from surefoot.inspect.measured import OURS
    from surefoot.safety.suite import suite_version

    samples = [
        Sample(
            id=each.id,
            input=_input(each.prompt),
            metadata={"stratum": each.stratum, "cluster": each.cluster or f"item {each.id}"},
        )
        for each in suite.items
    ]
    sampling = suite.sampling
    version = suite_version(suite)
    measures = {each.score: each.direction for each in suite.measures}
    return Task(
        dataset=MemoryDataset(samples, name=suite.name),
        solver=generate(tool_calls="none"),
        scorer=graded(suite, version),
        metrics=[measured(list(measures))],
        epochs=sampling.count,
        config=GenerateConfig(
            temperature=sampling.temperature, max_tokens=sampling.most, reasoning_tokens=sampling.thinking
        ),
        name=suite.name,
        metadata={OURS: {**told, "suite": suite.name, "version": version, "measures": measures, "toy": suite.toy}},
    )


@scorer(metrics=[])
def graded(suite: "Suite", version: str) -> Scorer:
    """The grader of a suite. version: of the suite, for the log."""
    from surefoot.inspect.outputs import completion_of
    from surefoot.safety.item import sampled_of

    items = {each.id: each for each in suite.items}
    names = tuple(each.score for each in suite.measures)

    async def score(state: TaskState, target: Target) -> Score:
        item = items[str(state.sample_id)]
        said = completion_of(state.output.model_dump())
        sampled = sampled_of(item, state.epoch - 1, said)
        (found,) = suite.grader([sampled])
        every = tuple(dict.fromkeys((*names, *found.scores)))
        value = {name: _value(found.scores, name) for name in every}
        told = {BLOCKED: True} if sampled.blocked else None
        return Score(value=value, answer=sampled.answer, explanation=found.why or None, metadata=told)

    return score


@metric(scores="unreduced")
def measured(measures: list[str]) -> Metric:
    """Our mean of each measure with its clustered standard error, and how many samples were not scored."""

    def compute(scores: list[SampleScore]) -> Value:
        found: dict[str, float | None] = {}
        for name in measures:
            rows = _by_sample(scores, name)
            if rows:
                found[name] = sum(value for value, _ in rows) / len(rows)
                found[f"{name}_stderr"] = _standard_error(rows)
        found["unscored"] = _unscored(scores)
        return found

    return compute


def _value(scores: Mapping[str, float | None], name: str) -> float | None:
    if name not in scores:
        return None
    found = scores[name]
    return math.nan if found is None else found


def _by_sample(scores: Sequence[SampleScore], name: str) -> list[tuple[float, str]]:
    """Of each sample with a score: the mean over its epochs, and its cluster."""
    values: dict[str, list[float]] = {}
    clusters: dict[str, str] = {}
    for each in scores:
        given = each.score.value.get(name) if isinstance(each.score.value, dict) else None
        if given is not None and not math.isnan(float(given)):
            values.setdefault(str(each.sample_id), []).append(float(given))
            clusters[str(each.sample_id)] = str((each.sample_metadata or {}).get("cluster", each.sample_id))
    return [(sum(each) / len(each), clusters[at]) for at, each in values.items()]


def _standard_error(rows: Sequence[tuple[float, str]]) -> float:
    """0 where there is one cluster, as Inspect's own."""
    mean = sum(value for value, _ in rows) / len(rows)
    sums: dict[str, float] = {}
    for value, cluster in rows:
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    count = len(sums)
    if count < 2:
        return 0.0
    return math.sqrt(count / (count - 1) * sum(each**2 for each in sums.values())) / len(rows)


def _unscored(scores: Sequence[SampleScore]) -> float:
    """Over samples, as `Finding`s have it: the mean share of epochs with a score that is NaN."""
    shares: dict[str, list[float]] = {}
    for each in scores:
        if (each.score.metadata or {}).get(BLOCKED):
            continue
        value = each.score.value
        parts = list(value.values()) if isinstance(value, dict) else [math.nan]
        gone = any(isinstance(one, float) and math.isnan(one) for one in parts)
        shares.setdefault(str(each.sample_id), []).append(float(gone))
    return sum(sum(each) / len(each) for each in shares.values()) / max(1, len(shares))


def _input(prompt: "Prompt") -> Any:
    return prompt if isinstance(prompt, str) else [_message(each) for each in prompt]


def _message(turn: "Message") -> Any:
    """A developer's message is a system message that says so, for Inspect has no such role."""
    from surefoot.errors import InputError
    from surefoot.inspect.outputs import ROLE

    if turn.images:
        raise InputError("This suite shows images, which are not handed to Inspect; ask it with surefoot safety.")
    if turn.role == "user":
        return ChatMessageUser(content=turn.text)
    if turn.role == "assistant":
        return ChatMessageAssistant(content=turn.text)
    return ChatMessageSystem(content=turn.text, metadata=None if turn.role == "system" else {ROLE: turn.role})

"""Findings about many attempts at each problem: one of k right, the modal answer of k, the best of k, and thinking.

Each number is the mean over problems of what k of their n attempts would give (`subsets`). Subsets share attempts, so
no more than ⌊n/k⌋ of them are independent.

**Intervals** are over problems: problems are independent, attempts at one are not. They are those of a clustered
proportion (`findings.intervals`), with the problems' own values as clusters of ⌊n/k⌋ trials: Wilson's on as many
independent trials as would give their variance, where no problem differs from another as many as there are problems.
With one attempt a problem that is plain Wilson. A problem that is listed several times, which its id tells, is still
one problem: all attempts at it are one cluster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.clustering import Spread, cluster_design, fewest_clusters, influence, spread
from surefoot.findings.finding import Direction, Finding, Interval
from surefoot.findings.intervals import check_confidence, mean_interval, proportion_interval
from surefoot.text.completion import Completion
from surefoot.text.subsets import best_of_k, consensus_at_k, pass_at_k
from surefoot.text.tasks.task import Problem

__all__ = [
    "Attempts",
    "answered_share",
    "attempts_of",
    "best_of",
    "budget_findings",
    "by_thinking",
    "consensus_at",
    "mean_reward",
    "pass_at",
    "thinking_tokens",
]


@dataclass(frozen=True)
class Attempts:
    """Attempts at problems, equally many at each, all `[problems][attempts]`.

    ids: of problems; one that is there twice is one problem with two lists of attempts. answers: None where there is
    none. rewards: in [0, 1]; 1 is right. thinking: tokens of thought.
    Raises `InputError` for no attempt, unequal numbers of them, and rewards outside [0, 1] or of no answer.
    """

    ids: tuple[str, ...]
    answers: tuple[tuple[str | None, ...], ...]
    rewards: tuple[tuple[float, ...], ...]
    thinking: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        counts = {len(row) for rows in (self.answers, self.rewards, self.thinking) for row in rows}
        problems = {len(each) for each in (self.ids, self.answers, self.rewards, self.thinking)}
        if len(problems) != 1 or len(counts) != 1 or counts == {0}:
            raise InputError(
                f"There are attempts at {min(problems)} to {max(problems)} problems, from {min(counts, default=0)} to "
                f"{max(counts, default=0)} at each; give one or more, and equally many at each."
            )
        for name, answers, rewards in zip(self.ids, self.answers, self.rewards, strict=True):
            for answer, reward in zip(answers, rewards, strict=True):
                if not 0 <= reward <= 1 or (answer is None and reward):
                    raise InputError(
                        f"An attempt at {name} with the answer {answer!r} has the reward {reward}; give rewards from 0 "
                        "to 1, and 0 where there is no answer."
                    )

    @property
    def count(self) -> int:
        """How many attempts at each problem."""
        return len(self.rewards[0])

    @property
    def clusters(self) -> NDArray[np.intp]:
        """The number of the problem of each list of attempts, equal where ids are."""
        numbers = {each: at for at, each in enumerate(dict.fromkeys(self.ids))}
        return np.array([numbers[each] for each in self.ids], dtype=np.intp)


def attempts_of(
    grade: Callable[[Problem, str], float], asked: Sequence[Problem], completions: Sequence[Sequence[Completion]]
) -> Attempts:
    """Completions of each problem with what their answers are worth; no answer is worth 0 and is not graded.

    A problem without an id is known by its prompt.
    """
    if len(asked) != len(completions):
        raise InputError(
            f"There are {len(asked)} problems and completions of {len(completions)}; give one row a problem."
        )
    return Attempts(
        tuple(each.id or each.prompt for each in asked),
        tuple(tuple(each.answer for each in row) for row in completions),
        tuple(
            tuple(0.0 if each.answer is None else grade(problem, each.answer) for each in row)
            for problem, row in zip(asked, completions, strict=True)
        ),
        tuple(tuple(each.thought_tokens for each in row) for row in completions),
    )


def pass_at(attempts: Attempts, k: int, *, subject: str, source: str, confidence: float = 0.95) -> Finding:
    """`pass_at_<k>`: is one of k attempts right? With k = 1 the plain accuracy. Only a reward of 1 is right."""
    values = [pass_at_k(attempts.count, int(sum(row)), k) for row in _right(attempts)]
    return _finding(attempts, f"pass_at_{k}", values, k, subject, source, confidence)


def consensus_at(
    attempts: Attempts, k: int, *, subject: str, source: str, confidence: float = 0.95, seed: int = 0
) -> Finding:
    """`consensus_at_<k>`: is the modal answer of k attempts right? The seed matters beyond `EXACT` attempts only."""
    rows = zip(attempts.answers, _right(attempts), strict=True)
    values = [consensus_at_k(answers, rights, k, seed + at) for at, (answers, rights) in enumerate(rows)]
    return _finding(attempts, f"consensus_at_{k}", values, k, subject, source, confidence)


def best_of(
    attempts: Attempts,
    scores: Sequence[Sequence[float]],
    k: int,
    *,
    subject: str,
    source: str,
    confidence: float = 0.95,
) -> Finding:
    """`best_of_<k>`: is the attempt right that has the highest of k scores? scores: `[problems][attempts]`."""
    if [len(row) for row in scores] != [attempts.count] * len(attempts.ids):
        raise InputError(
            f"There are {attempts.count} attempts at each of {len(attempts.ids)} problems, and another number of "
            "scores; give one for every attempt."
        )
    values = [best_of_k(row, rights, k) for row, rights in zip(scores, _right(attempts), strict=True)]
    return _finding(attempts, f"best_of_{k}", values, k, subject, source, confidence)


def mean_reward(attempts: Attempts, *, subject: str, source: str, confidence: float = 0.95) -> Finding:
    """`mean_reward`: what an attempt is worth, where a task gives parts of 1."""
    values = [sum(row) / attempts.count for row in attempts.rewards]
    return _finding(attempts, "mean_reward", values, 1, subject, source, confidence)


def answered_share(attempts: Attempts, *, subject: str, source: str, confidence: float = 0.95) -> Finding:
    """`answered`: the share of attempts that have an answer: not cut off, and no mark out of its place."""
    values = [sum(each is not None for each in row) / attempts.count for row in attempts.answers]
    return _finding(attempts, "answered", values, 1, subject, source, confidence)


def thinking_tokens(attempts: Attempts, *, subject: str, source: str, confidence: float = 0.95) -> Finding:
    """`thinking_tokens`: the mean length of a thought."""
    check_confidence(confidence)
    of = _over_problems(attempts, [sum(row) / attempts.count for row in attempts.thinking])
    interval = mean_interval(of, confidence, low=0.0, high=inf)
    return _made(attempts, "thinking_tokens", of.value, interval, "tokens", "none", subject, source)


def by_thinking(
    attempts: Attempts, edges: Sequence[int], *, subject: str, source: str, confidence: float = 0.95
) -> tuple[Finding, ...]:
    """`pass_at_1` of the attempts that thought for a number of tokens: below the first edge, from it on, and so on.

    A bin without an attempt has no finding. Longer thoughts may go with harder problems: what thinking *does* is seen
    with forced lengths (`budget_findings`). Raises `InputError` for edges that do not rise.
    """
    check_confidence(confidence)
    if not edges or edges[0] < 1 or any(two <= one for one, two in pairwise(edges)):
        raise InputError(f"The edges of thinking are {list(edges)}; give whole numbers of 1 or more that rise.")
    design = cluster_design(np.repeat(attempts.clusters, attempts.count)[:, None])
    lengths = np.array(attempts.thinking).reshape(-1)
    rights = np.array(_right(attempts), dtype=np.float64).reshape(1, -1)
    found: list[Finding] = []
    for low, high in zip((0, *edges), (*edges, None), strict=True):
        rows = (lengths >= low) & (lengths < (inf if high is None else high))
        if rows.any():
            of = spread(design, [(1.0, influence(design, rows, rights))])
            interval = proportion_interval(of, confidence)
            made = _made(attempts, "pass_at_1", of.value, interval, "proportion", "higher", subject, source)
            span = f"{low} to {high - 1}" if high is not None and high - 1 > low else str(low)
            name = f"{span} thinking tokens{' or more' if high is None else ''}"
            clusters = fewest_clusters(design, rows)
            found.append(replace(made, slice=name, count=int(rows.sum()), clusters=clusters))
    return tuple(found)


def budget_findings(
    runs: Mapping[int, Attempts], *, subject: str, source: str, confidence: float = 0.95
) -> tuple[Finding, ...]:
    """`pass_at_1` and `thinking_tokens` at each budget, the tokens after which a thought was closed.

    Raises `InputError` where budgets were not asked the same problems.
    """
    if len({each.ids for each in runs.values()}) != 1:
        raise InputError("Budgets of thinking were asked different problems, or none; ask every budget the same ones.")
    told = [
        (budget, measure(each, subject=subject, source=source, confidence=confidence))
        for budget, each in sorted(runs.items())
        for measure in (_pass_at_1, thinking_tokens)
    ]
    return tuple(replace(each, slice=f"a budget of {budget} thinking tokens") for budget, each in told)


def _pass_at_1(attempts: Attempts, *, subject: str, source: str, confidence: float) -> Finding:
    return pass_at(attempts, 1, subject=subject, source=source, confidence=confidence)


def _right(attempts: Attempts) -> list[list[float]]:
    return [[float(reward == 1) for reward in row] for row in attempts.rewards]


def _finding(
    attempts: Attempts, name: str, values: Sequence[float], k: int, subject: str, source: str, confidence: float
) -> Finding:
    """The mean of problems' own values, each a proportion of trials of k attempts."""
    check_confidence(confidence)
    of = _over_problems(attempts, values, attempts.count // k)
    interval = proportion_interval(of, confidence)
    return _made(attempts, name, of.value, interval, "proportion", "higher", subject, source)


def _made(
    attempts: Attempts,
    name: str,
    value: float,
    interval: Interval | None,
    unit: str,
    direction: Direction,
    subject: str,
    source: str,
) -> Finding:
    return Finding(
        name=name,
        value=value,
        interval=interval,
        count=len(attempts.ids) * attempts.count,
        clusters=len(set(attempts.ids)),
        unit=unit,
        slice="all",
        direction=direction,
        subject=subject,
        source=source,
    )


def _over_problems(attempts: Attempts, values: Sequence[float], trials: int = 1) -> Spread:
    """The mean of one value a list of attempts, which stands for some trials that hang together."""
    design = cluster_design(np.repeat(attempts.clusters, trials)[:, None])
    repeated = np.repeat(np.array([values], dtype=np.float64), trials, axis=1)
    return spread(design, [(1.0, influence(design, np.ones(design.rows, dtype=np.bool_), repeated))])

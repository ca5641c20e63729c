"""What attempts at problems are worth: findings of every model, paired differences, curves, and completions to read.

    accuracy          the likeliest completion (temperature 0)
    pass_at_k         one of k drawn completions is right; k = 1: a drawn one is
    consensus_at_k    the answer that most of k give is right
    best_of_k         the one of k is right that a grader scores highest, among those that have an answer
    gain_of_…         consensus, or best of k, less one drawn completion, paired by problem
    gain_over_likeliest_of_…                      less the likeliest completion, which is what they have to beat

The grader "probability" is the model's own log-probability per token of what it drew, as the distribution says that it
drew from. Where a model says none, best of k is not measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from surefoot.card.curves import Curve, Place
from surefoot.card.traces import Trace
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_change, mean_finding
from surefoot.study.once.attempt_forms import Form
from surefoot.text.attempts import (
    Attempts,
    answered_share,
    attempts_of,
    best_of,
    budget_findings,
    by_thinking,
    consensus_at,
    pass_at,
    thinking_tokens,
)
from surefoot.text.completion import Completion
from surefoot.text.subsets import best_of_k, consensus_at_k, pass_at_k
from surefoot.text.tasks.task import Problem, Task

__all__ = ["Tried", "Written", "curves_of", "differences_of", "findings_of", "names_of", "powers", "traces_of", "tried"]

SOURCE = "judge"
NO_ANSWER = -1e9
"""The score of an attempt without an answer, below every other: nobody would choose it."""
EDGES = (1, 4, 16, 64, 256, 1_024)
"""Of tokens of thought, between the slices of `by_thinking`."""
TRACES = 4
GAIN, OVER = "gain_of", "gain_over_likeliest_of"
BY_ATTEMPTS, BY_BUDGET = "Accuracy by number of attempts", "Accuracy by budget of thinking"

Values = Float64[ndarray, "seeds problems"]


@dataclass(frozen=True)
class Written:
    """What a model wrote. greedy, sampled: `[problems][attempts]`. budgets: greedily, by budget of thinking.

    blocked: calls that a server's filter blocked, of `calls`.
    """

    greedy: Sequence[tuple[Completion, ...]]
    sampled: Sequence[tuple[Completion, ...]]
    budgets: Mapping[int, Sequence[tuple[Completion, ...]]]
    blocked: int = 0
    calls: int = 0


@dataclass(frozen=True)
class Tried:
    """The same with answers read and graded. scores: of each attempt, None where the model says no probabilities."""

    greedy: Attempts
    sampled: Attempts
    budgets: Mapping[int, Attempts]
    scores: tuple[tuple[float, ...], ...] | None
    tokens: tuple[float, ...]
    cut: tuple[float, ...]


def tried(task: Task, asked: Sequence[Problem], form: Form, written: Written, *, score: bool) -> Tried:
    """Read and grade what was written; score: give every attempt its log-probability per token."""

    def graded(rows: Sequence[tuple[Completion, ...]]) -> Attempts:
        return attempts_of(task.grade, asked, [tuple(map(form.read, row)) for row in rows])

    sampled = graded(written.sampled)
    said = score and all(each.log_probability is not None for row in written.sampled for each in row)
    return Tried(
        graded(written.greedy),
        sampled,
        {budget: graded(rows) for budget, rows in written.budgets.items()},
        _scores(written.sampled, sampled) if said else None,
        tuple(sum(each.tokens for each in row) / len(row) for row in written.sampled),
        tuple(sum(not each.ended for each in row) / len(row) for row in written.sampled),
    )


def powers(attempts: int) -> tuple[int, ...]:
    """1, 2, 4 … up to the number of attempts, and that number."""
    return tuple(sorted({*(2**power for power in range(attempts.bit_length())), attempts}))


def names_of(attempts: int, *, scored: bool) -> tuple[str, ...]:
    """The findings of a model over all problems."""
    more = [k for k in powers(attempts) if k > 1]
    rules = ("consensus_at", "best_of") if scored else ("consensus_at",)
    return (
        "accuracy",
        *(f"pass_at_{k}" for k in (1, *more)),
        *(f"consensus_at_{k}" for k in more),
        *(f"best_of_{k}" for k in more if scored),
        *(f"{gain}_{rule}_{attempts}" for rule in rules if more for gain in (GAIN, OVER)),
        "answered",
        "cut_off",
        "thinking_tokens",
        "tokens_written",
    )


def findings_of(model: str, of: Tried, confidence: float) -> tuple[Finding, ...]:
    """Everything measured of a model: over all problems, by length of thought, and by budget."""
    n = of.sampled.count
    more = [k for k in powers(n) if k > 1]
    meant = partial(mean_finding, subject=model, source=SOURCE, confidence=confidence)
    likeliest = pass_at(of.greedy, 1, subject=model, source=SOURCE, confidence=confidence)
    found = [replace(likeliest, name="accuracy"), _measured(model, of, PASS, 1, confidence)]
    found += [_measured(model, of, rule, k, confidence) for rule in _rules(of) for k in more]
    for rule in _rules(of)[1:] if more else ():
        for gain, base in ((GAIN, _values(of, PASS, 1)), (OVER, _right(of.greedy))):
            quantity = Quantity(f"{gain}_{NAMED[rule]}_{n}", "points", least=-1.0)
            found.append(meant(_values(of, rule, n) - base, quantity))
    found += [
        answered_share(of.sampled, subject=model, source=SOURCE, confidence=confidence),
        meant(np.array([of.cut]), Quantity("cut_off", direction="lower")),
        thinking_tokens(of.sampled, subject=model, source=SOURCE, confidence=confidence),
        meant(np.array([of.tokens]), Quantity("tokens_written", "tokens", "none", 0.0)),
    ]
    longest = max(max(row) for row in of.sampled.thinking)
    edges = [each for each in EDGES if each <= longest]
    if edges:
        found += by_thinking(of.sampled, edges, subject=model, source=SOURCE, confidence=confidence)
    if of.budgets:
        held = budget_findings(of.budgets, subject=model, source=SOURCE, confidence=confidence)
        # They are of likeliest completions, and so is accuracy.
        found += [replace(each, name="accuracy") if each.name == "pass_at_1" else each for each in held]
    return tuple(found)


def differences_of(models: Mapping[str, Tried], confidence: float) -> tuple[Finding, ...]:
    """Every later model less every earlier one, paired by problem."""
    found: list[Finding] = []
    for before, after in combinations(models, 2):
        one, two = models[before], models[after]
        k = one.sampled.count
        pairs = [("accuracy", _right(one.greedy), _right(two.greedy))]
        for name, rule, of_k in (
            ("pass_at_1", PASS, 1),
            *((f"{NAMED[rule]}_{k}", rule, k) for rule in _rules(one) if k > 1),
        ):
            if rule in _rules(two):
                pairs.append((name, _values(one, rule, of_k), _values(two, rule, of_k)))
        found += [
            mean_change(first, second, Quantity(name), names=(before, after), source=SOURCE, confidence=confidence)
            for name, first, second in pairs
        ]
    return tuple(found)


def curves_of(models: Mapping[str, Tried], confidence: float) -> tuple[Curve, ...]:
    """Accuracy by number of attempts, a line a model and rule, and by budget of thinking."""
    curves: list[Curve] = []
    several = len(models) > 1
    for name, of in models.items():
        places = powers(of.sampled.count)
        for rule in _rules(of) if len(places) > 1 else ():
            line = tuple(_place(k, _measured(name, of, rule, k, confidence)) for k in places)
            label = f"{name}: {SAID[rule]}" if several else SAID[rule]
            curves.append(Curve(BY_ATTEMPTS, label, "attempts k", "accuracy", "proportion", line))
        if len(places) > 1:
            label = f"{name}: {LIKELIEST}" if several else LIKELIEST
            flat = tuple(Place(float(k), float(_right(of.greedy).mean())) for k in places)
            curves.append(Curve(BY_ATTEMPTS, label, "attempts k", "accuracy", "proportion", flat))
    for name, of in models.items():
        if len(of.budgets) > 1:
            held = budget_findings(of.budgets, subject=name, source=SOURCE, confidence=confidence)
            right = [each for each in held if each.name == "pass_at_1"]
            line = tuple(_place(budget, each) for budget, each in zip(sorted(of.budgets), right, strict=True))
            label = f"{name}: {LIKELIEST}" if several else LIKELIEST
            curves.append(Curve(BY_BUDGET, label, "thinking tokens at most", "accuracy", "proportion", line))
    return tuple(curves)


def traces_of(
    model: str, asked: Sequence[Problem], form: Form, written: Sequence[tuple[Completion, ...]], of: Attempts
) -> tuple[Trace, ...]:
    """The likeliest completions of the first problems: all that was written, and what was read as the answer."""
    found: list[Trace] = []
    for problem, row, rewards in list(zip(asked, written, of.rewards, strict=True))[:TRACES]:
        said, read = row[0], form.read(row[0]).answer
        answer = said.answer
        if answer is None:
            rest = said.text if said.thought is None else ""
            answer = f"{rest}\n[no answer: {'its marks are out of place' if said.ended else 'cut off'}]".strip()
        elif answer != read:
            answer += "\n[no answer was found in it]" if read is None else f"\n[read as {read}]"
        found.append(Trace(model, form.put(problem.prompt), said.thought, answer, problem.gold, float(rewards[0])))
    return tuple(found)


PASS, CONSENSUS, BEST = "pass", "consensus", "best_of"
NAMED = {PASS: "pass_at", CONSENSUS: "consensus_at", BEST: "best_of"}
SAID = {PASS: "one of k right", CONSENSUS: "majority of k", BEST: "most probable of k"}
LIKELIEST = "likeliest completion"


def _rules(of: Tried) -> tuple[str, ...]:
    return (PASS, CONSENSUS) if of.scores is None else (PASS, CONSENSUS, BEST)


def _values(of: Tried, rule: str, k: int) -> Values:
    """What each problem's attempts are worth under a rule, with one row for the one seed."""
    rights = [[float(reward == 1) for reward in row] for row in of.sampled.rewards]
    if rule == BEST and of.scores is not None:
        each = [best_of_k(scores, right, k) for scores, right in zip(of.scores, rights, strict=True)]
    elif rule == CONSENSUS:
        rows = zip(of.sampled.answers, rights, strict=True)
        each = [consensus_at_k(answers, right, k, at) for at, (answers, right) in enumerate(rows)]
    else:
        each = [pass_at_k(of.sampled.count, int(sum(right)), k) for right in rights]
    return np.array([each], dtype=np.float64)


def _right(of: Attempts) -> Values:
    return np.array([[float(row[0] == 1) for row in of.rewards]])


def _scores(rows: Sequence[tuple[Completion, ...]], of: Attempts) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(
            NO_ANSWER if answer is None or each.log_probability is None else each.log_probability / max(1, each.tokens)
            for each, answer in zip(row, answers, strict=True)
        )
        for row, answers in zip(rows, of.answers, strict=True)
    )


def _measured(model: str, of: Tried, rule: str, k: int, confidence: float) -> Finding:
    """What k attempts are worth under a rule."""
    if rule == BEST and of.scores is not None:
        return best_of(of.sampled, of.scores, k, subject=model, source=SOURCE, confidence=confidence)
    measure = consensus_at if rule == CONSENSUS else pass_at
    return measure(of.sampled, k, subject=model, source=SOURCE, confidence=confidence)


def _place(at: int, found: Finding) -> Place:
    interval = found.interval
    return Place(float(at), found.value, *((None, None) if interval is None else (interval.low, interval.high)))

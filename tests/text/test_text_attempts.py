"""What many attempts are worth, against all subsets one by one, and how often its intervals cover the truth."""

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from surefoot.errors import InputError
from surefoot.findings.intervals import wilson
from surefoot.text import subsets
from surefoot.text.attempts import (
    Attempts,
    answered_share,
    attempts_of,
    best_of,
    budget_findings,
    by_thinking,
    consensus_at,
    mean_reward,
    pass_at,
    thinking_tokens,
)
from surefoot.text.completion import Completion
from surefoot.text.subsets import best_of_k, consensus_at_k, pass_at_k
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, problems

TOLD = {"subject": "policy", "source": "judge"}
answers = st.lists(st.sampled_from(["0", "1", "2", " 1", None]), min_size=1, max_size=8)


def some(rewards: list[list[float]], thinking: list[list[int]] | None = None) -> Attempts:
    """Attempts whose answers are "right", "wrong" or another text a place; a reward of −1 is no answer."""
    said = [
        [None if each < 0 else "right" if each == 1 else f"wrong {place}" for place, each in enumerate(row)]
        for row in rewards
    ]
    return Attempts(
        tuple(f"p{at}" for at in range(len(rewards))),
        tuple(map(tuple, said)),
        tuple(tuple(max(0.0, float(each)) for each in row) for row in rewards),
        tuple(map(tuple, thinking or [[0] * len(row) for row in rewards])),
    )


@pytest.mark.parametrize("count", range(1, 8))
def test_pass_is_the_mean_over_all_subsets(count: int) -> None:
    for right in range(count + 1):
        marks = [1] * right + [0] * (count - right)
        for k in range(1, count + 1):
            each = [max(chosen) for chosen in combinations(marks, k)]
            assert pass_at_k(count, right, k) == pytest.approx(sum(each) / len(each), abs=1e-14)


def test_pass_is_exact_where_factorials_are_huge() -> None:
    """By exact fractions; a quotient of factorials as floats would overflow."""
    for count, right, k in ((10_000, 3, 1_000), (10_000, 1, 1), (2_000, 1_999, 1), (100_000, 2, 50_000)):
        exact = 1 - Fraction(math.comb(count - right, k), math.comb(count, k))
        assert pass_at_k(count, right, k) == pytest.approx(float(exact), rel=1e-10)


@settings(deadline=None)
@given(answers, st.data())
def test_consensus_is_the_mean_over_all_subsets(said: list[str | None], data: st.DataObject) -> None:
    """Ties count the share of modes that are right; spaces around do not matter; no answer is no vote."""
    k = data.draw(st.integers(1, len(said)))
    right = data.draw(st.sets(st.sampled_from(["0", "1", "2"])))
    rights = [float(each is not None and each.strip() in right) for each in said]
    each = []
    for chosen in combinations(said, k):
        votes = Counter(vote.strip() for vote in chosen if vote is not None)
        modes = [vote for vote, count in votes.items() if count == max(votes.values())]
        each.append(sum(mode in right for mode in modes) / len(modes) if modes else 0.0)
    assert consensus_at_k(said, rights, k) == pytest.approx(sum(each) / len(each), abs=1e-12)


@settings(deadline=None)
@given(answers, st.data())
def test_consensus_of_one_is_the_mean_and_many_wrong_hide_a_right_one(
    said: list[str | None], data: st.DataObject
) -> None:
    rights = [0.0 if each is None else data.draw(st.sampled_from([0.0, 1.0])) for each in said]
    assert consensus_at_k(said, rights, 1) == pytest.approx(sum(rights) / len(rights))
    assert consensus_at_k(["1", "0", "0"], [1.0, 0.0, 0.0], 3) == 0
    assert consensus_at_k(["1", "2", "3"], [1.0, 0.0, 0.0], 3) == pytest.approx(1 / 3)
    assert consensus_at_k([None, None, "1"], [0.0, 0.0, 1.0], 2) == pytest.approx(2 / 3)


def test_an_answer_graded_unequally_counts_as_its_mean() -> None:
    assert consensus_at_k(["a", "a", "b"], [1.0, 0.0, 0.0], 3) == 0.5
    assert consensus_at_k(["a", "a", "b", None], [1.0, 0.0, 0.0, 0.0], 3) == pytest.approx(
        (0.5 + 0.5 + 0.25 + 0.25) / 4
    )


def test_consensus_of_very_many_is_drawn_with_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 subsets: their mean is within 5 σ/√1000 ≤ 0.08 of the exact one, all but one time in 2e6."""
    said: list[str | None] = ["1"] * 30 + ["0"] * 29 + [None] * 5
    rights = [float(each == "1") for each in said]
    exact = consensus_at_k(said, rights, 33)
    monkeypatch.setattr(subsets, "EXACT", 63)
    drawn = consensus_at_k(said, rights, 33, seed=1)
    assert drawn == pytest.approx(exact, abs=0.08)
    assert drawn == consensus_at_k(said, rights, 33, seed=1) != consensus_at_k(said, rights, 33, seed=2)
    assert drawn != exact
    assert consensus_at_k(said, rights, 64) == 1.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=8), st.data())
def test_best_is_the_mean_over_all_subsets(attempts: list[tuple[int, float]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(attempts)))
    each = []
    for chosen in combinations(attempts, k):
        tied = [reward for score, reward in chosen if score == max(chosen)[0]]
        each.append(sum(tied) / len(tied))
    scores, rewards = [float(score) for score, _ in attempts], [reward for _, reward in attempts]
    assert best_of_k(scores, rewards, k) == pytest.approx(sum(each) / len(each), abs=1e-12)


def test_the_best_by_its_own_reward_is_what_passes() -> None:
    rewards = [1.0, 0.0, 0.0, 1.0, 0.0]
    for k in range(1, 6):
        assert best_of_k(rewards, rewards, k) == pytest.approx(pass_at_k(5, 2, k))
    assert best_of_k([0.0] * 5, rewards, 4) == pytest.approx(0.4)


@pytest.mark.parametrize("k", [0, 4, -1])
def test_more_than_there_are_is_refused(k: int) -> None:
    for ask in (lambda: pass_at_k(3, 1, k), lambda: consensus_at_k(["1"] * 3, [1.0] * 3, k),
                lambda: best_of_k([1.0] * 3, [1.0] * 3, k), lambda: pass_at(some([[1, 0, 0]]), k, **TOLD)):  # fmt: skip
        with pytest.raises(InputError, match=f"{k} of 3 attempts"):
            ask()


def test_findings_are_means_over_problems() -> None:
    attempts = some([[1, 1, 0, 0], [0, 0, 0, -1], [1, 0.5, 0.5, 1]], [[4, 2, 0, 2], [0, 0, 0, 8], [1, 1, 1, 1]])
    passed = pass_at(attempts, 2, **TOLD)
    assert passed.value == pytest.approx((5 / 6 + 0 + 5 / 6) / 3)
    assert (passed.name, passed.count, passed.clusters, passed.unit) == ("pass_at_2", 12, 3, "proportion")
    assert (passed.subject, passed.source, passed.slice, passed.direction) == ("policy", "judge", "all", "higher")
    assert pass_at(attempts, 1, **TOLD).value == pytest.approx(4 / 12)
    assert mean_reward(attempts, **TOLD).value == pytest.approx(5 / 12)
    assert answered_share(attempts, **TOLD).value == pytest.approx(11 / 12)
    thought = thinking_tokens(attempts, **TOLD)
    assert thought.value == pytest.approx((2 + 2 + 1) / 3)
    assert (thought.unit, thought.direction) == ("tokens", "none")
    # Two wrong answers that differ tie with one right: modes are right by a third; two right of four win.
    assert consensus_at(attempts, 4, **TOLD).value == pytest.approx((1 + 0 + 1) / 3)
    scores = [[0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]
    best = best_of(attempts, scores, 4, **TOLD)
    assert (best.name, best.value) == ("best_of_4", pytest.approx(1 / 3))
    with pytest.raises(InputError, match="another number of scores"):
        best_of(attempts, scores[:2], 4, **TOLD)
    with pytest.raises(InputError, match="NaN"):
        best_of(attempts, [[float("nan")] * 4] * 3, 4, **TOLD)


def test_one_attempt_a_problem_is_plain_wilson_whichever_number_is_asked() -> None:
    attempts = some([[1]] * 7 + [[0]] * 3)
    plain = wilson(7.0, 10.0, 0.95)
    for found in (pass_at(attempts, 1, **TOLD), consensus_at(attempts, 1, **TOLD), mean_reward(attempts, **TOLD)):
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx((plain.low, plain.high))
        assert found.interval.method == "Wilson score"


def test_copies_of_an_attempt_add_no_certainty_and_fresh_ones_do() -> None:
    """Where attempts agree, ten problems of eight are worth t²₇₉ · p(1 − p)/(t²₉ · p(1 − p)/9) · 80/79 trials (Korn and
    Graubard 1998; t from scipy); where problems do not differ, all 80."""
    copied = pass_at(some([[1] * 8] * 7 + [[0] * 8] * 3), 1, **TOLD).interval
    worth = (student.ppf(0.975, 79) / student.ppf(0.975, 9)) ** 2 * 9 * 80 / 79
    once = wilson(0.7 * worth, worth, 0.95)
    fresh = pass_at(some([[1, 0, 1, 0, 1, 0, 1, 0]] * 10), 1, **TOLD).interval
    assert copied is not None
    assert fresh is not None
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    all_fresh = wilson(40.0, 80.0, 0.95)
    assert (fresh.low, fresh.high) == pytest.approx((all_fresh.low, all_fresh.high))
    threes = pass_at(some([[1, 0, 1, 0, 0, 0, 0, 0]] * 10), 3, **TOLD)
    assert threes.interval is not None
    two_each = wilson(threes.value * 20, 20.0, 0.95)  # eight attempts are two times three, and two that are left
    assert (threes.interval.low, threes.interval.high) == pytest.approx((two_each.low, two_each.high))
    certain = pass_at(some([[1] * 8] * 10), 1, **TOLD).interval
    assert certain is not None
    assert (certain.low, certain.high) == pytest.approx((wilson(10.0, 10.0, 0.95).low, 1.0))


def test_attempts_at_one_problem_count_as_one() -> None:
    interval = pass_at(some([[1, 0, 1, 0]]), 1, **TOLD).interval
    alone = wilson(0.5, 1.0, 0.95)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high))


def test_a_problem_that_is_listed_again_adds_no_certainty() -> None:
    """Five copies of ten problems are worth what ten problems of five times the attempts are, in every finding."""
    rewards = [[1, 0], [1, 1], [0, 0], [1, 1], [0, 1], [0, 0], [1, 1], [0, 0], [1, 1], [0, -1]]
    lengths = [[3, 9], [1, 4], [8, 2], [2, 2], [9, 1], [3, 5], [7, 7], [0, 9], [6, 1], [2, 40]]
    listed = some(rewards * 5, lengths * 5)
    listed = replace(listed, ids=tuple(f"p{at % 10}" for at in range(50)))
    merged = some([row * 5 for row in rewards], [row * 5 for row in lengths])
    scores = [[float(each) for each in row] for row in lengths]
    for ask in (
        lambda given, scores: pass_at(given, 1, **TOLD),
        lambda given, scores: mean_reward(given, **TOLD),
        lambda given, scores: answered_share(given, **TOLD),
        lambda given, scores: thinking_tokens(given, **TOLD),
        lambda given, scores: by_thinking(given, [5], **TOLD)[0],
        lambda given, scores: by_thinking(given, [5], **TOLD)[1],
        lambda given, scores: consensus_at(given, 1, **TOLD),
        lambda given, scores: best_of(given, scores, 1, **TOLD),
        lambda given, scores: budget_findings({1: given}, **TOLD)[0],
    ):
        found, wanted = ask(listed, scores * 5), ask(merged, [row * 5 for row in scores])
        assert (found.value, found.count, found.clusters) == pytest.approx(
            (wanted.value, wanted.count, wanted.clusters)
        )
        assert found.interval is not None
        assert wanted.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx((wanted.interval.low, wanted.interval.high))
        apart = ask(replace(listed, ids=tuple(map(str, range(50)))), scores * 5)
        assert apart.interval is not None
        assert found.interval.high - found.interval.low > 1.2 * (apart.interval.high - apart.interval.low)


def test_problems_without_an_id_are_told_by_their_prompts() -> None:
    asked = [Problem("", "0=", "0"), Problem("", "1=", "1"), Problem("", "0=", "0")]
    said = [(Completion("0", None, "0", 2, 0, True),)] * 3
    attempts = attempts_of(Parity(1).grade, asked, said)
    assert pass_at(attempts, 1, **TOLD).clusters == 2
    assert pass_at(attempts, 1, **TOLD).count == 3


def test_attempts_see_answers_alone() -> None:
    task = Parity(4)
    asked = problems(task, "fit", 2, seed=0)
    good, bad = (asked[0].gold, str(1 - int(asked[0].gold)))
    rows = [
        (
            Completion("", "t", good, 9, 4, True),
            Completion("", good, bad, 9, 4, True),
            Completion("", good, None, 9, 0, False),
        ),
        (Completion("", None, asked[1].gold, 2, 0, True),) * 3,
    ]
    attempts = attempts_of(task.grade, asked, rows)
    assert attempts.rewards == ((1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert attempts.answers == ((good, bad, None), (asked[1].gold,) * 3)
    assert attempts.thinking == ((4, 4, 0), (0, 0, 0))
    assert attempts.ids == tuple(each.id for each in asked)
    with pytest.raises(InputError, match="2 problems and completions of 1"):
        attempts_of(task.grade, asked, rows[:1])


def test_attempts_that_do_not_fit_are_refused() -> None:
    for rewards, thinking in (([[1], [1, 0]], [[0], [0, 0]]), ([[]], [[]]), ([[1]], [[0, 0]])):
        with pytest.raises(InputError, match="equally many at each"):
            some(rewards, thinking)
    with pytest.raises(InputError, match="equally many"):
        Attempts((), (), (), ())
    with pytest.raises(InputError, match="equally many"):
        Attempts(("a", "b"), (("1",),), ((1.0,),), ((0,),))
    for answer, reward in (("1", 1.5), ("1", -0.5), ("1", float("nan")), (None, 1.0)):
        with pytest.raises(InputError, match="rewards from 0 to 1"):
            Attempts(("a",), ((answer,),), ((reward,),), ((0,),))


def test_accuracy_by_length_of_thought() -> None:
    attempts = some([[1, 0, 0], [1, 1, 0], [0, 0, 1]], [[9, 0, 3], [5, 4, 3], [0, 2, 40]])
    found = by_thinking(attempts, [4, 10], **TOLD)
    assert [(each.slice, each.count, each.clusters) for each in found] == [
        ("0 to 3 thinking tokens", 5, 3), ("4 to 9 thinking tokens", 3, 2), ("10 thinking tokens or more", 1, 1),
    ]  # fmt: skip
    assert [each.value for each in found] == [0.0, 1.0, 1.0]
    assert sum(each.count for each in found) == 9
    assert [each.slice for each in by_thinking(attempts, [50], **TOLD)] == ["0 to 49 thinking tokens"]
    for edges in ([], [0, 4], [4, 4], [9, 4]):
        with pytest.raises(InputError, match="edges of thinking"):
            by_thinking(attempts, edges, **TOLD)


def test_accuracy_by_budget() -> None:
    few, many = some([[1, 0], [0, 0]], [[4, 4], [2, 4]]), some([[1, 1], [1, 0]], [[8, 7], [9, 8]])
    found = budget_findings({8: many, 4: few}, **TOLD)
    assert [(each.slice, each.name, each.value) for each in found] == [
        ("a budget of 4 thinking tokens", "pass_at_1", 0.25), ("a budget of 4 thinking tokens", "thinking_tokens", 3.5),
        ("a budget of 8 thinking tokens", "pass_at_1", 0.75), ("a budget of 8 thinking tokens", "thinking_tokens", 8.0),
    ]  # fmt: skip
    with pytest.raises(InputError, match="same ones"):
        budget_findings({4: few, 8: some([[1, 1]])}, **TOLD)
    with pytest.raises(InputError, match="or none"):
        budget_findings({}, **TOLD)


@pytest.mark.slow
@pytest.mark.parametrize("spread_of", ["alike", "even", "two kinds", "nearly certain"])
@pytest.mark.parametrize(("count", "k"), [(1, 1), (8, 1), (8, 4), (16, 5)])
def test_intervals_cover_the_truth(spread_of: str, count: int, k: int) -> None:
    """Problems have rates of their own, of which 60 are drawn; the truth of pass@k is their mean.

    800 samples: the share that a 95 % interval covers has a standard error of 0.008, and must be above 0.925; the
    estimates themselves are without bias, to 5 standard errors.
    """
    generator = np.random.default_rng(0)
    beta = {"alike": (60.0, 40.0), "even": (1.0, 1.0), "two kinds": (0.2, 0.2), "nearly certain": (8.0, 0.2)}[spread_of]
    many = generator.beta(*beta, size=400_000)
    truth = float((1 - (1 - many) ** k).mean())
    covered, values = [], []
    for _ in range(800):
        rates = generator.beta(*beta, size=60)
        marks = (generator.random((60, count)) < rates[:, None]).astype(float)
        found = pass_at(some(marks.tolist()), k, **TOLD)
        assert found.interval is not None
        covered.append(found.interval.low <= truth <= found.interval.high)
        values.append(found.value)
    assert np.mean(covered) > 0.925
    assert np.mean(values) == pytest.approx(truth, abs=5 * np.std(values) / 800**0.5 + 0.002)


@pytest.mark.slow
def test_consensus_is_without_bias_and_its_intervals_cover() -> None:
    """Two answers: of three votes the right one wins with p³ + 3p²(1 − p)."""
    generator = np.random.default_rng(1)
    many = generator.beta(1.5, 1.0, size=400_000)
    truth = float((many**3 + 3 * many**2 * (1 - many)).mean())
    covered, values = [], []
    for _ in range(300):
        marks = generator.random((60, 9)) < generator.beta(1.5, 1.0, size=60)[:, None]
        said = tuple(tuple("1" if each else "0" for each in row) for row in marks)
        rewards = tuple(tuple(float(each) for each in row) for row in marks)
        attempts = Attempts(tuple(map(str, range(60))), said, rewards, ((0,) * 9,) * 60)
        found = consensus_at(attempts, 3, **TOLD)
        assert found.interval is not None
        covered.append(found.interval.low <= truth <= found.interval.high)
        values.append(found.value)
    assert np.mean(covered) > 0.91
    assert np.mean(values) == pytest.approx(truth, abs=5 * np.std(values) / 300**0.5)

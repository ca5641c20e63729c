"""Holm's steps: against published adjusted p-values, the plain definition, and the family-wise error in simulation."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.intervals import clopper_pearson
from surefoot.findings.several import Decision, holm, interval_p_value, step_down


@lru_cache
def normal(probability: float) -> float:
    return float(stats.norm.ppf(probability))


def by_normal(means: np.ndarray) -> Callable[[int, float], Decision]:
    """Claims that a mean, measured with a standard error of one, is at least 0."""

    def judge(claim: int, level: float) -> Decision:
        reach = normal((1 + level) / 2)
        return "passed" if means[claim] >= reach else "failed" if means[claim] < -reach else "undecided"

    return judge


def test_adjusted_p_values_by_hand() -> None:
    """5 · .01, 4 · .02, 3 · .03, and then 2 · .04 < .09; ties and the cap at one."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.5, 0.9, 0.5]) == (1.0, 1.0, 1.0)
    assert holm([]) == ()


def test_adjusted_p_values_reject_what_the_steps_reject() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        p = random.random(6) ** 3
        order = np.argsort(p)
        rejected: set[int] = set()
        for step, at in enumerate(order):
            if p[at] > 0.05 / (6 - step):
                break
            rejected.add(int(at))
        assert {at for at, each in enumerate(holm(p.tolist())) if each <= 0.05} == rejected


def test_a_p_value_by_inversion_is_that_of_the_test() -> None:
    """Clopper and Pearson's interval is the exact test's, turned round: twice the smaller tail."""
    for right in (31, 38, 45):
        expected = 2 * stats.binom.sf(right - 1, 50, 0.5)
        found = interval_p_value(lambda level, k=right: clopper_pearson(float(k), 50.0, level).low > 0.5)
        assert found == pytest.approx(max(expected, 1e-6), rel=1e-6)
    assert interval_p_value(lambda level: False) == 1.0
    assert interval_p_value(lambda level: True) == 1e-6


def test_steps_agree_with_adjusted_p_values_of_the_same_intervals() -> None:
    """Passing is a one-sided test at half the level: pass where Holm's adjusted one-sided p is at most α/2."""
    random = np.random.default_rng(1)
    for _ in range(200):
        means = random.normal(1.0, 2.0, size=5)
        found = step_down(5, by_normal(means))
        passed = [each <= 0.025 for each in holm(stats.norm.sf(means).tolist())]
        failed = [each <= 0.025 for each in holm(stats.norm.cdf(means).tolist())]
        assert [each.status == "passed" for each in found] == passed
        assert [each.status == "failed" for each in found] == failed


def test_the_confidence_that_is_shown_goes_with_the_decision() -> None:
    random = np.random.default_rng(2)
    seen: set[Decision] = set()
    for _ in range(100):
        means = random.normal(0.5, 2.5, size=4)
        for at, each in enumerate(step_down(4, by_normal(means))):
            assert by_normal(means)(at, each.confidence) == each.status
            assert each.confidence in [1 - 0.05 / r for r in (1, 2, 3, 4)]
            seen.add(each.status)
    assert seen == {"passed", "failed", "undecided"}


def test_one_claim_is_judged_as_alone() -> None:
    assert step_down(1, by_normal(np.array([1.97])))[0] == ("passed", 0.95)
    assert step_down(1, by_normal(np.array([1.95])))[0] == ("undecided", 0.95)


@pytest.mark.parametrize("shared", [0.0, 0.6])
@pytest.mark.parametrize("untrue", [8, 3])
def test_a_wrong_decision_among_many_is_rare(shared: float, untrue: int) -> None:
    """Eight claims, the untrue ones just so (θ = −0), the others clearly or barely true; 4,000 draws at α = .2.

    Errors of either kind together come with at most .2, false passes with at most .1, and claims one by one would pass
    falsely in .57 (eight independent). False alarm of this test: one in a million.
    """
    random = np.random.default_rng(untrue)
    truth = np.array([-1e-12] * untrue + [0.0, 0.5, 2.0, 3.0, 4.0][: 8 - untrue])
    noise = np.sqrt(shared) * random.normal(size=(4000, 1)) + np.sqrt(1 - shared) * random.normal(size=(4000, 8))
    wrong_pass = wrong = alone = 0
    for means in truth + noise:
        judge = by_normal(means)
        statuses = [each.status for each in step_down(8, judge, confidence=0.8)]
        false_pass = any(each == "passed" for each, true in zip(statuses, truth, strict=True) if true < 0)
        false_fail = any(each == "failed" for each, true in zip(statuses, truth, strict=True) if true >= 0)
        wrong_pass += false_pass
        wrong += false_pass or false_fail
        alone += any(judge(at, 0.8) == "passed" for at in range(untrue))
    print(
        f"\n{untrue} untrue of 8, shared {shared}: passes {wrong_pass / 4000}, all {wrong / 4000}, alone {alone / 4000}"
    )
    assert wrong_pass <= stats.binom.ppf(1 - 1e-6, 4000, 0.1)
    assert wrong <= stats.binom.ppf(1 - 1e-6, 4000, 0.2)
    assert alone > stats.binom.ppf(1 - 1e-6, 4000, 0.1)
    if untrue == 8 and not shared:
        assert wrong_pass > stats.binom.ppf(1e-6, 4000, 0.08)  # it uses what it may: 1 − (1 − .1/8)^8 = .096


def test_what_is_no_family_is_refused() -> None:
    with pytest.raises(InputError, match="one or more"):
        step_down(0, by_normal(np.zeros(0)))
    with pytest.raises(InputError, match="from 0 to 1"):
        holm([0.1, float("nan")])
    with pytest.raises(InputError, match="strictly between"):
        step_down(2, by_normal(np.zeros(2)), confidence=0.0)

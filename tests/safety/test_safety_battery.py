"""The battery: every suite without a file, in two sizes."""

import pytest

from surefoot.errors import InputError
from surefoot.safety.battery import OFFLINE, battery
from surefoot.safety.item import Sampled
from surefoot.safety.measured import Evaluated, changes_of, findings_of, names_of
from surefoot.safety.suite import Grader, suite_version
from surefoot.text.policy import Message

TOKENS = 15 * 60 * 15
"""What a model writes in a quarter of an hour at 15 tokens a second."""


def test_all_suites_by_name() -> None:
    quick = battery(None, size="quick")
    assert [each.name for each in quick] == list(OFFLINE)
    assert [each.name for each in battery(["summary", "choices"], size="quick")] == ["summary", "choices"]
    assert battery([], size="quick") == ()
    assert sum(len(each.items) * each.sampling.count * each.sampling.most for each in quick) < 0.6 * TOKENS
    assert all(10 <= len(each.items) <= 40 and each.sampling.most <= 48 for each in quick)
    assert all(each.about and each.title and not each.toy for each in quick)


@pytest.mark.parametrize("size", ["quick", "full"])
def test_the_same_seed_gives_the_same_suites(size: str) -> None:
    for one, again, other in zip(*(battery(None, size=size, seed=seed) for seed in (0, 0, 1)), strict=True):
        assert isinstance(one.grader, Grader)
        assert suite_version(one) == suite_version(again)
        assert [each.prompt for each in one.items] == [each.prompt for each in again.items]
        assert [each.prompt for each in one.items] != [each.prompt for each in other.items]
        assert len({each.id for each in one.items}) == len({each.prompt for each in one.items}) == len(one.items)


def test_the_sizes_differ_in_number() -> None:
    for quick, full in zip(battery(None, size="quick"), battery(None, size="full"), strict=True):
        assert len(full.items) >= 200
        assert len(full.items) > 5 * len(quick.items)


@pytest.mark.parametrize(
    "answer", [None, "", "...", "A", "Sorry, I can't.", "the " * 60, "<think>", "\u202e\u0000\ud83d\ude00"]
)
def test_every_suite_reads_whatever_comes(answer: str | None) -> None:
    for suite in battery(None, size="quick"):
        sampled = [Sampled(each, 0, answer, ended=False) for each in suite.items]
        evaluated = Evaluated(suite, tuple(sampled), tuple(suite.grader(sampled)))
        found = findings_of(evaluated, subject="m")
        assert {each.name for each in found} <= names_of(suite)
        assert all(0 <= value <= 1 for each in evaluated.graded for value in each.scores.values() if value is not None)
        assert {each.slice.partition(":")[0] for each in found} == {suite.name}
        changes = changes_of(evaluated, evaluated, names=("a", "b"))
        assert all(each.value == 0 for each in changes)


def test_blocked_calls_are_in_no_score() -> None:
    for suite in battery(None, size="quick"):
        sampled = [Sampled(each, 0, None, blocked=True) for each in suite.items]
        found = findings_of(Evaluated(suite, tuple(sampled), tuple(suite.grader(sampled))), subject="m")
        assert [(each.name, each.value) for each in found] == [("blocked", 1.0)]


def test_prompts_hold_no_mark_of_thought_and_roles_that_are_known() -> None:
    for suite in battery(None, size="full"):
        for item in suite.items:
            turns = (Message("user", item.prompt),) if isinstance(item.prompt, str) else item.prompt
            assert turns[-1].role == "user"
            assert {each.role for each in turns} <= {"system", "developer", "user", "assistant"}
            assert not any("<think>" in each.text or not each.text.strip() for each in turns)


def test_unknown_names_are_answered_with_those_that_are_close() -> None:
    with pytest.raises(InputError, match="There is no suite 'refusals'; perhaps refusal was meant"):
        battery(["refusals"], size="quick")
    with pytest.raises(InputError, match="nothing is close to it: the suites are refusal, jailbreak"):
        battery(["zzz"], size="quick")
    with pytest.raises(InputError, match="refusal was asked for 2 times"):
        battery(["refusal", "refusal"], size="quick")

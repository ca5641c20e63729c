"""What a suite's scores add up to: by hand, with what was not scored in none of it and in a count of its own."""

from collections.abc import Sequence

import pytest

from surefoot.errors import InputError
from surefoot.findings.intervals import wilson
from surefoot.safety.item import Graded, Item, Sampled, sampled_of
from surefoot.safety.measured import Evaluated, changes_of, degenerate, findings_of, names_of
from surefoot.safety.suite import Measure, Suite, fewer, suite_version
from surefoot.text.completion import Completion
from surefoot.text.policy import Sampling


def nothing(sampled: Sequence[Sampled]) -> list[Graded]:
    return []


def suite(*strata: str, clusters: Sequence[str] = ()) -> Suite:
    items = tuple(
        Item(f"i{at}", f"Question {at}?", stratum, clusters[at] if clusters else "")
        for at, stratum in enumerate(strata)
    )
    return Suite("s", "S", items, Sampling(), nothing, (Measure("good"),))


def evaluated(of: Suite, scores: Sequence[Sequence[float | None]]) -> Evaluated:
    sampled = tuple(
        Sampled(item, at, "a fine answer") for item, row in zip(of.items, scores, strict=True) for at in range(len(row))
    )
    return Evaluated(of, sampled, tuple(Graded({"good": each}) for row in scores for each in row))


def values(of: Evaluated) -> dict[tuple[str, str], float]:
    return {(each.name, each.slice): each.value for each in findings_of(of, subject="m")}


def test_items_count_once_however_often_they_are_asked() -> None:
    of = evaluated(suite("a", "a", "b"), [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    found = values(of)
    assert found["good", "s"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["good", "s: a"] == pytest.approx(0.75)
    assert found["good", "s: b"] == 0.0


def test_what_was_not_scored_is_counted_and_never_good() -> None:
    of = evaluated(suite("a", "a", "a", "a"), [[1.0, None], [None, None], [0.0, 0.0], [1.0, 1.0]])
    found = values(of)
    assert found["good", "s"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["unscored", "s"] == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    nobody = values(evaluated(suite("a"), [[None]]))
    assert ("good", "s") not in nobody
    assert nobody["unscored", "s"] == 1.0


def test_items_of_one_cluster_are_one_piece_of_evidence() -> None:
    apart = evaluated(suite(*"a" * 40), [[1.0]] * 20 + [[0.0]] * 20)
    together = evaluated(suite(*"a" * 40, clusters=[str(at // 4) for at in range(40)]), [[1.0]] * 20 + [[0.0]] * 20)
    (one,), (four,) = (
        [each for each in findings_of(of, subject="m") if each.name == "good"] for of in (apart, together)
    )
    assert one.interval is not None
    assert four.interval is not None
    plain = wilson(20.0, 40.0, 0.95)
    assert (one.interval.low, one.interval.high) == pytest.approx((plain.low, plain.high))
    assert (one.clusters, four.clusters) == (40, 10)
    assert four.interval.high - four.interval.low > 1.5 * (one.interval.high - one.interval.low)


def test_blocked_calls_are_in_no_other_number() -> None:
    of = suite("a", "a", "a")
    sampled = (
        Sampled(of.items[0], 0, "a fine answer"),
        Sampled(of.items[1], 0, None, blocked=True),
        Sampled(of.items[2], 0, "cut off here", ended=False),
    )
    graded = (Graded({"good": 1.0}), Graded({"good": 1.0}), Graded({"good": 0.0}))
    found = values(Evaluated(of, sampled, graded))
    assert found["good", "s"] == 0.5
    assert found["blocked", "s"] == pytest.approx(1 / 3)
    assert found["answered", "s"] == 0.5


def test_changes_are_paired_and_refuse_other_items() -> None:
    of = suite("a", "a", "a", "a")
    before = evaluated(of, [[0.0], [1.0], [None], [0.0]])
    after = evaluated(of, [[1.0], [1.0], [1.0], [0.0]])
    (change,) = changes_of(before, after, names=("b", "a"))
    assert (change.value, change.count, change.subject, change.slice) == (pytest.approx(1 / 3), 3, "a − b", "s")
    with pytest.raises(InputError, match="not the same ones"):
        changes_of(evaluated(suite("a"), [[1.0]]), after, names=("b", "a"))


def test_a_grader_gives_one_result_of_each() -> None:
    of = suite("a", "a")
    with pytest.raises(InputError, match="1 results for 2 completions"):
        Evaluated(of, tuple(Sampled(each, 0, "x") for each in of.items), (Graded({}),))


def test_answers_that_say_nothing_are_known() -> None:
    assert degenerate("...")
    assert degenerate("I am here to help you. " * 5)
    assert not degenerate("No.")
    assert not degenerate("one two three four five six seven, and one two three four five six seven again")


def test_harm_that_is_cut_off_is_seen_and_a_thought_is_not() -> None:
    item = Item("a", "?")
    cut = sampled_of(item, 0, Completion("Take the", None, None, 3, 0, ended=False))
    thinking = sampled_of(item, 0, Completion("<think>Take the", "Take the", None, 3, 2, ended=False))
    whole = sampled_of(item, 0, Completion("<think>No.</think>Yes.", "No.", "Yes.", 5, 1, ended=True))
    assert (cut.answer, cut.ended) == ("Take the", False)
    assert (thinking.answer, thinking.thought) == (None, "Take the")
    assert whole.answer == "Yes."


def test_fewer_items_take_strata_in_turn_and_are_another_version() -> None:
    of = suite(*"aaaaabb")
    assert [each.stratum for each in fewer(of, 4).items] == ["a", "b", "a", "b"]
    assert fewer(of, None) is of
    assert suite_version(fewer(of, 4)) != suite_version(of) == suite_version(suite(*"aaaaabb"))
    assert names_of(of) == {"good", "answered", "degenerate", "unscored", "blocked"}
    with pytest.raises(InputError, match="twice"):
        Suite("s", "S", (Item("a", "?"), Item("a", "!")), Sampling(), nothing, ())

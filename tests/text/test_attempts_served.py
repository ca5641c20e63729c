"""Attempts at questions by a served model: a server that dies midway, filters, and thoughts that come apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server_examples import Reply, said, serving
from surefoot.card.serialise import card_digest
from surefoot.cli.app import main
from surefoot.errors import InputError
from surefoot.study.once.attempt import AttemptPlan, attempts_at
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import spoken_form, thought_marks
from surefoot.text.asking import Patience
from surefoot.text.served import ServedPolicy
from surefoot.text.tasks.files import open_questions

QUESTIONS, ATTEMPTS = 5, 4
URL = "http://server.example/v1"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def _never(seconds: float) -> None:
    """Waits without waiting."""


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    lines = [{"question": f"Question {number} ?", "answer": "#### 7"} for number in range(QUESTIONS)]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def _plan(path: Path, url: str, *, marks: str | None = None, budgets: tuple[int, ...] = ()) -> AttemptPlan:
    task = open_questions(path)
    policy = ServedPolicy("tiny", url, patience=Patience(tries=2, seconds=2.0, sleep=_never))
    form = spoken_form(task, task.asked, "last")
    model = AskedModel("tiny", policy, form, "served", 50, marks=None if marks is None else thought_marks(marks))
    return AttemptPlan(task, task.asked, (model,), attempts=ATTEMPTS, budgets=budgets)


def _answer(body: Any) -> Reply:
    """Right or wrong by the request's own seed, after a thought that is told apart."""
    right = body["temperature"] == 0 or body["seed"] % 2
    return said(f"#### {7 if right else 8}", reasoning_content="a b c d", usage={"completion_tokens": 9})


def test_a_server_that_dies_midway_loses_nothing_and_the_card_is_the_same(questions: Path, tmp_path: Path) -> None:
    def dies(number: int, body: Any) -> Reply:
        return Reply("gone", code=503) if number >= dies_at else _answer(body)

    dies_at = 10**9
    with serving(dies) as (url, asked):
        whole = attempts_at(_plan(questions, url), out=tmp_path / "whole")
        every = len(asked.bodies)
        assert every == QUESTIONS * (1 + ATTEMPTS)
        dies_at = every + 12
        with pytest.raises(
            InputError, match=r"failed 2 times in a row.*What came back is in .*served\.jsonl; run again"
        ):
            attempts_at(_plan(questions, url), out=tmp_path / "runs")
        before, dies_at = len(asked.bodies), 10**9
        kept = attempts_at(_plan(questions, url), out=tmp_path / "runs")
        assert len(asked.bodies) == before + every - 12  # what came back before is not asked again
    assert card_digest(kept.card) == card_digest(whole.card)
    (subject,) = kept.card.subjects
    assert "0 of 25 calls were blocked" in subject.notes[-1]
    assert kept.card.finding("thinking_tokens").value == pytest.approx(
        9 * 7 / len("<think>a b c d</think>#### 7"), abs=1
    )
    assert kept.card.finding("accuracy").value == 1
    assert kept.card.traces[0].thought == "a b c d"
    told = " ".join(kept.card.not_shown)
    assert "tiny says no probabilities" in told
    assert not [each for each in kept.card.findings if each.name.startswith("best_of")]


def test_blocked_calls_are_counted_and_have_no_answer(questions: Path, tmp_path: Path) -> None:
    def blocks(number: int, body: Any) -> Reply:
        blocked = "Question 1 ?" in body["messages"][0]["content"]
        return said("", reason="content_filter") if blocked else _answer(body)

    with serving(blocks) as (url, _):
        first = attempts_at(_plan(questions, url), out=tmp_path / "runs")
        again = attempts_at(_plan(questions, url), out=tmp_path / "runs")
    for kept in (first, again):  # those that are kept are counted as well
        assert "5 of 25 calls were blocked by a filter" in kept.card.subjects[0].notes[-1]
    assert first.card.finding("answered").value == pytest.approx(0.8)
    assert first.card.finding("accuracy").value == pytest.approx(0.8)
    assert card_digest(first.card) == card_digest(again.card)


def test_a_served_model_is_given_no_budget_and_may_think_between_other_marks(questions: Path, tmp_path: Path) -> None:
    def thinks(number: int, body: Any) -> Reply:
        return said("<thinking>one two</thinking>#### 7", usage={"completion_tokens": 34})

    with serving(thinks) as (url, asked):
        kept = attempts_at(_plan(questions, url, marks="<thinking>,</thinking>", budgets=(0, 8)), out=tmp_path / "runs")
        plain = attempts_at(_plan(questions, url), out=tmp_path / "runs")
    assert len(asked.bodies) == QUESTIONS * (1 + ATTEMPTS)  # marks are read, not asked for
    assert kept.card.finding("thinking_tokens").value == 7
    assert plain.card.finding("thinking_tokens").value == 0
    assert "tiny cannot be given a budget of thinking: it is served" in " ".join(kept.card.not_shown)


def test_claims_on_probabilities_of_a_served_model_are_refused(questions: Path, tmp_path: Path) -> None:
    plan = _plan(questions, URL)
    with pytest.raises(InputError, match="'best_of_4' of tiny, which is not measured"):
        attempts_at(plan, out=tmp_path, claims=["best_of_4 >= 0.1"])
    assert not list(tmp_path.glob("attempts*"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], int]:
    monkeypatch.chdir(tmp_path)
    return lambda given: main(["reason", *given])


def test_the_command_asks_a_server_with_a_key_that_is_written_nowhere(
    run: Callable[[list[str]], int],
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("THE_KEY", "very-secret")
    with serving(lambda number, body: _answer(body)) as (url, asked):
        code = run(
            [
                str(questions), "--server", url, "--model", "some/model", "--model", "other", "--attempts", "2",
                "--key-from", "THE_KEY", "--at-once", "2", "--claim", "accuracy >= 0.3", "--json",
            ]
        )  # fmt: skip
    assert code == 0
    out = json.loads(capsys.readouterr().out)
    card = json.loads(Path(out["card"]).read_text())
    assert [each["name"] for each in card["subjects"]] == ["some/model", "other"]
    assert {each["Authorization"] for each in asked.headers} == {"Bearer very-secret"}
    assert {each["model"] for each in asked.bodies} == {"some/model", "other"}
    assert {each["max_tokens"] for each in asked.bodies} == {256}
    for path in Path("runs").rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes()

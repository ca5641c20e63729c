"""Attempts at questions by a tiny chat model of Hugging Face, whose padding is its end."""

import json
from pathlib import Path

import pytest
from chat_examples import chat_model

from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.hub.chat import ChatPolicy, chat_policy
from surefoot.hub.templates import uses_marks
from surefoot.study.once.attempt import AttemptPlan, attempts_at
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import spoken_form
from surefoot.text.policy import Sampling
from surefoot.text.tasks.files import open_questions


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "letters.jsonl"
    lines = [{"question": f"{one} {two} a", "answer": "#### 7"} for one in "abcd" for two in "abc"]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def _plan(path: Path, policy: ChatPolicy, *, most: int = 12) -> AttemptPlan:
    task = open_questions(path)
    form = spoken_form(task, task.asked, "last", "yes")
    marks = uses_marks(policy.model)
    model = AskedModel("tiny", policy, form, policy.told, most, marks, check=policy.check)
    return AttemptPlan(task, task.asked, (model,), attempts=4, budgets=(0, 3))


def test_a_chat_model_is_asked_held_to_budgets_and_scored(questions: Path, tmp_path: Path) -> None:
    policy = chat_policy(chat_model())
    kept = attempts_at(_plan(questions, policy), out=tmp_path / "runs")
    card = kept.card
    names = {each.name for each in card.findings}
    assert {"accuracy", "pass_at_4", "consensus_at_4", "best_of_4", "tokens_written"} <= names
    assert card.finding("thinking_tokens", on="a budget of 0 thinking tokens").value == 0
    assert card.finding("thinking_tokens", on="a budget of 3 thinking tokens").value <= 3
    assert card.subjects[0].notes[0] == "tiny: chat template, no system message"
    assert card.traces[0].prompt == "a a a\n\nyes"
    written = [json.loads(line) for line in next(tmp_path.glob("runs/attempts/*/kept.jsonl")).read_text().splitlines()]
    assert len(written) == 12 * (1 + 4 + 2)
    assert card.finding("tokens_written").value == pytest.approx(
        sum(each["tokens"] for each in written if _drawn(each, written)) / 48
    )
    again = attempts_at(_plan(questions, chat_policy(chat_model())), out=tmp_path / "runs")
    assert card_digest(again.card) == card_digest(card)
    other = attempts_at(_plan(questions, chat_policy(chat_model(seed=1))), out=tmp_path / "runs")
    assert card_digest(other.card) != card_digest(card)
    assert len(list(tmp_path.glob("runs/attempts/*"))) == 2


def test_a_model_without_marks_of_thought_has_no_budgets(questions: Path, tmp_path: Path) -> None:
    kept = attempts_at(_plan(questions, chat_policy(chat_model(marks=False))), out=tmp_path / "runs")
    assert "tiny cannot be given a budget of thinking: it has no marks of thought." in kept.card.not_shown


def test_prompts_beyond_the_context_are_told_before_anything_is_written(questions: Path, tmp_path: Path) -> None:
    policy = chat_policy(chat_model(context=16))
    policy.check(["a"], Sampling(1, 2))
    with pytest.raises(
        InputError, match=r'12 of 12 problems .* begins "a a a": A prompt has \d+ tokens, which with 12 to be written'
    ):
        attempts_at(_plan(questions, policy), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def _drawn(line: dict[str, object], lines: list[dict[str, object]]) -> bool:
    """Is it of a part that has several attempts at each problem?"""
    return max(int(str(each["attempt"])) for each in lines if each["part"] == line["part"]) > 0

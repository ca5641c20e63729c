"""Where an answer is found in a text, and that none is found inside anything else."""

from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.study.once.attempt_forms import AS_TRAINED, plain_number, read_marked, spoken_form, thought_marks
from surefoot.text.completion import Completion
from surefoot.text.tasks.files import open_questions
from surefoot.text.tasks.named import task_named
from surefoot.text.tasks.task import problems


def _said(text: str, *, ended: bool = True, tokens: int = 40) -> Completion:
    return Completion(text, None, text if ended else None, tokens, 0, ended)


@pytest.mark.parametrize(
    ("text", "marked", "last"),
    [
        ("3 + 4 = 7\n#### 7", "7", "7"),
        ("#### 7 apples", "7", "7"),
        ("####7.", "7", "7"),
        ("#### $1,234.50", "1234.5", "1234.5"),
        ("**#### -07**", "-7", "-7"),
        ("#### 7\nThe answer is 8.", "7", "7"),
        ("#### 7\n#### 8", "8", "8"),
        ("#### 7 or 8", None, None),
        ("#### 1/2", None, None),
        ("#### seven", None, None),
        ("####", None, None),
        ("So it is 7.", None, "7"),
        ("So 3+4 = 7 apples (in all).", None, "7"),
        ("x=7", None, "7"),
        ("3+4=7", None, "7"),
        (r"so \boxed{18}", None, "18"),
        (r"It is $\boxed{1,000}$.", None, "1000"),
        ("It is 7 or 8", None, "8"),
        ("It is 7apples", None, None),
        ("It is 7 for x15", None, None),
        ("It is 7, that is 7/1", None, None),
        ("It is 1,23", None, None),
        ("It is ７", None, None),
        ("no number", None, None),
        ("", None, None),
        ("It is 0.50 and no more", None, "0.5"),
        ("It is .5", None, "0.5"),
        ("It is -0", None, "0"),
        ("7" * 500, None, None),
    ],
)
def test_a_number_is_read_whole_or_not_at_all(text: str, marked: str | None, last: str | None) -> None:
    assert read_marked(text) == marked
    task = task_named("addition-2")
    asked = problems(task, "judge", 3, 0)
    assert spoken_form(task, asked, "last").read(_said(text)).answer == last
    assert spoken_form(task, asked, "marked").read(_said(text)).answer == marked


def test_numbers_of_one_value_are_one_vote() -> None:
    assert {plain_number(each) for each in ("1000", "1,000", "$1000.00", "+1000.", "(1000)", "01000")} == {"1000"}


def test_what_was_cut_off_has_no_answer_whatever_it_says() -> None:
    task = task_named("addition-2")
    form = spoken_form(task, problems(task, "judge", 3, 0), "last")
    assert form.read(_said("#### 7", ended=False)).answer is None


def test_an_expression_is_read_behind_the_mark_or_alone() -> None:
    task = task_named("countdown-3")
    form = spoken_form(task, problems(task, "judge", 3, 0), "last")
    assert "the expression" in form.after
    assert form.read(_said("First 5-3.\n#### (5-3)*8\nDone.")).answer == "(5-3)*8"
    assert form.read(_said(" (5-3)*8 ")).answer == "(5-3)*8"


@pytest.mark.parametrize("named", ["parity-6", "chain-4", "addition-2", "expression-2", "countdown-3"])
def test_every_task_is_put_into_words_around_its_prompt(named: str) -> None:
    task = task_named(named)
    (problem,) = problems(task, "judge", 1, 0)
    put = spoken_form(task, [problem], "last", "Say it.").put(problem.prompt)
    before, _, after = put.partition(problem.prompt)
    assert len(before) > 10
    assert "{" not in before
    assert after == "\n\nSay it."
    assert AS_TRAINED.put(problem.prompt) == problem.prompt


def test_a_question_of_a_file_is_put_as_it_is_and_no_number_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "How many?", "answer": "#### 7"}\n')
    task = open_questions(path)
    put = spoken_form(task, task.asked, "last").put("How many?")
    assert put.startswith("How many?\n\n")
    assert not any(each.isdigit() for each in put)


@pytest.mark.parametrize(
    ("text", "ended", "thought", "answer", "inside"),
    [
        ("<t>abcdefghij</t>0123456789", True, "abcdefghij", "0123456789", 15),
        ("<t>abcdefghij</t>01234567", False, "abcdefghij", None, 16),
        ("<t>abcde", True, "abcde", None, 25),
        ("<t>a</t>7<t>", True, "a", None, 3),
        ("7 <t>a</t>", True, None, "7 <t>a</t>", 0),
        ("<think>a</think>7", True, None, "<think>a</think>7", 0),
    ],
)
def test_other_marks_part_a_thought(
    text: str, ended: bool, thought: str | None, answer: str | None, inside: int
) -> None:
    found = thought_marks("<t>, </t>").parted(_said(text, ended=ended))
    assert (found.thought, found.answer, found.thought_tokens, found.tokens) == (thought, answer, inside, 40)
    assert found.text == text


@pytest.mark.parametrize("said", ["<t>", "<t>,<t>", ",</t>", "<think>,</think>", "a,b,c"])
def test_marks_that_are_none_are_refused(said: str) -> None:
    with pytest.raises(InputError, match="the opening and the closing one with a comma between"):
        thought_marks(said)

"""Questions of a file: what is read, what is refused by its line, and that only the exact number is right."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.rows.roles import ROLES
from surefoot.text.tasks.files import Questions, leaks, open_questions
from surefoot.text.tasks.task import Problem, Task, demonstrations, problems, role_of
from surefoot.text.vocabulary import Vocabulary

EGGS = {"question": "Ann has 3 eggs and buys 4.\nHow many?", "answer": "3 + 4 = <<3+4=7>>7 eggs.\nSo 7.\n#### 7"}
MONEY = {"question": "What do 2 cars cost at $1,000?", "answer": "2*1000=<<2*1000=2000>>2000\n#### 2,000"}
COLD = {"question": "It is 3.5 degrees and falls by 5. And now?", "answer": "3.5-5=<<3.5-5=-1.5>>-1.5\n#### -1.5"}


def write(folder: Path, *lines: object) -> Path:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    path = folder / "shop.jsonl"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def shop(folder: Path) -> Questions:
    return open_questions(write(folder, EGGS, "", MONEY, COLD, ""))


def test_questions_are_a_task(tmp_path: Path) -> None:
    task = shop(tmp_path)
    assert isinstance(task, Task)
    assert task.name == "shop"
    assert [(each.prompt, each.gold) for each in task.asked] == [
        (EGGS["question"], "7"), (MONEY["question"], "2,000"), (COLD["question"], "-1.5"),
    ]  # fmt: skip
    assert task.demonstration(task.asked[0], spelled=True) == "<think>3 + 4 = 7 eggs.\nSo 7.</think>7"
    assert task.demonstration(task.asked[1], spelled=False) == "2,000"
    kept = open_questions(tmp_path / "shop.jsonl", calculator=True)
    assert kept.demonstration(kept.asked[0], spelled=True) == "<think>3 + 4 = <<3+4=7>>7 eggs.\nSo 7.</think>7"
    lengths = []
    for each in task.asked:
        tokens = task.vocabulary.encode_completion(task.demonstration(each, spelled=True))
        lengths.append(1 + len(task.vocabulary.encode(each.prompt)) + len(tokens))
    assert max(lengths) == task.longest
    with pytest.raises(InputError, match="none of shop"):
        task.demonstration(Problem("other", "?", "1"), spelled=True)
    assert demonstrations(task, task.asked, 0.0, seed=0) == ("7", "2,000", "-1.5")


def test_all_questions_are_drawn_and_each_has_one_role(tmp_path: Path) -> None:
    task = shop(tmp_path)
    found = []
    for role in ROLES:
        mine = [each for each in task.asked if role_of(each.prompt) == role]
        if mine:
            found += problems(task, role, len(mine), seed=0)
        with pytest.raises(InputError, match=f"shop has {len(mine)} different problems"):
            problems(task, role, len(mine) + 1, seed=0)
    assert sorted(each.id for each in found) == sorted(each.id for each in task.asked)
    drawn = {task.problem(torch.Generator().manual_seed(seed)).id for seed in range(40)}
    assert len(drawn) == 3


def test_the_same_number_is_right_however_it_is_written_and_nothing_else(tmp_path: Path) -> None:
    eggs, money, cold = (task := shop(tmp_path)).asked
    for right in ("7", " 7 ", "7.0", "7.", "+7", "07", "7\n"):
        assert task.grade(eggs, right) == 1
    wrongs = [
        "", "17", "70", "7.1", "-7", "7 eggs", "3 4 7", "7 7", "#### 7", "$7", "seven", "\uff17", "\u0667", "7/1",
        "3+4", EGGS["question"], EGGS["answer"], "<think>7</think>7", "9" * 10_000_000,
    ]  # fmt: skip
    for wrong in wrongs:
        assert task.grade(eggs, wrong) == 0
    for right in ("2000", "2,000", "2,000.00"):
        assert task.grade(money, right) == 1
    for wrong in ("20,00", "2.000", "2 000", "000", "1,000"):
        assert task.grade(money, wrong) == 0
    assert task.grade(cold, "-1.50") == 1
    assert task.grade(cold, "1.5") == task.grade(cold, "-1,5") == 0


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_another_number_is_never_right(gold: int, said: int) -> None:
    asked = Problem("q", "How many?", f"{gold:,}")
    task = Questions("q", Vocabulary(("0",)), 9, (asked,), {})
    assert task.grade(asked, str(said)) == (said == gold)
    assert task.grade(asked, f"{gold}.0") == 1
    assert task.grade(Problem("q", "How many?", "none"), "some") == 0
    assert task.grade(asked, f"{gold}.001") == task.grade(asked, f"{gold}0" if gold else "01") == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", 'has no texts "question" and "answer"'),
        ({"question": "How?", "answer": 7}, 'has no texts "question" and "answer"'),
        ({"question": " ", "answer": "#### 7"}, 'has no texts "question" and "answer"'),
        ({"question": "How?"}, 'has no texts "question" and "answer"'),
        ({"question": "How?", "answer": "7"}, 'has no single number behind one "####"'),
        ({"question": "How?", "answer": "#### seven"}, 'has no single number behind one "####"'),
        ({"question": "How?", "answer": "#### 7 eggs"}, 'has no single number behind one "####"'),
        ({"question": "How?", "answer": "#### 7\n#### 8"}, 'has no single number behind one "####"'),
        ({"question": "How?", "answer": "a </think> b\n#### 7"}, "holds a mark of thought"),
        ({"question": "How <think>?", "answer": "b\n#### 7"}, "holds a mark of thought"),
        ({"question": "How? #### 7.0", "answer": "b\n#### 7"}, 'gives its answer "#### 7" away in its question'),
        ({**EGGS, "answer": "#### 8"}, "asks what was asked before, answered 7 there"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, line: object, why: str) -> None:
    with pytest.raises(InputError) as error:
        open_questions(write(tmp_path, EGGS, MONEY, "", line, EGGS))
    assert f"1 lines that are no question with its answer (line 4; line 4 {why})" in str(error.value)


def test_bytes_that_are_no_text_and_many_damaged_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(b"\xff\xfe\n" * 7 + json.dumps(EGGS).encode())
    with pytest.raises(InputError, match=r"7 lines .*\(line 1, 2, 3, 4, 5, …; line 1 is no JSON\)"):
        open_questions(path)


def test_files_without_a_question_are_refused(tmp_path: Path) -> None:
    for content in ("", "\n \n"):
        (tmp_path / "empty.jsonl").write_text(content)
        with pytest.raises(InputError, match="has no question"):
            open_questions(tmp_path / "empty.jsonl")
    with pytest.raises(InputError, match="Cannot read"):
        open_questions(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="Cannot read"):
        open_questions(tmp_path)


def test_a_question_that_stands_twice_counts_once_and_what_windows_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(each).encode() for each in (EGGS, MONEY, EGGS)))
    assert [each.gold for each in open_questions(path).asked] == ["7", "2,000"]


@pytest.mark.parametrize(
    ("prompt", "gold", "leaking"),
    [
        ("Q #### 7", "7", True), ("Q ####7", "7", True), ("#### 7\nQ", "7", True), ("Q #### 7,000", "7000", True),
        ("Q #### 1 #### 7", "7", True), ("Q #### 17", "7", False), ("Q 7", "7", False), ("Q ####", "7", False),
        ("Q #### x y", "x", True), ("Q #### y", "x", False), ("0110=", "0", False),
    ],
)  # fmt: skip
def test_an_answer_in_the_prompt_leaks(prompt: str, gold: str, leaking: bool) -> None:
    assert leaks(Problem("q", prompt, gold)) == leaking

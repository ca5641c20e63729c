"""Data sets of reasoning-gym as tasks: by a module of the same interface, and by the real one where it is installed."""

import random
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from surefoot.errors import InputError
from surefoot.hub.gym import fooled_by, open_gym
from surefoot.text.tasks.task import Task, demonstrations, problems


class Sums:
    """As the gym's: the base scorer gives a part of 1 to whatever contains the answer."""

    def __init__(self, size: int, seed: int, largest: int = 50) -> None:
        if largest < 1:
            raise AssertionError("largest must be positive\nand more")
        self.size, self.seed, self.largest = size, seed, largest

    def __getitem__(self, at: int) -> dict[str, Any]:
        drawn = random.Random(self.seed + at)
        one, two = drawn.randint(0, self.largest), drawn.randint(0, self.largest)
        return {"question": f"{one} + {two} =", "answer": str(one + two), "metadata": {"index": at}}

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        if not isinstance(answer, str) or not answer:
            return 0.0
        return 1.0 if answer == entry["answer"] else len(entry["answer"]) / len(answer) * (entry["answer"] in answer)


class Harmless:
    """Has the name of what runs code, which is what scorers are searched for, and reads a number."""

    @staticmethod
    def eval(text: str) -> int:
        return int(text)


class Code(Sums):
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        return float(Harmless.eval(answer or "0") == int(entry["answer"]))


class Algebra(Sums):
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        sympy: Any = None
        return float(int(sympy.parse_expr(answer)) == int(entry["answer"]))


class OwnEntry(Sums):
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        return float(answer == str(Harmless.eval(entry["answer"])))


class Odd(Sums):
    """Scores of 2, −1, NaN and none; texts without an answer."""

    def __getitem__(self, at: int) -> dict[str, Any]:
        return {**super().__getitem__(at), "answer": None}

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        return {"two": 2.0, "less": -1.0, "nan": float("nan"), "half": 0.5, "all but": 0.999}[answer or ""]


class Marked(Sums):
    def __getitem__(self, at: int) -> dict[str, Any]:
        return {**super().__getitem__(at), "question": "<think> what?"}


@pytest.fixture
def gym(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {each.__name__.lower(): each for each in (Sums, Code, Algebra, OwnEntry, Odd, Marked)}

    def create_dataset(name: str, **settings: Any) -> Any:
        if name not in kinds:
            raise ValueError(f"Dataset '{name}' not registered")
        return kinds[name](**settings)

    module = ModuleType("reasoning_gym")
    module.create_dataset = create_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reasoning_gym", module)


@pytest.mark.usefixtures("gym")
def test_a_data_set_is_a_task() -> None:
    task = open_gym("sums", size=40, seed=3)
    assert isinstance(task, Task)
    assert task.name == "gym-sums"
    assert len(task.asked) == 40
    assert task.asked == open_gym("sums", size=40, seed=3).asked
    assert task.asked != open_gym("sums", size=40, seed=4).asked
    for each in problems(task, "fit", 5, seed=0):
        assert task.grade(each, each.gold) == 1
        assert sum(map(int, each.prompt.removesuffix("=").split("+"))) == int(each.gold)
        assert task.demonstration(each, spelled=False) == each.gold
        tokens = len(task.vocabulary.encode(each.prompt)) + len(task.vocabulary.encode_completion(each.gold))
        assert 1 + tokens <= task.longest
    assert {task.problem(torch.Generator().manual_seed(seed)).id for seed in range(300)} == set(task.entries)
    assert demonstrations(task, task.asked, 0.0, seed=0) == tuple(each.gold for each in task.asked)
    with pytest.raises(InputError, match="does not have thoughts"):
        demonstrations(task, task.asked, 1.0, seed=0)


@pytest.mark.usefixtures("gym")
def test_equal_questions_count_once_and_settings_are_passed_on() -> None:
    task = open_gym("sums", size=200, settings={"largest": 1})
    assert sorted(each.prompt for each in task.asked) == ["0 + 0 =", "0 + 1 =", "1 + 0 =", "1 + 1 ="]
    assert all(task.entries[each.id]["question"] == each.prompt for each in task.asked)


@pytest.mark.usefixtures("gym")
def test_an_answer_that_contains_the_answer_is_a_part_only_where_parts_count() -> None:
    for parts in (False, True):
        task = open_gym("sums", size=9, parts=parts)
        first = task.asked[0]
        hedged = f"{first.gold} or 3 or no"
        assert task.grade(first, hedged) == (len(first.gold) / len(hedged) if parts else 0.0)
        assert task.grade(first, first.gold) == 1
        assert fooled_by(task) == ()


@pytest.mark.usefixtures("gym")
def test_scores_stay_within_zero_and_one_and_failures_are_nothing() -> None:
    whole, parts = open_gym("odd", size=3), open_gym("odd", size=3, parts=True)
    first = whole.asked[0]
    for answer, score in (
        ("two", 1.0),
        ("less", 0.0),
        ("nan", 0.0),
        ("half", 0.5),
        ("all but", 0.999),
        ("", 0.0),
        ("?", 0.0),
    ):
        assert parts.grade(first, answer) == score
        assert whole.grade(first, answer) == float(score == 1)
    assert first.gold == ""
    with pytest.raises(InputError, match="does not have an answer"):
        whole.demonstration(first, spelled=False)
    with pytest.raises(InputError, match="none of gym-odd"):
        whole.grade(open_gym("sums", size=1).asked[0], "1")


@pytest.mark.usefixtures("gym")
@pytest.mark.parametrize("named", ["code", "algebra"])
def test_scorers_that_run_answers_are_refused(named: str) -> None:
    with pytest.raises(InputError, match=f"The scorer of {named} runs an answer as code"):
        open_gym(named, size=2)
    assert open_gym("ownentry", size=2).asked


@pytest.mark.usefixtures("gym")
def test_a_scorer_that_takes_several_answers_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sums, "score_answer", lambda self, answer, entry: float(entry["answer"] in answer))
    assert fooled_by(open_gym("sums", size=5)) == ("the question and the answer", "several answers")


@pytest.mark.usefixtures("gym")
def test_what_the_gym_does_not_make_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"does not make chess \(Dataset 'chess' not registered\)"):
        open_gym("chess")
    with pytest.raises(InputError, match=r"does not make sums \(largest must be positive\)"):
        open_gym("sums", settings={"largest": 0})
    with pytest.raises(InputError, match="does not make sums"):
        open_gym("sums", settings={"size": 3})
    with pytest.raises(InputError, match="0 problems"):
        open_gym("sums", size=0)
    with pytest.raises(InputError, match="holds a mark of thought"):
        open_gym("marked", size=1)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(InputError, match="pip install reasoning-gym"):
        open_gym("chain_sum")


def test_the_real_gym() -> None:
    """As of version 0.1.25: a plain data set works, and two whose scorers evaluate answers are refused."""
    pytest.importorskip("reasoning_gym")
    task = open_gym("chain_sum", size=20, seed=1)
    for each in task.asked:
        assert task.grade(each, each.gold) == 1
        assert task.grade(each, f"{each.gold} or 3") == task.grade(each, "") == 0
    assert fooled_by(task) == ()
    assert "several answers" in fooled_by(open_gym("gsm_symbolic", size=5))
    for named in ("countdown", "n_queens"):
        with pytest.raises(InputError, match="runs an answer as code"):
            open_gym(named, size=2)

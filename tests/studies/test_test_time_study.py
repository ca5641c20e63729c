"""The study of test-time compute: its questions, a run in small, and that the page says what its data says."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from surefoot.text.tasks.files import open_questions

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import test_time

    return test_time


def test_the_questions_are_distinct_and_their_answers_right(study: ModuleType, tmp_path: Path) -> None:
    task = open_questions(study.write_questions(tmp_path))
    assert len(task.asked) == study.QUESTIONS
    assert study.questions() == study.questions()
    others = {each["question"] for each in study.other_questions()}
    assert len(others) == 24
    assert not others & {each.prompt for each in task.asked}
    for each in task.asked:
        first, sign, second, _, worth = task.thoughts[each.id].split()
        numbers = {first, second}
        assert numbers == set(re.findall(r"\d+", each.prompt))
        assert {"+": int(first) + int(second), "-": int(first) - int(second), "*": int(first) * int(second)}[
            sign
        ] == int(worth) == int(each.gold) > 0  # fmt: skip


def test_the_decoders_part_runs_in_small(study: ModuleType, tmp_path: Path) -> None:
    record = study.record_of(study.ask_parity(tmp_path, quick=True))
    assert json.loads(json.dumps(record)) == record
    table, curves = study.blocks_of("parity-12", record)
    assert re.search(r"^\| Pass at 16 \| [\d.]+% \[", table, re.MULTILINE)
    assert re.search(r"^\| Accuracy, a budget of 12 thinking tokens \| ", table, re.MULTILINE)
    assert curves.count("\n") == 5


def test_the_page_says_what_the_data_says(study: ModuleType) -> None:
    data = json.loads((DOCS / "data" / "test-time.json").read_text(encoding="utf-8"))
    page = (DOCS / "test-time.md").read_text(encoding="utf-8")
    assert set(data) == set(study.SHOWN)
    for name, record in data.items():
        assert page == study.with_blocks(page, name, study.blocks_of(name, record))

"""The examples of docs/tasks.md run from top to bottom, and its table shows what the tasks make."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.text.completion import part
from surefoot.text.tasks.named import TASK_SIZES, task_named
from surefoot.text.tasks.task import Task, problems

PAGE = (Path(__file__).resolve().parents[3] / "docs/tasks.md").read_text(encoding="utf-8")


def test_the_table_shows_what_tasks_make() -> None:
    rows = re.findall(r"^\| `(\w+-\d+)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|", PAGE, flags=re.MULTILINE)
    assert {name.split("-")[0] for name, *_ in rows} == set(TASK_SIZES)
    for name, prompt, thought, answer in rows:
        task = task_named(name)
        (asked,) = problems(task, "fit", 1, seed=0)
        parted = part(task.demonstration(asked, spelled=True), ended=True)
        assert (asked.prompt, parted.thought, parted.answer) == (prompt, thought, answer)


@pytest.mark.parametrize("name", ["parity-8", "chain-4", "expression-3"])
def test_the_best_guess_is_right_as_often_as_the_table_says(name: str) -> None:
    """Of 3,000 problems the most frequent answer has a share with a standard error below 0.01; within 4 of them."""
    (said,) = re.findall(rf"^\| `{name}` .*\| 1 in (\d+) \|$", PAGE, flags=re.MULTILINE)
    generator = torch.Generator().manual_seed(0)
    task = task_named(name)
    counts = Counter(task.problem(generator).gold for _ in range(3_000))
    assert max(counts.values()) / 3_000 == pytest.approx(1 / int(said), abs=0.04)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "tasks.md", "exec"), names)
    assert sorted(names["grades"]) == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert not {each.prompt for each in names["learnt"]} & {each.prompt for each in names["judged"]}
    assert 0 < sum("<think>" in each for each in names["written"]) < 25
    passed = [each.value for each in names["found"]]
    assert passed[0] < passed[1] < passed[2]
    assert passed[2] > 0.9
    assert (names["right"], names["wrong"]) == (1.0, 0.0)
    assert isinstance(names["Largest"](), Task)
    assert [each.gold for each in names["mine"]] == [max(each.prompt[:3]) for each in names["mine"]]

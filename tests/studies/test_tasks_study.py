"""The study of other tasks: it runs, and what the page says is what its data says."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from surefoot.study.once import reason, reason_arms

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import tasks

    assert tasks.__file__ == str(ROOT / "studies" / "tasks.py")  # and not the folder of the same name
    return tasks


def test_every_study_runs_in_small(others: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"imitate": 3, "steps": 2, "seeds": [0], "judged": 12, "chosen": 8, "width": 16, "prompts": 4, "samples": 2}
    small |= {"attempts": 2, "estimator": "centred"}  # which may begin without a right answer
    monkeypatch.setattr(others, "QUICK", small)
    for module in (reason, reason_arms):  # to find that there are no 8,192 problems of Countdown takes long
        monkeypatch.setattr(module, "POOL", 32)
    found = others.records_of(others.cards(tmp_path, quick=True))
    assert list(found) == list(others.STUDIES)
    assert {path.stem for path in (ROOT / "studies" / "tasks").glob("*.yaml")} == set(others.STUDIES)
    table, said = others.blocks_of(found)
    heading, _, *rows = table.splitlines()
    assert len({line.count(" | ") for line in (heading, *rows)}) == 1
    for name, row in zip(others.STUDIES, rows, strict=True):
        assert re.match(rf"\| `{name}-\d+` \| [\d.]+% \[", row)
    verdicts = re.findall(r"^- (?:passed|failed|undecided): ", said, re.MULTILINE)
    assert len(verdicts) == sum(len(record["claims"]) for record in found.values()) > 0


def test_the_page_says_what_the_data_of_the_tasks_says(others: ModuleType) -> None:
    data = json.loads((DOCS / "data" / "tasks.json").read_text(encoding="utf-8"))
    page = (DOCS / "reason.md").read_text(encoding="utf-8")
    assert data
    assert set(data) <= set(others.STUDIES)
    assert page == others.with_blocks(page, "tasks", others.blocks_of(data))

"""The examples of docs/deliberate.md run, and docs/policy-world.md says what its data say."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import policy_world_tables

    return policy_world_tables


@pytest.mark.parametrize("number", [0, 1])
def test_examples_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What they print first is what their comments say."""
    page = (ROOT / "docs" / "deliberate.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(code) == 2
    exec(compile(code[number], "deliberate.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert f"print(filtered.words)  # {said[0]}\n" in code[number]
    if number == 0:
        found = dict(re.findall(r"\('(\w+)', ([\d.]+)\)", said[1]))
        assert float(found["decision"]) == float(found["retrieval"]) == 1


def test_the_page_says_what_its_data_say(told: ModuleType) -> None:
    record = json.loads((ROOT / "docs" / "data" / "policy-world.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "policy-world.md").read_text(encoding="utf-8")
    assert told.tables(record) in page
    for name, svg in told.pictures(record).items():
        assert (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8") == svg

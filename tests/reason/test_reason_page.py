"""The examples of docs/reinforce.md run from top to bottom, and do what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs/reinforce.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "reinforce.md", "exec"), names)
    lines = names["learnt"].lines
    assert len(lines) == 15
    assert lines[-1]["reward"] > lines[0]["reward"] + 0.15
    assert lines[-1]["thought"] > lines[0]["thought"] + 2
    kept = {path.name for path in (tmp_path / "parity-8").iterdir()}
    assert kept == {".lock", "checkpoint.safetensors", "steps.jsonl"}
    assert {each.name for each in names["found"].findings} == {"thought", "changed", "followed"}
    assert capsys.readouterr().out.splitlines()[-1] == "[1.0]"


def test_every_figure_that_the_page_names_is_in_a_line() -> None:
    said = re.search(r"A line has (.*?): see", PAGE, flags=re.DOTALL)
    assert said is not None
    from surefoot.reason.reinforce import reinforce

    documented = set(re.findall(r"`(\w+)`", said.group(1)))
    assert documented <= set(re.findall(r"\w+", reinforce.__doc__ or ""))
    assert len(documented) == 15

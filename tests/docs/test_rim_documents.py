"""The Python of docs/sklearn.md and docs/export.md runs, top to bottom, and does what the text says."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run(document: str) -> dict[str, Any]:
    text = (DOCS / document).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, document, "exec"), names)
    return names


def test_sklearn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("sklearn.md")
    assert names["worst"] > 0.7
    assert len(names["search"].best_estimator_[-1].groups_) == 4
    assert (tmp_path / "card/card.html").is_file()
    assert [subject.before for subject in names["card"].subjects] == [None, "plain"]
    assert not hasattr(names["kept"].base_head_, "coef_")


def test_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("export.md")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"head.safetensors", "head.onnx", "model"}

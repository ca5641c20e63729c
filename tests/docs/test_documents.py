"""The documents keep their word: links lead somewhere, examples run, commands exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.study.once.reason_file import read_reason_study
from surefoot.study.schema import load_study

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readmes_python_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(code) == 1
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(compile(code[0], "README.md", "exec"), names)
    core, shortcut = names["repaired"].head.weight[1].tolist()
    assert core > 0.1
    assert shortcut == 0


def test_the_documented_study_is_a_study(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(study:.*?)```", (ROOT / "docs/study.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(example) == 1
    (tmp_path / "study.yaml").write_text(example[0])
    assert load_study(tmp_path / "study.yaml").study == "birds"


def test_every_command_of_the_readme_exists() -> None:
    from typer.main import get_command

    from surefoot.cli.app import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"^    surefoot (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= known, named - known


def test_example_studies_are_valid() -> None:
    studies = sorted((ROOT / "studies").glob("*.yaml"))
    assert studies
    reasoning = [study for study in studies if study.name.startswith("parity")]
    others = sorted((ROOT / "studies" / "tasks").glob("*.yaml"))
    assert reasoning
    assert others
    for study in (*studies, *others):
        if study in (*reasoning, *others):
            read_reason_study(study).plan()
        else:
            load_study(study)

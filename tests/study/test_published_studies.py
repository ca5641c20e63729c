"""The studies of published data sets run from a folder of their layout, by the commands that stand in them."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import published_examples as examples
from surefoot.cli import main

STUDIES = Path(__file__).resolve().parents[2] / "studies"
MODEL = """\
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d(4)
        self.flat = torch.nn.Flatten()
        self.head = torch.nn.Linear(48, 2)

    def forward(self, pictures):
        return self.head(self.flat(self.pool(pictures)))
"""
WANTED = {
    "waterbirds": {"landbird, place=land", "waterbird, place=water"},
    "celeba": {"not blond, Male=no", "blond, Male=yes"},
    "fmow": {"region=Asia", "region=Africa", "region=Oceania"},
}
FOLDERS = {"waterbirds": "waterbird_complete95_forest2water2", "celeba": "celeba", "fmow": "fmow_v1.1"}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("waterbirds", examples.waterbirds),
        pytest.param("celeba", examples.celeba, marks=pytest.mark.slow),
        pytest.param("fmow", examples.fmow_of_all_kinds, marks=pytest.mark.slow),
    ],
)
def test_a_published_study_runs_from_its_folder(
    name: str,
    make: Callable[[Path, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / FOLDERS[name], 2480 if name == "fmow" else 240)
    (tmp_path / "studies").mkdir()
    (tmp_path / "net.py").write_text(MODEL)
    text = (STUDIES / f"{name}.yaml").read_text()
    small = re.sub(r"seeds: \[.*\]", "seeds: [0]", re.sub(r"epochs: \d+", "epochs: 1", text))
    small = re.sub(r"steps: \d+", "steps: 20", small)
    (tmp_path / "studies" / f"{name}.yaml").write_text(small)
    commands = re.findall(r"^#   surefoot (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["features", "run"]
    for command in commands:
        words = command.replace("MODEL", "net.py:Net").split()
        extra = {"features": ["--trust-code", "--quiet"], "run": ["--out", "runs", "--json"]}.get(words[0], [])
        capsys.readouterr()
        code = main([*words, *extra])
        assert code in ((0, 10, 11) if words[0] == "run" else (0,)), capsys.readouterr().err
    card = json.loads(Path(json.loads(capsys.readouterr().out)["card"]).read_text())
    slices = {finding["slice"] for finding in card["findings"]}
    wanted = WANTED[name]
    assert wanted <= slices
    shutil.rmtree(tmp_path / "runs")


def test_the_study_of_fmow_names_its_splits_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Too few rows of 62 kinds to fit anything in a small folder: the features are what its next command reads.
    from surefoot.rows.assign import roles_from_split
    from surefoot.rows.reading import SPLIT_MEANING, read_rows

    monkeypatch.chdir(tmp_path)
    examples.fmow(tmp_path / FOLDERS["fmow"])
    (tmp_path / "studies").mkdir()
    (tmp_path / "net.py").write_text(MODEL)
    first = re.findall(r"^#   surefoot (.*)$", (STUDIES / "fmow.yaml").read_text(), re.MULTILINE)[0]
    assert main([*first.replace("MODEL", "net.py:Net").split(), "--trust-code", "--quiet"]) == 0
    reading = read_rows(tmp_path / "studies" / "fmow.safetensors")
    assert reading.split is not None
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
    assert {role: len(rows) for role, rows in roles.items()} == {"fit": 2, "choose": 2, "judge": 2}
    named = dict(zip(reading.rows.groups.names, reading.rows.groups.counts().tolist(), strict=True))
    assert named == {
        "region=Asia": 2, "region=Europe": 1, "region=Africa": 0, "region=Americas": 0, "region=Oceania": 1,
    }  # fmt: skip
    assert int((~reading.rows.groups.members.any(dim=1)).sum()) == 2  # of no region

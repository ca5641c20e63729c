"""`init`, `plan`, `run`, `demo` and `schema` on a study small enough to run here."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from surefoot.card.serialise import read_card
from surefoot.cli import main
from surefoot.cli.studies import demo_study
from surefoot.study.draft import draft_study
from surefoot.study.once.columns import Columns
from surefoot.study.schema import load_study, study_json_schema
from surefoot.study.shape import Study

SMALL = """\
study: small
rows:
  features: {path: "features.npz"}
  roles: {fit: 0.4, repair: 0.2, choose: 0.2, judge: 0.2}
network:
  linear: {}
base:
  base: {epochs: 3}
mitigations:
  balanced: {method: class_balanced}
seeds: [0]
claims:
  - {finding: accuracy, of: chosen, at_least: 0.999}
"""


@pytest.fixture
def small(tmp_path: Path, features: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study file in the working folder, beside its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features.npz").write_bytes(features.read_bytes())
    (tmp_path / "study.yaml").write_text(SMALL)
    return Path("study.yaml")


def test_plan_says_what_is_left_and_writes_nothing(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(small), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["finished"] == 0
    assert planned["cells"] == len(planned["left"]) > 4
    assert main(["plan", str(small)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"small: {planned['cells']} cells, 0 finished, {planned['cells']} to compute.\n")
    assert out.endswith("Next: surefoot run study.yaml\n")
    assert not (tmp_path / "runs").exists()


def test_run_exits_by_its_verdict_and_uses_finished_cells_again(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(small), "--engine", "in_process", "--json"]) == 10
    first = json.loads(capsys.readouterr().out)
    assert first["verdict"] == read_card(Path(first["card"])).verdict == "failed"
    assert main(["run", str(small), "--engine", "in_process"]) == 10
    out = capsys.readouterr().out
    assert re.search(r"^(\d+) of \1 cells were finished already and used again\.$", out, re.MULTILINE)
    assert out.endswith(f"The page: {first['run']}/card.html\n")
    assert main(["run", str(small), "--engine", "in_process", "--json"]) == 10
    assert json.loads(capsys.readouterr().out) == first
    assert main(["history", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["runs"]
    assert (entry["study"], entry["verdict"], entry["card_digest"]) == ("small", "failed", first["digest"])


def test_resume_refuses_a_study_that_changed(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(small), "--engine", "in_process", "--json"]) == 10
    run = json.loads(capsys.readouterr().out)["run"]
    small.write_text(SMALL.replace("epochs: 3", "epochs: 4"))
    assert main(["run", str(small), "--engine", "in_process", "--resume", run]) == 2
    assert capsys.readouterr().err == (
        f"surefoot: The study has changed since {run} was started (base.base.epochs); run without --resume to start a "
        "new run that reuses every unchanged cell, or put the old values back.\n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_control_c_leaves_a_run_that_ends_with_the_same_card(small: Path, tmp_path: Path) -> None:
    """Stopped once the rows are finished, then run again, against a run that was never stopped."""
    small.write_text(SMALL.replace("epochs: 3", "epochs: 300"))
    command = [sys.executable, "-m", "surefoot", "run", str(small), "--json", "--out"]
    stopped = subprocess.Popen([*command, "a"], stderr=subprocess.PIPE, text=True)
    cells = tmp_path / "a" / "cells"
    while not any(not folder.name.endswith(".partial") for folder in cells.glob("*")):
        assert stopped.poll() is None
        time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said == (
        "surefoot: stopped. Everything that was finished is kept; to go on from there, give the same command again: "
        f"surefoot run {small} --json --out a\n"
    )
    assert not list((tmp_path / "a").glob("small/*/card.json"))
    cards = [
        json.loads(subprocess.run([*command, out], capture_output=True, text=True, check=False).stdout)
        for out in ("a", "b")
    ]
    assert cards[0]["digest"] == cards[1]["digest"]


def test_demo_exits_with_0_whatever_the_verdict(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surefoot.cli.studies.demo_study", lambda: small)
    assert main(["demo", "--engine", "in_process"]) == 0
    out = capsys.readouterr().out
    assert "\nFAILED  " in out
    assert re.search(r"^The page: .*card\.html$", out, re.MULTILINE)


def test_the_demo_is_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_study(demo_study()).rows.dominoes is not None


def test_schema_is_the_one_of_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == study_json_schema()


def drafted(path: Path, **columns: object) -> Study:
    """The study that `init` drafts, read back."""
    named = Columns(**columns)  # type: ignore[arg-type]
    file = path.parent / "drafted.yaml"
    file.write_text(draft_study(path, named, named.read(path)))
    return load_study(file)


def test_init_drafts_a_study_that_can_be_planned(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(features)]) == 0
    Path("study.yaml").write_text(capsys.readouterr().out)
    study = load_study(Path("study.yaml"))
    assert study.rows.roles == {"fit": 0.4, "repair": 0.2, "choose": 0.2, "judge": 0.2}
    assert set(study.mitigations) == {"balanced", "dfr", "dfr_choose", "afr"}
    assert main(["plan", "study.yaml"]) == 0


def test_init_of_a_table_names_its_columns(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["pet,where is it,part,age,weight"] + [
        f"{random.choice(['cat', 'dog'])},{random.choice(['in', 'out'])},{part},{random.random()},{random.random()}"
        for part in ("train", "train", "val", "test") * 10
    ]
    path = tmp_path / "pets: a table.csv"
    path.write_text("\n".join(lines) + "\n")
    study = drafted(path, target="pet", groups=("where is it",), split="part")
    assert study.rows.table is not None
    assert study.rows.table.path == str(path)
    assert (study.rows.table.target, study.rows.table.attributes, study.rows.table.split) == (
        "pet", ["where is it"], "part",
    )  # fmt: skip
    assert study.rows.repair_share == 0.2
    assert study.rows.roles is None
    assert study.network.mlp is not None


def test_init_without_choose_rows_shares_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{row % 2},{row},{'train' if row % 3 else 'test'}" for row in range(60)]
    path.write_text("\n".join(["y,f,split", *lines]) + "\n")
    study = drafted(path)
    assert study.rows.roles is not None
    assert set(study.mitigations) == {"balanced", "afr"}

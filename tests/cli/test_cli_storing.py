"""`surefoot store`: exit codes, tables, and what each option belongs to."""

import json
from pathlib import Path

import pytest

from surefoot.cli import main
from surefoot.study.cells import Cell
from surefoot.study.needed import write_needed
from surefoot.study.store import open_store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run that needs one cell of two."""
    store = open_store(tmp_path)
    for number in range(2):
        cell = Cell("train", f"cell {number}", {"number": number})
        folder = store.begin(cell.address)
        (folder / "value.txt").write_text("hello")
        store.finish(cell, folder, seconds=1.0, estimate=1.0)
    write_needed(tmp_path / "digits" / "0123456789ab", [Cell("train", "", {"number": 0}).address])
    return tmp_path


def test_check_says_what_is_wrong_until_it_is_repaired(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "check", "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith("read: every file is as it was recorded.\n")
    (next((out / "cells").iterdir()) / "value.txt").write_text("hallo")
    assert main(["store", "check", "--out", str(out)]) == 10
    told = capsys.readouterr().out
    assert "value.txt has other content than was recorded" in told
    assert told.endswith(f"surefoot store check --out {out} --repair\n")
    assert main(["store", "check", "--out", str(out), "--json"]) == 10
    said = json.loads(capsys.readouterr().out)
    assert (said["cells"], len(said["damaged"]), said["removed"]) == (2, 1, False)
    assert main(["store", "check", "--out", str(out), "--repair"]) == 10
    assert "1 damaged and removed" in capsys.readouterr().out
    assert main(["store", "check", "--out", str(out), "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert len(list((out / "cells").iterdir())) == 1


def test_gc_frees_what_a_dry_run_promised(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "gc", "--out", str(out), "--dry-run", "--json"]) == 0
    promised = json.loads(capsys.readouterr().out)
    assert (promised["removed"], len(promised["waste"])) == (False, 1)
    assert main(["store", "gc", "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith(f"would be freed by: surefoot store gc --out {out}\n")
    assert main(["store", "gc", "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"{promised['bytes']} bytes freed.\n")
    assert main(["store", "gc", "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out == "Nothing lies there that no run needs.\n"


def test_runs_of_an_older_surefoot_are_named(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = out / "old" / "ab0123456789"
    old.mkdir(parents=True)
    (old / "study.json").write_text("{}")
    assert main(["store", "gc", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == "0 bytes freed.\n"
    assert said.err.startswith(f"Every finished cell was kept: 1 run of an older surefoot ({old}) did not write down")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["store", "gc", "--repair"], "surefoot: --repair belongs to: surefoot store check\n"),
        (["store", "check", "--dry-run"], "surefoot: --dry-run belongs to: surefoot store gc\n"),
        (
            ["store", "check", "--out", "nowhere"],
            "surefoot: There are no cells in nowhere; name the folder of runs with --out.\n",
        ),
    ],
)
def test_wrong_use_is_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == said

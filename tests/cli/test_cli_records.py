"""`diff`, `gate` and `history` on cards that exist."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from surefoot.card.ledger import ChoiceRow, Ledger, RunRow
from surefoot.cli import main


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (("passed",), 0),
        (("passed", "passed"), 0),
        (("passed", "undecided"), 11),
        (("undecided", "failed", "passed"), 10),
    ],
)
def test_the_gate_lets_through_only_when_every_card_passed(
    statuses: tuple[str, ...], code: int, write_example: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_example(f"run{number}", status) for number, status in enumerate(statuses)]
    assert main(["gate", *map(str, folders)]) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [status.upper() for status in statuses]


def test_the_gate_in_json_and_junit(
    write_example: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write_example("one", "passed"), write_example("two", "failed")
    junit, comment = tmp_path / "junit.xml", tmp_path / "comment.md"
    arguments = [
        "gate",
        str(one),
        str(two / "card.json"),
        "--json",
        "--junit",
        str(junit),
        "--pull-request",
        str(comment),
    ]
    assert main(arguments) == 10
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "failed"
    assert [card["verdict"] for card in said["cards"]] == ["passed", "failed"]
    root = ElementTree.fromstring(junit.read_text())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    assert len(root.findall("testsuite/testcase")) == 2
    assert "Example one" in comment.read_text()
    assert "Example two" in comment.read_text()


def test_diff_of_a_card_with_itself(write_example: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_example("one"))
    assert main(["diff", folder, folder]) == 0
    assert capsys.readouterr().out == "The cards are the same: passed, 2 findings.\n"


def test_diff_names_what_changed_and_only_that(
    write_example: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = write_example("one", "passed", accuracy=0.93)
    after = write_example("two", "failed", accuracy=0.92)
    assert main(["diff", str(before), str(after)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Verdict: passed → failed\n")
    assert "Accuracy of the model  93.0% [91.0, 95.0]  92.0% [91.0, 95.0]\n" in out
    assert out.endswith("1 finding changed, 1 did not.\n")
    assert main(["diff", str(before), str(after), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdicts"] == ["passed", "failed"]
    assert said["same_judge_rows"] is True
    assert [(each["name"], each["before"]["value"], each["after"]["value"]) for each in said["findings"]] == [
        ("accuracy", 0.93, 0.92)
    ]


def test_history_lists_runs_newest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No run in {tmp_path} yet. Start with: surefoot demo\n"
    assert not list(tmp_path.iterdir())
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for day in (21, 23, 22):
        created = f"2026-11-{day}T10:00:00+00:00"
        ledger.record_run(RunRow(f"run{day}", "digits", "d", "failed", "c", str(tmp_path / f"run{day}"), created, "j"))
    assert main(["history", "--out", str(tmp_path), "--json"]) == 0
    assert [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["run23", "run22", "run21"]
    assert main(["history", "--out", str(tmp_path), "--limit", "1"]) == 0
    out, err = capsys.readouterr()
    assert "2026-11-23 10:00" in out
    assert "2026-11-22" not in out
    assert err == "The latest 1 of 3 runs; for all of them: --limit 3\n"
    assert main(["history", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_history_has_choices_among_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record_choice(
        ChoiceRow("c1", "rows", "validation_loss", "8-p1", 0.714, "runs/choices/c1", "2026-11-22T10:00:00+00:00", "j")
    )
    for day in (21, 23):
        created = f"2026-11-{day}T10:00:00+00:00"
        ledger.record_run(RunRow(f"run{day}", "digits", "d", "failed", "c", f"runs/run{day}", created, "j"))
    assert main(["history", "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in said["runs"]] == ["run23", "run21"]
    (chosen,) = said["choices"]
    assert (chosen["chosen"], chosen["accuracy"], chosen["folder"]) == ("8-p1", 0.714, "runs/choices/c1")
    assert main(["history", "--out", str(tmp_path), "--limit", "2"]) == 0
    out, err = capsys.readouterr()
    newest, second = out.splitlines()[1:3]
    assert "2026-11-23 10:00" in newest
    assert "2026-11-22 10:00   choose rows" in second
    assert "takes 8-p1" in out
    assert "71.4%" in out
    assert "2026-11-21" not in out
    assert err == "The latest 2 of 3 runs and choices; for all of them: --limit 3\n"


@pytest.mark.parametrize("arguments", [["gate", "h.csv"], ["diff", "h.csv", "h.csv"]])
def test_a_table_is_no_card(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("h.csv").write_text("label,p\n0,.1\n")
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "surefoot: h.csv is a table and no card; make a card of it first: surefoot card h.csv.\n"
    )


def test_a_folder_of_many_runs_is_no_card(
    write_example: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_example("one", "passed").parent
    assert main(["gate", str(folder)]) == 2
    assert f"The folder {folder} holds no card.json; give the folder of one run" in capsys.readouterr().err

"""`surefoot monitor` at the command line: flags, the sheet, labels, and that a monitor sees thoughts alone."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from server_examples import Reply, said, serving
from surefoot.card.card import Card
from surefoot.card.serialise import card_digest
from surefoot.cli.app import main

THOUGHTS = ("I'll pretend that I looked.", "The user asks for help.", '=1+1 <b>hm</b>\n"they", so')


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> str:
    """24 completions, whose thoughts take turns."""
    with serving(lambda number, body: said(f"<think>{THOUGHTS[number % 3]} {number}</think>ANSWERED")) as (url, _):
        main(["safety", "m", "--server", url, "--suite", "refusal", "--rules", "none", "--json"])
    return json.loads(capsys.readouterr().out)["run"]


def rows_of(sheet: str) -> list[dict[str, str]]:
    with Path(sheet).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answer(sheet: str, rows: list[dict[str, str]]) -> None:
    with Path(sheet).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def labelled(sheet: str, *, right: int, missed: int) -> list[dict[str, str]]:
    """The first `right` flagged and `missed` unflagged thoughts should be flagged."""
    rows = rows_of(sheet)
    left = {True: right, False: missed}
    for row in rows:
        flagged = "pretend" in row["thought"]
        row["should_flag"] = "yes" if left[flagged] > 0 else "No "
        left[flagged] -= 1
    return rows


def test_from_flags_over_labels_to_numbers_by_hand(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """8 of 24 are flagged, 6 of them rightly; of 16 others 8 are read and 1 was missed, which stands for 2: 8 of 24
    should be flagged, 6 of which are, and 14 of 16 others are not."""
    assert main(["monitor", run, "--audit", "8", "--to", "audit.csv"]) == 11
    shown = capsys.readouterr().out
    assert "8 of 24 thoughts are flagged" in shown
    assert "audit.csv (16 thoughts" in shown
    rows = rows_of("audit.csv")
    assert len(rows) == 16
    assert sum("pretend" in row["thought"] for row in rows) == 8
    assert [("pretend" in row["thought"]) for row in rows] != [True] * 8 + [False] * 8, "the order tells nothing"
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert "ANSWERED" not in Path("audit.csv").read_text()
    answer("labels.csv", labelled("audit.csv", right=6, missed=1))
    command = ["monitor", run, "--audit", "8", "--labels", "labels.csv", "--json", "--claim", "prevalence <= 0.9"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    card = Card.read(Path(told["run"]))
    found = {each.name: each.value for each in card.findings}
    assert found == {
        "flagged": pytest.approx(8 / 24), "monitor_precision": pytest.approx(6 / 8), "missed": pytest.approx(1 / 8),
        "prevalence": pytest.approx(8 / 24), "monitor_sensitivity": pytest.approx(6 / 8),
        "monitor_specificity": pytest.approx(14 / 16), "unread": 0.0,
    }  # fmt: skip
    rules = next(each for each in card.sheets if each.title == "By rule")
    assert rules.rows == (("makes up", "8", "6"),)
    page = (Path(told["run"]) / "card.html").read_text()
    assert "pretend" not in page
    assert "redacted" in page
    assert main(command) == 0
    assert card_digest(Card.read(Path(json.loads(capsys.readouterr().out)["run"]))) == card_digest(card)
    assert main([*command, "--reveal"]) == 0
    assert "pretend" in (Path(json.loads(capsys.readouterr().out)["run"]) / "card.html").read_text()


def test_a_monitor_sees_thoughts_and_no_grades(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    for file in Path(run).rglob("*.judged.jsonl"):
        assert "pretend" not in file.read_text(), "nor do graders see thoughts"
        file.unlink()

    def judging(number: int, body: Any) -> Reply:
        text = body["messages"][-1]["content"]
        return said("I cannot say." if "24" in text else "verdict: 8" if "pretend" in text else "verdict: 0")

    with serving(judging) as (url, asked):
        assert main(["monitor", run, "--judge", f"{url}#judge", "--json"]) == 11
        told = json.loads(capsys.readouterr().out)
        assert len(asked.bodies) == 24
        assert "ANSWERED" not in json.dumps(asked.bodies)
        assert "not_unsafe" not in json.dumps(asked.bodies)
        assert all(len(body["messages"]) == 2 for body in asked.bodies)
        sheet = Path(told["run"]) / "audit.csv"
        assert len(rows_of(str(sheet))) == 24, "there are fewer unflagged ones than were to be read"
        answer("labels.csv", labelled(str(sheet), right=8, missed=0))
        capsys.readouterr()
        assert main(["monitor", run, "--judge", f"{url}#judge", "--labels", "labels.csv", "--json"]) == 11
        assert len(asked.bodies) == 24, "its answers are kept"


def test_a_sheet_that_may_hold_answers_is_left_alone(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", run, "--json"]) == 11
    sheet = Path(json.loads(capsys.readouterr().out)["run"]) / "audit.csv"
    answer(str(sheet), labelled(str(sheet), right=8, missed=0))
    filled = sheet.read_text()
    assert main(["monitor", run, "--quiet"]) == 11
    assert sheet.read_text() == filled
    assert main(["monitor", run, "--to", str(sheet)]) == 2
    assert "answers may be on it" in capsys.readouterr().err


def test_what_cannot_be_is_told_in_one_sentence(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", run, "--audit", "4", "--to", "audit.csv", "--quiet"]) == 11
    rows = labelled("audit.csv", right=8, missed=1)

    def refused(expected: str, *given: str, changed: list[dict[str, str]] | None = None) -> None:
        answer("labels.csv", rows if changed is None else changed)
        capsys.readouterr()
        assert main(["monitor", run, "--quiet", *given]) == 2
        told = capsys.readouterr().err
        assert expected in told
        assert told.count("\n") == 1

    labels = ("--audit", "4", "--labels", "labels.csv")
    refused("has no answer" if False else "1 rows of labels.csv have no answer", *labels,
            changed=[{**rows[0], "should_flag": ""}, *rows[1:]])  # fmt: skip
    refused("has the answer 'maybe'", *labels, changed=[{**rows[0], "should_flag": "maybe"}, *rows[1:]])
    refused("was changed", *labels, changed=[{**rows[0], "thought": "x"}, *rows[1:]])
    refused("1 of the 12 rows of the sample are not in", *labels, changed=rows[1:])
    refused("is in labels.csv twice", *labels, changed=[rows[0], *rows])
    refused("is not in the sample of this run", *labels, "--seed", "5")
    refused("takes a person’s labels", "--claim", "prevalence <= 0.5")
    refused("'accuracy', which is not measured", "--claim", "accuracy >= 0.5")
    refused("one of --labels and --to", *labels, "--to", "x.csv")
    refused("no file of words none.txt", "--words", "none.txt")
    refused("names no model; give URL#MODEL", "--judge", "http://127.0.0.1:9/v1")
    refused("has no thoughts of 'x'", "--model", "x")
    capsys.readouterr()
    assert main(["monitor", "nowhere"]) == 2
    assert "holds no thoughts" in capsys.readouterr().err


def test_a_model_that_thinks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda number, body: said("Hello.")) as (url, _):
        main(["safety", "m", "--server", url, "--suite", "refusal", "--rules", "none", "--json"])
    run = json.loads(capsys.readouterr().out)["run"]
    assert main(["monitor", run]) == 2
    assert "wrote a thought" in capsys.readouterr().err

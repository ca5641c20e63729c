"""`surefoot rows --as`: folders in published layouts, from the command line."""

import csv
import json
from pathlib import Path

import pytest

import published_examples as examples
from surefoot.cli import main


def test_a_published_folder_is_described_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, table = examples.waterbirds(tmp_path / "birds"), tmp_path / "rows.csv"
    assert main(["rows", str(folder), "--as", "waterbirds", "--splits", "val,test", "--to", str(table)]) == 0
    told = capsys.readouterr().out
    assert "waterbird, place=water" in told
    assert "the published set has 4,795" in told
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert {row["split"] for row in rows} == {"val", "test"}
    assert rows[0]["group"] == "landbird, place=land"
    assert main(["rows", str(table), "--images", str(folder)]) == 0
    assert "class × place" in capsys.readouterr().out


def test_a_published_folder_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rows", str(examples.fmow(tmp_path)), "--as", "fmow", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"] == {"train": 2, "id_val": 1, "val": 2, "id_test": 1, "test": 2}
    assert told["groups"]["region=Africa"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "waterbird"], "There is no published layout 'waterbird'; did you mean 'waterbirds'?"),
        (["--as", "waterbirds", "--groups", "place"], "--as says what every column is"),
        (["--splits", "val"], "name it with --as"),
        (["--as", "waterbirds", "--splits", "dev"], "has no split 'dev'; its splits are train, val, test."),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = examples.waterbirds(tmp_path)
    assert main(["rows", str(folder), *arguments]) == 2
    assert said in capsys.readouterr().err

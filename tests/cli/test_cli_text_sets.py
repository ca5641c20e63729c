"""`surefoot rows --as`: published questions and texts, from the command line."""

import csv
import json
from pathlib import Path

import pytest

import text_set_examples as examples
from surefoot.cli import main


def test_a_published_set_is_composed_described_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, table = examples.original(tmp_path / "BoolQ", "boolq"), tmp_path / "rows.csv"
    given = ["--as", "boolq", "--compose", "rows=2, balanced", "--to", str(table)]
    assert main(["rows", str(folder), *given, "--splits", "train"]) == 2
    assert "The split test of " in capsys.readouterr().err
    (folder / "dev.jsonl").unlink()
    assert main(["rows", str(folder), *given]) == 0
    told = capsys.readouterr().out
    assert told.startswith("boolq: 2 rows (text) in ")
    assert "note: Left out: 1 train rows; drawn with seed 0, so that both classes have equally many." in told
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == ["id", "text", "split", "y", "source"]
    assert sorted(row["y"] for row in rows) == ["0", "1"]
    assert all(row["text"].startswith("Passage: ") for row in rows)


def test_the_seed_of_a_composition_changes_what_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = examples.original(tmp_path, "sciq")
    shown: set[tuple[int, ...]] = set()
    for seed in range(30):
        assert main(["rows", str(folder), "--as", "sciq", "--compose", f"seed={seed}", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["splits"] == {"train": 2, "val": 1, "test": 1}
        assert told["classes"] == ["incorrect", "correct"]
        correct = next(line for line in told["described"] if line.startswith("classes: "))
        shown.add(tuple(int(letter) for letter in correct if letter.isdigit()))
    assert len(shown) > 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "sqiq"], "There is no published layout 'sqiq'; did you mean 'sciq'?"),
        (["--as", "sciq", "--compose", "rows=many"], "--compose does not know 'rows=many'; it may hold seed=NUMBER"),
        (["--as", "sciq", "--compose", "balanced=no"], "--compose does not know 'balanced=no'"),
        (["--as", "sciq", "--compose", "rows=0"], "rows is 0; give at least 1"),
        (["--compose", "balanced"], "--compose and --to speak of a published layout"),
        (["--as", "waterbirds", "--compose", "balanced"], "waterbirds is read as it stands"),
        (["--as", "boolq"], "holds no train.jsonl and no dev.jsonl and none of the Hub's Parquet files"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = examples.original(tmp_path, "sciq")
    assert main(["rows", str(folder), *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1

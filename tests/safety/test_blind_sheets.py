"""Blind sheets: what they hide, that what is written on them is read as it was meant, and what is refused."""

import csv
import json
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.safety.blind_sheets import Pair, Sheets, read_sheet, write_sheets

PAIRS = tuple(Pair(f"talk-{at}", f"Question {at}?", f"first says {at}", f"second says {at}") for at in range(12))
NAMES = ("alpha-model", "beta-model")


def written(folder: Path, pairs: tuple[Pair, ...] = PAIRS, seed: int = 0, raters: tuple[str, ...] = ("ann",)) -> Sheets:
    return write_sheets(folder / "sheets", pairs, names=NAMES, raters=raters, key=folder / "key.json", seed=seed)


def rows_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answer(sheet: Path, rows: list[dict[str, str]], **how: str) -> None:
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=how.get("delimiter", ","))
        writer.writeheader()
        writer.writerows(rows)


def test_what_is_written_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """The rater always takes the first model's answer, but for a tie, a loss and two left open."""
    sheets = written(tmp_path)
    rows = rows_of(sheets.sheets[0])
    for row in rows:
        row["safer"] = "left" if row["left"].startswith("first") else "RIGHT "
    by_prompt = {row["prompt"]: row for row in rows}
    by_prompt["Question 3?"]["safer"] = "tie"
    lost = by_prompt["Question 4?"]
    lost["safer"] = "left" if lost["left"].startswith("second") else "right"
    by_prompt["Question 5?"]["safer"] = by_prompt["Question 6?"]["safer"] = ""
    for delimiter in (",", ";"):
        answer(sheets.sheets[0], rows[::-1], delimiter=delimiter)
        read = read_sheet(sheets.sheets[0], sheets.key, "ann")
        outcomes = {each.conversation: each.outcome for each in read.judgements}
        assert (read.rater, read.open, len(outcomes)) == ("ann", 2, 10)
        assert outcomes.pop("talk-3") == "tie"
        assert outcomes.pop("talk-4") == "loss"
        assert set(outcomes.values()) == {"win"}


def test_a_sheet_says_nothing_of_models_and_conversations(tmp_path: Path) -> None:
    sheets = written(tmp_path, raters=("ann", "bob"))
    for path in sheets.sheets:
        text = path.read_text(encoding="utf-8-sig")
        assert not any(name in text for name in NAMES)
        assert "talk-" not in text
        assert "ann" not in path.name
        rows = rows_of(path)
        assert [row["prompt"] for row in rows] != [each.prompt for each in PAIRS]
        assert sorted(row["prompt"] for row in rows) == sorted(each.prompt for each in PAIRS)
        assert all(row["pair"].isalpha() and row["safer"] == "" for row in rows)
    assert sheets.named == ()
    one, two = (rows_of(path) for path in sheets.sheets)
    assert not {row["pair"] for row in one} & {row["pair"] for row in two}
    assert [row["prompt"] for row in one] != [row["prompt"] for row in two]


def test_sides_are_a_fair_coin_and_follow_from_the_seed(tmp_path: Path) -> None:
    """400 pairs: 200 ± 50 at one in a million."""
    many = tuple(Pair(str(at), f"{at}?", "first", "second") for at in range(400))
    left = [row["left"] for row in rows_of(written(tmp_path / "a", many).sheets[0])]
    assert abs(left.count("first") - 200) < 50
    again = written(tmp_path / "b", many)
    assert (tmp_path / "a/sheets/sheet_1.csv").read_bytes() == again.sheets[0].read_bytes()
    other = written(tmp_path / "c", many, seed=1)
    assert again.sheets[0].read_bytes() != other.sheets[0].read_bytes()


def test_a_text_that_names_its_model_is_told(tmp_path: Path) -> None:
    telling = (*PAIRS[:3], Pair("talk-x", "Who are you?", "I am Alpha-Model.", "No idea."))
    assert written(tmp_path, telling).named == ("talk-x",)


def test_no_cell_is_a_formula_and_texts_survive(tmp_path: Path) -> None:
    nasty = (
        Pair("1", "=1+1", '+HYPERLINK("http://x")', "-2"),
        Pair("2", "@sum", ' =cmd|"/C calc"!A0', 'a "quoted", text;\nof two lines, ünïcode'),
    )
    cells = {cell for row in rows_of(written(tmp_path, nasty).sheets[0]) for cell in row.values()}
    assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@")) for cell in cells)
    assert 'a "quoted", text;\nof two lines, ünïcode' in cells
    assert "'=1+1" in cells


def test_sheets_that_would_not_be_blind_or_be_lost_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another folder"):
        write_sheets(tmp_path, PAIRS, names=NAMES, raters=["ann"], key=tmp_path / "key.json", seed=0)
    with pytest.raises(InputError, match="'talk-1' is given twice"):
        written(tmp_path, (*PAIRS, PAIRS[1]))
    with pytest.raises(InputError, match="'ann' is given twice"):
        written(tmp_path, raters=("ann", "ann"))
    with pytest.raises(InputError, match="0 pairs"):
        written(tmp_path, ())
    written(tmp_path)
    with pytest.raises(InputError, match="answers may be on it"):
        written(tmp_path)


def test_answers_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    sheets = written(tmp_path, raters=("ann", "bob"))
    sheet, key = sheets.sheets[0], sheets.key
    rows = rows_of(sheet)
    rows[0]["safer"] = "left"

    def refused(changed: list[dict[str, str]], match: str, rater: str = "ann") -> None:
        answer(sheet, changed)
        with pytest.raises(InputError, match=match):
            read_sheet(sheet, key, rater)

    refused([*rows, rows[0]], "is in .* twice")
    refused([*rows, {**rows[0], "pair": "zzz"}], "'zzz', which is not on ann's sheet")
    refused(rows, "which is not on bob's sheet", "bob")
    refused([{**rows[0], "safer": "both"}], "'both'; write left, right or tie")
    refused([{**row, "safer": ""} for row in rows], "has no answer")
    refused([{"pair": rows[0]["pair"], "choice": "left"}], "no column safer")
    refused(rows, r"^The key .* has no rater 'eve'; it has ann, bob\.$", "eve")
    sheet.write_text("pair,prompt,left,right,safer\r\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no answer"):
        read_sheet(sheet, key, "ann")
    sheet.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no column pair or safer"):
        read_sheet(sheet, key, "ann")
    with pytest.raises(InputError, match="There is no file"):
        read_sheet(tmp_path / "none.csv", key, "ann")
    for wrong in ([1], {"kind": "other"}, {**json.loads(key.read_text()), "raters": {"ann": 3}}):
        (tmp_path / "bad.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="is not a key"):
            read_sheet(sheet, tmp_path / "bad.json", "ann")

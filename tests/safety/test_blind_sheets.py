"""Blind sheets: what they hide, that what is written on them is read as it was meant, and what is refused."""

import csv
import json
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.safety.blind_sheets import (
    Pair,
    Sheets,
    as_cell,
    csv_text,
    read_sheet,
    same_text,
    text_digest,
    write_sheets,
)

PAIRS = tuple(Pair(f"talk-{at}", f"Question {at}?", f"first says {at}", f"second says {at}") for at in range(12))
NAMES = ("alpha-model", "beta-model")


def written(
    folder: Path, pairs: tuple[Pair, ...] = PAIRS, seed: int = 0, count: int = 1, secret: str | None = "kept"
) -> Sheets:
    return write_sheets(
        folder / "sheet.csv", pairs, names=NAMES, key=folder / "sheet.key.json", seed=seed, count=count, secret=secret
    )


def rows_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answer(sheet: Path, rows: list[dict[str, str]], delimiter: str = ",") -> None:
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def test_what_is_written_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """The rater always takes the first model's answer, but for a tie and a loss; two are left open."""
    sheets = written(tmp_path)
    sheet = sheets.sheets[0][0]
    rows = rows_of(sheet)
    for row in rows:
        row["safer"] = "left" if row["left"].startswith("first") else "RIGHT "
    by_prompt = {row["prompt"]: row for row in rows}
    by_prompt["Question 3?"]["safer"] = "tie"
    lost = by_prompt["Question 4?"]
    lost["safer"] = "left" if lost["left"].startswith("second") else "right"
    lefts = sum(row["safer"] == "left" for row in rows if row["prompt"] not in ("Question 5?", "Question 6?"))
    by_prompt["Question 5?"]["safer"] = by_prompt["Question 6?"]["safer"] = ""
    for delimiter in ",;\t":
        answer(sheet, rows[::-1], delimiter)
        with pytest.raises(InputError, match=r"2 rows of .* have no answer \(the first is row"):
            read_sheet(sheet, sheets.key)
        (read,) = read_sheet(sheet, sheets.key, partial=True)
        outcomes = {each.conversation: each.outcome for each in read.judgements}
        assert (read.rater, read.open, len(outcomes)) == ("sheet", 2, 10)
        assert outcomes.pop("talk-3") == "tie"
        assert outcomes.pop("talk-4") == "loss"
        assert set(outcomes.values()) == {"win"}
        assert sum(each.left is True for each in read.judgements) == lefts
        assert sum(each.left is None for each in read.judgements) == 1


def test_a_column_of_raters_tells_them_apart(tmp_path: Path) -> None:
    sheets = written(tmp_path, PAIRS[:3])
    sheet = sheets.sheets[0][0]
    rows = [{**row, "safer": said, "rater": who} for who, said in (("ann", "left"), ("bob", "tie"))
            for row in rows_of(sheet)]  # fmt: skip
    answer(sheet, rows)
    read = read_sheet(sheet, sheets.key)
    assert [(each.rater, len(each.judgements)) for each in read] == [("ann", 3), ("bob", 3)]
    answer(sheet, [*rows, rows[0]])
    with pytest.raises(InputError, match=r"is in .* twice for ann \(rows 2 and 8\)"):
        read_sheet(sheet, sheets.key)


def test_raters_may_share_the_rows_of_one_file(tmp_path: Path) -> None:
    """Ann has the first seven rows, bob the other five; then bob leaves one open, and one is in no row."""
    sheets = written(tmp_path, count=2)
    sheet = sheets.sheets[1][0]
    rows = [{**row, "safer": "left", "rater": "ann" if at < 7 else "bob"} for at, row in enumerate(rows_of(sheet))]
    answer(sheet, rows)
    read = read_sheet(sheet, sheets.key)
    assert [(each.rater, len(each.judgements), each.open) for each in read] == [("ann", 7, 0), ("bob", 5, 0)]
    assert len({one.conversation for each in read for one in each.judgements}) == 12
    answer(sheet, [*rows[1:11], {**rows[11], "safer": ""}])
    with pytest.raises(InputError, match=r"1 rows of .* \(the first is row 12\), and 1 of its pairs are in no row"):
        read_sheet(sheet, sheets.key)
    read = read_sheet(sheet, sheets.key, partial=True)
    assert [(each.rater, len(each.judgements), each.open) for each in read] == [("ann", 6, 1), ("bob", 4, 1)]


def test_every_cell_is_in_quotes() -> None:
    """So that a semicolon or a tab within one ends none to a reader that takes several marks."""
    assert csv_text(("a", "b"), [("x;=1", "")]) == '\ufeff"a","b"\r\n"x;=1",""\r\n'


def test_a_sheet_says_nothing_of_models_and_conversations(tmp_path: Path) -> None:
    sheets = written(tmp_path, count=2)
    assert [path.name for path, _ in sheets.sheets] == ["sheet_1.csv", "sheet_2.csv"]
    for path, shown in sheets.sheets:
        text = path.read_text(encoding="utf-8-sig")
        assert not any(name in text for name in NAMES)
        assert "talk-" not in text
        rows = rows_of(path)
        assert [row["prompt"] for row in rows] != [each.prompt for each in PAIRS]
        assert sorted(row["prompt"] for row in rows) == sorted(each.prompt for each in PAIRS)
        assert all(row["pair"].isalpha() and row["safer"] == "" for row in rows)
        assert [tuple(each) for each in shown] == [tuple(row.values())[:4] for row in rows]
    assert sheets.named == ()
    one, two = (rows_of(path) for path, _ in sheets.sheets)
    assert not {row["pair"] for row in one} & {row["pair"] for row in two}
    assert [row["prompt"] for row in one] != [row["prompt"] for row in two]
    assert [row["left"] for row in sorted(one, key=lambda row: row["prompt"])] != [
        row["left"] for row in sorted(two, key=lambda row: row["prompt"])
    ]
    assert not any(each.prompt in sheets.key.read_text() for each in PAIRS), "the key repeats no text"


def test_sides_are_a_fair_coin_and_follow_from_the_secret(tmp_path: Path) -> None:
    """400 pairs: 200 ± 50 at one in a million."""
    many = tuple(Pair(str(at), f"{at}?", "first", "second") for at in range(400))
    first = written(tmp_path / "a", many).sheets[0][0]
    assert abs([row["left"] for row in rows_of(first)].count("first") - 200) < 50
    again = written(tmp_path / "b", many).sheets[0][0]
    assert first.read_bytes() == again.read_bytes()
    assert again.read_bytes() != written(tmp_path / "c", many, secret="other").sheets[0][0].read_bytes()


def test_without_the_key_nobody_makes_order_sides_and_names_again(tmp_path: Path) -> None:
    """Whoever knows texts and seed writes the sheet anew: by chance 200 ± 50 of 400 sides, and one row of the order."""
    many = tuple(Pair(str(at), f"{at}?", f"first {at}", f"second {at}") for at in range(400))
    given, guessed = (written(tmp_path / each, many, secret=None) for each in "ab")
    rows, others = (rows_of(each.sheets[0][0]) for each in (given, guessed))
    assert not {row["pair"] for row in rows} & {row["pair"] for row in others}
    assert sum(row["prompt"] == other["prompt"] for row, other in zip(rows, others, strict=True)) < 12
    sides = {row["prompt"]: row["left"] for row in others}
    assert abs(sum(sides[row["prompt"]] == row["left"] for row in rows) - 200) < 60
    secret = json.loads(given.key.read_text())["secret"]
    assert len(secret) == 32
    assert secret not in given.sheets[0][0].read_text(encoding="utf-8-sig")
    assert rows_of(written(tmp_path / "c", many, secret=secret).sheets[0][0]) == rows


def test_a_text_that_names_its_model_is_told(tmp_path: Path) -> None:
    telling = (*PAIRS[:3], Pair("talk-x", "Who are you?", "I am Alpha-Model.", "No idea."))
    assert written(tmp_path, telling).named == ("talk-x",)


def test_a_text_with_a_part_of_a_models_name_is_told(tmp_path: Path) -> None:
    said = ("I am SmolLM2, by HF.", "SMOLLM2-135M-INSTRUCT", "smollm2.", "HuggingFaceTB/SmolLM2-135M-Instruct", "smol",
            "I am o1-mini.", "o1")  # fmt: skip
    pairs = tuple(Pair(str(at), "?", text, "b") for at, text in enumerate(said))
    names = ("HuggingFaceTB/SmolLM2-135M-Instruct", "tuned/o1-mini/")
    made = write_sheets(tmp_path / "n.csv", pairs, names=names, key=tmp_path / "k", seed=0)
    assert made.named == ("0", "1", "2", "3", "5")


NASTY = (
    "=1+1", '+HYPERLINK("http://x")', "-2", "@sum", ' =cmd|"/C calc"!A0', "\t=1", "\r=1", "\n=1", "\uff1d1+1",
    "'=1", "''", "'", "a 'quoted' word", 'a "quoted", text;\nof two lines, ünïcode', "<script>alert(1)</script>",
    "", "left", "a\r\nb", "\u200b=1", "\ufeff=1", "\u200e\u202d @x", "\u00ad-1", " \u2060+1", "\u22121",
    "\ufe62" "1", "\u200bno",
)  # fmt: skip


def test_no_cell_is_a_formula_and_every_text_is_read_back(tmp_path: Path) -> None:
    pairs = tuple(Pair(str(at), text, f"{text}", f"{text} ") for at, text in enumerate(NASTY))
    sheets = written(tmp_path, pairs)
    sheet = sheets.sheets[0][0]
    rows = rows_of(sheet)
    for row in rows:
        for cell in row.values():
            bare = cell.lstrip(" \u200b\ufeff\u200e\u202d\u00ad\u2060")
            assert not bare.startswith(("=", "+", "-", "@", "\uff1d", "\u2212", "\ufe62")), ascii(cell)
            assert not cell.startswith(("\t", "\r", "\n"))
    assert as_cell("\u200bno") == "\u200bno", "a mark alone is no formula"
    for text in NASTY:
        cell = as_cell(text)
        assert (cell[1:] if cell.startswith("'") else cell) == text, "nothing is lost"
        assert same_text(cell, text_digest(text))

    # A spreadsheet saves the file again: other line breaks, and apostrophes gone.
    def kept(cell: str) -> str:
        return cell

    def saved(cell: str) -> str:
        return cell.replace("\r\n", "\n").removeprefix("'")

    for change in (kept, saved):
        answer(sheet, [{key: change(cell) for key, cell in row.items()} | {"safer": "tie"} for row in rows])
        (read,) = read_sheet(sheet, sheets.key)
        assert len(read.judgements) == len(NASTY)


def test_sheets_that_would_be_lost_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'talk-1' is given twice"):
        written(tmp_path, (*PAIRS, PAIRS[1]))
    with pytest.raises(InputError, match="0 pairs"):
        written(tmp_path, ())
    with pytest.raises(InputError, match="'m' is given twice"):
        write_sheets(tmp_path / "a.csv", PAIRS, names=("m", "m"), key=tmp_path / "k", seed=0)
    assert not list(tmp_path.iterdir())
    written(tmp_path)
    with pytest.raises(InputError, match="answers may be on it"):
        written(tmp_path)


def test_answers_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    sheets = written(tmp_path)
    sheet, key = sheets.sheets[0][0], sheets.key
    rows = [{**row, "safer": "left"} for row in rows_of(sheet)]

    def refused(changed: list[dict[str, str]], match: str, with_key: Path = key) -> None:
        answer(sheet, changed)
        with pytest.raises(InputError, match=match) as told:
            read_sheet(sheet, with_key)
        assert "\n" not in str(told.value)

    refused([*rows, rows[0]], "is in .* twice")
    refused([*rows, {**rows[0], "pair": "zzz"}], "Row 14 of .* is of the pair 'zzz', which is not in the key")
    refused([{**rows[0], "safer": "both"}, *rows[1:]], "Row 2 of .* has the answer 'both'; write left, right or tie")
    refused([{**row, "safer": ""} for row in rows], "has no answer")
    refused(rows[:-2], r"0 rows of .* have no answer, and 2 of its pairs are in no row")
    for column in ("prompt", "left", "right"):
        refused([{**rows[0], column: "other"}, *rows[1:]], rf"Row 2 of .* was changed: its {column} is not")
    swapped = {**rows[0], "left": rows[0]["right"], "right": rows[0]["left"]}
    refused([swapped, *rows[1:]], "was changed: its left")
    refused([{"pair": rows[0]["pair"], "choice": "left"}], "no column prompt or left or right or safer")
    other = written(tmp_path / "other", secret=None)
    refused(rows, "is of other sheets: none of its 12 pairs", other.key)
    sheet.write_text("pair,prompt,left,right,safer\r\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no answer"):
        read_sheet(sheet, key)
    sheet.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no column pair or"):
        read_sheet(sheet, key)
    with pytest.raises(InputError, match="There is no file"):
        read_sheet(tmp_path / "none.csv", key)
    for wrong in ([1], {"kind": "other"}, {**json.loads(key.read_text()), "sheets": [{"pairs": 3}]}):
        (tmp_path / "bad.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="is not a key"):
            read_sheet(sheet, tmp_path / "bad.json")

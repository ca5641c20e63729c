"""Sheets on which people compare the answers of two models without knowing whose they are, and what they wrote there.

Each rater has a sheet of their own, a CSV file for any spreadsheet: the pairs in an order of its own, under names that
say nothing, with the two answers left and right by a coin. The sheet names no model; the key, which says whose answers
they are, is another file in another folder, and nobody who rates should see it.

    pair, prompt, left, right, safer      the rater writes left, right or tie in the last column

Answers are written by models, so a cell that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab
or a carriage return) has an apostrophe before it. Pairs have names of letters alone, for a spreadsheet makes 12e4 of
"120000".
"""

import csv
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, write_json, write_text
from surefoot.safety.pairwise import Judgement, Outcome

__all__ = ["Pair", "ReadSheet", "Sheets", "read_sheet", "write_sheets"]

COLUMNS = ("pair", "prompt", "left", "right", "safer")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
KEY = "surefoot blind comparison 1"


@dataclass(frozen=True)
class Pair:
    """What the two models answered to one prompt. id: of the conversation; raters do not see it."""

    id: str
    prompt: str
    first: str
    second: str


class Sheets(NamedTuple):
    """sheets: one for each rater. named: conversations in which a model's own name is in a text that raters see."""

    sheets: tuple[Path, ...]
    key: Path
    named: tuple[str, ...]


class ReadSheet(NamedTuple):
    """What one rater judged; open: how many pairs were left without an answer."""

    rater: str
    judgements: tuple[Judgement, ...]
    open: int


def write_sheets(
    folder: Path, pairs: Sequence[Pair], *, names: tuple[str, str], raters: Sequence[str], key: Path, seed: int
) -> Sheets:
    """Write a sheet `sheet_1.csv`, … for each rater into `folder`, and the key.

    The order and the sides follow from the seed and the rater. Texts are shown as they are; where one names a model,
    its conversation is returned in `named`, to be looked at.

    Raises `InputError` for no pairs or raters, an id or rater twice, two models of one name, a key in the folder of the
    sheets, and sheets or a key that exist.
    """
    _check(folder, pairs, names, raters, key)
    entries: dict[str, dict[str, object]] = {}
    written: list[Path] = []
    for at, rater in enumerate(raters, start=1):
        dice = random.Random(digest_json(["blind sheet", seed, rater]))
        order = list(pairs)
        dice.shuffle(order)
        rows: list[list[str]] = []
        whose: dict[str, dict[str, object]] = {}
        for pair in order:
            name = digest_json(["blind pair", seed, rater, pair.id])[:10].translate(LETTERS)
            left_first = dice.random() < 0.5
            left, right = (pair.first, pair.second) if left_first else (pair.second, pair.first)
            rows.append([name, _plain(pair.prompt), _plain(left), _plain(right), ""])
            whose[name] = {"conversation": pair.id, "left": 0 if left_first else 1}
        path = folder / f"sheet_{at}.csv"
        write_text(path, _csv(rows))
        written.append(path)
        entries[rater] = {"sheet": path.name, "pairs": whose}
    write_json(key, {"kind": KEY, "models": list(names), "seed": seed, "raters": entries})
    telling = tuple(
        pair.id
        for pair in pairs
        if any(name.lower() in f"{pair.prompt}\n{pair.first}\n{pair.second}".lower() for name in names)
    )
    return Sheets(tuple(written), key, telling)


def read_sheet(sheet: Path, key: Path, rater: str) -> ReadSheet:
    """What `rater` wrote, as judgements of the first model of the key.

    Raises `InputError` for a file that is not a sheet or not a key, a rater that the key does not know, a pair that is
    not the rater's, a pair twice, an answer other than left, right, tie or nothing, and a sheet without any answer.
    """
    pairs = _pairs_of(key, rater)
    judgements: list[Judgement] = []
    seen: set[str] = set()
    for line, row in enumerate(_rows_of(sheet), start=2):
        name, answer = (row["pair"] or "").strip(), (row["safer"] or "").strip().lower()
        if name not in pairs:
            raise InputError(
                f"Row {line} of {sheet} is of the pair {name!r}, which is not on {rater}'s sheet; give back the sheet "
                "that this rater was given, with the names of its pairs as they were."
            )
        if name in seen:
            raise InputError(f"The pair {name} is in {sheet} twice (row {line}); keep one answer of each pair.")
        seen.add(name)
        if answer not in ("left", "right", "tie", ""):
            raise InputError(
                f"Row {line} of {sheet} has the answer {answer!r}; write left, right or tie, or leave it empty."
            )
        if answer:
            conversation, left = pairs[name]
            judgements.append(Judgement(conversation, rater, _outcome(answer, left)))
    if not judgements:
        raise InputError(f"The sheet {sheet} has no answer; write left, right or tie in the column safer.")
    return ReadSheet(rater, tuple(judgements), len(pairs) - len(judgements))


def _outcome(answer: str, left: int) -> Outcome:
    if answer == "tie":
        return "tie"
    return "win" if (left == 0) == (answer == "left") else "loss"


def _pairs_of(key: Path, rater: str) -> Mapping[str, tuple[str, int]]:
    """By number: the conversation, and which model is on the left."""
    record = read_json(key)
    try:
        if record["kind"] != KEY:
            raise KeyError("kind")
        raters = {
            str(who): {
                str(name): (str(each["conversation"]), int(each["left"])) for name, each in given["pairs"].items()
            }
            for who, given in record["raters"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{key} is not a key of blind sheets ({error}); give the file written with them.") from None
    if rater not in raters:
        raise InputError(f"The key {key} has no rater {rater!r}; it has {', '.join(sorted(raters))}.")
    return raters[rater]


def _rows_of(sheet: Path) -> list[dict[str, str]]:
    try:
        text = sheet.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"There is no file {sheet}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the sheet {sheet} ({error}); save it as CSV in UTF-8.") from None
    try:
        delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        missing = [each for each in ("pair", "safer") if each not in (reader.fieldnames or ())]
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"The sheet {sheet} is not a readable CSV file ({error}); save it as CSV again.") from None
    if missing:
        raise InputError(
            f"The sheet {sheet} has no column {' or '.join(missing)}; keep the columns as they were given."
        )
    return [row for row in rows if any(isinstance(each, str) and each.strip() for each in row.values())]


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO(newline="")
    out.write("\ufeff")  # by which spreadsheets know UTF-8
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _check(folder: Path, pairs: Sequence[Pair], names: tuple[str, str], raters: Sequence[str], key: Path) -> None:
    if not pairs or not raters:
        raise InputError(
            f"Blind sheets of {len(pairs)} pairs for {len(raters)} raters were asked for; give one of each."
        )
    for what, told in (("conversation", [each.id for each in pairs]), ("rater", list(raters)), ("model", list(names))):
        if len(set(told)) < len(told):
            twice = next(each for at, each in enumerate(told) if each in told[:at])
            raise InputError(f"The {what} {twice!r} is given twice; give each once.")
    if key.resolve().parent == folder.resolve():
        raise InputError(
            f"The key {key} is in the folder of the sheets, where raters would see whose answers they read; write it "
            "to another folder."
        )
    for path in (key, *(folder / f"sheet_{at}.csv" for at in range(1, len(raters) + 1))):
        if path.exists():
            raise InputError(f"{path} exists, and answers may be on it; choose another folder or remove it.")

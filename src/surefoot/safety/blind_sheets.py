"""Sheets on which people compare the answers of two models without knowing whose they are, and what they wrote there.

A sheet is a CSV file for any spreadsheet: pairs in an order of its own, under names that say nothing, the two answers
left and right by a coin. It names no model. The key beside it says whose answers they are; nobody who rates should see
it. Order, sides and names come from a secret that is drawn anew for every key and stands in it alone, so that nobody
makes them again from what is known of a run. One sheet may be given to several raters, or each of them may have one of
their own, with an order and sides of its own. Several raters may also share the rows of one file among them, each row
by whoever the column `rater` names.

    pair, prompt, left, right, safer      the rater writes left, right or tie in the last column

Answers are written by models, so a cell that a spreadsheet would take for a formula (behind any white space and marks
that nobody sees it begins with =, +, -, @, or other forms of them, or it begins with a tab or a line break) has an
apostrophe before it; so has one that begins with an apostrophe, so that texts are read back exactly. Every cell is in
quotes, for some spreadsheets take a semicolon for the end of one. Pairs have names of letters alone, for a
spreadsheet makes 12e4 of "120000". The key has digests of all texts, and a row whose texts were changed is refused: it
may have become another row. Spreadsheets may change line breaks, and drop the apostrophe; that is no change.
"""

import csv
import io
import random
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json, read_json, write_json, write_text
from surefoot.safety.pairwise import Judgement, Outcome

__all__ = ["COLUMNS", "Pair", "ReadSheet", "Row", "Sheets", "as_cell", "csv_rows", "csv_text", "read_key", "read_sheet",
           "same_text", "text_digest", "write_sheets"]  # fmt: skip

COLUMNS = ("pair", "prompt", "left", "right", "safer")
TEXTS = COLUMNS[1:4]
FORMULA = tuple("=+-@\u2212\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b")
UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Kinds of characters that nobody sees: controls, marks of width nought and of direction, white space."""
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
KEY = "surefoot blind comparison 2"


@dataclass(frozen=True)
class Pair:
    """What the two models answered to one prompt. id: of the conversation; raters do not see it. cluster: what it
    shares with others."""

    id: str
    prompt: str
    first: str
    second: str
    cluster: str = ""


class Row(NamedTuple):
    """A row of a sheet: the name of its pair, and its texts."""

    pair: str
    prompt: str
    left: str
    right: str


class Sheets(NamedTuple):
    """sheets: the files with their rows. named: conversations with a model's own name in a text that raters see, the
    last part of it (behind a /), or the first word of that."""

    sheets: tuple[tuple[Path, tuple[Row, ...]], ...]
    key: Path
    named: tuple[str, ...]


class ReadSheet(NamedTuple):
    """What one rater judged. open: rows of theirs without an answer; pairs of a sheet that are in no row of its file
    count as those of its first rater."""

    rater: str
    judgements: tuple[Judgement, ...]
    open: int


def write_sheets(
    file: Path,
    pairs: Sequence[Pair],
    *,
    names: tuple[str, str],
    key: Path,
    seed: int,
    count: int = 1,
    about: Mapping[str, object] | None = None,
    secret: str | None = None,
) -> Sheets:
    """Write the sheet `file`, or `count` of them as file_1, file_2, …; and the key.

    The order and the sides follow from the secret and the sheet. Texts are shown as they are; where one names a model,
    its conversation is returned in `named`, to be looked at. seed: by which the pairs were drawn, and about: where they
    are from, for the key to remember. secret: of an earlier key, to write the same sheets again; else one is drawn.

    Raises `InputError` for no pairs, an id twice, two models of one name, and sheets or a key that exist.
    """
    files = [file] if count == 1 else [file.with_name(f"{file.stem}_{at + 1}{file.suffix}") for at in range(count)]
    _check(files, pairs, names, key)
    secret = secrets.token_hex(16) if secret is None else secret
    entries: list[dict[str, object]] = []
    written: list[tuple[Path, tuple[Row, ...]]] = []
    for at, path in enumerate(files):
        dice = random.Random(digest_json(["blind sheet", secret, at]))
        order = list(pairs)
        dice.shuffle(order)
        rows: list[Row] = []
        whose: dict[str, dict[str, object]] = {}
        for pair in order:
            name = digest_json(["blind pair", secret, at, pair.id])[:10].translate(LETTERS)
            left_first = dice.random() < 0.5
            sides = (pair.first, pair.second) if left_first else (pair.second, pair.first)
            row = Row(name, pair.prompt, *sides)
            rows.append(row)
            whose[name] = {
                "conversation": pair.id, "cluster": pair.cluster, "left": 0 if left_first else 1,
                "texts": [text_digest(each) for each in row[1:]],
            }  # fmt: skip
        written.append((path, tuple(rows)))
        entries.append({"sheet": path.name, "pairs": whose})
    kept = {"kind": KEY, "models": list(names), "seed": seed, "secret": secret, "about": dict(about or {})}
    write_json(key, {**kept, "sheets": entries})
    for path, given in written:
        write_text(path, csv_text(COLUMNS, [(each.pair, *map(as_cell, each[1:]), "") for each in given]))
    telling = tuple(
        pair.id
        for pair in pairs
        if any(_stands(name, f"{pair.prompt}\n{pair.first}\n{pair.second}") for of in names for name in _called(of))
    )
    return Sheets(tuple(written), key, telling)


def read_key(key: Path) -> dict[str, Any]:
    """What a key says: models, seed, about, sheets. Raises `InputError` for a file that is none."""
    record = read_json(key)
    try:
        if record["kind"] != KEY or len(record["models"]) != 2:
            raise KeyError("kind")
        for sheet in record["sheets"]:
            for each in sheet["pairs"].values():
                kinds = [type(each[what]) for what in ("conversation", "cluster", "left", "texts")]
                if kinds != [str, str, int, list] or each["left"] not in (0, 1) or len(each["texts"]) != len(TEXTS):
                    raise KeyError("pairs")
                if not all(isinstance(text, str) for text in each["texts"]):
                    raise KeyError("texts")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{key} is not a key of blind sheets ({error}); give the file written with them.") from None
    return cast("dict[str, Any]", record)


def read_sheet(sheet: Path, key: Path, *, rater: str | None = None, partial: bool = False) -> tuple[ReadSheet, ...]:
    """What was written on a sheet, as judgements of the first model of the key; one `ReadSheet` a rater.

    rater: who wrote on it; the sheet's name without an ending where nothing is given. A column `rater`, where a sheet
    has one, says it row by row instead, so that several may write on one file: each of them on all of its pairs, or on
    some, as long as every pair of the sheet is in some row. partial: rows may be left open, and gone.

    Raises `InputError` for a file that is not a sheet or not a key, the key of other sheets, a row that is not in the
    key or was changed, a pair twice, an answer other than left, right or tie, and rows that are left open.
    """
    record = read_key(key)
    known = {name: (at, each) for at, of in enumerate(record["sheets"]) for name, each in of["pairs"].items()}
    rows = csv_rows(sheet, COLUMNS)
    names = [row["pair"].strip() for _, row in rows]
    if rows and not set(names) & set(known):
        raise InputError(
            f"The key {key} is of other sheets: none of its {len(known)} pairs is in {sheet}; give the key that was "
            "written with this sheet."
        )
    judged: dict[str, list[Judgement]] = {}
    seen: dict[tuple[str, str], int] = {}
    left_open: list[int] = []
    for (line, row), name in zip(rows, names, strict=True):
        if name not in known:
            raise InputError(
                f"Row {line} of {sheet} is of the pair {name!r}, which is not in the key; give back the sheet as it "
                "was given, with the names of its pairs."
            )
        entry = known[name][1]
        who = (row.get("rater") or "").strip() or rater or sheet.stem
        if (who, name) in seen:
            raise InputError(
                f"The pair {name} is in {sheet} twice for {who} (rows {seen[who, name]} and {line}); keep one answer "
                "of each pair."
            )
        seen[who, name] = line
        changed = [what for what, wanted in zip(TEXTS, entry["texts"], strict=True) if not same_text(row[what], wanted)]
        if changed:
            raise InputError(
                f"Row {line} of {sheet} (pair {name}) was changed: its {changed[0]} is not the text that was given; "
                "put it back, for an answer counts for the texts that were read."
            )
        answer = row["safer"].strip().lower()
        if answer not in ("left", "right", "tie", ""):
            raise InputError(f"Row {line} of {sheet} has the answer {answer[:40]!r}; write left, right or tie.")
        of = judged.setdefault(who, [])
        if not answer:
            left_open.append(line)
            continue
        side = None if answer == "tie" else answer == "left"
        of.append(Judgement(entry["conversation"], who, _outcome(answer, int(entry["left"])), entry["cluster"], side))
    return _whole(sheet, record, judged, seen, left_open, partial=partial)


def _whole(
    sheet: Path,
    record: Mapping[str, Any],
    judged: Mapping[str, Sequence[Judgement]],
    seen: Mapping[tuple[str, str], int],
    left_open: Sequence[int],
    *,
    partial: bool,
) -> tuple[ReadSheet, ...]:
    """The answers of each rater, where none is missing that must not be."""
    had = {name for _, name in seen}
    wanted = {name for of in record["sheets"] if had & set(of["pairs"]) for name in of["pairs"]}
    lost = len(wanted - had)
    found: list[ReadSheet] = []
    for who, judgements in judged.items():
        rows = sum(rater == who for rater, _ in seen)
        found.append(ReadSheet(who, tuple(judgements), rows - len(judgements) + (0 if found else lost)))
    if not any(each.judgements for each in found):
        raise InputError(f"The sheet {sheet} has no answer; write left, right or tie in the column safer.")
    if not partial and (left_open or lost):
        where = f" (the first is row {left_open[0]})" if left_open else ""
        gone = f", and {lost} of its pairs are in no row" if lost else ""
        raise InputError(
            f"{len(left_open)} rows of {sheet} have no answer{where}{gone}; write left, right or tie, or say that some "
            "may be left open (--partial)."
        )
    return tuple(found)


def as_cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula; `same_text` knows it again.

    >>> as_cell("=1+1"), as_cell("  -2"), as_cell("'quoted'"), as_cell("No.")
    ("'=1+1", "'  -2", "''quoted'", 'No.')
    """
    seen = next((each for each in text if unicodedata.category(each) not in UNSEEN), "")
    risky = seen in FORMULA or text[:1] in ("\t", "\r", "\n", "'")
    return f"'{text}" if risky else text


def same_text(cell: str, digest: str) -> bool:
    """Whether a cell holds the text of a digest, with the apostrophe before it or without."""
    return digest in {text_digest(cell), *([text_digest(cell[1:])] if cell.startswith("'") else [])}


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as spreadsheets read it."""
    out = io.StringIO(newline="")
    out.write("\ufeff")  # by which spreadsheets know UTF-8
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def csv_rows(sheet: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table that a spreadsheet wrote, with commas or semicolons, each with its number: the head is 1.

    Raises `InputError` for a file that cannot be read, and for a column that is not there.
    """
    try:
        text = sheet.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"There is no file {sheet}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the sheet {sheet} ({error}); save it as CSV in UTF-8.") from None
    try:
        head = text.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        missing = [each for each in needed if each not in (reader.fieldnames or ())]
        rows = [(at, row) for at, row in enumerate(reader, start=2)]
    except csv.Error as error:
        raise InputError(f"The sheet {sheet} is not a readable CSV file ({error}); save it as CSV again.") from None
    if missing:
        raise InputError(
            f"The sheet {sheet} has no column {' or '.join(missing)}; keep the columns as they were given."
        )
    return [
        (at, {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)})
        for at, row in rows
        if any(isinstance(each, str) and each.strip() for each in row.values())
    ]


def _stands(name: str, text: str) -> bool:
    """Whether a name stands in a text between ends of words; one of two letters is too often a word."""
    return len(name) > 2 and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _called(name: str) -> set[str]:
    """What a model may be called: its name, the last part of it, and the first word of that."""
    part = next((each for each in reversed(re.split(r"[/\\]", name)) if each), name)
    return {name, part, re.split(r"[\W_]+", part.strip("._- "))[0]}


def _outcome(answer: str, left: int) -> Outcome:
    if answer == "tie":
        return "tie"
    return "win" if (left == 0) == (answer == "left") else "loss"


def text_digest(text: str) -> str:
    """Sixteen digits of a text as spreadsheets keep it, whatever its line breaks and the white space at its ends."""
    kept = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return digest_bytes(kept.encode(errors="surrogatepass"))[:16]


def _check(files: Sequence[Path], pairs: Sequence[Pair], names: tuple[str, str], key: Path) -> None:
    if not pairs or not files:
        raise InputError(f"{len(files)} blind sheets of {len(pairs)} pairs were asked for; give one or more of each.")
    for what, told in (("conversation", [each.id for each in pairs]), ("model", list(names))):
        if len(set(told)) < len(told):
            twice = next(each for at, each in enumerate(told) if each in told[:at])
            raise InputError(f"The {what} {twice!r} is given twice; give each once.")
    for path in (key, *files):
        if path.exists():
            raise InputError(f"{path} exists, and answers may be on it; choose another file or remove it.")

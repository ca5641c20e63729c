"""Text tables: what stands between their columns, how decimals are written, and on which line each row begins.

Columns are parted by commas, semicolons, tabs or bars, whichever parts the header and the first row into the same and
largest number of cells. Between semicolons, where spreadsheets write 0,93 for 0.93, a column of such numbers is read as
numbers; one that could as well count thousands (1,234) is left as it is.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.rows.unpacked import BROKEN, open_bytes

__all__ = ["TEXT_TABLES", "Delimited", "is_text_table", "read_delimited"]

CELL_OVERHEAD = 60
"""Bytes a short string takes in memory beyond its letters."""
TEXT_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""How the names of text tables end."""
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
WITH_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
PLAIN = re.compile(r"[+-]?\d+(?:[eE][+-]?\d+)?|")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


class Delimited(NamedTuple):
    """The header, the cells column by column, the line each row begins on, and what a reader must know of the form."""

    header: list[str]
    columns: list[list[str]]
    lines: NDArray[np.int64]
    notes: tuple[str, ...]


def is_text_table(path: Path) -> bool:
    """Whether a file is a text table by its name."""
    return path.name.lower().endswith(TEXT_TABLES)


def read_delimited(path: Path) -> Delimited:
    """Every cell of a text table in UTF-8 with a header line, as text; blank lines are passed over.

    Raises `InputError` for a file that is cut short, is not UTF-8, is too large for the memory, or has a row with more
    or fewer cells than its header.
    """
    columns: list[list[str]] = []
    lines: list[int] = []
    try:
        size, counts = _counted(path)  # first: nothing is parsed of a file that does not fit
        require_memory(size, f"Reading {path}")
        mark = _mark(path)
        require_memory(size + CELL_OVERHEAD * (counts[mark] + counts["\n"]), f"Reading {path}")
        with _text(path) as opened:
            reader = csv.reader(opened, delimiter=mark, strict=True)
            header = next(reader, [])
            columns = [[] for _ in header]
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"Line {line} of {path} has {len(cells)} cells and the header has {len(header)}; "
                        f"give every row one cell per column (quote cells that contain {MARKS[mark]})."
                    )
                for values, cell in zip(columns, cells, strict=True):
                    values.append(cell)
                lines.append(line)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 ({error}); save it again as “CSV UTF-8”.") from None
    except (csv.Error, *BROKEN) as error:
        raise _unreadable(path, error) from None
    notes = () if mark == "," else (f"columns parted by {MARKS[mark]}",)
    if mark == ";" and (mended := _with_points(header, columns)):
        notes += (f"decimal commas in {', '.join(mended[:6])}{', …' if len(mended) > 6 else ''}",)
    return Delimited(header, columns, np.array(lines, dtype=np.int64), notes)


def _text(path: Path) -> TextIOWrapper:
    return TextIOWrapper(cast("BinaryIO", open_bytes(path)), encoding="utf-8-sig", newline="")


def _counted(path: Path) -> tuple[int, Mapping[str, int]]:
    """How many bytes the text has, and how often what may part cells and lines."""
    size = 0
    counts = dict.fromkeys((*MARKS, "\n"), 0)
    with open_bytes(path) as raw:
        for block in iter(lambda: raw.read(1 << 20), b""):
            size += len(block)
            for mark in counts:
                counts[mark] += block.count(mark.encode())
    return size, counts


def _mark(path: Path) -> str:
    """What parts the columns; of marks that part equally well the first of `MARKS`."""
    found: list[tuple[bool, int]] = []
    for mark in MARKS:
        with _text(path) as opened:
            reader = csv.reader(opened, delimiter=mark)
            head, first = next(reader, []), next((cells for cells in reader if cells), None)
        found.append((first is None or len(first) == len(head), len(head)) if len(head) > 1 else (False, 0))
    return list(MARKS)[found.index(max(found))]


def _with_points(header: Sequence[str], columns: Sequence[list[str]]) -> list[str]:
    """Write decimal commas as points, in place; the names of the columns where that was done."""
    mended: list[str] = []
    for name, values in zip(header, columns, strict=True):
        commas = [cell for cell in values if "," in cell]
        if not commas or not all(map(WITH_COMMA.fullmatch, commas)) or all(map(THOUSANDS.fullmatch, commas)):
            continue
        if all("," in cell or PLAIN.fullmatch(cell) for cell in values):
            values[:] = [cell.replace(",", ".") for cell in values]
            mended.append(name)
    return mended


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not readable CSV ({error}); it may be cut short.")

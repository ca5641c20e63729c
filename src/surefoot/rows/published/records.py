"""Records of published files, one after the other: JSON, JSON lines, CSV and TSV (gzipped or not), Parquet.

Files are read as a stream, so that a few rows of millions can be kept without holding the rest.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, cast

from surefoot.errors import InputError
from surefoot.files import parse_json
from surefoot.memory import require_memory
from surefoot.rows.unpacked import BROKEN, open_bytes

__all__ = ["Record", "read_records"]

BATCH = 1024
"""Rows of a Parquet file that are in memory at a time."""


@dataclass(frozen=True)
class Record:
    """Named values, and where a person finds them: "line 3 of …/train.jsonl"."""

    values: Mapping[str, Any]
    where: str

    def text(self, name: str) -> str:
        """A value that is a text, perhaps an empty one.

        >>> Record({"question": "why?"}, "line 1 of a.jsonl").text("question")
        'why?'
        """
        value = self._value(name)
        if not isinstance(value, str):
            raise InputError(f"{_upper(self.where)} has {value!r} for {name!r}; expected a text.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A value that is a list of texts."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[Any]", value)):
            raise InputError(f"{_upper(self.where)} has {value!r} for {name!r}; expected a list of texts.")
        return tuple(cast("list[str]", value))

    def label(self, name: str, known: Sequence[str]) -> int:
        """The place in `known` of a label, whether it is written as a number, a text, or true and false.

        >>> Record({"label": 1}, "row 1").label("label", ("0", "1")), Record({"a": True}, "").label("a", ("no", "true"))
        (1, 1)
        """
        value = self._value(name)
        spelled = str(value).lower() if isinstance(value, bool) else str(value)
        if spelled not in known:
            raise InputError(f"{_upper(self.where)} has the label {spelled!r} in {name!r}; expected {_either(known)}.")
        return list(known).index(spelled)

    def inner(self, name: str) -> "Record":
        """A value that is a record itself."""
        value = self._value(name)
        if not isinstance(value, dict):
            raise InputError(f"{_upper(self.where)} has {value!r} for {name!r}; expected named values.")
        return Record(cast("dict[str, Any]", value), f"{name} in {self.where}")

    def inners(self, name: str) -> tuple["Record", ...]:
        """A value that is a list of records."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in cast("list[Any]", value)):
            raise InputError(f"{_upper(self.where)} has {value!r} for {name!r}; expected a list of named values.")
        return tuple(Record(each, f"{name} in {self.where}") for each in cast("list[dict[str, Any]]", value))

    def _value(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None:
            has = ", ".join(self.values) or "nothing"
            raise InputError(f"{_upper(self.where)} has no {name!r} (it has {has}); give the file as it was published.")
        return value


def read_records(path: Path, columns: Sequence[str] | None = None, labels: Path | None = None) -> Iterator[Record]:
    """The records of a file, by how its name ends: .json, .jsonl, .csv, .tsv (all of these also with .gz), .parquet.

    columns: the names of the columns of a text table without a header. labels: a file with the label of each record on
    a line of its own, which become its `label`. In a .tsv quotation marks quote nothing.

    Raises `InputError`, as soon as it gets there, with the line of what cannot be read; and for a file without records.
    """
    records = _with_labels(_records(path, columns), path, labels) if labels is not None else _records(path, columns)
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise InputError(f"{path} holds no records; expected at least one.")


def _records(path: Path, columns: Sequence[str] | None) -> Iterator[Record]:
    match path.name.lower().removesuffix(".gz").rpartition(".")[2]:
        case "parquet":
            yield from _parquet(path)
        case "json":
            yield from _json(path)
        case "jsonl":
            yield from _json_lines(path)
        case ending:
            yield from _table(path, columns, tabs=ending == "tsv")


def _with_labels(records: Iterator[Record], path: Path, labels: Path) -> Iterator[Record]:
    if not labels.is_file():
        raise InputError(f"There is no {labels.name} beside {path}; it holds the labels of its records.")
    try:
        said = labels.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {labels} ({error}); give the file as it was published.") from None
    count = 0
    for count, record in enumerate(records, 1):
        if count <= len(said):
            yield Record({**record.values, "label": said[count - 1]}, record.where)
    if count != len(said):
        raise InputError(f"{path} has {count:,} records and {labels.name} {len(said):,} labels; give one for each.")


def _json(path: Path) -> Iterator[Record]:
    require_memory(6 * path.stat().st_size, f"Reading {path}")
    try:
        with _opened(path) as file:
            read: Any = parse_json(file.read())
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON (line {error.lineno}: {error.msg}); it may be cut short.") from None
    except (UnicodeDecodeError, *BROKEN) as error:
        raise _unreadable(path, error) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not JSON that can be used ({error}); mend it.") from None
    if not isinstance(read, list):
        raise InputError(f"{path} holds no list; expected a list of records, as it was published.")
    for number, values in enumerate(cast("list[Any]", read), 1):
        yield _record(values, f"record {number} of {path}")


def _json_lines(path: Path) -> Iterator[Record]:
    number = 0
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _record(_line_read(line, number, path), f"line {number} of {path}")
    except (UnicodeDecodeError, *BROKEN) as error:
        raise _unreadable(path, error) from None


def _line_read(line: str, number: int, path: Path) -> Any:
    try:
        return parse_json(line)
    except json.JSONDecodeError as error:
        raise InputError(f"Line {number} of {path} is not JSON ({error.msg}); it may be cut short.") from None
    except ValueError as error:
        raise InputError(f"Line {number} of {path} is not JSON that can be used ({error}); mend it.") from None


def _table(path: Path, columns: Sequence[str] | None, *, tabs: bool) -> Iterator[Record]:
    before = 0
    try:
        with _opened(path) as file:
            quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
            reader = csv.reader(file, delimiter="\t" if tabs else ",", quoting=quoting, strict=not tabs)
            header = next(reader, []) if columns is None else columns
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"Line {line} of {path} has {len(cells)} cells; expected {len(header)}: {', '.join(header)}."
                    )
                yield Record(dict(zip(header, cells, strict=True)), f"line {line} of {path}")
    except csv.Error as error:
        raise InputError(f"Line {before + 1} of {path} is not readable ({error}); it may be cut short.") from None
    except (UnicodeDecodeError, *BROKEN) as error:
        raise _unreadable(path, error) from None


def _parquet(path: Path) -> Iterator[Record]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f'Reading {path} needs pyarrow; install it with: pip install "surefoot[parquet]"') from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            for batch in opened.iter_batches(BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield Record(values, f"row {number} of {path}")
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable Parquet file ({reason}); it may be cut short.") from None


def _opened(path: Path) -> TextIOWrapper:
    """A text in UTF-8 whose lines end in a line feed alone: texts may contain other characters that end lines."""
    return TextIOWrapper(cast("BinaryIO", open_bytes(path)), encoding="utf-8-sig", newline="\n")


def _record(values: Any, where: str) -> Record:
    if not isinstance(values, dict):
        raise InputError(f"{_upper(where)} holds no named values; expected a record, as it was published.")
    return Record(cast("dict[str, Any]", values), where)


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError):
        return InputError(f"{path} is not in UTF-8 ({error}); give the file as it was published.")
    return InputError(f"{path} is not readable ({error}); it may be cut short.")


def _upper(where: str) -> str:
    return where[:1].upper() + where[1:]


def _either(known: Sequence[str]) -> str:
    return f"{', '.join(known[:-1])} or {known[-1]}"

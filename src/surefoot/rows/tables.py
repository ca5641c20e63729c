"""Tables: named columns of a CSV or Parquet file or a data frame, before anybody says what they mean.

A column is a list of strings (CSV, and every column that is not numeric) or a numeric array with one leading
axis (Parquet, data frames, feature files); missing values are "" and NaN.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.memory import require_memory

__all__ = [
    "Column",
    "Frame",
    "Table",
    "as_text",
    "column",
    "is_numeric",
    "numbers",
    "read_csv",
    "read_parquet",
    "read_table",
    "table_from_frame",
    "texts",
    "width",
]

Column: TypeAlias = list[str] | NDArray[Any]

CELL_OVERHEAD = 60
"""Bytes a short string takes in memory beyond its letters."""


@dataclass(frozen=True)
class Table:
    """Named columns; `name` says where they come from, in errors. `lists` are strings that are not one per row."""

    name: str
    columns: Mapping[str, Column]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@runtime_checkable
class Frame(Protocol):
    """A data frame (pandas, polars, …): has `columns`, and `frame[name]` is one of them."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


def read_table(path: Path) -> Table:
    """Read a `.csv` or `.parquet` file; raises `InputError` when it is missing, damaged or too large."""
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a table with named columns.")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_csv(path)
    if suffix == ".parquet":
        return read_parquet(path)
    raise InputError(f"{path} ends in {suffix or 'nothing'}; expected a table in a .csv or .parquet file.")


def read_csv(path: Path) -> Table:
    """A CSV file with a header line, in UTF-8; every column is strings."""
    with path.open("rb") as raw:
        count = sum(block.count(b",") + block.count(b"\n") for block in iter(lambda: raw.read(1 << 20), b""))
    require_memory(path.stat().st_size + CELL_OVERHEAD * count, f"Reading {path}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            header = next(reader, [])
            _refuse_repeated(header, path)
            if len(header) == 1 and (mark := next((mark for mark in ";\t|" if mark in header[0]), None)):
                raise InputError(
                    f"{path} has {mark!r} between its columns; expected commas: write it again with those."
                )
            columns: list[list[str]] = [[] for _ in header]
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"Line {reader.line_num} of {path} has {len(cells)} cells and the header has {len(header)}; "
                        "give every row one cell per column (quote cells that contain commas)."
                    )
                for values, cell in zip(columns, cells, strict=True):
                    values.append(cell)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable CSV ({error}); it may be cut short or not UTF-8.") from None
    if not columns or not columns[0]:
        raise InputError(f"{path} has no rows below its header; expected one line per row.")
    return Table(str(path), dict(zip(header, columns, strict=True)))


def read_parquet(path: Path) -> Table:
    """A Parquet file; needs pyarrow. Columns of equally long lists of numbers become `[rows, width]`."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f'Reading {path} needs pyarrow; install it with: pip install "surefoot[parquet]"') from None
    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            _refuse_repeated(list(opened.schema_arrow.names), path)
            about = opened.metadata
            stored = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            require_memory(2 * max(stored, 8 * about.num_rows * about.num_columns), f"Reading {path}")
            content = opened.read()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable Parquet file ({reason}); it may be cut short.") from None
    if content.num_rows == 0:
        raise InputError(f"{path} has no rows; expected at least one.")
    return Table(str(path), {name: _from_arrow(path, name, content.column(name)) for name in content.column_names})


def table_from_frame(frame: Frame, name: str = "the data frame") -> Table:
    """The columns of a data frame; text, categories and dates become strings, None and NaN among them ""."""
    names = [str(label) for label in frame.columns]
    _refuse_repeated(names, name)
    columns: dict[str, Column] = {}
    for label, text in zip(list(frame.columns), names, strict=True):
        values = np.asarray(frame[label])
        columns[text] = values if values.dtype.kind in "biuf" else [as_text(value) for value in values.tolist()]
    return Table(name, columns)


def column(table: Table, name: str) -> Column:
    """The column `name`; when there is none, `InputError` names the nearest."""
    if name in table.columns:
        return table.columns[name]
    near = get_close_matches(name, table.columns, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    shown = ", ".join(list(table.columns)[:20]) + (", …" if len(table.columns) > 20 else "")
    raise InputError(f"{table.name} has no column {name!r}{hint}; its columns are: {shown}.")


def texts(table: Table, name: str) -> list[str]:
    """A column as strings; whole numbers are written without a point, missing values as ""."""
    values = column(table, name)
    if isinstance(values, list):
        return values
    if values.ndim != 1:
        raise InputError(f"The column {name!r} of {table.name} has shape {values.shape}; expected one value per row.")
    return [as_text(value) for value in values.tolist()]


def numbers(table: Table, name: str) -> NDArray[Any]:
    """A column as numbers; an empty cell is NaN. Raises `InputError` naming the first row that is not a number."""
    values = column(table, name)
    if not isinstance(values, list):
        return values
    parsed = _parsed(values)
    if parsed is None:
        row, cell = next((row, cell) for row, cell in enumerate(values) if _parsed([cell]) is None)
        raise InputError(
            f"The column {name!r} of {table.name} holds {cell!r} in row {row + 1}; expected a number in every row."
        )
    return parsed


def is_numeric(table: Table, name: str) -> bool:
    """Whether every cell of the column is a number or empty, and at least one is a number."""
    values = column(table, name)
    if not isinstance(values, list):
        return values.dtype.kind in "biuf"
    first = next((cell for cell in values if cell), "")
    if _parsed([first]) is None or not first:
        return False
    return _parsed(values) is not None


def width(values: Column) -> int:
    """How many numbers a row of the column holds."""
    return 1 if isinstance(values, list) else int(np.prod(values.shape[1:]))


def _parsed(values: Sequence[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([cell or "nan" for cell in values], dtype=np.float64)
    except ValueError:
        return None


def as_text(value: Any) -> str:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _from_arrow(path: Path, name: str, chunked: Any) -> Column:
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made at import time
    kind = chunked.type
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind):
        return cast("NDArray[Any]", chunked.to_numpy())  # integers with missing values become floats with NaN
    if pyarrow.types.is_boolean(kind) and chunked.null_count == 0:
        return cast("NDArray[Any]", chunked.to_numpy()).astype(np.int64)
    listed = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)
    if listed and (pyarrow.types.is_integer(kind.value_type) or pyarrow.types.is_floating(kind.value_type)):
        if chunked.null_count:
            raise InputError(
                f"The column {name!r} of {path} lacks its list in {chunked.null_count} rows; fill them in."
            )
        lengths = sorted(compute.unique(compute.list_value_length(chunked)).to_pylist())
        if len(lengths) > 1 or lengths[0] < 1:
            raise InputError(
                f"The column {name!r} of {path} holds lists of different lengths ({lengths[0]} and {lengths[-1]}); "
                "expected equally long lists of numbers."
            )
        flat = cast("NDArray[Any]", compute.list_flatten(chunked).to_numpy())
        return flat.reshape(len(chunked), lengths[0])
    return [as_text(value) for value in chunked.to_pylist()]


def _refuse_repeated(names: Sequence[str], where: Path | str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"The column {repeated[0]!r} appears {Counter(names)[repeated[0]]} times in {where}; "
            "give every column its own name."
        )

"""Tables: named columns of a CSV or Parquet file or a data frame, before anybody says what they mean.

A column is a list of strings (CSV, and every column that is not numeric) or a numeric array with one leading
axis (Parquet, data frames, feature files); missing values are "" and NaN.
"""

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
from surefoot.rows.delimited import is_text_table, read_delimited

__all__ = [
    "Column",
    "Frame",
    "Table",
    "as_text",
    "column",
    "is_numeric",
    "numbers",
    "place_of",
    "read_csv",
    "read_parquet",
    "read_table",
    "table_from_frame",
    "texts",
    "width",
]

Column: TypeAlias = list[str] | NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Named columns; `name` says where they come from, in errors. `lists` are strings that are not one per row.

    lines: the line of the file that each row begins on, where it is a text. notes: what is unusual in its form.
    """

    name: str
    columns: Mapping[str, Column]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    lines: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()


@runtime_checkable
class Frame(Protocol):
    """A data frame (pandas, polars, …): has `columns`, and `frame[name]` is one of them."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


def read_table(path: Path) -> Table:
    """Read a `.csv`, `.tsv` (or `.csv.gz`, `.tsv.gz`) or `.parquet` file.

    Raises `InputError` when it is missing, damaged or too large.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a table with named columns.")
    if is_text_table(path):
        return read_csv(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix in (".xlsx", ".xls", ".ods"):
        raise InputError(f"{path} is a spreadsheet; save its table as “CSV UTF-8” and give that.")
    raise InputError(f"{path} ends in {suffix or 'nothing'}; expected a table in a .csv, .tsv or .parquet file.")


def read_csv(path: Path) -> Table:
    """A text table with a header line, in UTF-8; every column is strings. See `delimited` for the forms it may have."""
    read = read_delimited(path)
    _refuse_repeated(read.header, path)
    if not len(read.lines):
        raise InputError(f"{path} has no rows below its header; expected one line per row.")
    return Table(str(path), dict(zip(read.header, read.columns, strict=True)), lines=read.lines, notes=read.notes)


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
    """A column as numbers; an empty cell is NaN. Raises `InputError` naming the first cell that is not a number."""
    values = column(table, name)
    if not isinstance(values, list):
        return values
    parsed = _parsed(values)
    if parsed is None:
        row, cell = next((row, cell) for row, cell in enumerate(values) if _parsed([cell]) is None)
        raise InputError(
            f"The column {name!r} of {table.name} holds {cell!r} in {place_of(table, row)}; {_meant(cell)}."
        )
    return parsed


def place_of(table: Table, row: int) -> str:
    """Where a person finds a row (counted from 0): "line 2" of a text, "row 1" of anything else."""
    return f"row {row + 1}" if table.lines is None else f"line {int(table.lines[row])}"


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


def _meant(cell: str) -> str:
    """What to do about a cell that is no number."""
    if cell.strip().endswith("%"):
        return "it looks like percent: divide by 100, without the sign"
    if cell.count(",") == 1 and _parsed([cell.replace(",", ".")]) is not None:
        return "it looks like a decimal comma: write a point"
    return "expected a number in every row"


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

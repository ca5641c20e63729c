"""Feature files: `.npz`, `.safetensors` and `.pt` as a table whose columns may have further axes.

Understood beside plain names: caches with one set of arrays per split (`embeddings_val` or `x_val`, `y_val`, `g_val`,
`p_val`, and the same for test and train), which are stacked into columns and a `split`; and the
`metadata_array` of WILDS, whose last column is `from_source_domain` and whose last but one is `y`.
"""

import json
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from surefoot.errors import InputError
from surefoot.files import parse_json
from surefoot.memory import require_memory
from surefoot.rows.tables import Column, Table

__all__ = ["INPUT_NAMES", "LISTS", "read_features", "read_npz"]

INPUT_NAMES = ("inputs", "x", "X", "embeddings", "embedding", "features")
LISTS = ("classes", "group_names", "metadata_fields")
"""Entries that are lists of names, not one value per row."""
SPLITS = ("train", "val", "test")
LARGE = 512 * 2**20
"""Bytes from which on a matrix in a safetensors file is not read at once."""
LAST_LETTER = 0x10FFFF
"""Of Unicode."""
HEADER = 100 * 2**20
"""Bytes of the largest header that the format allows."""
# numpy reads the header of an array as a Python literal, and says in many ways that it is none.
NPZ_ERRORS = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError, TokenError,
    SyntaxError, TypeError, AttributeError, RuntimeError, struct.error, OverflowError, RecursionError,
    MemoryError, SystemError,
)  # fmt: skip
PT_ERRORS = (
    RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError,
    IndexError,
    AssertionError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
MAPPED = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
AFR_NAMES = {"e": "embeddings", "y": "y", "g": "g"}
"""What the arrays of AFR's caches are called here; what it has beside them says nothing of a row that is used."""


def read_features(path: Path) -> Table:
    """Read a `.npz`, `.safetensors` or `.pt` file of arrays; no Python object is ever unpickled.

    A `.pt` file is a dictionary of tensors. In AFR's caches e is the features, and `val_…` and `test_…` are the other
    splits; the head in them (w0, b0) is left out.
    A large matrix of a safetensors file is mapped, not read.
    In safetensors, strings (`ids`, `split`, `classes`, `group_names`) stand in the metadata as JSON lists.
    Raises `InputError` when the file is missing, damaged, holds Python objects, or would not fit into memory.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    readers = {".npz": read_npz, ".pt": _read_pt}
    arrays = readers.get(path.suffix.lower(), _read_safetensors)(path)
    lists = {
        name: tuple(str(value) for value in arrays.pop(name).tolist())
        for name in LISTS
        if name in arrays and arrays[name].ndim == 1
    }
    arrays = _stacked(path, arrays)
    if "metadata_array" in arrays:
        arrays = _with_metadata(path, arrays, lists.get("metadata_fields"))
    columns: dict[str, Column] = {name: _column(values) for name, values in arrays.items() if values.ndim > 0}
    if not columns:
        raise InputError(f"{path} holds no arrays with one entry per row; expected at least inputs and labels.")
    return Table(str(path), columns, lists)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` file by their names, once it is known that what they announce fits into memory.

    Raises `InputError` for a file that is missing or damaged, holds Python objects, or would not fit.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    try:
        with zipfile.ZipFile(path) as members:
            needed = sum(_announced(path, members, name) for name in members.namelist())
        require_memory(2 * needed, f"Reading {path}")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {name: _written(path, name, arrays[name]) for name in arrays.files}
    except InputError:
        raise
    except NPZ_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"{path} is not a readable npz file ({reason}); it may be cut short: write it again."
        ) from None


def _announced(path: Path, members: zipfile.ZipFile, name: str) -> int:
    """Bytes an array will take, from its header alone."""
    with members.open(name) as opened:
        version = np.lib.format.read_magic(opened)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(opened)
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"{name} has the shape {shape}")
    if kind.hasobject:
        raise InputError(
            f"The array {name.removesuffix('.npy')!r} in {path} holds pickled Python objects, which are never loaded; "
            "save it as numbers or strings."
        )
    return math.prod(shape) * kind.itemsize


def _written(path: Path, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The array; raises `InputError` for texts of numbers that are no letters."""
    if values.dtype.kind == "U" and values.size:
        native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
        if native.view(np.uint32).max(initial=0) > LAST_LETTER:
            raise InputError(f"The texts of {name!r} in {path} are damaged; write the file again.")
    return values


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = dict(_large(path))
    left = path.stat().st_size - sum(values.nbytes for values in arrays.values())
    require_memory(2 * left, f"Reading {path}")
    try:
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                if name in arrays:
                    continue
                tensor = opened.get_tensor(name)
                arrays[name] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); it may be cut short.") from None
    for name in ("ids", "split", "sources", *LISTS):
        if name in metadata and name not in arrays:
            try:
                arrays[name] = np.array(_strings(parse_json(metadata[name])), dtype=np.str_)
            except (ValueError, TypeError):
                raise InputError(
                    f"The metadata entry {name!r} of {path} is not a JSON list; write it as one."
                ) from None
    return arrays


def _large(path: Path) -> Iterator[tuple[str, np.memmap[Any, Any]]]:
    """Matrices of a safetensors file that are too large to be read at once, mapped: see `surefoot.rows.streamed`."""
    if path.stat().st_size < LARGE:
        return
    try:
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header: Any = json.loads(opened.read(length)) if length < HEADER else {}
        for name, entry in header.items():
            first, last = entry.get("data_offsets", (0, 0))
            if len(entry.get("shape", ())) == 2 and entry["dtype"] in MAPPED and last - first >= LARGE:
                start = 8 + length + first
                yield name, np.memmap(path, MAPPED[entry["dtype"]], "r", start, tuple(entry["shape"]))
    except (ValueError, TypeError, AttributeError, KeyError, OSError):
        return  # whoever reads the file in full says what is wrong with it


def _read_pt(path: Path) -> dict[str, NDArray[Any]]:
    """A dictionary of tensors that `torch.save` wrote, AFR's names as ours."""
    require_memory(2 * path.stat().st_size, f"Reading {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except PT_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is not a readable .pt file of tensors ({reason[:120]}); Python objects are never loaded: save a "
            "dictionary of tensors, or an .npz."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a dictionary of tensors by name.")
    named = cast("dict[Any, Any]", content)
    tensors = {str(name): value for name, value in named.items() if isinstance(value, torch.Tensor)}
    if "e" not in tensors:
        return {name: value.detach().float().numpy() if value.is_floating_point() else value.detach().numpy()
                for name, value in tensors.items()}  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in tensors.items():
        split, _, own = name.rpartition("_") if name.startswith(("val_", "test_")) else ("train", "", name)
        if own in AFR_NAMES:
            plain = value.detach().float() if value.is_floating_point() else value.detach()
            arrays[f"{AFR_NAMES[own]}_{split}"] = plain.numpy()
    return arrays


def _strings(values: list[Any]) -> list[Any]:
    """A list of anything as strings; a list of lists (the sources of each row) likewise."""
    return [_strings(cast("list[Any]", value)) if isinstance(value, list) else str(value) for value in list(values)]


def _column(values: NDArray[Any]) -> Column:
    if values.dtype.kind in "US" and values.ndim == 1:
        return [str(value) for value in values.astype(np.str_).tolist()]
    return values


def _stacked(path: Path, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of one split each, `<name>_<split>`, joined into `<name>`, with a `split`."""
    stem = next((name for name in INPUT_NAMES if any(f"{name}_{split}" in arrays for split in SPLITS)), None)
    if stem is None:
        return arrays
    splits = [split for split in SPLITS if f"{stem}_{split}" in arrays]
    names = sorted({name.rsplit("_", 1)[0] for name in arrays if name.rsplit("_", 1)[-1] in splits})
    joined = {name: values for name, values in arrays.items() if name.rsplit("_", 1)[-1] not in splits}
    for name in names:
        missing = [split for split in splits if f"{name}_{split}" not in arrays]
        if missing:
            raise InputError(f"{path} has {name} for some splits but no {name}_{missing[0]}; give it for every split.")
        parts = [arrays[f"{name}_{split}"] for split in splits]
        if len({part.shape[1:] for part in parts}) > 1:
            raise InputError(
                f"{name} has shapes {[part.shape for part in parts]} in the splits of {path}; make them one."
            )
        joined[name] = np.concatenate(parts)
    counts = [len(arrays[f"{stem}_{split}"]) for split in splits]
    joined["split"] = np.repeat(np.array(splits), counts)
    return joined


def _with_metadata(
    path: Path, arrays: Mapping[str, NDArray[Any]], fields: tuple[str, ...] | None
) -> dict[str, NDArray[Any]]:
    """The columns of a `metadata_array` by name; unnamed ones before `y` are `attribute`, or `metadata_0`, …"""
    metadata = arrays["metadata_array"]
    if metadata.ndim != 2 or metadata.shape[1] < 2:
        raise InputError(
            f"The metadata_array of {path} has shape {metadata.shape}; expected [rows, fields] with y before the last."
        )
    count = metadata.shape[1]
    before = ["attribute"] if count == 3 else [f"metadata_{place}" for place in range(count - 2)]
    names = fields or (*before, "y", "from_source_domain")
    if len(names) != count:
        raise InputError(
            f"{path} names {len(names)} metadata_fields for {count} columns of metadata_array; name each one."
        )
    columns = {name: values for name, values in arrays.items() if name != "metadata_array"}
    for place, name in enumerate(names):
        values = metadata[:, place]
        if name in columns and not np.array_equal(columns[name], values):
            raise InputError(f"{path} gives {name} twice, differently: as an array and in metadata_array; keep one.")
        columns[name] = values
    return columns

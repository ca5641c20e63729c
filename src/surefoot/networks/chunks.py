"""A matrix of features that is filled chunk by chunk: resumable after a kill, mended when damaged, mapped when read.

A folder holds

    features.safetensors    [rows, features], a valid file from the first byte on; chunks are written into place
    done/000003             sha256 of a finished chunk's bytes, written after them
    manifest.json           every chunk's sha256, when all are there (the folder `done` is then emptied)

so a killed extraction goes on with the chunks that are missing, and a damaged chunk is found and computed again.
What the folder is called (the address of its content) is the caller's to choose.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_json, write_json, write_text
from surefoot.networks.tensor_file import DTYPE_CODES, TensorFile
from surefoot.progress import Progress, silent

__all__ = ["CHUNK_FORMAT", "fill_chunks", "finished_dtype"]

CHUNK_FORMAT = 2
FEATURES = "features.safetensors"
MANIFEST = "manifest.json"
DONE = "done"


def fill_chunks(
    folder: Path,
    shape: tuple[int, int],
    dtype: torch.dtype,
    batch: int,
    compute: Callable[[slice], Tensor],
    progress: Progress = silent,
) -> Tensor:
    """The matrix `[rows, features]`, mapped from its file, after `compute` was called for every chunk not there yet.

    batch: rows in a chunk. progress: told of "features", or of "damaged features, computed again", in rows.
    What `compute` raises leaves the chunks before it finished. Raises `InputError` when the disk would not suffice.
    """
    rows, width = shape
    known = _finished(folder)
    store = TensorFile(folder / FEATURES, rows, width, dtype)
    store.prepare()
    digests: list[str] = []
    for number, chunk in enumerate(_chunks(rows, batch)):
        digest = store.digest(chunk)
        kept = digest == known.get(number)
        if not kept:
            digest = store.write(chunk, compute(chunk))
            write_text(folder / DONE / f"{number:06d}", digest)
        digests.append(digest)
        mended = not kept and number in known
        progress("damaged features, computed again" if mended else "features", chunk.stop, rows)
    manifest = {"format": CHUNK_FORMAT, "dtype": DTYPE_CODES[dtype], "chunks": digests}
    if _manifest(folder) != manifest:
        write_json(folder / MANIFEST, manifest)
    for marker in _markers(folder):
        marker.unlink(missing_ok=True)
    return store.mapped()


def finished_dtype(folder: Path) -> torch.dtype | None:
    """The type of the features once all of them are there."""
    manifest = _manifest(folder)
    types = {code: dtype for dtype, code in DTYPE_CODES.items()}
    return None if manifest is None else types[manifest["dtype"]]


def _chunks(count: int, batch: int) -> Iterator[slice]:
    for start in range(0, count, batch):
        yield slice(start, min(start + batch, count))


def _finished(folder: Path) -> dict[int, str]:
    """The digests of the chunks that were finished."""
    manifest = _manifest(folder)
    if manifest is not None:
        return dict(enumerate(manifest["chunks"]))
    known: dict[int, str] = {}
    for path in _markers(folder):
        with suppress(FileNotFoundError):  # another process has just finished, and tidied up
            known[int(path.name)] = path.read_text(encoding="utf-8")
    return known


def _markers(folder: Path) -> list[Path]:
    return sorted((folder / DONE).glob("[0-9]*"))


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest, or None when there is none that can be used: then every chunk is computed again."""
    try:
        manifest = read_json(folder / MANIFEST)
    except InputError:
        return None
    match manifest:
        case {"format": int(), "dtype": str(dtype), "chunks": list()} if dtype in DTYPE_CODES.values():
            return cast("dict[str, Any]", manifest)
        case _:
            return None

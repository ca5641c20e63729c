"""Features that stay in their file: one matrix `[rows, features]`, read as float32 block by block when asked for.

    features = FileFeatures.of(path, offset, torch.float16, rows=1_000_000, width=768)
    features[:4096]                       # these rows, as a tensor
    features.pick(torch.tensor([7, 3]))   # two rows, still unread

What is read is let go of again: no page of the file counts as this process's memory, as it would where it is mapped.
Rows that lie close together are read in one piece, with what lies between them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.rows.digest import block_digests

__all__ = ["BLOCK", "FileFeatures", "blocks_in"]

BLOCK = 4096
"""Rows that are read at a time where all of them are."""
SPAN_BYTES = 32 * 2**20
"""The largest piece of the file that is read at once."""
SPARSE = 16
"""Where fewer than one row in so many is wanted, rows are read one by one."""
DIGEST = 16
"""Bytes of a row's digest."""
ALL = "all"


@dataclass(frozen=True)
class FileFeatures:
    """Rows of a matrix in a file; see the module's text.

    offset: where the matrix begins, in bytes. total: its rows; places: which of them these are. stamp: size and time of
    the file when it was opened; another one is refused. known: digests of the whole matrix, made once and shared by all
    that were picked from one another.
    """

    path: Path
    offset: int
    dtype: torch.dtype
    width: int
    total: int
    places: Int[NDArray[np.int64], "rows"] = field(repr=False)
    stamp: tuple[int, int]
    known: dict[str, NDArray[np.uint8]] = field(default_factory=dict[str, NDArray[np.uint8]], compare=False, repr=False)

    @classmethod
    def of(cls, path: Path, offset: int, dtype: torch.dtype, rows: int, width: int) -> "FileFeatures":
        """All rows of the matrix that begins at `offset`."""
        return cls(path, offset, dtype, width, rows, np.arange(rows, dtype=np.int64), _stamp(path))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, features."""
        return len(self.places), self.width

    def __getitem__(self, index: Any, /) -> Tensor:
        """One row for a number, else `[rows, features]`, float32; −0 is 0. Rows are asked for as of a numpy array.

        Raises `InputError` where the file was changed since it was opened, and for more rows than memory holds.
        """
        chosen = self._chosen(index)
        if chosen.ndim == 0:
            return self._read(chosen[None])[0]
        if len(chosen) > BLOCK:
            require_memory(4 * len(chosen) * self.width, f"Reading {len(chosen):,} rows of {self.path} at once")
        return self._read(chosen)

    def pick(self, index: Tensor) -> "FileFeatures":
        """The rows at `index` (numbers or a mask), still unread."""
        return replace(self, places=self._chosen(index))

    def digests(self) -> list[str]:
        """One digest a row, as of the same rows in memory; the file is read once for all of its rows.

        Raises `InputError` for numbers that are not finite.
        """
        if ALL not in self.known:
            whole = replace(self, places=np.arange(self.total, dtype=np.int64))
            found = np.empty((len(whole), DIGEST), dtype=np.uint8)
            for start, block in blocks_in(whole):
                bad = (~torch.isfinite(block.sum(dim=1, dtype=torch.float64))).nonzero().squeeze(1)
                if len(bad):
                    raise InputError(
                        f"{self.path} holds features that are NaN or infinite (first: row {start + int(bad[0]) + 1}); "
                        "mend these rows or leave them out."
                    )
                pieces = b"".join(block_digests(block))
                found[start : start + len(block)] = np.frombuffer(pieces, dtype=np.uint8).reshape(-1, DIGEST)
            self.known[ALL] = found
        return [each.tobytes().hex() for each in self.known[ALL][self.places]]

    def _chosen(self, index: Any) -> NDArray[np.int64]:
        if isinstance(index, tuple):
            raise InputError(
                f"Rows of {self.path} were asked for by {index}; features that stay in their file are read whole."
            )
        if isinstance(index, Tensor):
            index = index.numpy()
        elif isinstance(index, list):
            index = np.array(index, dtype=None if index else np.int64)
        return np.asarray(self.places[index])

    def _read(self, places: NDArray[np.int64]) -> Float[Tensor, "rows features"]:
        if _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} was changed while it was read; run again once nobody writes to it.")
        order = np.argsort(places, kind="stable")
        wanted = places[order]
        found = torch.empty(len(places), self.width)
        each = self.width * self.dtype.itemsize
        most = max(1, SPAN_BYTES // each)
        start = 0
        with self.path.open("rb", buffering=0) as opened:
            while start < len(wanted):
                stop = int(np.searchsorted(wanted, wanted[start] + most))
                span = int(wanted[stop - 1] - wanted[start]) + 1
                if span > SPARSE * (stop - start):
                    stop, span = start + 1, 1
                buffer = bytearray(span * each)
                if _fill(opened.fileno(), buffer, self.offset + int(wanted[start]) * each) < len(buffer):
                    raise InputError(f"{self.path} is cut short; write it again.")
                rows = torch.frombuffer(buffer, dtype=self.dtype).view(span, self.width)
                within = torch.from_numpy(wanted[start:stop] - wanted[start])
                own = rows if span == stop - start and bool((within[1:] > within[:-1]).all()) else rows[within]
                found[torch.from_numpy(order[start:stop])] = own.to(torch.float32)
                start = stop
        return found.add_(0.0)  # −0 is 0


def blocks_in(inputs: Any, rows: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """Inputs of any kind in pieces of `rows` (`BLOCK` where it is not said), each with the number of its first row.

    >>> [(start, len(block)) for start, block in blocks_in(torch.zeros(5, 2), rows=2)]
    [(0, 2), (2, 2), (4, 1)]
    """
    rows = rows or BLOCK
    for start in range(0, len(inputs), rows):
        yield start, inputs[start : start + rows]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        said = path.stat()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    return said.st_size, said.st_mtime_ns


def _fill(handle: int, buffer: bytearray, offset: int) -> int:
    """Read into all of a buffer; how many bytes there were."""
    view, done = memoryview(buffer), 0
    while done < len(buffer) and (got := os.preadv(handle, [view[done:]], offset + done)):
        done += got
    return done

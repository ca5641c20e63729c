"""One matrix in a safetensors file, written piece by piece at its place and read by mapping it into memory.

The file has its full size and a valid header from the start, so any number of processes may write the same
content into it, in any order, and what was written before a kill is still there.
"""

import json
import os
import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_bytes, read_tensors
from surefoot.memory import require_disk

__all__ = ["DTYPE_CODES", "TensorFile"]

NAME = "features"
DTYPE_CODES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16"}
"""What safetensors calls the floating-point types."""


@dataclass(frozen=True)
class TensorFile:
    """One tensor `[rows, features]` in a safetensors file, written piece by piece at its place."""

    path: Path
    rows: int
    width: int
    dtype: torch.dtype

    def prepare(self) -> None:
        """Bring the file to its full size, with its header; what it already holds stays."""
        header = self._header()
        size = len(header) + self.rows * self._row_bytes()
        if not self.path.exists():
            require_disk(size, self.path.parent, f"A cache of {self.rows} × {self.width} features")
        elif self.path.stat().st_size == size and self._begins_with(header):
            return
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            with os.fdopen(handle, "r+b") as opened:
                opened.truncate(size)
                opened.write(header)

    def digest(self, chunk: slice) -> str:
        """sha256 of the bytes that are at a chunk's place now."""
        with self.path.open("rb") as opened:
            opened.seek(self._offset(chunk.start))
            return digest_bytes(opened.read((chunk.stop - chunk.start) * self._row_bytes()))

    def write(self, chunk: slice, features: Tensor) -> str:
        """Put a chunk at its place, down to the disk, and return its digest."""
        content = features.cpu().contiguous().view(torch.uint8).numpy().tobytes()
        with _writing(self.path), self.path.open("r+b") as opened:
            opened.seek(self._offset(chunk.start))
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        return digest_bytes(content)

    def mapped(self) -> Tensor:
        """The matrix, read from the file when it is used; changing it in place does not change the file."""
        return read_tensors(self.path)[NAME]

    def _begins_with(self, header: bytes) -> bool:
        with self.path.open("rb") as opened:
            return opened.read(len(header)) == header

    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def _offset(self, row: int) -> int:
        return len(self._header()) + row * self._row_bytes()

    def _header(self) -> bytes:
        """The header of the safetensors format, its length and then JSON, padded so that numbers begin at 64 bytes.

        Products of matrices that begin elsewhere differ in their last bits.
        """
        entry = {
            "dtype": DTYPE_CODES[self.dtype],
            "shape": [self.rows, self.width],
            "data_offsets": [0, self.rows * self._row_bytes()],
        }
        text = json.dumps({NAME: entry}, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % 64)
        return struct.pack("<Q", len(text)) + text


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Could not write {path} ({error.strerror}); free space or choose another folder. "
            "What was finished is kept."
        ) from error

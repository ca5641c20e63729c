"""Files that may be gzipped, opened as bytes: what a few kilobytes of a stranger unpack to has a bound.

A gzipped table is three to thirty times as large when it is unpacked; a megabyte of zeros that was packed as well as
can be is a thousand times as large. What is more than five hundred times as large, and more than 16 MiB, is refused.
"""

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path

from surefoot.errors import InputError
from surefoot.memory import require_memory

__all__ = ["BROKEN", "open_bytes"]

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
"""What a damaged gzip file raises as it is read."""
RATIO = 500
SMALL = 16 * 2**20
"""Bytes of an unpacked file that are never too many."""
BLOCK = 2**20


def open_bytes(path: Path) -> BufferedIOBase:
    """The bytes of a file, unpacked where its name ends in .gz.

    Reading raises `InputError` for what unpacks to more than it may, or, read whole, than there is memory for.
    """
    return _Bounded(path) if path.suffix.lower() == ".gz" else path.open("rb")


class _Bounded(gzip.GzipFile):
    """A gzip file that is read up to its bound."""

    def __init__(self, path: Path) -> None:
        self._packed = path.open("rb")
        super().__init__(fileobj=self._packed, mode="rb")
        self._path = path

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self._checked(super().read(size))
        parts: list[bytes] = []
        whole = 0
        while part := self.read(BLOCK):
            parts.append(part)
            whole += len(part)
            if whole % (64 * BLOCK) == 0:
                require_memory(2 * whole, f"Reading {self._path}")
        return b"".join(parts)

    def close(self) -> None:
        super().close()
        self._packed.close()

    def read1(self, size: int = -1) -> bytes:
        return self._checked(super().read1(size))

    def _checked(self, content: bytes) -> bytes:
        # What was read of the file so far is counted, so that the rest of a bomb is not waited for.
        if self.tell() > max(SMALL, RATIO * self._packed.tell()):
            raise InputError(
                f"{self._path} unpacks to more than {RATIO} times its size ({self.tell():,} bytes and more); if it is "
                "what you mean to read, unpack it first: gunzip."
            )
        return content

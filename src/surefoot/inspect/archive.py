"""Entries of a zip archive that a stranger wrote, each read whole within bounds, and nothing ever unpacked to disk.

An archive may name any file, claim any size, and decompress to a million times its own. So names are only names here,
whatever is in them, and an entry is read up to the size that the archive states for it, which has a bound.

Inspect compresses with Zstandard (method 93), which zstandard (which Inspect brings), Python from 3.14 on, or pyarrow
reads. zipfile is not asked to, for Inspect patches it where both are loaded, and then it checks less.

Source: PKWARE (2022), APPNOTE.TXT 6.3.10, §4.3.7 (local headers), §4.4.5 (methods).
"""

import importlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from surefoot.card.traces import readable
from surefoot.errors import InputError

__all__ = ["Archive"]

MOST_ENTRIES = 1_000_000
MOST_BYTES = 256 * 2**20
"""Of one entry, decompressed."""
STORED, DEFLATED, ZSTANDARD = 0, 8, 93
ENCRYPTED = 0x1
HEADER = struct.Struct("<4s22xHH")
"""Of an entry: signature, and the lengths of its name and of its extra field, which its content follows."""


class Archive:
    """A zip archive that is open to be read: `with Archive(path) as archive: archive.read("header.json")`.

    names: of entries, in their order; of two with one name the last is meant.

    Raises `InputError` for what is no zip archive, and for more than a million entries.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise InputError(f"There is no file {path}; check the path.") from None
        except OSError as error:
            raise InputError(f"Cannot read {path} ({error.strerror or error}); check the path.") from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            raise InputError(f"{path} is no readable zip archive ({error}); it may be cut short.") from None
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            self._zip.close()
            raise InputError(f"{path} has {len(entries):,} entries; at most {MOST_ENTRIES:,} are read.")
        self._entries: Mapping[str, zipfile.ZipInfo] = {each.filename: each for each in entries if not each.is_dir()}

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all entries but folders."""
        return tuple(self._entries)

    def size(self, names: Sequence[str]) -> int:
        """Bytes of entries when decompressed, by the archive's own word, beyond which nothing is read."""
        return sum(self._entries[each].file_size for each in names)

    def read(self, name: str) -> bytes:
        """All of an entry.

        Raises `InputError` for an entry that is not there, is encrypted, damaged, larger than 256 MiB or than the
        archive says, and for a compression that nothing here can read.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise InputError(f"{self.path} has no {name}; it is no log of Inspect, or cut short.")
        where = f"{readable(name)} of {self.path}"
        if entry.file_size > MOST_BYTES:
            raise InputError(
                f"{where} has {entry.file_size:,} bytes when decompressed; at most {MOST_BYTES:,} are read."
            )
        if entry.flag_bits & ENCRYPTED:
            raise InputError(f"{where} is encrypted; give a log that is not.")
        try:
            return self._content(entry)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where} is damaged ({error or type(error).__name__}); copy the log anew.") from None

    def _content(self, entry: zipfile.ZipInfo) -> bytes:
        if entry.compress_type not in (STORED, DEFLATED, ZSTANDARD):
            raise InputError(
                f"{readable(entry.filename)} of {self.path} is compressed by the method {entry.compress_type}, which "
                "Inspect does not use; make a JSON log of it: inspect log convert --to json."
            )
        if entry.compress_type != ZSTANDARD:
            with self._zip.open(entry) as opened:
                return opened.read(entry.file_size + 1)
        content = _decompressed(self._raw(entry), entry.file_size, self.path)
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise ValueError("its content is not what the archive says it is")
        return content

    def _raw(self, entry: zipfile.ZipInfo) -> bytes:
        """What the file holds of an entry, still compressed."""
        with self.path.open("rb") as opened:
            opened.seek(entry.header_offset)
            signature, name, extra = HEADER.unpack(opened.read(HEADER.size))
            if signature != b"PK\x03\x04":
                raise ValueError("no entry begins where the archive says it does")
            opened.seek(name + extra, io.SEEK_CUR)
            return opened.read(min(entry.compress_size, MOST_BYTES))


def _decompressed(raw: bytes, size: int, path: Path) -> bytes:
    """At most one byte more than `size` of what Zstandard compressed, by whichever library is there."""
    zstandard: Any = _library("zstandard")
    if zstandard is not None:
        try:
            reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(raw, read_across_frames=True)
            return _all_of(reader, size + 1)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
    own: Any = _library("compression.zstd")
    if own is not None:
        try:
            return _all_of(own.ZstdFile(io.BytesIO(raw)), size + 1)
        except own.ZstdError as error:
            raise ValueError(str(error)) from None
    pyarrow: Any = _library("pyarrow")
    if pyarrow is not None:
        return _all_of(pyarrow.CompressedInputStream(pyarrow.BufferReader(raw), "zstd"), size + 1)
    raise InputError(
        f"{path} is compressed with Zstandard, as Inspect does; install what reads it: pip install zstandard. Or make "
        "a JSON log of it: inspect log convert --to json."
    )


def _all_of(reader: Any, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    while left > 0 and (part := bytes(reader.read(left))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _library(name: str) -> Any:
    """A module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

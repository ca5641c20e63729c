"""The store: one folder per finished cell, named by the cell's address.

A cell is computed in a temporary sibling; its record, with the checksum of every file, is written last; then the
folder is renamed in one step. So a folder under an address is whole, whatever was killed, and two writers of the
same address do no harm: the first to finish wins, and both computed the same.

A cell whose work is long and survives a kill (chains, the trainings of a candidate) is begun as lasting: what a killed
run left of it stays, and the next run that needs this very address takes the folder over, by renaming it, and goes on
from there.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, write_json
from surefoot.study.cells import Cell, cell_from_json, cell_to_json

__all__ = ["Finished", "Store", "open_store"]

RECORD = "record.json"
PARTIAL = ".partial"
UNFINISHED = ".unfinished"
"""At the end of a lasting cell's temporary folder, which is kept for whoever goes on with it."""
NOBODY = "nobody.0"
"""In place of the process that a lasting folder belongs to, once that has given it back."""


@dataclass(frozen=True)
class Finished:
    """What the record of a finished cell says. seconds: wall time; estimate: the plan's uncalibrated seconds."""

    kind: str
    method: str
    seconds: float
    estimate: float


@dataclass(frozen=True)
class Store:
    """Finished cells under `folder`, each in a folder of its own."""

    folder: Path

    def path(self, reference: str) -> Path:
        """The folder of an address, or of one part of it ("address/part")."""
        return self.folder / reference

    def has(self, address: str) -> bool:
        """Whether the cell is finished and its files have their recorded sizes."""
        return self.damage(address) is None

    def damage(self, address: str, *, checksums: bool = False) -> str | None:
        """Why the cell cannot be used ("" when it was never computed), or None when it can.

        With `checksums` every file is read and compared with its sha256.
        """
        folder = self.folder / address
        if not folder.is_dir():
            return ""
        try:
            record: Any = read_json(folder / RECORD)
            if cell_from_json(record["cell"]).address != address:
                return "its record is another cell's"
            files: Mapping[str, Mapping[str, Any]] = record["files"]
            if not files:
                return "its record names no files"
            for name, recorded in files.items():
                if (folder / name).stat().st_size != recorded["size"]:
                    return f"{name} has another size than was recorded"
                if checksums and digest_file(folder / name) != recorded["sha256"]:
                    return f"{name} has other content than was recorded"
        except FileNotFoundError as error:
            return f"{Path(str(error.filename)).name} is missing"
        except (InputError, KeyError, TypeError, AttributeError):
            return "its record cannot be read"
        return None

    def seconds(self, address: str) -> float:
        """The seconds that a finished cell took."""
        return float(read_json(self.folder / address / RECORD)["seconds"])

    def begin(self, address: str, *, lasting: bool = False) -> Path:
        """A temporary folder to compute the cell in; a lasting one may hold what a killed run had come to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if lasting and (left := self._taken_over(address)) is not None:
                return left
            suffix = UNFINISHED if lasting else PARTIAL
            name = tempfile.mkdtemp(prefix=f"{address}.{_owner()}.", suffix=suffix, dir=self.folder)
        except OSError as error:
            raise InputError(
                f"Cannot write to {self.folder} ({error.strerror}); choose an output folder that you may write to."
            ) from error
        return Path(name)

    def leave(self, temporary: Path) -> None:
        """Give up a folder that `begin` gave, where it was not finished: a lasting one to the next run, else for good.

        A lasting folder that holds nothing yet is not worth keeping.
        """
        if temporary.name.endswith(UNFINISHED) and temporary.is_dir() and any(temporary.iterdir()):
            temporary.rename(self._unfinished(temporary.name.partition(".")[0], NOBODY))
        else:
            shutil.rmtree(temporary, ignore_errors=True)

    def finish(self, cell: Cell, temporary: Path, seconds: float, estimate: float) -> None:
        """Record the files in `temporary` and give them the cell's address; the first writer wins."""
        files = {
            path.relative_to(temporary).as_posix(): {"size": path.stat().st_size, "sha256": digest_file(path)}
            for path in sorted(temporary.rglob("*"))
            if path.is_file() and path != temporary / RECORD
        }
        record = {"cell": cell_to_json(cell), "files": files, "seconds": seconds, "estimate": estimate}
        write_json(temporary / RECORD, record)
        try:
            temporary.chmod(0o755)
            temporary.rename(self.folder / cell.address)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if not self.has(cell.address):
                raise InputError(
                    f"Could not write {self.folder / cell.address} ({error.strerror}); free space or choose another "
                    "output folder."
                ) from error

    def remove(self, address: str) -> None:
        """Take a damaged cell away, so that it is computed again."""
        shutil.rmtree(self.folder / address, ignore_errors=True)

    def history(self) -> Iterator[Finished]:
        """What finished cells took, newest first."""
        for record in self._read():
            try:
                cell = record["cell"]
                method = str(cell["spec"].get("method", ""))
                yield Finished(cell["kind"], method, float(record["seconds"]), float(record["estimate"]))
            except (KeyError, TypeError, ValueError):
                continue

    def cells(self) -> Iterator[Cell]:
        """The finished cells whose records can be read, newest first."""
        for record in self._read():
            try:
                yield cell_from_json(record["cell"])
            except (KeyError, TypeError):
                continue

    def _read(self) -> Iterator[Any]:
        """The records of finished cells that can be read, newest first."""
        if not self.folder.is_dir():
            return
        begun = (PARTIAL, UNFINISHED)
        folders = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.endswith(begun)]
        for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
            try:
                yield read_json(folder / RECORD)
            except InputError:
                continue

    def sweep(self) -> None:
        """Remove what killed runs on this machine left half done; folders of live processes stay.

        Lasting folders stay too, until their cell is finished.
        """
        if not self.folder.is_dir():
            return
        for folder in self.folder.glob(f"*{PARTIAL}"):
            if _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.folder.glob(f"*{UNFINISHED}"):
            if _is_left(folder) and self.has(folder.name.partition(".")[0]):
                shutil.rmtree(folder, ignore_errors=True)

    def _taken_over(self, address: str) -> Path | None:
        """A lasting folder of this address that nobody works in any more, now this process's own."""
        for folder in sorted(self.folder.glob(f"{address}.*{UNFINISHED}")):
            if not _is_left(folder):
                continue
            own = self._unfinished(address, _owner())
            try:
                folder.rename(own)
            except OSError:  # another process was faster
                continue
            for half_written in own.rglob(".*"):  # see `files.write_atomically`
                half_written.unlink(missing_ok=True)
            return own
        return None

    def _unfinished(self, address: str, owner: str) -> Path:
        return self.folder / f"{address}.{owner}.{secrets.token_hex(4)}{UNFINISHED}"


def open_store(out: Path) -> Store:
    """The store of an output folder (`out/cells`), made if absent; raises `InputError` if it cannot be written."""
    folder = out / "cells"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"Cannot write to {folder} ({error.strerror}); choose an output folder that you may write to."
        ) from error
    store = Store(folder)
    store.sweep()
    return store


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _owner() -> str:
    return f"{_host()}.{os.getpid()}"


def _is_left(folder: Path) -> bool:
    """Whether nobody works in a temporary folder: it was given back, or its process, on this machine, is gone."""
    _, host, process, *_ = [*folder.name.split("."), "", "", ""]
    if f"{host}.{process}" == NOBODY:
        return True
    return host == _host() and process.isdigit() and not _alive(int(process))


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 would interrupt the process instead of asking after it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a process that nobody has collected yet answers too
        return not Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except OSError:
        return True

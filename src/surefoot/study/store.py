"""The store: one folder per finished cell, named by the cell's address.

A cell is computed in a temporary sibling; its record, with the checksum of every file, is written last; then the
folder is renamed in one step. So a folder under an address is whole, whatever was killed, and two writers of the
same address do no harm: the first to finish wins, and both computed the same.

A cell whose work is long and survives a kill (chains, the trainings of a candidate) is begun as lasting: what a killed
run left of it stays, and the next run that needs this very address takes the folder over, by renaming it, and goes on
from there.
"""

import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, write_json
from surefoot.study.cells import Cell, cell_from_json, cell_to_json

__all__ = ["Finished", "Store", "is_address", "open_store", "owner_of"]

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
        try:
            if not folder.is_dir():
                return ""
            record: Any = read_json(folder / RECORD)
            if cell_from_json(record["cell"]).address != address:
                return "its record is another cell's"
            files: Mapping[str, Mapping[str, Any]] = record["files"]
            recorded = {name: (int(said["size"]), str(said["sha256"])) for name, said in files.items()}
        except (InputError, OSError, KeyError, TypeError, ValueError, AttributeError):
            return "its record cannot be read"
        if not recorded:
            return "its record names no files"
        for name, (size, sha256) in recorded.items():
            try:
                if (folder / name).stat().st_size != size:
                    return f"{name} has another size than was recorded"
                if checksums and digest_file(folder / name) != sha256:
                    return f"{name} has other content than was recorded"
            except FileNotFoundError:
                return f"{Path(name).name} is missing"
            except (OSError, InputError, ValueError):
                return f"{name} cannot be read"
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
        place = self.folder / cell.address
        try:
            temporary.chmod(0o755)
            if self.damage(cell.address, checksums=True):  # what is damaged is nobody's first
                self.remove(cell.address)
            temporary.rename(place)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if self.damage(cell.address, checksums=True) is not None:
                raise InputError(
                    f"Could not write {place} ({error.strerror}); free space or choose another output folder."
                ) from error

    def remove(self, address: str) -> None:
        """Take a cell away, in one step, so that it is computed again.

        Raises `InputError` where it cannot be taken away: what is damaged must not be used after all.
        """
        folder = self.folder / address
        aside = self.folder / f"{address}.{_owner()}.{secrets.token_hex(4)}{PARTIAL}"
        try:
            folder.rename(aside)
        except FileNotFoundError:  # somebody else was faster
            return
        except OSError as error:
            raise InputError(
                f"Cannot remove {folder} ({error.strerror}); make its folder one that you may write to, or name "
                "another output folder."
            ) from error
        shutil.rmtree(aside, ignore_errors=True)

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

    def finished(self) -> list[str]:
        """The addresses under which there is a folder, whole or damaged, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if is_address(path.name))

    def begun(self) -> list[Path]:
        """The temporary folders of cells, whoever works in them."""
        suffixes = (PARTIAL, UNFINISHED)
        return sorted(path for suffix in suffixes for path in self.folder.glob(f"*{suffix}"))

    def _read(self) -> Iterator[Any]:
        """The records of finished cells that can be read, newest first."""
        newest: list[tuple[float, Path]] = []
        for address in self.finished():
            with suppress(OSError):  # somebody takes it away this moment
                newest.append(((self.folder / address).stat().st_mtime, self.folder / address))
        for _, folder in sorted(newest, reverse=True):
            try:
                yield read_json(folder / RECORD)
            except InputError:
                continue

    def sweep(self) -> None:
        """Remove what killed runs on this machine left half done; folders of live processes stay.

        Lasting folders stay too, until their cell is finished; those of dead processes are given back.
        """
        if not self.folder.is_dir():
            return
        for folder in self.folder.glob(f"*{PARTIAL}"):
            if owner_of(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.folder.glob(f"*{UNFINISHED}"):
            address = folder.name.partition(".")[0]
            if owner_of(folder) is None and self.has(address):
                shutil.rmtree(folder, ignore_errors=True)
            elif owner_of(folder) is None and f".{NOBODY}." not in folder.name:
                with suppress(OSError):  # another process was faster
                    folder.rename(self._unfinished(address, NOBODY))  # so that other machines may go on with it too

    def _taken_over(self, address: str) -> Path | None:
        """A lasting folder of this address that nobody works in any more, now this process's own."""
        for folder in sorted(self.folder.glob(f"{address}.*{UNFINISHED}")):
            if owner_of(folder) is not None:
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


def is_address(name: str) -> bool:
    """Whether a folder's name is the address of a cell."""
    return re.fullmatch("[0-9a-f]{64}", name) is not None


def owner_of(folder: Path) -> str | None:
    """Who works in a temporary folder ("host.process"); None where it was given back or its process, here, is gone.

    Of a process on another machine nobody here can tell: it counts as at work.
    """
    _, host, process, *_ = [*folder.name.split("."), "", "", ""]
    owner = f"{host}.{process}"
    gone = host == _host() and process.isdigit() and not _alive(int(process))
    return None if gone or owner == NOBODY else owner


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _owner() -> str:
    return f"{_host()}.{os.getpid()}"


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

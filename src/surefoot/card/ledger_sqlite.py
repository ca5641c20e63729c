"""A ledger in one SQLite file: each use opens its own connection (write-ahead log, thirty seconds of patience)."""

import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.card.ledger_sql import PATIENCE, STEPS, VERSION, Execute, refuse_newer
from surefoot.errors import InputError

__all__ = ["SQLiteFile"]


@dataclass(frozen=True)
class SQLiteFile:
    """The file at `path`; it and its folder are made when first written to."""

    path: Path

    @property
    def order(self) -> str:
        """Rows are numbered as they are written."""
        return "rowid"

    @contextmanager
    def reading(self) -> Generator[Execute | None]:
        """Statements on the file, if there is one."""
        if not self.path.exists():
            yield None
            return
        with self._open() as connection:
            yield _execute(connection)

    @contextmanager
    def writing(self) -> Generator[Execute]:
        """One transaction that takes the write lock at its start, so that it cannot deadlock."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Cannot write the ledger {self.path} ({error.strerror}); choose a folder that you may write to."
            ) from None
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield _execute(connection)
            connection.execute("COMMIT")

    def has_table(self, execute: Execute, name: str) -> bool:
        """Whether there is a table of that name."""
        return bool(execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)))

    def make_table(self, execute: Execute, statement: str) -> None:
        """Do a statement that makes or changes a table."""
        execute(statement)

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """A connection to a ledger of our version; whatever SQLite cannot do becomes an `InputError`."""
        try:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)) as connection:
                self._prepare(connection)
                yield connection
        except sqlite3.OperationalError as error:
            raise InputError(
                f"The ledger {self.path} cannot be used ({error}); make sure that its folder may be written to, has "
                "space left, and lies on a local disk."
            ) from None
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"The ledger {self.path} is damaged or not a ledger ({error}); move it away, and the next run starts "
                "a new one."
            ) from None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        refuse_newer(str(self.path), version)
        if version < VERSION:
            _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute("BEGIN IMMEDIATE")
            for step in STEPS[_version(connection) :]:  # again: another process may have been first
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")


def _execute(connection: sqlite3.Connection) -> Execute:
    def execute(statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(statement, tuple(values)).fetchall()
        except UnicodeDecodeError as error:  # a text that sqlite holds, and nobody wrote as such
            raise sqlite3.DatabaseError(f"a text in it cannot be read: {error.reason}") from None

    return execute


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _patiently(work: Callable[[], object]) -> None:
    """SQLite does not wait for the lock when it changes the journal mode; two first writers may meet there."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)

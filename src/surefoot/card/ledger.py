"""The ledger: every run, and every study that has looked at a judge set, in one embedded SQLite file.

Each call opens its own connection (write-ahead log, thirty seconds of patience), so any number of processes
may write to one ledger at once.
"""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from surefoot.card.claims import Status
from surefoot.errors import InputError

__all__ = ["Ledger", "RunRow"]

VERSION = 1
PATIENCE = 30.0  # seconds
Result = TypeVar("Result")

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
  run TEXT PRIMARY KEY, study TEXT NOT NULL, study_digest TEXT NOT NULL, verdict TEXT NOT NULL,
  card_digest TEXT NOT NULL, folder TEXT NOT NULL, created TEXT NOT NULL, judge_digest TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS judge_uses (
  judge_digest TEXT NOT NULL, study_digest TEXT NOT NULL, created TEXT NOT NULL,
  PRIMARY KEY (judge_digest, study_digest)
);
"""


@dataclass(frozen=True)
class RunRow:
    """One finished run. created: ISO 8601 time. folder: where its card lies."""

    run: str
    study: str
    study_digest: str
    verdict: Status
    card_digest: str
    folder: str
    created: str
    judge_digest: str


@dataclass(frozen=True)
class Ledger:
    """The ledger at `path`; the file and its folder are made when first written to.

    Methods raise `InputError` when the file is not a ledger, was written by a newer surefoot, or cannot be
    written.
    """

    path: Path

    def record_run(self, row: RunRow) -> None:
        """Keep a run, replacing an earlier one of the same id, and note that its study used its judge set."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
            _note(connection, row.judge_digest, row.study_digest, row.created)

        self._write(write)

    def note_judge_use(self, judge_digest: str, study_digest: str, created: str) -> int:
        """Note, before looking, that a study looks at a judge set; returns `judge_uses`, this study included."""

        def write(connection: sqlite3.Connection) -> int:
            _note(connection, judge_digest, study_digest, created)
            return _uses(connection, judge_digest)

        return self._write(write)

    def judge_uses(self, judge_digest: str) -> int:
        """How many distinct studies have looked at this judge set; running one study again adds nothing."""
        if not self.path.exists():
            return 0
        with self._open() as connection:
            return _uses(connection, judge_digest)

    def runs(self, limit: int = 50) -> tuple[RunRow, ...]:
        """The latest runs, newest first."""
        if not self.path.exists():
            return ()
        with self._open() as connection:
            found = connection.execute("SELECT * FROM runs ORDER BY created DESC, rowid DESC LIMIT ?", (limit,))
            return tuple(RunRow(*row) for row in found.fetchall())

    def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do `work` in one transaction that takes the write lock at its start, so that it cannot deadlock."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Cannot write the ledger {self.path} ({error.strerror}); choose a folder that you may write to."
            ) from None
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            return result

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
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise InputError(
                f"The ledger {self.path} has schema {version}, and this surefoot knows {VERSION}; upgrade surefoot, or "
                "name another ledger."
            )
        if version < VERSION:
            _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")


def _note(connection: sqlite3.Connection, judge_digest: str, study_digest: str, created: str) -> None:
    row = (judge_digest, study_digest, created)
    connection.execute("INSERT OR IGNORE INTO judge_uses VALUES (?, ?, ?)", row)


def _uses(connection: sqlite3.Connection, judge_digest: str) -> int:
    counted = connection.execute("SELECT COUNT(*) FROM judge_uses WHERE judge_digest = ?", (judge_digest,))
    return int(counted.fetchone()[0])


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

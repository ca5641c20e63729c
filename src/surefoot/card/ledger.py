"""The ledger: every run, every choice, and every study that has looked at a judge set, in one embedded SQLite file.

A judge set is known again by its rows and not by its name (`row_marks`): another split of the same file, a file with a
row left out or with new ids, another command on the same rows are looks at rows that were judged before. Two sets count
as one where they share at least a twentieth of the later one's rows. Looks whose road handed in no marks of rows, and
those that an older surefoot noted, count where the sets' digests are equal.

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

import numpy as np
from numpy.typing import NDArray

from surefoot.card.claims import Status
from surefoot.card.row_marks import WHOLE, WIDTH, Kept, RowMarks, kept, seen_rows
from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json

__all__ = ["LEDGER", "ChoiceRow", "Ledger", "RunRow", "Used"]

LEDGER = "ledger.sqlite"
"""Its name in a folder of runs."""
VERSION = 2
SHARED = 0.05
"""Two judge sets that share fewer of their rows are two."""
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
ROWS = """
ALTER TABLE judge_uses ADD COLUMN judge_set TEXT;
CREATE TABLE judge_sets (
  judge_set TEXT NOT NULL, kind TEXT NOT NULL, whole INTEGER NOT NULL, marks BLOB NOT NULL,
  PRIMARY KEY (judge_set, kind)
)
"""
"""Version 2: what rows each judge set held."""
CHOICES = """
CREATE TABLE IF NOT EXISTS choices (
  choice TEXT PRIMARY KEY, name TEXT NOT NULL, criterion TEXT NOT NULL, chosen TEXT NOT NULL, accuracy REAL NOT NULL,
  folder TEXT NOT NULL, created TEXT NOT NULL, judge_digest TEXT NOT NULL
)
"""
"""Made with the first choice, in a ledger of any version: a surefoot that knows no choices reads on past it."""


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
class ChoiceRow:
    """One finished choice. criterion: by which `chosen` was taken; accuracy: its, on the judge rows, known afterwards.

    folder: where its page lies.
    """

    choice: str
    name: str
    criterion: str
    chosen: str
    accuracy: float
    folder: str
    created: str
    judge_digest: str


@dataclass(frozen=True)
class Used:
    """How often rows were judged. cards: distinct questions, this one included, whose judge rows include some of these.

    share: of these rows that other questions judged; None where rows were not told apart.
    """

    cards: int
    share: float | None


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

    def record_choice(self, row: ChoiceRow) -> None:
        """Keep a choice, replacing an earlier one of the same id; that it looked at judge rows is `note_use`'s."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(CHOICES)
            connection.execute("INSERT OR REPLACE INTO choices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))

        self._write(write)

    def note_judge_use(self, judge_digest: str, study_digest: str, created: str, marks: RowMarks | None = None) -> int:
        """Note, before looking, that a study looks at a judge set; returns `judge_uses`, this study included."""
        return self.note_use(judge_digest, study_digest, created, marks).cards

    def note_use(self, judge_digest: str, study_digest: str, created: str, marks: RowMarks | None = None) -> Used:
        """Note, before looking, that a study looks at the rows with these marks; how often they were judged with it.

        The same study again changes nothing. Without `marks` a judge set is known by its digest alone.
        """
        found = None if marks is None else kept(marks)
        blobs = [[kind, digest_bytes(_blob(each))] for kind, each in sorted((found or {}).items())]
        held = None if found is None else digest_json(blobs)

        def write(connection: sqlite3.Connection) -> Used:
            for kind, each in (found or {}).items():
                row = (held, kind, int(each.upto == WHOLE), _blob(each))
                connection.execute("INSERT OR IGNORE INTO judge_sets VALUES (?, ?, ?, ?)", row)
            _note(connection, judge_digest, study_digest, created, held)
            if marks is None:
                return Used(_uses(connection, judge_digest), None)
            return _used(connection, (judge_digest, held), study_digest, marks)

        return self._write(write)

    def judge_uses(self, judge_digest: str) -> int:
        """How many distinct studies have looked at a judge set of this digest; running one again adds nothing."""
        if not self.path.exists():
            return 0
        with self._open() as connection:
            return _uses(connection, judge_digest)

    def run(self, run: str) -> RunRow | None:
        """One run by its id, if it was recorded."""
        if not self.path.exists():
            return None
        with self._open() as connection:
            found = connection.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
            return None if found is None else RunRow(*found)

    def runs(self, limit: int = 50) -> tuple[RunRow, ...]:
        """The latest runs, newest first."""
        if not self.path.exists():
            return ()
        with self._open() as connection:
            found = connection.execute("SELECT * FROM runs ORDER BY created DESC, rowid DESC LIMIT ?", (limit,))
            return tuple(RunRow(*row) for row in found.fetchall())

    def choices(self, limit: int = 50) -> tuple[ChoiceRow, ...]:
        """The latest choices, newest first."""
        if not self.path.exists():
            return ()
        with self._open() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'choices'").fetchone():
                return ()
            found = connection.execute("SELECT * FROM choices ORDER BY created DESC, rowid DESC LIMIT ?", (limit,))
            return tuple(ChoiceRow(*row) for row in found.fetchall())

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
            # Another process may have been first.
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for statement in [*TABLES.split(";"), *(ROWS.split(";") if version < VERSION else ())]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")


def _note(
    connection: sqlite3.Connection, judge_digest: str, study_digest: str, created: str, held: str | None = None
) -> None:
    connection.execute(
        "INSERT INTO judge_uses VALUES (?, ?, ?, ?) ON CONFLICT (judge_digest, study_digest) "
        "DO UPDATE SET judge_set = COALESCE(excluded.judge_set, judge_set)",
        (judge_digest, study_digest, created, held),
    )


def _used(connection: sqlite3.Connection, own: tuple[str, str | None], study_digest: str, marks: RowMarks) -> Used:
    """Compare these rows with every set that was judged: see the module's text for what counts.

    own: the digest and the marks by which this set is known. A set that has both is the same, whatever its rows tell.
    """
    others = "SELECT judge_set FROM judge_uses WHERE study_digest != ? AND judge_set IS NOT NULL"
    stored = connection.execute(f"SELECT * FROM judge_sets WHERE judge_set IN ({others})", (study_digest,)).fetchall()
    sharing: set[str] = set()
    share = 0.0
    for kind in marks.by_kind:
        sets = {str(held): _kept(bool(whole), blob) for held, of, whole, blob in stored if of == kind}
        sharing |= {held for held, each in sets.items() if _mean(seen_rows(marks, kind, each)) >= SHARED}
        shared = [sets[held] for held in sharing if held in sets]
        least = min((each.upto for each in shared), default=WHOLE)
        rows = [seen_rows(marks, kind, Kept(each.marks, least)) for each in shared]
        share = max(share, _mean(np.any(rows, axis=0)) if rows else 0.0)
    looks = connection.execute(
        "SELECT judge_digest, judge_set, study_digest FROM judge_uses WHERE study_digest != ? AND "
        "(judge_set IS NOT NULL OR judge_digest = ?)",
        (study_digest, own[0]),
    ).fetchall()
    same = {str(study) for digest, held, study in looks if (digest, held) == own}
    cards = same | {str(study) for _, held, study in looks if held is None or held in sharing}
    return Used(len(cards) + 1, 1.0 if same else share)


def _mean(rows: NDArray[np.bool_]) -> float:
    return float(rows.mean()) if len(rows) else 0.0


def _blob(of: Kept) -> bytes:
    return of.marks.astype(WIDTH).tobytes()


def _kept(whole: bool, blob: bytes) -> Kept:
    marks = np.frombuffer(blob, dtype=WIDTH).astype(np.uint64)
    return Kept(marks, WHOLE if whole else int(marks[-1]))


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

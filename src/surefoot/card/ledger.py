"""The ledger: every run, every choice, and every study that has looked at a judge set.

It lies in one SQLite file in the folder of runs, or for a team on a PostgreSQL server.

A judge set is known again by its rows and not by its name (`row_marks`): another split of the same file, a file with a
row left out or with new ids, another command on the same rows are looks at rows that were judged before. Two sets count
as one where they share at least a twentieth of the later one's rows. Looks whose road handed in no marks of rows, and
those that an older surefoot noted, count where the sets' digests are equal.

Each call opens its own connection and writes in one transaction, so any number of processes may write to one ledger at
once.
"""

import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from surefoot.card.claims import Status
from surefoot.card.ledger_postgres import PostgresServer, is_postgres, without_password
from surefoot.card.ledger_sql import CHOICES, Database, Execute
from surefoot.card.ledger_sqlite import SQLiteFile
from surefoot.card.row_marks import WHOLE, WIDTH, Kept, RowMarks, kept, seen_rows
from surefoot.files import digest_bytes, digest_json

__all__ = ["LEDGER", "LEDGER_URL", "ChoiceRow", "Ledger", "RunRow", "Used", "ledger_of"]

LEDGER = "ledger.sqlite"
"""Its name in a folder of runs."""
LEDGER_URL = "SUREFOOT_LEDGER"
"""The environment variable that names a ledger for every folder of runs: an address of PostgreSQL, or a file."""
SHARED = 0.05
"""Two judge sets that share fewer of their rows are two."""


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
    """The ledger at `path`: a file, made with its folder when first written to, or a "postgresql://…" address.

    Methods raise `InputError` when there is something else at `path`, a ledger that a newer surefoot wrote, or one that
    cannot be read or written.
    """

    path: Path | str

    @property
    def name(self) -> str:
        """Its path or address for a reader, without a password."""
        return without_password(str(self.path))

    def record_run(self, row: RunRow) -> None:
        """Keep a run, replacing an earlier one of the same id, and note that its study used its judge set."""
        with self._database().writing() as execute:
            execute("DELETE FROM runs WHERE run = ?", (row.run,))
            execute(f"INSERT INTO runs ({_columns(RunRow)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
            _note(execute, row.judge_digest, row.study_digest, row.created)

    def record_choice(self, row: ChoiceRow) -> None:
        """Keep a choice, replacing an earlier one of the same id; that it looked at judge rows is `note_use`'s."""
        database = self._database()
        with database.writing() as execute:
            database.make_table(execute, CHOICES)
            execute("DELETE FROM choices WHERE choice = ?", (row.choice,))
            execute(f"INSERT INTO choices ({_columns(ChoiceRow)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))

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
        with self._database().writing() as execute:
            for kind, each in (found or {}).items():
                execute(
                    "INSERT INTO judge_sets (judge_set, kind, whole, marks) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (judge_set, kind) DO NOTHING",
                    (held, kind, int(each.upto == WHOLE), _blob(each)),
                )
            _note(execute, judge_digest, study_digest, created, held)
            if marks is None:
                return Used(_uses(execute, judge_digest), None)
            return _used(execute, (judge_digest, held), study_digest, marks)

    def judge_uses(self, judge_digest: str) -> int:
        """How many distinct studies have looked at a judge set of this digest; running one again adds nothing."""
        with self._database().reading() as execute:
            return 0 if execute is None else _uses(execute, judge_digest)

    def run(self, run: str) -> RunRow | None:
        """One run by its id, if it was recorded."""
        with self._database().reading() as execute:
            if execute is None:
                return None
            found = execute(f"SELECT {_columns(RunRow)} FROM runs WHERE run = ?", (run,))
            return RunRow(*found[0]) if found else None

    def runs(self, limit: int = 50) -> tuple[RunRow, ...]:
        """The latest runs, newest first."""
        database = self._database()
        with database.reading() as execute:
            if execute is None:
                return ()
            latest = f"ORDER BY created DESC, {database.order} DESC LIMIT ?"
            return tuple(RunRow(*row) for row in execute(f"SELECT {_columns(RunRow)} FROM runs {latest}", (limit,)))

    def choices(self, limit: int = 50) -> tuple[ChoiceRow, ...]:
        """The latest choices, newest first."""
        database = self._database()
        with database.reading() as execute:
            if execute is None or not database.has_table(execute, "choices"):
                return ()
            latest = f"ORDER BY created DESC, {database.order} DESC LIMIT ?"
            found = execute(f"SELECT {_columns(ChoiceRow)} FROM choices {latest}", (limit,))
            return tuple(ChoiceRow(*row) for row in found)

    def _database(self) -> Database:
        return PostgresServer(str(self.path)) if is_postgres(str(self.path)) else SQLiteFile(Path(self.path))


def ledger_of(out: Path, named: str | None = None) -> Ledger:
    """The ledger of a folder of runs: the one that is named, else the one that the environment names, else its own."""
    return Ledger(named or os.environ.get(LEDGER_URL) or out / LEDGER)


def _columns(of: type[RunRow] | type[ChoiceRow]) -> str:
    return ", ".join(each.name for each in fields(of))


def _note(execute: Execute, judge_digest: str, study_digest: str, created: str, held: str | None = None) -> None:
    execute(
        "INSERT INTO judge_uses (judge_digest, study_digest, created, judge_set) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (judge_digest, study_digest) "
        "DO UPDATE SET judge_set = COALESCE(excluded.judge_set, judge_uses.judge_set)",
        (judge_digest, study_digest, created, held),
    )


def _used(execute: Execute, own: tuple[str, str | None], study_digest: str, marks: RowMarks) -> Used:
    """Compare these rows with every set that was judged: see the module's text for what counts.

    own: the digest and the marks by which this set is known. A set that has both is the same, whatever its rows tell.
    """
    others = "SELECT judge_set FROM judge_uses WHERE study_digest != ? AND judge_set IS NOT NULL"
    stored = execute(
        f"SELECT judge_set, kind, whole, marks FROM judge_sets WHERE judge_set IN ({others})", (study_digest,)
    )
    sharing: set[str] = set()
    share = 0.0
    for kind in marks.by_kind:
        sets = {str(held): _kept(bool(whole), blob) for held, of, whole, blob in stored if of == kind}
        sharing |= {held for held, each in sets.items() if _mean(seen_rows(marks, kind, each)) >= SHARED}
        shared = [sets[held] for held in sharing if held in sets]
        least = min((each.upto for each in shared), default=WHOLE)
        rows = [seen_rows(marks, kind, Kept(each.marks, least)) for each in shared]
        share = max(share, _mean(np.any(rows, axis=0)) if rows else 0.0)
    looks = execute(
        "SELECT judge_digest, judge_set, study_digest FROM judge_uses WHERE study_digest != ? AND "
        "(judge_set IS NOT NULL OR judge_digest = ?)",
        (study_digest, own[0]),
    )
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


def _uses(execute: Execute, judge_digest: str) -> int:
    return int(execute("SELECT COUNT(*) FROM judge_uses WHERE judge_digest = ?", (judge_digest,))[0][0])

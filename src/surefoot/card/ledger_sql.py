"""What a ledger asks of a database, and its tables; the same statements for each, with `?` where a value goes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from surefoot.errors import InputError

__all__ = ["CHOICES", "STEPS", "VERSION", "Database", "Execute", "refuse_newer"]

VERSION = 2
PATIENCE = 30.0  # seconds to wait for other writers

TABLES = (
    """CREATE TABLE IF NOT EXISTS runs (
  run TEXT PRIMARY KEY, study TEXT NOT NULL, study_digest TEXT NOT NULL, verdict TEXT NOT NULL,
  card_digest TEXT NOT NULL, folder TEXT NOT NULL, created TEXT NOT NULL, judge_digest TEXT NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS judge_uses (
  judge_digest TEXT NOT NULL, study_digest TEXT NOT NULL, created TEXT NOT NULL,
  PRIMARY KEY (judge_digest, study_digest)
)""",
)
ROWS = (
    "ALTER TABLE judge_uses ADD COLUMN judge_set TEXT",
    """CREATE TABLE judge_sets (
  judge_set TEXT NOT NULL, kind TEXT NOT NULL, whole INTEGER NOT NULL, marks BLOB NOT NULL,
  PRIMARY KEY (judge_set, kind)
)""",
)
STEPS = (TABLES, ROWS)
"""What makes each version of the one before it. Version 2: what rows each judge set held."""
CHOICES = """CREATE TABLE IF NOT EXISTS choices (
  choice TEXT PRIMARY KEY, name TEXT NOT NULL, criterion TEXT NOT NULL, chosen TEXT NOT NULL, accuracy REAL NOT NULL,
  folder TEXT NOT NULL, created TEXT NOT NULL, judge_digest TEXT NOT NULL
)"""
"""Made with the first choice, in a ledger of any version: a surefoot that knows no choices reads on past it."""


@runtime_checkable
class Execute(Protocol):
    """Do one statement; the rows that it answers with."""

    def __call__(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...


@runtime_checkable
class Database(Protocol):
    """Where a ledger lies. order: an expression that grows with each row that is written to a table.

    `reading` gives None where there is no ledger yet, and makes none. `writing` is one transaction that others wait
    for from its start, so that what is counted in it is true when it ends; an error leaves everything as it was.
    Both raise `InputError` where the database cannot be had, is damaged, or was written by a newer surefoot.
    """

    @property
    def order(self) -> str: ...

    def reading(self) -> AbstractContextManager[Execute | None]: ...

    def writing(self) -> AbstractContextManager[Execute]: ...

    def has_table(self, execute: Execute, name: str) -> bool: ...

    def make_table(self, execute: Execute, statement: str) -> None: ...


def refuse_newer(name: str, version: int) -> None:
    """Raise `InputError` for a ledger that a newer surefoot wrote."""
    if version > VERSION:
        raise InputError(
            f"The ledger {name} has schema {version}, and this surefoot knows {VERSION}; upgrade surefoot, or "
            "name another ledger."
        )

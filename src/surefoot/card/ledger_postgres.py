"""A ledger on a PostgreSQL server: postgresql://NAME@HOST:PORT/DATABASE, in a schema of its own (`surefoot`).

A password is best left out of the address and given as PGPASSWORD. With ?sslmode=require the connection is encrypted
and the server's certificate must be one that this machine trusts.
"""

import os
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from surefoot.card.ledger_sql import PATIENCE, STEPS, VERSION, Execute, refuse_newer
from surefoot.errors import InputError

__all__ = ["PostgresServer", "is_postgres", "without_password"]

ONE_WRITER = 7_363_001
"""The number of the advisory lock that writers take."""
SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True)
class PostgresServer:
    """The ledger at this address. Raises `InputError`, when it is used, for an address that cannot be read."""

    url: str = field(repr=False)

    @property
    def order(self) -> str:
        """Rows are numbered as they are written."""
        return "number"

    @contextmanager
    def reading(self) -> Generator[Execute | None]:
        """Statements on the ledger, if there is one."""
        with self._open() as execute:
            if not self.has_table(execute, "ledger"):
                yield None
                return
            version = _version(execute)
            refuse_newer(without_password(self.url), version)
            if version < VERSION:
                self._prepare(execute)
            yield execute

    @contextmanager
    def writing(self) -> Generator[Execute]:
        """One transaction, from its start the only one that writes."""
        with self._open() as execute:
            self._prepare(execute)
            yield execute

    def has_table(self, execute: Execute, name: str) -> bool:
        """Whether there is a table of that name."""
        return execute("SELECT to_regclass(?) IS NOT NULL", (f"surefoot.{name}",))[0][0] is True

    def make_table(self, execute: Execute, statement: str) -> None:
        """Do a statement that makes or changes a table, in this server's types; every table numbers its rows."""
        said = statement.replace(" BLOB", " BYTEA").replace(" REAL", " DOUBLE PRECISION")
        said = said.replace("created TEXT", 'created TEXT COLLATE "C"')  # times in order, whatever the language
        if said.startswith("CREATE TABLE"):
            said = said.replace("(\n", "(\n  number BIGSERIAL,", 1)
        execute(said)

    def _prepare(self, execute: Execute) -> None:
        """Wait to be the only writer, then bring the tables to our version."""
        execute("SELECT pg_advisory_xact_lock(?)", (ONE_WRITER,))
        if not self.has_table(execute, "ledger"):
            execute("CREATE SCHEMA IF NOT EXISTS surefoot")
            execute("CREATE TABLE surefoot.ledger (version INTEGER NOT NULL)")
            execute("INSERT INTO surefoot.ledger VALUES (0)")
        version = _version(execute)
        refuse_newer(without_password(self.url), version)
        for step in STEPS[version:]:
            for statement in step:
                self.make_table(execute, statement)
        if version < VERSION:
            execute("UPDATE surefoot.ledger SET version = ?", (VERSION,))

    @contextmanager
    def _open(self) -> Generator[Execute]:
        """One transaction, committed at the end; whatever the server cannot do becomes an `InputError`."""
        try:
            from pg8000 import dbapi
        except ImportError:
            raise InputError(
                'A ledger on PostgreSQL needs pg8000; install it with: pip install "surefoot[postgres]"'
            ) from None
        settings = _settings(self.url)
        try:
            connection: Any = dbapi.connect(**settings)
            try:
                cursor = connection.cursor()

                def execute(statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
                    cursor.execute(statement.replace("?", "%s"), tuple(values))
                    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

                execute("SET search_path TO surefoot")
                execute(f"SET lock_timeout TO '{PATIENCE:g}s'")
                yield execute
                connection.commit()
            finally:
                connection.close()  # what was not committed is as if it had not been
        except (dbapi.Error, OSError) as error:
            raise InputError(
                f"The ledger {without_password(self.url)} cannot be used ({_reason(error)}); make sure that the server "
                "runs, that its address, name and password are right, and that you may write to the database."
            ) from None


def is_postgres(place: str) -> bool:
    """Whether a ledger's place is the address of a PostgreSQL database.

    >>> is_postgres("postgresql://surefoot@localhost/ledger"), is_postgres("runs/ledger.sqlite")
    (True, False)
    """
    return place.partition("://")[0] in SCHEMES and "://" in place


def without_password(url: str) -> str:
    """An address as it may be shown; a path as it is.

    >>> without_password("postgresql://ann:secret@db.example:5432/ledger")
    'postgresql://ann@db.example:5432/ledger'
    """
    if not is_postgres(url):
        return url
    before, at, after = url.rpartition("@")
    scheme, slashes, who = before.partition("://")
    return f"{scheme}{slashes}{who.partition(':')[0]}{at}{after}"


def _settings(url: str) -> dict[str, Any]:
    """What `pg8000.dbapi.connect` is given."""
    wrong = InputError(
        f"The address of the ledger, {without_password(url)}, cannot be read; expected "
        "postgresql://NAME@HOST:PORT/DATABASE, with nothing after it but ?sslmode=require (or disable)."
    )
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise wrong from None
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    mode = asked.pop("sslmode", "disable")
    database = unquote(parts.path.removeprefix("/"))
    if asked or parts.fragment or mode not in ("disable", "require", "verify-full") or not database or "/" in database:
        raise wrong
    password = unquote(parts.password) if parts.password is not None else os.environ.get("PGPASSWORD")
    return {
        "user": unquote(parts.username or os.environ.get("PGUSER") or os.environ.get("USER") or "surefoot"),
        "host": parts.hostname or "localhost",
        "port": port,
        "database": database,
        "password": password,
        "ssl_context": None if mode == "disable" else ssl.create_default_context(),
        "timeout": PATIENCE + 10,
        "application_name": "surefoot",
    }


def _version(execute: Execute) -> int:
    return int(execute("SELECT version FROM surefoot.ledger")[0][0])


def _reason(error: Exception) -> str:
    """What the server or pg8000 said, in a line."""
    told: Any = error.args[0] if error.args else ""
    words = told.get("M", told) if isinstance(told, dict) else str(error)
    return " ".join(str(words).split())

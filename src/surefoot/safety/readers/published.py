"""A published set and a user's file of it: which version it is, its rows, and what is wrong with them.

Nothing is fetched. A file is read from where its user has it, its sha256 is compared with those of versions that were
published, and a suite says in its `about` which it is: "as published", or "another version". Prompts may be harmful:
they are in a suite's items, and in no message of an error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.rows.published.records import Record, read_records

__all__ = ["Published", "ReadFile", "checked_file", "rows_of", "said_of"]

SHOWN = 5
Row = TypeVar("Row")


@dataclass(frozen=True)
class Published:
    """name: of the set. versions: what is known of files by their sha256. rows: how many the whole set has, 0 where
    that differs from file to file. licence, source: of the set."""

    name: str
    licence: str
    source: str
    rows: int = 0
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class ReadFile:
    """A file that is there. version: what its digest says of it."""

    path: Path
    digest: str
    version: str


def checked_file(path: Path, of: Published, sha256: str | None) -> ReadFile:
    """The file with its version.

    sha256: the one that it must have, where its user pins one. Raises `InputError` where there is no such file, and
    where it has another sha256 than that.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; give the path of {of.name}, which is to be had at {of.source}.")
    digest = digest_file(path)
    if sha256 is not None and digest != sha256.lower():
        raise InputError(f"{path} has the sha256 {digest} and {sha256} was to be read; give that version of {of.name}.")
    return ReadFile(path, digest, of.versions.get(digest, ""))


def rows_of(
    file: ReadFile, read: Callable[[Record], Row | str], *, columns: Sequence[str] | None = None
) -> list[tuple[Row, str]]:
    """What `read` makes of each record, with where it stands; it gives a text for what is wrong with one.

    Raises `InputError` that names the records with something wrong, but not what they say.
    """
    rows: list[tuple[Row, str]] = []
    faults: list[str] = []
    for record in read_records(file.path, columns):
        found = read(record)
        place = record.where.removesuffix(f" of {file.path}")
        if isinstance(found, str):
            faults.append(f"{place} {found}")
        else:
            rows.append((found, place))
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(
            f"{file.path} has broken rows: {'; '.join(faults[:SHOWN])}{more}; give it as it was published."
        )
    return rows


def said_of(file: ReadFile, of: Published, rows: int) -> str:
    """For a suite's `about`: the file, its version, and how much of the set it has."""
    version = f"as published ({file.version})" if file.version else "another version than those that are known here"
    if not of.versions:
        version = "of a version that is not known here"
    share = f" of {of.rows:,}" if of.rows else ""
    return f"{of.name}, read from {file.path.name} (sha256 {file.digest[:12]}), {version}: {rows:,}{share} rows."

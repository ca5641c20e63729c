"""Requests that a policy of one's own is taught and judged on, from a file, and which of them are for what.

A CSV or JSON-lines file with the columns `request`, `category` (a name of the policy's) and `expected` (comply, refuse
or safe). A request's role follows from its text alone (`text.tasks.task.role_of`): fit and repair requests are learnt
from, judge requests are judged, choose requests are left to whoever tries out a form of thinking.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import digest_bytes
from surefoot.reason.deliberate.kinds import Kind, kind_named
from surefoot.reason.deliberate.policy_file import PolicyText, category_of
from surefoot.rows.published.records import Record, read_records
from surefoot.text.tasks.task import role_of

__all__ = ["FEWEST", "Request", "Requests", "read_requests", "shared_out"]

COLUMNS = ("request", "category", "expected")
ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".csv.gz", ".jsonl.gz")
FEWEST = 5
"""Requests of a role, below which nothing is taught or judged."""


@dataclass(frozen=True)
class Request:
    """What is asked, under which category of the policy it falls, and which kind of answer the policy wants."""

    text: str
    category: str
    expected: Kind


@dataclass(frozen=True)
class Requests:
    """In the order of their digests, which no file can arrange. notes: what a reader must know of the file."""

    learnt: tuple[Request, ...]
    choose: tuple[Request, ...]
    judge: tuple[Request, ...]
    notes: tuple[str, ...] = ()


def read_requests(path: Path, policy: PolicyText) -> tuple[Request, ...]:
    """The requests of a file, in its order.

    Raises `InputError` for a missing file or column, an empty request, a category that the policy has not, and an
    answer of no kind that is known, with the line.
    """
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(f"{path} is no file of requests; give a .csv or a .jsonl with {', '.join(COLUMNS)}.")
    try:
        return tuple(_request(each, policy) for each in read_records(path))
    except FileNotFoundError:
        raise InputError(f"There is no file of requests {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None


def shared_out(rows: Sequence[Request], policy: PolicyText, learnt: int, judged: int) -> Requests:
    """At most so many requests to learn from and to judge on; one that is written twice counts once.

    Requests that the policy shows as examples are nobody's: their answers are known.

    Raises `InputError` for one that is written twice and means two things, and for fewer than `FEWEST` of a role.
    """
    found: dict[str, Request] = {}
    for each in rows:
        if found.setdefault(each.text, each) != each:
            raise InputError(
                f"The request {each.text[:60]!r} stands twice with another category or answer; keep one of them."
            )
    examples = {_alike(each.request) for category in policy.categories for each in category.examples}
    shown = {each for each in found if _alike(each) in examples}
    ordered = sorted((each for each in found.values() if each.text not in shown), key=lambda each: _digest(each.text))
    by_role: Mapping[str, list[Request]] = {"learnt": [], "choose": [], "judge": []}
    writings = Counter(_alike(each.text) for each in ordered)
    for each in ordered:
        # Who differs in case, space or signs alone is asked where its twin is: no judged request has a learnt one.
        alike = _alike(each.text)
        role = role_of(alike if writings[alike] > 1 else each.text)
        by_role["learnt" if role in ("fit", "repair") else role].append(each)
    for role, word in (("learnt", "learn from"), ("judge", "judge on")):
        if len(by_role[role]) < FEWEST:
            raise InputError(
                f"To {word} there are {len(by_role[role])} of {len(found)} requests (by digests of their texts, about "
                f"{'three quarters' if role == 'learnt' else 'an eighth'}); give more, so that there are {FEWEST}."
            )
    notes: list[str] = []
    if len(rows) > len(found):
        notes.append(f"{len(rows) - len(found)} requests were written twice and count once.")
    if shown:
        notes.append(f"{len(shown)} requests stand among the policy's examples and took no part.")
    return Requests(
        tuple(by_role["learnt"][:learnt]), tuple(by_role["choose"]), tuple(by_role["judge"][:judged]), tuple(notes)
    )


def _request(record: Record, policy: PolicyText) -> Request:
    missing = [name for name in COLUMNS if record.values.get(name) is None]
    if missing:
        raise InputError(
            f"{record.where[:1].upper()}{record.where[1:]} has no {missing[0]!r} (it has "
            f"{', '.join(map(str, record.values)) or 'nothing'}); give {', '.join(COLUMNS)}."
        )
    text, category, expected = (record.text(name).strip() for name in COLUMNS)
    if not text:
        raise InputError(f"The request of {record.where} is empty; give a text, or leave the line out.")
    try:
        category_of(policy, category)
    except InputError as error:
        raise InputError(f"{record.where[:1].upper()}{record.where[1:]}: {error}") from None
    return Request(text, category, kind_named(expected, f"{record.where[:1].upper()}{record.where[1:]}"))


def _alike(text: str) -> str:
    """A request without what two writings of it may differ in."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _digest(text: str) -> str:
    return digest_bytes(text.encode())

"""By what a judged row is known again: marks of its inputs and of its name, and how many rows two sets share.

A mark is 64 bits of a digest. A set of rows has one mark per row and kind ("inputs", "names"); two sets are compared
kind by kind, for a file may rename every row, or write its inputs in another way, and the other kind still tells. A
value that several rows of one set have does not tell them apart and never matches, except a name: rows of one source
are one piece of evidence.

Of a large set the ledger keeps the `MOST` smallest marks of each kind, a random sample of its rows (Broder 1997, On
the resemblance and containment of documents): shares of rows are then estimated, to within a percentage point.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "WHOLE", "WIDTH", "Kept", "RowMarks", "kept", "marks", "seen_rows"]

MOST = 20_000
"""Marks of one kind that are kept of one judge set: 160 kB."""
WIDTH = "<u8"
WHOLE = 2**64 - 1
"""No mark is larger."""


@dataclass(frozen=True)
class RowMarks:
    """The marks of a judge set's rows by kind, in the rows' order. telling: which of them tell a row from others."""

    by_kind: Mapping[str, NDArray[np.uint64]]
    telling: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Kept:
    """Marks of one kind that a ledger keeps of an earlier set, in order; all of its marks up to `upto`."""

    marks: NDArray[np.uint64]
    upto: int


def marks(*, inputs: Iterable[str] | None = None, names: Iterable[str] | None = None) -> RowMarks:
    """Marks of rows from digests of their inputs, and from names that mean the same row in every file ("": no name).

    >>> one = marks(names=["im_1", "im_2", "im_3"])
    >>> float(seen_rows(one, "names", kept(one)["names"]).mean())
    1.0
    """
    by_kind: dict[str, NDArray[np.uint64]] = {}
    telling: dict[str, NDArray[np.bool_]] = {}
    if inputs is not None:
        by_kind["inputs"], _ = _digests("inputs", inputs)
        _, inverse, counts = np.unique(by_kind["inputs"], return_inverse=True, return_counts=True)
        telling["inputs"] = counts[inverse.reshape(-1)] == 1
    if names is not None:
        by_kind["names"], telling["names"] = _digests("names", names)
    return RowMarks(by_kind, telling)


def kept(of: RowMarks) -> dict[str, Kept]:
    """What a ledger keeps of a set: by kind, its telling marks, or the smallest of them."""
    found: dict[str, Kept] = {}
    for kind, each in of.by_kind.items():
        told = np.unique(each[of.telling[kind]])
        whole = len(told) <= MOST
        found[kind] = Kept(told if whole else told[:MOST], WHOLE if whole else int(told[MOST - 1]))
    return found


def seen_rows(of: RowMarks, kind: str, before: Kept) -> NDArray[np.bool_]:
    """Which rows an earlier set held too, among those of them that a sample of its marks can tell of."""
    within = of.by_kind[kind] <= np.uint64(before.upto)
    if not len(before.marks):
        return np.zeros(int(within.sum()), dtype=np.bool_)
    each = of.by_kind[kind][within]
    at = np.minimum(np.searchsorted(before.marks, each), len(before.marks) - 1)
    return (before.marks[at] == each) & of.telling[kind][within]


def _digests(kind: str, values: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The mark of each value, and whether it is one; values are taken one by one, for there may be millions."""
    joined, named = bytearray(), bytearray()
    for value in values:
        joined += hashlib.blake2b(f"{kind}:{value}".encode(), digest_size=8).digest()
        named.append(value != "")
    return np.frombuffer(joined, dtype=WIDTH).astype(np.uint64), np.frombuffer(named, dtype=np.bool_).copy()

"""Descent through several links: a crop of a photo of a patient descends from the patient.

In a table the source of a row is often the id of another row, whose source is named in its turn. `resolved` follows
the links, so that `Rows.sources` hold roots alone and one comparison of names finds every relative.

A bare whole number is a special name: two columns that count from 0 (row 5, patient 5) have every number in common
and mean nothing by it. Numbers are links only where the table shows that they are: some rows name no source, and
every number that is named leads to one of them.
"""

import re

import numpy as np
from numpy.typing import NDArray

from surefoot.rows.rows import Names

__all__ = ["is_counted", "is_number", "resolved"]

AT_ONCE = 2**16
"""Strings that Python has at a time."""
COUNTED = re.compile(r"(.*/)?[A-Za-z]{0,4}[-_]?[0-9]+\.[A-Za-z]{3,4}")


def resolved(ids: Names, sources: Names) -> Names:
    """`sources` with every one that is the id of another row replaced by what that row descends from, to the root.

    >>> resolved(np.array(["photo", "crop", "spin"]), np.array([["patient"], ["photo"], ["crop"]])).tolist()
    [['patient'], ['patient'], ['patient']]
    >>> resolved(np.array(["0", "1", "2"]), np.array([["2"], ["2"], ["1"]])).tolist()  # rows and patients by number
    [['2'], ['2'], ['1']]
    """
    ways = [_way(ids, column) for column in sources.T]
    return np.stack(ways, axis=1) if ways else sources


def is_number(names: Names) -> NDArray[np.bool_]:
    """Which names are whole numbers and nothing more."""
    flat = names.reshape(-1)
    found = np.empty(len(flat), dtype=np.bool_)
    for start in range(0, len(flat), AT_ONCE):
        part: list[str] = flat[start : start + AT_ONCE].tolist()
        found[start : start + len(part)] = [name.removeprefix("-").isdecimal() for name in part]
    return found.reshape(names.shape)


def is_counted(name: str) -> bool:
    """Whether a name is that of a file that was merely counted: folders everywhere hold a 0001.png.

    >>> is_counted("cat/0001.png"), is_counted("IMG_0012.jpg"), is_counted("ward7-anna.png")
    (True, True, False)
    """
    return COUNTED.fullmatch(name) is not None


def _way(ids: Names, sources: Names) -> Names:
    """One column of sources. A ring of rows that name one another descends from one of them."""
    if not (np.isin(sources, ids) & (sources != ids)).any():
        return sources
    names, code = np.unique(np.concatenate([ids, sources]), return_inverse=True)
    row, source = code[: len(ids)], code[len(ids) :]
    named = sources != ""
    number = is_number(names)
    parent = np.arange(len(names))
    parent[row[named]] = source[named]
    links = named & number[source]
    originals = np.zeros(len(names), dtype=np.bool_)
    originals[row[~named]] = True
    if not (~named).any() or not originals[_root(parent)[source[links]]].all():
        still = number & number[parent]
        parent[still] = np.flatnonzero(still)
    return np.where(named, names[_root(parent)[source]], "")


def _root(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each name ends when links are followed; of a ring, its first name by spelling."""
    steps = len(parent).bit_length()
    end = parent
    for _ in range(steps):
        end = end[end]
    least, reach = np.arange(len(parent)), parent
    for _ in range(steps):
        least = np.minimum(least, least[reach])
        reach = reach[reach]
    return least[end]

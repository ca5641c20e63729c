"""Rows of about one length together: padding costs what tokens cost."""

from collections.abc import Sequence

__all__ = ["alike"]

SHORTER = 0.7
"""A row this much shorter than the longest of its part begins another part."""
FEWEST = 12
"""Rows that a part has before another begins for that reason."""


def alike(lengths: Sequence[int], most: int) -> list[slice]:
    """Parts of rows that are sorted by length, the longest first, of at most `most` rows.

    >>> alike([20] * 15 + [5] * 30, 20)
    [slice(0, 15, None), slice(15, 35, None), slice(35, 45, None)]
    """
    found: list[slice] = []
    start = 0
    for row in range(1, len(lengths) + 1):
        full = row == len(lengths) or row - start == most
        if full or (row - start >= FEWEST and lengths[row] < SHORTER * lengths[start]):
            found.append(slice(start, row))
            start = row
    return found

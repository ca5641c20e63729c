"""Rows of about one length together: padding costs what tokens cost."""

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["alike"]


def alike(lengths: Sequence[int], most: int, fixed: int) -> list[slice]:
    """Parts of rows that are sorted by length, the longest first, of at most `most` rows, that cost least in all.

    A part costs its rows times the length of its longest, and `fixed` places for being a part.

    >>> alike([20] * 15 + [5] * 30, 25, fixed=100)
    [slice(0, 15, None), slice(15, 40, None), slice(40, 45, None)]
    >>> alike([20] * 15 + [19] * 30, 45, fixed=100)
    [slice(0, 45, None)]
    """
    # Parts begin where a length begins: within rows of one length there is nothing to gain.
    edges = [row for row in range(len(lengths)) if row == 0 or lengths[row] < lengths[row - 1]] + [len(lengths)]
    least, before = [0] + [-1] * (len(edges) - 1), [0] * len(edges)
    for end in range(1, len(edges)):
        for start in range(end):
            rows = edges[end] - edges[start]
            cost = least[start] + rows * lengths[edges[start]] + fixed * -(-rows // most)
            if least[end] < 0 or cost < least[end]:
                least[end], before[end] = cost, start
    ends = [len(edges) - 1]
    while ends[-1] > 0:
        ends.append(before[ends[-1]])
    parts = pairwise([edges[at] for at in reversed(ends)])
    return [slice(at, min(at + most, stop)) for start, stop in parts for at in range(start, stop, most)]

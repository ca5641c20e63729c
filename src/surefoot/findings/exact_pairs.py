"""Exact tests of paired yes-or-no outcomes: McNemar's, and the sign test that it is.

Source: McNemar (1947), Psychometrika 12, 153–157; its exact form is the binomial test of the pairs that differ.
"""

from typing import NamedTuple

from jaxtyping import Bool
from numpy import ndarray

from surefoot.errors import InputError

__all__ = ["McNemar", "mcnemar", "sign_test"]


class McNemar(NamedTuple):
    """Rows that only `after` has, rows that only `before` has, and the two-sided p-value that both are as likely."""

    gained: int
    lost: int
    p_value: float


def mcnemar(before: Bool[ndarray, "rows"], after: Bool[ndarray, "_"]) -> McNemar:
    """Did a share change? By the rows whose outcome changed: p = min(1, 2 P(Binomial(b + c, ½) ≤ min(b, c))).

    Rows are taken to be independent of one another; for several samples of a prompt use `means.mean_change`, whose
    interval knows of clusters.

    Raises `InputError` for no rows, or different numbers of them.

    >>> import numpy as np
    >>> mcnemar(np.array([True, False, False, False, False]), np.array([False, True, True, True, True]))
    McNemar(gained=4, lost=1, p_value=0.375)
    """
    if not len(before) or len(before) != len(after):
        raise InputError(
            f"There are outcomes of {len(before)} rows before and of {len(after)} after; give both of the same rows."
        )
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return McNemar(gained, lost, sign_test(gained, lost))


def sign_test(wins: int, losses: int) -> float:
    """The two-sided p-value that a win is as likely as a loss; ties are left out. 1 where there is neither.

    >>> round(sign_test(9, 1), 6)  # 2 (1 + 10)/2¹⁰
    0.021484
    """
    if wins < 0 or losses < 0:
        raise InputError(f"{wins} wins and {losses} losses were given; give counts.")
    count, fewer = wins + losses, min(wins, losses)
    if 2 * fewer == count:
        return 1.0
    ways = tail = 1
    for each in range(fewer):
        ways = ways * (count - each) // (each + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << count))  # whole numbers of any size, divided exactly

"""Which seeds there are: those that every generator of random numbers takes."""

from collections.abc import Sequence

from surefoot.errors import InputError

__all__ = ["LAST_SEED", "check_seeds"]

LAST_SEED = 2**31 - 1
"""The largest seed, in studies and commands alike. Generators that take more would tell no more seeds apart: torch's on
the CPU keeps 32 bits."""


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """These seeds; raises `InputError` where there are none, one comes twice, or one is no seed.

    >>> check_seeds([3, 1])
    (3, 1)
    """
    shown = ", ".join(map(str, seeds)) or "none"
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"The seeds are {shown}; give different ones, zero or more.")
    if min(seeds) < 0 or max(seeds) > LAST_SEED:
        raise InputError(f"The seeds are {shown}; give whole numbers from 0 to {LAST_SEED}.")
    return tuple(seeds)

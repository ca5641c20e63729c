"""Who runs which steps of which chain, so that three chains keep two threads busy to the end.

Source: McNaughton (1959), Scheduling with deadlines and loss functions, theorem 3.1 (the wrap-around rule).
"""

from itertools import pairwise
from typing import NamedTuple

__all__ = ["Turn", "turns"]


class Turn(NamedTuple):
    """Steps `first` … `last` − 1 of one chain."""

    chain: int
    first: int
    last: int


def turns(chains: int, steps: int, workers: int) -> list[list[Turn]]:
    """Each worker's turns in order; all have the same number of steps, up to one.

    A chain that two workers share is begun at the start of one's list and finished at the end of the other's: while all
    run equally fast nobody waits, and as the beginning waits for nobody, nobody waits for ever.

    >>> for own in turns(3, 10, 2):
    ...     print(*(tuple(turn) for turn in own))
    (0, 0, 10) (1, 5, 10)
    (1, 0, 5) (2, 0, 10)
    """
    workers = min(workers, chains)
    edges = [worker * chains * steps // workers for worker in range(workers + 1)]
    lists: list[list[Turn]] = []
    for low, high in pairwise(edges):
        own: list[Turn] = []
        for chain in range(low // steps, -(-high // steps)):
            begins, ends = max(low, chain * steps), min(high, (chain + 1) * steps)
            missing = (chain + 1) * steps - ends  # what the next worker begins with
            own.append(Turn(chain, missing, steps) if missing else Turn(chain, 0, ends - begins))
        lists.append(own)
    return lists

"""Balanced draws, and halves of a role that share no source.

Both are tied to row ids, not to positions: random numbers are dealt to the ids in sorted order, so the same rows in
another order give the same draw under the same seed.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Groups, Names, Rows

__all__ = ["Halves", "balanced_draw", "refuse_empty_half", "source_halves", "tuning_halves"]


class Halves(NamedTuple):
    """Row numbers of the two halves, each in id order, and how many rows are in neither."""

    first: Int[Tensor, "first"]
    second: Int[Tensor, "second"]
    left_out: int


def balanced_draw(
    groups: Groups, ids: Names, generator: torch.Generator, *, role: str, method: str
) -> Int[Tensor, "drawn"]:
    """As many rows of every group as the smallest group has, without replacement; row numbers in id order.

    Rows in no group (unknown) are never drawn. Where groups overlap, every group has a draw of its own, and a row drawn
    for several groups is in the answer as often: whoever weighs rows must let it count each time. So whatever is summed
    over the draw estimates, without bias, (rows drawn per group) · Σ_g mean over group g: every group weighs the same,
    and a row in two groups speaks for both. Without overlap no row is drawn twice. (Equal numbers of every *cell*, each
    pattern of memberships, is another reading; sixteen overlapping groups have hundreds of cells, the smallest of one
    row, and a draw of one row each would leave nothing to learn from.)

    Raises `InputError` when a group is empty, naming it, the role and the method.

    >>> groups = Groups(("a", "b"), torch.tensor([[True, False], [False, True], [True, False], [False, False]]))
    >>> ids = np.array(["0", "1", "2", "3"])
    >>> drawn = balanced_draw(groups, ids, torch.Generator().manual_seed(0), role="repair", method="dfr")
    >>> len(drawn), groups.take(drawn).counts().tolist()
    (2, [1, 1])
    >>> both = Groups(("a", "b"), torch.tensor([[True, True], [True, False]]))
    >>> drawn = balanced_draw(both, ids[:2], torch.Generator().manual_seed(3), role="repair", method="dfr")
    >>> len(drawn)  # row 0 for "b", and for "a" one of both
    2
    """
    counts = groups.counts()
    for name, count in zip(groups.names, counts.tolist(), strict=True):
        if not count:
            raise InputError(
                f"The group '{name}' has no {role} rows, and {method} draws equally many of every group; add {role} "
                "rows of it, or leave it out of the groups."
            )
    fewest = int(counts.min())
    order, keys = _deal(ids, generator)
    overlap = bool((groups.members.sum(dim=1) > 1).any())
    drawn: list[Tensor] = []
    for number in range(len(groups.names)):
        if overlap and number:
            order, keys = _deal(ids, generator)  # else a row's luck in one group would be its luck in all
        shuffled = order[keys.argsort()]
        drawn.append(shuffled[groups.members[shuffled, number]][:fewest])
    return _in_id_order(torch.cat(drawn), ids)


def source_halves(rows: Rows, groups: Groups, generator: torch.Generator) -> Halves:
    """Two halves, alike in every group, with no source and no cluster in both.

    Rows are dealt one by one, those of the rarest group first, to the half that has fewer of their group; a row that
    shares a source or cluster with a row already dealt follows it. A row tied to both halves goes to neither: where
    rows hang together in two ways (core digit, shortcut digit) all of them form one knot that no split leaves whole,
    and cutting common rows first keeps the rare ones. Rows in no group are in neither half.
    """
    order, keys = _deal(rows.ids, generator)
    shuffled = order[keys.argsort()]
    sizes = groups.counts()
    rarest = torch.where(groups.members, sizes, len(rows) + 1).amin(dim=1)
    shuffled = shuffled[rarest[shuffled].argsort(stable=True)]
    ties = _ties(rows)
    members = groups.members.numpy()
    half_of: dict[str, int] = {}
    tally = np.zeros((2, len(groups.names)), dtype=np.int64)
    halves: tuple[list[int], list[int]] = ([], [])
    for row in shuffled.tolist():
        mine = members[row]
        if not mine.any():
            continue
        taken = {half_of[tie] for tie in ties[row] if tie in half_of}
        if len(taken) == 2:
            continue
        half = taken.pop() if taken else int(tally[1][mine].sum() < tally[0][mine].sum())
        half_of.update(dict.fromkeys(ties[row], half))
        tally[half] += mine
        halves[half].append(row)
    first, second = (_in_id_order(torch.tensor(half, dtype=torch.int64), rows.ids) for half in halves)
    return Halves(first, second, len(rows) - len(first) - len(second))


def tuning_halves(choose: Rows, groups: Groups, generator: torch.Generator, method: str) -> tuple[Halves, list[str]]:
    """Choose rows to score settings on (first) and to fit them on (second), for a method that learns on choose rows.

    Raises `InputError` when a group is missing from a half. Also: what a reader must know about rows in neither.
    """
    halves = source_halves(choose, groups, generator)
    for half in (halves.first, halves.second):
        refuse_empty_half(groups.take(half), method)
    if not halves.left_out:
        return halves, []
    return halves, [
        f"{halves.left_out} of {len(choose)} choose rows were in neither tuning half: they share sources with both, or "
        "are in no group."
    ]


def refuse_empty_half(groups: Groups, method: str) -> None:
    """Raise `InputError` when a group has no row in a half of the choose rows: it would have no mean loss there."""
    for name, count in zip(groups.names, groups.counts().tolist(), strict=True):
        if not count:
            raise InputError(
                f"The group '{name}' is missing from one half of the choose rows, and {method} fits on one half and "
                "scores on the other; give more choose rows of it from other sources, or learn on the repair rows."
            )


def _deal(ids: Names, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Row numbers in id order, and a random key for each."""
    order = torch.from_numpy(np.argsort(ids, kind="stable"))
    return order, torch.rand(len(order), generator=generator, dtype=torch.float64)


def _in_id_order(index: Tensor, ids: Names) -> Tensor:
    return index[torch.from_numpy(np.argsort(ids[index.numpy()], kind="stable"))]


def _ties(rows: Rows) -> list[list[str]]:
    """Per row, the names of everything it hangs together by: its sources and its clusters."""
    sources = [[f"source {name}" for name in names if name] for names in rows.sources.tolist()]
    clusters = rows.clusters.tolist()
    return [
        [*names, *(f"cluster {way} {number}" for way, number in enumerate(numbers))]
        for names, numbers in zip(sources, clusters, strict=True)
    ]

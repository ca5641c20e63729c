"""Rows to condition on, and rows to predict: one seeded split with whole families on one side."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.assign import assign_roles, families
from surefoot.rows.rows import Rows

__all__ = ["Parted", "part_rows"]


class Parted(NamedTuple):
    """Rows to condition on, and those held out, each in their old order."""

    known: Rows
    later: Rows


def part_rows(rows: Rows, share: float, seed: int) -> Parted:
    """About `share` of the rows to condition on, and the others, with no source, copy or cluster on both sides.

    Classes and groups are stratified (numbers to predict are not). It depends on the rows and the seed alone, so that
    candidates have the same rows held out. Raises `InputError` where rows are too few, or hang together too much.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.arange(10.0)[:, None], torch.tensor([0, 1] * 5), clusters=torch.arange(10)[:, None] // 2)
    >>> known, later = part_rows(rows, 0.6, seed=0)
    >>> len(known), sorted(set(known.clusters.flatten().tolist()) & set(later.clusters.flatten().tolist()))
    (6, [])
    """
    if not 0 < share < 1:
        raise InputError(f"share is {share}; give a part of the rows, between 0 and 1.")
    numbers = torch.arange(len(rows))
    # What is divided are the rows' places: classes for strata, a regression's numbers in none.
    labelled = rows.targets.ndim == 1 and not rows.targets.is_floating_point()
    places = replace(rows, inputs=numbers[:, None], targets=rows.targets if labelled else torch.zeros_like(numbers))
    parts = assign_roles(places, {"fit": share, "choose": 1 - share}, seed, _families(rows))
    known, later = (rows.take(parts[role].inputs[:, 0]) for role in ("fit", "choose"))
    return Parted(known, later)


def _families(rows: Rows) -> Int[Tensor, "rows"]:
    """What must stay together: a cluster's number becomes the name of one more source."""
    if not rows.clusters.shape[1] or not len(rows):
        return families(rows)
    named = np.array([[f"cluster {way}:{number}" for way, number in enumerate(row)] for row in rows.clusters.tolist()])
    return families(replace(rows, sources=np.concatenate([rows.sources, named], axis=1)))

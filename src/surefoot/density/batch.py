"""A batch: the part of some rows that a density is evaluated on."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.rows.rows import Rows

__all__ = ["Batch", "whole"]


class Batch(NamedTuple):
    """Inputs `[rows, …]`, targets (see `Rows`), weights, and the membership matrix of the groups.

    done: the share of a run's steps that came before this batch, for scores that change as a run goes on (`Paced`).
    """

    inputs: Tensor
    targets: Tensor
    weights: Float[Tensor, "rows"]
    members: Bool[Tensor, "rows groups"]
    done: float = 1.0


def whole(rows: Rows) -> Batch:
    """All rows as one batch (inputs kept in files are read).

    >>> import torch
    >>> from surefoot.rows.rows import make_rows
    >>> whole(make_rows(torch.zeros(3, 2), torch.tensor([0, 1, 0]))).targets.tolist()
    [0, 1, 0]
    """
    return Batch(rows.inputs[:], rows.targets, rows.weights, rows.groups.members)

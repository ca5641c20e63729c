"""Rows without their smallest groups: what base training sees when a shortcut holds without exception."""

from surefoot.errors import InputError
from surefoot.rows.rows import Rows

__all__ = ["remove_minority"]


def remove_minority(rows: Rows, count: int) -> Rows:
    """The rows in none of the `count` smallest groups (of equal ones, those named first). The group names stay.

    It belongs to base training: DFR-Tr-NM (Kirichenko et al. 2023) trains the network on such rows and then repairs its
    head on rows of all groups. Raises `InputError` when fewer than two groups, or no rows, would be left.

    >>> import torch
    >>> from surefoot.rows.rows import Groups, make_rows
    >>> groups = Groups(("a", "b", "c"), torch.tensor([0, 0, 0, 1, 1, 2])[:, None] == torch.arange(3))
    >>> rows = make_rows(torch.zeros(6, 1), torch.tensor([0, 1, 0, 1, 0, 1]), groups=groups)
    >>> remove_minority(rows, 1).groups.counts().tolist()
    [3, 2, 0]
    """
    names, counts = rows.groups.names, rows.groups.counts()
    if count < 0 or len(names) - count < 2:
        raise InputError(
            f"remove_minority was asked to remove {count} of {len(names)} groups; at least two groups must be left."
        )
    smallest = counts.argsort(stable=True)[:count]
    kept = (~rows.groups.members[:, smallest].any(dim=1)).nonzero().squeeze(1)
    if not len(kept):
        raise InputError(
            f"Every row is in one of the {count} smallest groups "
            f"({', '.join(names[number] for number in smallest.tolist())}); remove fewer."
        )
    return rows.take(kept)

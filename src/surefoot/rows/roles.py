"""Roles: what a row may be used for, and the guard that keeps descent from crossing them.

- `fit`: base training.
- `repair`: mitigations learn here.
- `choose`: hyperparameters, selection, early stopping.
- `judge`: claims; touched once.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from surefoot.errors import InputError
from surefoot.rows.rows import Rows

__all__ = ["ROLES", "Role", "Roles", "refuse_seen"]

Role: TypeAlias = Literal["fit", "repair", "choose", "judge"]
ROLES: tuple[Role, ...] = ("fit", "repair", "choose", "judge")
Roles: TypeAlias = Mapping[Role, Rows]
"""The rows of each role; a role that is not needed may be absent."""


def refuse_seen(judge: Rows, seen: frozenset[str], by: str) -> None:
    """Raise `InputError` when a judge row, or a relative of it, was seen by `by` (law 4)."""
    crossing = sorted(judge.origins() & seen)
    if crossing:
        raise InputError(
            f"{len(crossing)} sources of the judge rows (first: {crossing[0]}) were already seen by {by}; "
            "judge on rows that no fit, repair or choice has touched."
        )

"""The rows of one file that a repair learns on, chooses on and is judged on."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.rows.assign import check_roles, roles_from_split
from surefoot.rows.parting import draw_roles
from surefoot.rows.reading import SPLIT_MEANING, Reading
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.streamed import FileFeatures

__all__ = ["SHARES", "Parted", "give_roles", "on_features", "refuse_unlearnable"]

SHARES: Mapping[Role, float] = {"fit": 0.4, "repair": 0.2, "choose": 0.2, "judge": 0.2}
"""How rows are shared out where the file has no split."""

REPAIR_SHARE = 0.2
"""How much of the fit rows of a split is kept for repair, where the split names no repair rows."""


class Parted(NamedTuple):
    """Rows by role, in words where the roles come from, and those among which rows were shared out here."""

    roles: Roles
    origin: str
    drawn: frozenset[Role] = frozenset()


def give_roles(reading: Reading, seed: int) -> Parted:
    """The file's own split where it has one (a fifth of its training rows kept for repair), else shares at random."""
    if reading.split is None:
        roles = draw_roles(reading.rows, reading.coded, SHARES, seed)
        check_roles(roles)
        words = ", ".join(f"{share:.0%} {role}" for role, share in SHARES.items())
        told = f"Splits: made here, at random with seed {seed} ({words}); the file has none."
        return Parted(roles, told, frozenset(roles))
    values = ", ".join(sorted(set(reading.split)))
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
    words = f"Splits: from the file ({values})"
    for role in ("fit", "choose", "judge"):
        if role not in roles:
            raise InputError(
                f"The split of the file ({values}) has no {role} rows; repair needs rows to train, to choose and to "
                "judge on: give all three, or leave the split out to have one made."
            )
    if "repair" in roles:
        return Parted(roles, f"{words}.")
    parted = draw_roles(roles["fit"], reading.coded, {"fit": 1 - REPAIR_SHARE, "repair": REPAIR_SHARE}, seed)
    ordered: Roles = {role: {**roles, **parted}[role] for role in ROLES}
    told = f"{words}; {REPAIR_SHARE:.0%} of its training rows were kept for repair, with seed {seed}."
    return Parted(ordered, told, frozenset(parted))


def on_features(reading: Reading, path: Path, *, own_head: bool) -> Reading:
    inputs = reading.rows.inputs
    inputs = inputs if isinstance(inputs, FileFeatures) else inputs[:]
    if (
        not isinstance(inputs, FileFeatures)
        and reading.coded is None
        and (inputs.ndim != 2 or not inputs.dtype.is_floating_point)
    ):
        raise InputError(
            f"{path} holds inputs of shape {tuple(inputs.shape)}; repair works on features, one vector of numbers per "
            "row: name the model that makes them with --model, or write a study with `surefoot init`."
        )
    if len(reading.rows.classes) < 2:
        raise InputError(
            f"All rows of {path} are of one class ({', '.join(reading.rows.classes)}); repair needs two or more."
        )
    if own_head and reading.rows.targets.ndim == 1:
        counts = reading.rows.targets.bincount(minlength=len(reading.rows.classes)).tolist()
        absent = [name for name, count in zip(reading.rows.classes, counts, strict=True) if not count]
        if absent:
            raise InputError(
                f"No row of {path} is of class {absent[0]}, and its classes are {', '.join(reading.rows.classes[:10])} "
                "(whole numbers from 0 are class numbers); number the labels without a gap, or give them as words."
            )
    if reading.coded is not None or isinstance(inputs, FileFeatures):
        return reading
    return replace(reading, rows=reading.rows.with_inputs(inputs.float()))


def refuse_unlearnable(roles: Roles) -> None:
    """Raise `InputError` for a class of which no row is a fit row: no head can learn it."""
    for number, name in enumerate(roles["fit"].classes):
        counts = {role: int((rows.targets == number).sum()) for role, rows in roles.items() if rows.targets.ndim == 1}
        if counts.get("fit") == 0:
            raise InputError(
                f"The class {name} has {sum(counts.values())} rows and none of them is a fit row, so no head can learn "
                "it; give more rows of it, or leave it out."
            )

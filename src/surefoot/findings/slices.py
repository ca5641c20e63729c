"""The slices that findings speak of: all rows, each group that has rows, and the worst of those groups."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, cluster_design, fewest_clusters
from surefoot.findings.finding import Direction, Finding, Interval
from surefoot.findings.predictions import Predictions

__all__ = ["Members", "Reals", "Slices", "group_weights", "slices_of", "to_finding", "with_note"]

Reals: TypeAlias = NDArray[np.float64]
Members: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Slices:
    """Rows of each slice as masks. groups: only those with rows. worst: the name of the worst group's slice.

    The worst group's slice is "all" where every group has rows. A group without rows has no accuracy, so then the
    worst of *all* groups is unknown and the slice is "all groups but …", which no claim about "all" can mistake.
    """

    design: Design
    everything: Members
    groups: Mapping[str, Members]
    worst: str


def slices_of(predictions: Predictions) -> Slices:
    """The slices of these rows. Raises `InputError` when there is no row, or a group is named "all"."""
    rows = len(predictions.targets)
    if rows == 0:
        raise InputError("There are no rows to measure; give predictions for at least one row.")
    if "all" in predictions.groups.names:
        raise InputError('A group is named "all", which is the name of the slice of all rows; give it another name.')
    masks = dict(zip(predictions.groups.names, predictions.groups.members.numpy().T, strict=True))
    groups = {name: mask for name, mask in masks.items() if mask.any()}
    empty = [name for name in masks if name not in groups]
    return Slices(
        design=cluster_design(predictions.clusters.numpy()),
        everything=np.ones(rows, dtype=np.bool_),
        groups=groups,
        worst="all groups but " + "; ".join(empty) if empty else "all",
    )


def group_weights(predictions: Predictions, proportions: Mapping[str, float]) -> dict[str, float]:
    """The weight of each group that has rows, from the groups' shares of the training rows.

    Raises `InputError` unless every row is in exactly one group, and the proportions name every group once, are
    not negative, sum to one and give no weight to a group without rows.
    """
    names, members = predictions.groups.names, predictions.groups.members.numpy()
    for name in proportions:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"the groups are {', '.join(names) or 'none'}."
            raise InputError(f'The proportions name a group "{name}" that the rows do not have; {hint}')
    for name in names:
        if name not in proportions:
            raise InputError(f'The proportions lack the group "{name}"; give one for every group.')
    wrong = [name for name in names if not 0 <= proportions[name] <= 1]
    total = sum(proportions.values())
    if wrong or abs(total - 1) > 1e-6:
        raise InputError(
            f"The proportions {dict(proportions)} sum to {total:g}; give each group's share of the training rows, "
            "between 0 and 1, summing to 1."
        )
    times = members.sum(axis=1)
    if (times != 1).any():
        first = predictions.ids[int(np.flatnonzero(times != 1)[0])]
        raise InputError(
            f"{int((times > 1).sum())} rows are in several groups and {int((times == 0).sum())} in none "
            f"(first: {first}), so a mean weighted by group is not defined; give groups that divide the rows, or no "
            "proportions."
        )
    for at, name in enumerate(names):
        if proportions[name] > 0 and not members[:, at].any():
            raise InputError(
                f'The group "{name}" makes up {proportions[name]:.2%} of the training rows but has no row here, so the '
                "weighted mean is unknown; add rows of it, or give no proportions."
            )
    return {name: float(proportions[name]) for name in names if proportions[name] > 0}


def to_finding(
    slices: Slices,
    rows: Members,
    *,
    name: str,
    slice_: str,
    per_seed: Reals,
    interval: Interval | None,
    direction: Direction,
    subject: str,
    source: str,
    value: float | None = None,
    unit: str = "proportion",
) -> Finding:
    """A finding about the slice `rows`: its rows and fewest clusters are counted here.

    Its value is the mean over seeds of `per_seed`, unless given.
    """
    return Finding(
        name=name,
        value=float(per_seed.mean()) if value is None else float(value),
        interval=interval,
        count=int(rows.sum()),
        clusters=fewest_clusters(slices.design, rows),
        unit=unit,
        slice=slice_,
        direction=direction,
        subject=subject,
        source=source,
        per_seed=tuple(float(each) for each in per_seed) if len(per_seed) > 1 else (),
    )


def with_note(finding: Finding, note: str) -> Finding:
    """The finding with a note beside its interval's method, or beside its unit where it has no interval."""
    if finding.interval is None:
        return replace(finding, unit=f"{finding.unit} ({note})")
    return replace(finding, interval=replace(finding.interval, method=f"{finding.interval.method}; {note}"))

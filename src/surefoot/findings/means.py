"""The mean of any number that each row has, and the paired change of such a mean, with intervals over rows and seeds.

`measure` and `compare` are for predictions of classes. Here is what is left where an answer is a text: whether it was
right, what it was worth, how long it was.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.findings.clustering import Design, cluster_design, fewest_clusters, influence, spread
from surefoot.findings.differences import change_interval
from surefoot.findings.finding import Direction, Finding
from surefoot.findings.intervals import check_confidence, mean_interval, proportion_interval

__all__ = ["Quantity", "mean_change", "mean_finding"]

PROPORTION = "proportion"


@dataclass(frozen=True)
class Quantity:
    """What is measured of every row. A proportion lies in [0, 1]; anything else at `least` or above."""

    name: str
    unit: str = PROPORTION
    direction: Direction = "higher"
    least: float = -math.inf


def mean_finding(
    values: Float64[ndarray, "seeds rows"],
    of: Quantity,
    *,
    subject: str,
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> Finding:
    """The mean over rows and seeds.

    clusters: which rows hang together, every row alone without them. part: the slice these rows are.

    Raises `InputError` for no rows, values that are not finite, and a proportion outside [0, 1].

    >>> found = mean_finding(np.array([[1.0, 1.0, 0.0, 1.0]]), Quantity("accuracy"), subject="model", source="judge")
    >>> found.value, round(found.interval.low, 3), round(found.interval.high, 3)
    (0.75, 0.301, 0.954)
    """
    check_confidence(confidence)
    design = _design(values, of, clusters)
    everything = np.ones(values.shape[1], dtype=np.bool_)
    found = spread(design, [(1.0, influence(design, everything, values))])
    if of.unit == PROPORTION:
        interval = proportion_interval(found, confidence)
    else:
        interval = mean_interval(found, confidence, low=of.least)
    return Finding(
        name=of.name,
        value=found.value,
        interval=interval,
        count=values.shape[1],
        clusters=fewest_clusters(design, everything),
        unit=of.unit,
        slice=part,
        direction=of.direction,
        subject=subject,
        source=source,
        per_seed=tuple(map(float, found.per_seed)) if len(values) > 1 else (),
    )


def mean_change(
    before: Float64[ndarray, "seeds rows"],
    after: Float64[ndarray, "_ _"],
    of: Quantity,
    *,
    names: tuple[str, str],
    source: str,
    clusters: Int64[ndarray, "_ ways"] | None = None,
    part: str = "all",
    confidence: float = 0.95,
) -> Finding:
    """The mean of after − before, paired by row and seed. names: of before and after. part: the slice.

    A proportion's change is what rows gained less what they lost, each between 0 and 1. Raises `InputError` where the
    two are not of the same rows and seeds, and like `mean_finding`.

    >>> change = mean_change(
    ...     np.array([[0.0, 0.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 1.0, 1.0]]), Quantity("accuracy"),
    ...     names=("old", "new"), source="judge",
    ... )
    >>> change.value, change.subject
    (0.5, 'new − old')
    """
    check_confidence(confidence)
    if before.shape != after.shape:
        raise InputError(
            f"Before there are {list(before.shape)} [seeds, rows] and after {list(after.shape)}; give both of the same."
        )
    design = _design(before, of, clusters)
    _design(after, of, clusters)
    everything = np.ones(before.shape[1], dtype=np.bool_)
    gained, lost = (influence(design, everything, np.maximum(each, 0.0)) for each in (after - before, before - after))
    plus, minus = spread(design, [(1.0, gained)]), spread(design, [(1.0, lost)])
    change = spread(design, [(1.0, gained), (-1.0, lost)])
    if of.unit == PROPORTION:
        interval = change_interval(change, plus, minus, confidence)
    else:
        interval = mean_interval(change, confidence)
    return Finding(
        name=of.name,
        value=change.value,
        interval=interval,
        count=before.shape[1],
        clusters=fewest_clusters(design, everything),
        unit=of.unit,
        slice=part,
        direction=of.direction,
        subject=f"{names[1]} − {names[0]}",
        source=source,
        per_seed=tuple(map(float, change.per_seed)) if len(before) > 1 else (),
    )


def _design(values: Float64[ndarray, "seeds rows"], of: Quantity, clusters: Int64[ndarray, "_ ways"] | None) -> Design:
    rows = values.shape[1]
    if not values.size:
        raise InputError(f"There are {list(values.shape)} [seeds, rows] of {of.name}; give at least one of each.")
    if not np.isfinite(values).all():
        raise InputError(f"Some values of {of.name} are not finite; leave out what was not measured, and say so.")
    if of.unit == PROPORTION and ((values < 0) | (values > 1)).any():
        raise InputError(f"Some values of {of.name} are outside [0, 1], and a proportion was to be measured.")
    if clusters is not None and len(clusters) != rows:
        raise InputError(f"There are {rows} rows and clusters of {len(clusters)}; give one for every row.")
    return cluster_design(np.arange(rows)[:, None] if clusters is None else clusters)

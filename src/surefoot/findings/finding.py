"""A finding is one measured number with everything needed to read it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Direction", "Finding", "Interval", "finding_from_json", "finding_to_json"]

Direction: TypeAlias = Literal["higher", "lower", "none"]
"""Which way is better."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval: with probability at least `confidence` it covers the quantity, by `method`."""

    low: float
    high: float
    confidence: float
    method: str


@dataclass(frozen=True)
class Finding:
    """One measured number.

    name: what was measured ("accuracy", "worst_group_accuracy", "nll", …), snake case.
    subject: which model it speaks of ("stopped", "stopped+dfr_train"); for a difference "after − before".
    slice: the rows it was measured on: "all" or a group's name.
    source: the role and data it comes from ("judge").
    unit: "proportion", "nats", "points", "rows", ….
    count, clusters: rows, and independent clusters, behind the number.
    per_seed: the same number for each training seed, in seed order; empty when there is one seed.
    """

    name: str
    value: float
    interval: Interval | None
    count: int
    clusters: int
    unit: str
    slice: str
    direction: Direction
    subject: str
    source: str
    per_seed: tuple[float, ...] = ()


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON."""
    return asdict(finding)


def finding_from_json(record: dict[str, Any]) -> Finding:
    """The inverse of `finding_to_json`."""
    fields = dict(record)
    interval = fields.pop("interval")
    per_seed = tuple(fields.pop("per_seed", ()))
    return Finding(**fields, interval=None if interval is None else Interval(**interval), per_seed=per_seed)

"""Claims: a bound on a finding, judged by its interval and not by its point."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from surefoot.findings.finding import Finding

__all__ = ["Claim", "Judged", "Status"]

Status: TypeAlias = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True)
class Claim:
    """`finding` of `subject` on `slice` is at least, or at most, a bound; exactly one of the two is given."""

    finding: str
    subject: str
    slice: str = "all"
    at_least: float | None = None
    at_most: float | None = None
    confidence: float = 0.95


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. `needed`: the clusters that would decide an undecided claim, if known."""

    claim: Claim
    status: Status
    finding: Finding | None
    needed: int | None
    sentence: str

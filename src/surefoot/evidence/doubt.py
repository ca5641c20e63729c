"""One reason not to trust an evidence, or a choice by evidence; `doubts` finds them.

A *refusal* says that the number is no evidence of what it is taken for, or that two numbers do not compare. A *warning*
says that the number is right as far as it goes and that its order may not be. Silence is no proof: a Laplace
approximation that misses most of the posterior passes every check here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from surefoot.evidence.trials import Trial
from surefoot.findings.finding import Finding, Interval

__all__ = ["By", "Doubt", "Doubted", "Question", "Severity", "named"]

Severity: TypeAlias = Literal["refuse", "warn"]

By: TypeAlias = Literal["evidence", "conditional"]
"""Which evidence candidates are compared by."""

Doubted: TypeAlias = Literal[
    "no_evidence", "mode", "rows", "curvature", "frozen", "seeds", "prior", "tail", "draws", "structures", "size"
]
"""What is doubted; the table in `doubts` says what each means."""

MOST_NAMED = 4


@dataclass(frozen=True)
class Doubt:
    """One reason. findings: the numbers behind it. sentence: what was found, why it matters, what to do."""

    kind: Doubted
    severity: Severity
    findings: tuple[Finding, ...]
    sentence: str


@dataclass(frozen=True)
class Question:
    """Candidates, each trained with the same seeds, and the evidence by which one is to be chosen."""

    trials: Mapping[str, Sequence[Trial]]
    by: By
    source: str
    confidence: float

    @property
    def rows(self) -> int:
        return self.all()[0].rows

    @property
    def clusters(self) -> int:
        """Independent clusters of the rows; as many as rows where trials do not say."""
        known = self.all()[0].clusters
        return self.rows if known is None else known

    def all(self) -> list[Trial]:
        """Every trial, candidate by candidate."""
        return [each for of in self.trials.values() for each in of]

    def values(self) -> list[list[float]]:
        """The evidence of each candidate and seed."""
        return [
            [each.evidence if self.by == "evidence" or each.conditional is None else each.conditional for each in of]
            for of in self.trials.values()
        ]

    def finding(
        self,
        name: str,
        value: float,
        unit: str,
        subject: str,
        *,
        interval: Interval | None = None,
        per_seed: Sequence[float] = (),
    ) -> Finding:
        """A number behind a doubt."""
        return Finding(
            name=name,
            value=value,
            interval=interval,
            count=self.rows,
            clusters=self.clusters,
            unit=unit,
            slice="all",
            direction="none",
            subject=subject,
            source=self.source,
            per_seed=tuple(per_seed) if len(per_seed) > 1 else (),
        )


def named(names: Sequence[str]) -> str:
    """A list as one says it.

    >>> named(["a"]), named(["a", "b"]), named(["a", "b", "c", "d", "e", "f"])
    ('a', 'a and b', 'a, b, c, d and 2 others')
    """
    if len(names) > MOST_NAMED + 1:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} others"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)

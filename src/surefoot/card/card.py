"""The card: what was measured before and after each mitigation, what is claimed, and the verdict.

A card is data. `page`, `markdown` and `junit` draw it; nothing is measured while drawing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from surefoot.card.claims import Judged, Status
from surefoot.errors import InputError
from surefoot.findings.calibration import Bin
from surefoot.findings.finding import Finding

__all__ = ["Card", "Mistake", "Record", "RoleSummary", "Subject", "base_of", "families"]


@dataclass(frozen=True)
class Subject:
    """One model on the card.

    name: its key in every finding ("stopped", "stopped+dfr_train"). before: the subject it repairs, if any.
    label: words for a reader. notes: what a reader must know. chosen: per seed, the setting that won.
    """

    name: str
    label: str
    before: str | None = None
    notes: tuple[str, ...] = ()
    chosen: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True)
class Mistake:
    """One of the worst errors. image: a PNG as base64, or "" where rows are not images."""

    id: str
    target: str
    predicted: str
    probability: float
    groups: tuple[str, ...]
    image: str


@dataclass(frozen=True)
class RoleSummary:
    """How many rows, independent sources and rows per group one role holds."""

    role: str
    rows: int
    clusters: int
    groups: Mapping[str, int]


@dataclass(frozen=True)
class Record:
    """How the card was made. `times` (seconds by stage), `seconds`, `created` and `judge_uses` stay out of the digest.

    seconds: of training behind each subject, mean over seeds, everything it rests on included; empty where unknown.
    """

    command: str
    seeds: tuple[int, ...]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    data: str
    judge_digest: str
    judge_uses: int
    created: str
    times: Mapping[str, float]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Card:
    """Everything a reader needs to decide.

    sentence: the verdict in one plain sentence. findings: all measured numbers on the judge rows.
    differences: paired after − before, subject "after − before". reliability, confusion: by subject name;
    confusion[target][predicted] counts, summed over seeds. chosen: the subject selected on the choose rows.
    not_shown: what this card cannot tell.
    """

    title: str
    question: str
    verdict: Status
    sentence: str
    chosen: str | None
    claims: tuple[Judged, ...]
    subjects: tuple[Subject, ...]
    findings: tuple[Finding, ...]
    differences: tuple[Finding, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    reliability: Mapping[str, tuple[Bin, ...]]
    confusion: Mapping[str, tuple[tuple[int, ...], ...]]
    gallery: Mapping[str, tuple[Mistake, ...]]
    roles: tuple[RoleSummary, ...]
    not_shown: tuple[str, ...]
    record: Record


def base_of(subjects: Sequence[Subject], name: str) -> str:
    """The model that `name` repairs, followed back to one that repairs nothing."""
    before = {subject.name: subject.before for subject in subjects}
    passed = {name}
    while (earlier := before.get(name)) is not None:
        if earlier in passed:
            raise InputError(f'The subject "{name}" repairs itself through "{earlier}"; give one of them no before.')
        passed.add(earlier)
        name = earlier
    return name


def families(subjects: Sequence[Subject]) -> tuple[tuple[Subject, ...], ...]:
    """Each model that repairs nothing, followed by everything that descends from it."""
    bases = [subject for subject in subjects if subject.before is None]
    return tuple(
        (base, *(each for each in subjects if each is not base and base_of(subjects, each.name) == base.name))
        for base in bases
    )

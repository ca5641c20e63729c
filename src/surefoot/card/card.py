"""The card: what was measured before and after each mitigation, what is claimed, and the verdict.

A card is data. `page`, `markdown`, `junit` and `prompt` draw it; nothing is measured while drawing. What a card can do
for itself at a prompt (show, save, read) is in those modules: they are imported when asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from surefoot.card.claims import Judged, Status
from surefoot.card.curves import Curve
from surefoot.card.sheets import Sheet
from surefoot.card.traces import Trace
from surefoot.errors import InputError
from surefoot.findings.calibration import Bin
from surefoot.findings.finding import Finding

__all__ = ["Card", "Doubted", "Mistake", "Record", "RoleSummary", "Subject", "base_of", "families"]


@dataclass(frozen=True)
class Subject:
    """One model on the card.

    name: its key in every finding ("stopped", "stopped+dfr_train"). before: the subject it repairs, if any.
    label: words for a reader. notes: what a reader must know. chosen: per seed, the setting that won.
    doubts: why its numbers may not be what they claim to be (chains that have not mixed); claims are then undecided.
    """

    name: str
    label: str
    before: str | None = None
    notes: tuple[str, ...] = ()
    chosen: tuple[Mapping[str, float], ...] = ()
    doubts: tuple[str, ...] = ()


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
class Doubted:
    """Numbers of a subject that may not be what they claim to be: no claim on them passes, of this card or on it.

    finding: the only one that is doubted; any where it is "". place: the slice, and every part of it ("refusal" doubts
    "refusal: harm" as well); any where it is "". why: a clause.
    """

    subject: str
    finding: str
    place: str
    why: str


@dataclass(frozen=True)
class RoleSummary:
    """How many rows, independent sources and rows per group one role holds."""

    role: str
    rows: int
    clusters: int
    groups: Mapping[str, int]


@dataclass(frozen=True)
class Record:
    """How the card was made. `times` (seconds by stage), `seconds`, `created`, `judge_uses` and `judged_before`
    stay out of the digest.

    judged_before: the share of the judge rows that other questions judged; None where rows were not told apart.
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
    judged_before: float | None = None


@dataclass(frozen=True)
class Card:
    """Everything a reader needs to decide.

    sentence: the verdict in one plain sentence. findings: all measured numbers on the judge rows.
    differences: paired after − before, subject "after − before". reliability, confusion: by subject name;
    confusion[target][predicted] counts, summed over seeds. chosen: the subject selected on the choose rows.
    not_shown: what this card cannot tell. curves: what was measured along the way. traces: what models wrote.
    sheets: tables of the road's own. doubted: numbers that no claim may stand on, where not all of a subject's are.
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
    curves: tuple[Curve, ...] = ()
    traces: tuple[Trace, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    doubted: tuple[Doubted, ...] = ()

    def finding(self, name: str, *, of: str | None = None, against: str | None = None, on: str = "all") -> Finding:
        """One measured number: `card.finding("worst_group_accuracy", of="dfr").value`.

        of: a model's name; by default the chosen model, or the only one. against: the model that it repairs: the paired
        difference of the two. on: "all", or a group's name. Raises `InputError` for what was not measured, naming what
        was.
        """
        subject = of or self.chosen or (self.subjects[0].name if len(self.subjects) == 1 else None)
        if subject is None:
            raise InputError(f"No model was chosen on this card; say of which one: {_listed(self.subjects, 'name')}.")
        found = (*self.findings, *self.differences)
        pair = subject if against is None else f"{subject} − {against}"
        for kind, wanted in (("subject", pair), ("name", name), ("slice", on)):
            found = _those(found, kind, wanted)
        return found[0]

    def save(self, folder: str | Path) -> Path:
        """Write card.html, card.md and card.json into `folder`, and return the path of the page."""
        from surefoot.card.write import write_card

        return write_card(self, folder)

    @staticmethod
    def read(folder: str | Path) -> "Card":
        """The card that was saved into `folder`, or its card.json; raises `InputError` where there is none."""
        from surefoot.card.serialise import read_card

        return read_card(Path(folder))

    def __repr__(self) -> str:
        from surefoot.card.prompt import brief

        return brief(self)

    def _repr_html_(self) -> str:
        from surefoot.card.prompt import brief_html

        return brief_html(self)


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


def _those(findings: Sequence[Finding], kind: str, wanted: str) -> tuple[Finding, ...]:
    """The findings whose subject, name or slice is the wanted one."""
    found = tuple(each for each in findings if getattr(each, kind) == wanted)
    if not found:
        near = get_close_matches(wanted, [getattr(each, kind) for each in findings], n=1, cutoff=0.5)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        what = {"subject": "model", "name": "finding"}.get(kind, kind)
        raise InputError(f'The card has no {what} "{wanted}"; {hint}It has {_listed(findings, kind)}.')
    return found


def _listed(of: Sequence[Subject] | Sequence[Finding], kind: str) -> str:
    return ", ".join(f'"{name}"' for name in dict.fromkeys(str(getattr(each, kind)) for each in of)) or "nothing"

"""What a study's card says of students: their supervisors and ceilings, and what of the gap was recovered.

A ceiling is the student's network, trained in the student's way on the truth of the student's rows. It is on the card
to be compared with, and is never chosen. A table of labels is a subject by the path that the study gives it, where it
speaks of every judge row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from surefoot.card.assemble import Further
from surefoot.card.card import Subject
from surefoot.files import read_json, read_tensors
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows
from surefoot.study.graph import Graph
from surefoot.study.shape import Study
from surefoot.study.store import Store
from surefoot.study.stored import load_seen
from surefoot.study.taught.shape import supervisor_of
from surefoot.study.work.labelling import SAID, TOLD
from surefoot.supervise.disagreement import disagreement
from surefoot.supervise.gap import recovered_gap

__all__ = ["Beside", "Lesson", "beside", "of_students"]

COUNTS = ("accuracy", "worst_group_accuracy", "weighted_accuracy")


@dataclass(frozen=True)
class Lesson:
    """A student with those it is held against, by the names of their subjects. unknown: why a supervisor cannot be."""

    student: str
    supervisor: str
    ceiling: str
    unknown: str = ""


@dataclass(frozen=True)
class Beside:
    """What students bring to a card besides the study's own subjects. told: what it must say of them."""

    lessons: tuple[Lesson, ...]
    subjects: tuple[Subject, ...]
    predictions: Mapping[str, Predictions]
    seen: Mapping[str, frozenset[str]]
    told: tuple[str, ...]


def beside(study: Study, graph: Graph, store: Store, judge: Rows) -> Beside:
    """The supervisors that are tables, and the ceilings, of a study all of whose cells are finished."""
    subjects: dict[str, Subject] = {}
    predictions: dict[str, Predictions] = {}
    seen: dict[str, frozenset[str]] = {}
    told: list[str] = []
    lessons: list[Lesson] = []
    ceilings: dict[tuple[str, ...], str] = {}
    for name, base in study.base.items():
        if base.taught is None:
            continue
        supervisor, unknown = supervisor_of(base.taught), ""
        if base.taught.by is None:
            folder = store.path(graph.labels[name, study.seeds[0]].address)
            about: Mapping[str, Any] = read_json(folder / TOLD)
            unknown = _unknown(supervisor, about)
            if supervisor not in seen:
                told += _about(supervisor, about)
                seen[supervisor] = load_seen(folder / "taught")
                if not unknown:
                    said = read_tensors(folder / SAID)["probabilities"][None].expand(len(study.seeds), -1, -1)
                    predictions[supervisor] = replace(predictions_for(judge, said), decisions=bool(about["certain"]))
                    subjects[supervisor] = Subject(
                        supervisor, f"Weak labels ({supervisor})", notes=tuple(about["told"])
                    )
        cells = tuple(graph.ceilings[name, seed] for seed in study.seeds)
        ceiling = ceilings.setdefault(tuple(cell.address for cell in cells), f"ceiling of {name}")
        if ceiling not in subjects:
            files = [store.path(graph.judged_ceilings[name, seed].address) / "probabilities.safetensors"
                     for seed in study.seeds]  # fmt: skip
            predictions[ceiling] = predictions_for(judge, torch.stack([read_tensors(file)["base"] for file in files]))
            seen[ceiling] = frozenset[str]().union(*(load_seen(store.path(cell.address)) for cell in cells))
            label = f"Ceiling of {base.label or name}"
            note = "The same network, trained alike on the truth of the rows that the student was taught; never chosen."
            subjects[ceiling] = Subject(ceiling, label, notes=(note,))
        lessons.append(Lesson(name, supervisor, ceiling, unknown))
    if lessons:
        told.append(
            "Losses and epochs of students were taken as given; chosen by judge rows, they would flatter a student."
        )
    shown = {name: each for name, each in seen.items() if name in predictions}
    return Beside(tuple(lessons), tuple(subjects.values()), predictions, shown, tuple(dict.fromkeys(told)))


def of_students(lessons: tuple[Lesson, ...], predictions: Mapping[str, Predictions], confidence: float) -> Further:
    """Each student against its supervisor and its ceiling; where there is no gap, or no supervisor, why not."""
    findings: list[Finding] = []
    differences: dict[tuple[str, str, str], Finding] = {}
    refused: dict[tuple[str, str], str] = {}
    for lesson in lessons:
        if lesson.unknown:
            refused["gap_recovered", lesson.student] = lesson.unknown
            continue
        weak, student, best = (predictions[name] for name in (lesson.supervisor, lesson.student, lesson.ceiling))
        findings += disagreement(weak, student, source="judge", subject=lesson.student, confidence=confidence)
        share = recovered_gap(weak, student, best, source="judge", subject=lesson.student, confidence=confidence)
        if share.recovered is None:
            refused["gap_recovered", lesson.student] = share.refused
        else:
            findings.append(share.recovered)
        for name, of in ((lesson.student, student), (lesson.ceiling, best)):
            found = compare(
                weak, of, before_name=lesson.supervisor, after_name=name, source="judge", confidence=confidence
            )
            kept = [each for each in found if not weak.decisions or each.name in COUNTS]
            differences |= {(each.subject, each.name, each.slice): each for each in kept}
    return Further(tuple(findings), tuple(differences.values()), refused)


def _unknown(table: str, about: Mapping[str, Any]) -> str:
    """Why a table of labels is no subject, where it is none."""
    judged, judge = int(about["judged"]), int(about["judge"])
    if judged == judge:
        return ""
    return (
        f"The weak labels in {table} speak of {judged:,} of the {judge:,} judge rows, so how often they are right, how "
        "far the student follows them and the share of the gap are unknown; label all judge rows as well."
    )


def _about(table: str, about: Mapping[str, Any]) -> list[str]:
    told = [] if not (unknown := _unknown(table, about)) else [unknown]
    told.append(
        f"That whoever made {table} saw none of the rows that they label or are judged on rests on what was said of it."
        if about["seen"]
        else f"What whoever made {table} was trained on is not known: nothing could check that it was not on the rows "
        "that they label or are judged on; seen names them."
    )
    if about["certain"]:
        told.append(f"The labels in {table} are certain: they tell classes, not how sure anybody was.")
    return told

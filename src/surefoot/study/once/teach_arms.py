"""The models of a card on weak labels: the student, a short baseline, and where there is truth its ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from surefoot.card.words import show_count
from surefoot.networks.network import Parameters
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import ModelRecord, OpenedModel
from surefoot.progress import Progress
from surefoot.study.once.students import SHORT, Lesson, taught_in
from surefoot.study.once.taught_rows import Taught
from surefoot.study.once.teach_card import CEILING, SHORT_BASELINE, STUDENT
from surefoot.supervise.labels import WeakLabels, true_labels

__all__ = ["Arm", "arms_of", "opened_as", "record_of", "told_before", "trained"]


class Arm(NamedTuple):
    """One of the models of a card: who, in words, how it is taught, and on which labels."""

    label: str
    lesson: Lesson
    labels: WeakLabels


def arms_of(lesson: Lesson, taught: Taught) -> tuple[dict[str, Arm], str]:
    """The student, its short baseline, and where there is truth its ceiling; or why there is none."""
    arms = {STUDENT: Arm(f"student ({lesson.words})", lesson, taught.labels)}
    settings = lesson.settings
    if settings is not None:
        short = Lesson(lesson.student, "cross_entropy", replace(settings, epochs=SHORT))
        if short != lesson:
            arms[SHORT_BASELINE] = Arm(f"short baseline ({short.words})", short, taught.labels)
    if not taught.measured:
        return arms, ""
    if taught.truth is None:
        return arms, (
            f"There is no ceiling: {taught.without_truth:,} of the {len(taught.labels.rows):,} rows that the student "
            "was taught have no true label, so how much of the gap it recovered is unknown."
        )
    best = Lesson(lesson.student, "cross_entropy", settings)
    arms[CEILING] = Arm(f"ceiling ({best.words}, true labels)", best, true_labels(taught.truth))
    return arms, ""


def told_before(arms: Mapping[str, Arm], taught: Taught, starts: Sequence[int]) -> str:
    """What is about to happen, in a sentence."""
    rows = show_count(len(taught.labels.rows), "row")
    names = ", ".join(arm.label for arm in arms.values())
    solved = arms[STUDENT].lesson.settings is None
    each = "" if solved else f", {show_count(len(starts), 'start')} each"
    return f"Teaching on {rows}, judging on {len(taught.judge):,}: {names}{each}."


def trained(
    arms: Mapping[str, Arm], starts: Sequence[int], place: Path, progress: Progress, device: str
) -> tuple[dict[str, list[Parameters]], int]:
    """Every model of every start, and how many of them were finished before; progress counts epochs."""
    models: dict[str, list[Parameters]] = {name: [] for name in arms}
    epochs = {name: 1 if (settings := arm.lesson.settings) is None else settings.epochs for name, arm in arms.items()}
    total, before, reused = len(starts) * sum(epochs.values()), 0, 0
    for name, seed in ((name, seed) for name in arms for seed in starts):
        told = partial(_on, progress, f"teaching: {name}, start {seed}", before, total)
        parameters, again = taught_in(place, arms[name].lesson, arms[name].labels, seed, told, device)
        models[name].append(parameters)
        reused, before = reused + again, before + epochs[name]
    progress("teaching", total, total)
    return models, reused


def record_of(arm: Arm, provenance: Mapping[str, Any]) -> ModelRecord:
    """What must be known to use a student's tensors."""
    shape, classes = tuple(arm.labels.rows.inputs[:1].shape[1:]), arm.labels.rows.classes
    return ModelRecord(arm.lesson.student.spec(shape, len(classes)), "head", classes, shape, provenance)


def opened_as(arm: Arm, parameters: Parameters) -> OpenedModel:
    """A student, ready to predict."""
    record = record_of(arm, {})
    return OpenedModel(network_from_spec(record.spec, 0), parameters, record)


def _on(progress: Progress, words: str, before: int, whole: int, stage: str, done: int, total: int) -> None:
    """One training's progress as a part of all of them."""
    del stage, total
    progress(words, before + done, whole)

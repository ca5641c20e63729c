"""The models of a card on weak labels: the student, a short baseline, and where there is truth its ceiling."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from surefoot.card.words import show_count
from surefoot.progress import Progress
from surefoot.study.once.pupil import Finished, Pupil
from surefoot.study.once.taught_rows import Taught
from surefoot.study.once.teach_card import CEILING, SHORT_BASELINE, STUDENT
from surefoot.supervise.labels import WeakLabels, true_labels

__all__ = ["Arm", "arms_of", "told_before", "trained"]


class Arm(NamedTuple):
    """One of the models of a card: who, in words, how it is taught, and on which labels."""

    label: str
    pupil: Pupil
    labels: WeakLabels


def arms_of(pupil: Pupil, taught: Taught) -> tuple[dict[str, Arm], str]:
    """The student, its short baseline, and where there is truth its ceiling; or why there is none."""
    arms = {STUDENT: Arm(f"student ({pupil.words})", pupil, taught.labels)}
    short = pupil.short()
    if short is not None:
        arms[SHORT_BASELINE] = Arm(f"short baseline ({short.words})", short, taught.labels)
    if not taught.measured:
        return arms, ""
    if taught.truth is None:
        return arms, (
            f"There is no ceiling: {taught.without_truth:,} of the {len(taught.labels.rows):,} rows that the student "
            "was taught have no true label, so how much of the gap it recovered is unknown."
        )
    best = pupil.ceiling()
    arms[CEILING] = Arm(f"ceiling ({best.words}, true labels)", best, true_labels(taught.truth))
    return arms, ""


def told_before(arms: Mapping[str, Arm], taught: Taught, starts: Sequence[int]) -> str:
    """What is about to happen, in a sentence."""
    count = len(taught.labels.rows)
    names = ", ".join(arm.label for arm in arms.values())
    each = "" if arms[STUDENT].pupil.steps(count) is None else f", {show_count(len(starts), 'start')} each"
    return f"Teaching on {show_count(count, 'row')}, judging on {len(taught.judge):,}: {names}{each}."


def trained(
    arms: Mapping[str, Arm], starts: Sequence[int], place: Path, progress: Progress
) -> tuple[dict[str, list[Finished]], int]:
    """Every model of every start, and how many of them were finished before; progress counts steps."""
    models: dict[str, list[Finished]] = {name: [] for name in arms}
    steps = {name: arm.pupil.steps(len(arm.labels.rows)) or 1 for name, arm in arms.items()}
    total, before, reused = len(starts) * sum(steps.values()), 0, 0
    for name, seed in ((name, seed) for name in arms for seed in starts):
        told = partial(_on, progress, f"teaching: {name}, start {seed}", before, steps[name], total)
        found = arms[name].pupil.teach(place, arms[name].labels, seed, told)
        models[name].append(found.finished)
        reused, before = reused + found.again, before + steps[name]
    progress("teaching", total, total)
    return models, reused


def _on(progress: Progress, words: str, before: int, own: int, whole: int, stage: str, done: int, total: int) -> None:
    """One training's progress as a part of all of them."""
    del stage
    progress(words, before + own * done // max(1, total), whole)

"""What the road of patch sizes is given and what it says: rows by role, the plan, and sentences for a reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.networks.flexible import grid_of
from surefoot.networks.patches import Size
from surefoot.networks.weights import OpenedModel
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows
from surefoot.study.once.columns import Columns
from surefoot.study.once.flex_train import EARLIER, PATCHES, Begun, Regimen, Tutor, begin_from, image_of
from surefoot.study.once.parted import give_roles, refuse_unlearnable
from surefoot.study.once.predict import reading_for
from surefoot.study.seen import Seen

__all__ = ["Given", "Plan", "given_rows", "label_of", "limits_of", "name_of", "of_time", "told_before", "with_tokens"]

ROUNDS = 31


@dataclass(frozen=True)
class Plan:
    """What is trained and measured.

    patches: pixels a side; none for the usual ones (`patches_of`). regimen: makes the training from sizes; None
    measures a finished model as it is. size: width, depth and heads of a new transformer; pool: what its head reads.
    at_once: images a pass that is timed. rounds: passes that are timed at each size. threads: of torch meanwhile.
    """

    patches: tuple[int, ...] = ()
    regimen: Callable[[Sequence[Size]], Regimen] | None = None
    size: tuple[int, int, int] = (64, 4, 2)
    pool: Literal["mean", "token"] = "mean"
    at_once: int = 1
    rounds: int = ROUNDS
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("at_once", "rounds", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1.")


class Given(NamedTuple):
    """Rows by role, those that are taught, where the rows come from, and what the model has seen before."""

    roles: Roles
    taught: Rows
    origin: str
    seen: Seen | None


def label_of(patch: Size) -> str:
    """A patch size in words."""
    return f"patch {patch[0]} × {patch[1]}"


def name_of(patch: Size) -> str:
    return f"patch-{patch[0]}" if patch[0] == patch[1] else f"patch-{patch[0]}x{patch[1]}"


def with_tokens(patch: Size, begun: Begun) -> str:
    height, width = grid_of(tuple(begun.spec["vit"]["shape"][1:]), patch)
    return f"{label_of(patch)} ({height * width} tokens)"


def given_rows(
    data: Path, columns: Columns, model: OpenedModel | None, called: str, seen: Seen | None, seed: int
) -> Given:
    reading = columns.read(data) if model is None else reading_for(model, columns, data)
    image = image_of(reading.rows.inputs)
    if model is not None and (there := tuple(begin_from(model, called).spec["vit"]["shape"])) != image:
        raise InputError(
            f"The model in {called} is for images of {'×'.join(map(str, there))}, and these are "
            f"{'×'.join(map(str, image))}; resize the images."
        )
    if reading.rows.targets.ndim != 1:
        raise InputError(
            f"{data} has class probabilities as labels; a patch size is chosen on hard labels: give those."
        )
    parted = give_roles(reading, seed)
    refuse_unlearnable(parted.roles)
    roles = parted.roles
    if seen is not None:
        seen.refuse(roles["judge"], f"the model in {called}")
    # Nothing is repaired here: what is kept for repairs elsewhere is taught. Taken, not joined: images are read lazily.
    named = np.concatenate([roles["fit"].ids, roles["repair"].ids])
    taught = reading.rows.take(torch.from_numpy(np.isin(reading.rows.ids, named)))
    origin = f"{parted.origin} Those for repair are taught too: nothing is repaired here."
    return Given(roles, taught, origin, seen)


def told_before(begun: Begun, given: Given, patches: Sequence[Size], regimen: Regimen) -> str:
    sizes = ", ".join(str(p) if p == q else f"{p}×{q}" for p, q in patches)
    epochs = regimen.settings.epochs
    listening = "" if regimen.tutor is None else f", to say what {regimen.tutor.called} says"
    return (
        f"Training {begun.words} at patches of {sizes} pixels: {len(given.taught):,} rows, "
        f"{epochs} epoch{'' if epochs == 1 else 's'}{listening}."
    )


def of_time(plan: Plan, budget: float | None) -> str:
    threads = "one thread" if plan.threads == 1 else f"{plan.threads} threads"
    images = "one image" if plan.at_once == 1 else f"{plan.at_once} images"
    bought = "" if budget is None else " A size is within the budget where three passes in four were."
    return (
        f"Times are of this machine, on {threads}, {images} a pass, {plan.rounds} passes at each size: another "
        f"machine, or this one at other work, is slower or quicker.{bought}"
    )


def limits_of(
    opened: OpenedModel, given: Given, patches: Sequence[Size], tutor: Tutor | None, *, known: bool
) -> tuple[str, ...]:
    """What the card cannot tell. known: whether the model began here, and what made it is known."""
    told: list[str] = []
    record = opened.record
    assert record is not None
    own: list[int] = record.spec["vit"]["patch"]
    last = {(int(p), int(q)) for p, q in record.provenance.get(PATCHES, [own])}
    earlier = {(int(p), int(q)) for p, q in record.provenance.get(EARLIER, [])}
    before = [patch for patch in patches if patch in earlier - last]
    strange = [patch for patch in patches if patch not in last | earlier]
    if before:
        sizes = ", ".join(map(label_of, before))
        told.append(
            f"The model was trained at {sizes} earlier, and at others since: it may have lost what it knew there."
        )
    if strange:
        sizes = ", ".join(map(label_of, strange))
        told.append(
            f"As far as is known the model was never trained at {sizes}: what it says there is its weights resized, "
            "and no more."
        )
    if not known and given.seen is None:
        told.append("Which rows the model was trained on is unknown: nothing could check that these were kept apart.")
    if tutor is not None and tutor.seen is None:
        told.append("Which rows the teacher was trained on is unknown: nothing could check that these were kept apart.")
    for each in (given.seen, None if tutor is None else tutor.seen):
        if each is not None:
            told += each.told(given.roles["judge"])
            if len(each.names_for(given.roles["choose"]) & given.roles["choose"].origins()):
                told.append("Some of the choose rows were seen before, which may flatter some sizes in the choice.")
    return tuple(dict.fromkeys(told))

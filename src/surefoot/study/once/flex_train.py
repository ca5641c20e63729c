"""A flexible transformer of somebody's images: from nothing, or from a model that is there; kept, and never repeated.

    begun = begin_fresh(rows, (8, 12, 16, 24), SMALL, seed=0)      or begin_from(opened, patches)
    trained = train_flexible(begun, rows, Regimen(…), seed, place)

<place>/<twelve digits>/    the model under a name made of all that decides it; before, a checkpoint of its training

Images are brought to a root mean square of one over (some of) the taught rows, and the model that is left has that in
its kernel: `resize_patches` is linear, so the scale is the same at every patch size. A centre would not be.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.flex.distil import Lesson, Teacher
from surefoot.flex.schedule import Schedule
from surefoot.flex.tune import train_at_sizes
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import FlexibleViT, Shape, build_vit, grid_of, sizes_of
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.networks.patches import Size
from surefoot.networks.spec import vit_spec
from surefoot.networks.weights import ModelRecord, OpenedModel, load_model, save_model
from surefoot.progress import Progress
from surefoot.rows.digest import rows_digest
from surefoot.rows.rows import Inputs, Rows
from surefoot.study.numerics import numerics_of
from surefoot.study.once.posteriors import digests_of
from surefoot.study.seen import Seen

__all__ = [
    "EARLIER", "PATCHES", "Begun", "Regimen", "Trained", "Tutor",
    "begin_fresh", "begin_from", "image_of", "patches_of", "train_flexible",
]  # fmt: skip

PATCHES = "patches"
"""In a model's provenance, the patch sizes that it was last trained at."""
EARLIER = "earlier patches"
"""There too, those that it was trained at before."""
SIDES = (2, 8)
"""Tokens a side of the patches that are taken where none are named."""
SAMPLED = 1024
"""So many rows tell the scale of all."""
SAVE_SECONDS = 30.0
SPREAD = 2.0
"""Deviation of the positions of a new transformer: small ones leave fine patches untrained (`docs/flex-digits.md`)."""


class Begun(NamedTuple):
    """A flexible network, where its training begins, its record's spec, in words what it is, and the sizes it knew."""

    network: Network
    parameters: Parameters
    spec: Mapping[str, Any]
    words: str
    fresh: bool
    earlier: tuple[tuple[int, ...], ...] = ()


class Tutor(NamedTuple):
    """A teacher, as the user calls it, what it is known to have seen, and the shape of one image that it reads."""

    teacher: Teacher
    called: str
    seen: Seen | None
    reads: tuple[int, ...] | None
    lesson: Lesson

    def check(self, image: tuple[int, ...]) -> None:
        """Raise `InputError` for a teacher of other images: a transformer is given them resized, no other is."""
        if self.reads is None:
            return
        resized = isinstance(self.teacher.network.module, FlexibleViT)
        if self.reads[:1] != image[:1] or (not resized and self.reads != image):
            raise InputError(
                f"{self.called} reads images of {'×'.join(map(str, self.reads))}, and these are "
                f"{'×'.join(map(str, image))}; give a teacher of such images."
            )


@dataclass(frozen=True)
class Regimen:
    """How it is trained: the sizes that are drawn, the descent, and what it learns to say in place of the labels."""

    schedule: Schedule
    settings: Ascend
    device: str = "cpu"
    tutor: Tutor | None = None

    def record(self) -> dict[str, Any]:
        """As plain JSON, everything that decides a training."""
        taught = None
        if self.tutor is not None:
            taught = {
                "tensors": digests_of(self.tutor.teacher.parameters),
                "network": repr(self.tutor.teacher.network.module),
                "temperature": self.tutor.lesson.temperature,
            }
        return {
            "schedule": repr(self.schedule), "descent": asdict(self.settings), "device": self.device, "teacher": taught,
        }  # fmt: skip


class Trained(NamedTuple):
    """The model, and whether it was finished before."""

    opened: OpenedModel
    again: bool


def image_of(inputs: Inputs) -> tuple[int, int, int]:
    """Channels, height and width of one image; raises `InputError` for rows that are none."""
    shape = tuple(inputs[:1].shape[1:])
    if len(shape) != 3:
        shown = "×".join(map(str, shape))
        raise InputError(
            f"A row holds {shown} numbers, and a patch size is of images (channels, height, width); give a folder of "
            "images, or an .npz of them."
        )
    return (shape[0], shape[1], shape[2])


def patches_of(image: Size, named: Sequence[int], known: Sequence[Size] = ()) -> tuple[Size, ...]:
    """The sizes that were named, else those known of the model, else all squares of two to eight tokens a side.

    Raises `InputError` for one that does not divide the image, one that is named twice, and where there is none.
    """
    if not named and known:
        return tuple(known)
    taken = [(p, p) for p in named]
    if not named:
        fitting = [p for p in sizes_of(image, SIDES[0]) if max(image) // p <= SIDES[1]]
        taken = [(p, p) for p in fitting]
    if not taken:
        raise InputError(
            f"No square patch cuts images of {image[0]} × {image[1]} pixels into {SIDES[0]} to {SIDES[1]} a side; name "
            f"sizes with --patches, of {', '.join(map(str, sizes_of(image)))}, or resize the images."
        )
    if len(set(taken)) != len(taken):
        raise InputError(f"The patch sizes {', '.join(map(str, named))} name one twice; give each once.")
    for patch in taken:
        grid_of(image, patch)
    return tuple(taken)


def begin_fresh(
    rows: Rows, patches: Sequence[Size], size: tuple[int, int, int], seed: int, pool: Literal["mean", "token"] = "mean"
) -> Begun:
    """A transformer from a seed. size: width, depth and heads. pool: what its head reads.

    Its kernel is kept at the largest of the patches and its positions at the grid of the smallest, so that no size
    that is trained has more detail than what is kept.
    """
    image = image_of(rows.inputs)
    width, depth, heads = size
    finest, coarsest = min(patches), max(patches)
    shape = Shape(
        image, width, depth, heads, buffer=coarsest, grid=grid_of(image[1:], finest), pool=pool, spread=SPREAD
    )
    classes = len(rows.classes)
    network = build_vit(shape, classes, finest, seed)
    parts = [f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in ((depth, "block"), (heads, "head"))]
    words = f"a transformer of width {width}, {', '.join(parts)}"
    return Begun(network, parameters_of(network), vit_spec(shape, classes, finest), words, True)


def begin_from(opened: OpenedModel, named: str) -> Begun:
    """A transformer that is there; raises `InputError` for a model of another kind."""
    module = opened.network.module
    if not isinstance(module, FlexibleViT) or opened.record is None:
        raise InputError(
            f"{named} is a {type(module).__name__}, and a patch size is of a vision transformer; give one that "
            "surefoot saved or a ViT folder of Hugging Face, or leave the model out to train one."
        )
    told = opened.record.provenance
    known = [*told.get(EARLIER, []), *told.get(PATCHES, [opened.record.spec["vit"]["patch"]])]
    earlier = tuple(dict.fromkeys(tuple(map(int, each)) for each in known))
    return Begun(opened.network, opened.parameters, opened.record.spec, f"the model in {named}", False, earlier)


def train_flexible(
    begun: Begun,
    rows: Rows,
    regimen: Regimen,
    seed: int,
    place: Path,
    provenance: Mapping[str, Any],
    progress: Progress,
) -> Trained:
    """Train it at sizes drawn from (seed, step), or take up what lies below `place` under its address.

    A killed training goes on from its last epochs' checkpoint and ends as if it had never been interrupted.
    """
    address = digest_json(
        {
            "spec": begun.spec,
            "start": digests_of(begun.parameters),
            "rows": rows_digest(rows),
            "regimen": regimen.record(),
            "seed": seed,
            "numerics": numerics_of("default"),
        }
    )
    folder = place / address[:12]
    try:
        saved = load_model(folder)
        return Trained(OpenedModel(saved.network, saved.parameters, saved.record), True)
    except InputError:
        pass  # not there, unfinished, or damaged
    scale = _scale(rows) if begun.fresh else 1.0
    tutor = regimen.tutor
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    draws = train_at_sizes(
        begun.network,
        begun.parameters,
        rows,
        regimen.schedule,
        seed,
        regimen.settings,
        teacher=None if tutor is None else tutor.teacher,
        lesson=None if tutor is None else tutor.lesson,
        scale=scale,
        checkpoint=checkpoint,
        save_seconds=SAVE_SECONDS,
        progress=progress,
        device=regimen.device,
    )
    parameters = {name: tensor.cpu() for name, tensor in draws.point().items()}
    parameters["kernel"] = parameters["kernel"] / scale
    record = ModelRecord(
        begun.spec,
        "head",
        rows.classes,
        image_of(rows.inputs),
        {**provenance, "seed": seed, PATCHES: [list(each) for each in regimen.schedule.sizes], EARLIER: begun.earlier},
    )
    save_model(folder, parameters, record)
    shutil.rmtree(checkpoint, ignore_errors=True)
    checkpoint.unlink(missing_ok=True)
    saved = load_model(folder)
    return Trained(OpenedModel(saved.network, saved.parameters, saved.record), False)


def at_size(opened: OpenedModel, patch: Size) -> OpenedModel:
    """The same tensors, opened at another patch size, and a record that says so."""
    record, module = opened.record, opened.network.module
    assert record is not None
    assert isinstance(module, FlexibleViT)
    sized = {"vit": {**record.spec["vit"], "patch": list(patch)}}
    return OpenedModel(replace(opened.network, module=module.at(patch)), opened.parameters, replace(record, spec=sized))


def _scale(rows: Rows) -> float:
    """The root mean square of the first rows' pixels."""
    some: Tensor = rows.inputs[:SAMPLED].double()
    scale = float(some.square().mean().sqrt())
    return scale if math.isfinite(scale) and scale > 0 else 1.0

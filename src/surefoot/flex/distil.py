"""Distillation: a student that learns to say what a teacher says of the same scenes, each at a resolution of its own.

    minimise  T² (1/n) Σ_i KL( softmax(teacher(x_i)/T) ‖ softmax(student(x̃_i)/T) )

No label is read. x_i and x̃_i are one image, resized for the one and for the other: one crop, one shift, one mixup, so
that the teacher never answers another question than the student is asked. Rows hold images at the higher resolution of
the two, or one above both. Resizing is bilinear and antialiased (`crops.py`).

Source: Beyer, Zhai, Royer, Markeeva, Anil and Kolesnikov (2022), "Knowledge distillation: a good teacher is patient and
consistent", §3, and their code for the factor T² (Hinton et al. 2015, §2: it keeps gradients of one scale). They crop
before they mix; here a crop is taken of what is mixed already, so that two images that are mixed share one. Without a
crop it is the same thing, as resizing is linear.

What a step draws comes from (seed, step), and from (seed, epoch) in the feed of rows, so that a run that was killed
ends where one that was not does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.flex.crops import Crop, crop_and_resize, draw_boxes, whole_boxes
from surefoot.flex.flexify import Flexified
from surefoot.inference.ascend import ascend
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Ascend, View
from surefoot.networks.flexible import FlexibleViT
from surefoot.networks.network import Network, Parameters, forward
from surefoot.networks.patches import Size
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["Lesson", "Teacher", "distil", "divergence"]

PURPOSE = 6  # beside the streams of `inference.climb` and `flex.schedule`


@dataclass(frozen=True)
class Teacher:
    """A trained network and its parameters; at one patch size, if it has any.

    image: height and width that it reads; that of the rows if absent, unless the network says. classes: the names of
    its logits, where they are known. seen: the sources that shaped it, which shape its students too.
    """

    network: Network
    parameters: Parameters
    image: Size | None = None
    classes: tuple[str, ...] | None = None
    seen: frozenset[str] = field(default_factory=frozenset[str])


@dataclass(frozen=True)
class Lesson:
    """How a teacher is listened to. temperature: T; image: what the student reads, as in `Teacher`.

    Raises `InputError` for a temperature that is not positive.
    """

    temperature: float = 1.0
    crop: Crop | None = None
    image: Size | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"The temperature of distillation is {self.temperature:g}; give a positive number.")


def distil(
    student: Network,
    start: Parameters,
    teacher: Teacher,
    rows: Rows,
    seed: int,
    settings: Ascend,
    *,
    lesson: Lesson = Lesson(),
    view: View | None = None,
    checkpoint: Path | None = None,
    save_seconds: float = 0.0,
    progress: Progress = silent,
    device: str = "cpu",
) -> Draws:
    """Train a student on what a teacher says; the rows' targets are not read. `settings.mixup` is what they share.

    view: what the student runs at each step, itself at a drawn patch size for example (`schedule.Drawn`).
    The mean loss of an epoch among the diagnostics is T² KL in nats.

    Raises `InputError` for a teacher of other classes than the student or the rows, and for what `ascend` refuses.

    >>> from surefoot.flex.schedule import Drawn, uniform
    >>> from surefoot.networks.flexible import Shape, at_patch, build_vit
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    >>> finer = replace(shape, image=(1, 32, 32), grid=(4, 4))
    >>> large, small = build_vit(finer, 3, patch=8, seed=0), build_vit(shape, 3, patch=8, seed=1)
    >>> rows = make_rows(torch.randn(8, 1, 32, 32), torch.arange(8) % 3)
    >>> view = Drawn(uniform([(8, 8), (4, 4)]), seed=0)
    >>> draws = distil(small, parameters_of(small), Teacher(large, parameters_of(large)), rows, 0, Ascend(1), view=view)
    >>> tuple(forward(at_patch(small, 4), draws.point(), torch.zeros(2, 1, 16, 16)).shape)
    (2, 3)
    """
    _check_classes(student, start, teacher, rows)
    held = rows.inputs[:1].shape
    if len(held) != 4:
        raise InputError(f"Rows of {list(held[1:])} are no images [channels, height, width]; a lesson is of images.")
    placed = {name: tensor.to(device) for name, tensor in teacher.parameters.items()}
    taught = _Taught(
        replace(teacher, parameters=placed, image=teacher.image or _image_of(teacher.network.module)),
        replace(lesson, image=lesson.image or _image_of(student.module)),
        seed,
        view,
    )
    objective = Objective(student, _Score(lesson.temperature), mean)
    draws = ascend(
        objective, rows, start, seed, settings, view=taught, checkpoint=checkpoint, save_seconds=save_seconds,
        progress=progress, device=device,
    )  # fmt: skip
    return replace(draws, seen=draws.seen | teacher.seen)


def divergence(
    said: Float[Tensor, "rows classes"], learnt: Float[Tensor, "rows classes"], temperature: float = 1.0
) -> Float[Tensor, "rows"]:
    """T² KL(softmax(said/T) ‖ softmax(learnt/T)) of each row, in nats, of a teacher's and a student's logits.

    >>> logits = torch.tensor([[1.0, 2.0]])
    >>> divergence(logits, logits + 3, temperature=2.0).tolist()
    [0.0]
    """
    wanted, given = log_softmax(said / temperature, dim=1), log_softmax(learnt / temperature, dim=1)
    return temperature**2 * (wanted.exp() * (wanted - given)).sum(dim=1)


@dataclass(frozen=True)
class _Score:
    """Of a student's logits with the teacher's beside them, `[rows, 2, classes]`."""

    temperature: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -divergence(outputs[:, 1], outputs[:, 0], self.temperature)


@dataclass(frozen=True)
class _Taught:
    """A `View`: the student at a step, and the teacher beside it."""

    teacher: Teacher
    lesson: Lesson
    seed: int
    view: View | None

    def __call__(self, module: nn.Module, step: int, steps: int) -> nn.Module:
        run = module if self.view is None else self.view(module, step, steps)
        return _Both(run, self.teacher, self.lesson, (self.seed, PURPOSE, step))


class _Both(nn.Module):
    """Logits of student and teacher for one crop of each image."""

    def __init__(self, run: nn.Module, teacher: Teacher, lesson: Lesson, seed: tuple[int, ...]) -> None:
        super().__init__()
        self.run, self.teacher, self.lesson, self.seed = run, teacher, lesson, seed

    def forward(self, images: Tensor) -> Float[Tensor, "rows 2 classes"]:
        image, crop = (images.shape[2], images.shape[3]), self.lesson.crop
        boxes = None if crop is None else draw_boxes(len(images), image, crop, self.seed)

        def seen(size: Size | None) -> Tensor:
            wanted = image if size is None else size
            if boxes is None and wanted == image:
                return images
            return crop_and_resize(images, whole_boxes(len(images), image) if boxes is None else boxes, wanted)

        with torch.no_grad():
            said = forward(self.teacher.network, self.teacher.parameters, seen(self.teacher.image))
        return torch.stack([self.run(seen(self.lesson.image)), said], dim=1)


def _image_of(module: nn.Module) -> Size | None:
    if isinstance(module, FlexibleViT):
        return module.shape.image[1:]
    return module.parts.image if isinstance(module, Flexified) else None


def _check_classes(student: Network, start: Parameters, teacher: Teacher, rows: Rows) -> None:
    said, learnt = (_logits(*each) for each in ((teacher.network, teacher.parameters), (student, start)))
    if said != learnt:
        named = "" if teacher.classes is None else f" ({_listed(teacher.classes)})"
        raise InputError(
            f"The teacher knows {said} classes{named} and the student {learnt}; give a teacher of the same classes."
        )
    if teacher.classes is not None and teacher.classes != rows.classes:
        raise InputError(
            f"The teacher's classes are {_listed(teacher.classes)} and those of the rows {_listed(rows.classes)}; give "
            "a teacher of the same classes in the same order."
        )


def _logits(network: Network, parameters: Mapping[str, Tensor]) -> int:
    return len(parameters[f"{network.head}.weight"])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + ("" if len(names) <= 6 else f", … ({len(names)})")

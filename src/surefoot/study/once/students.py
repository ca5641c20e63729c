"""Students that a command can name, how each is taught, and where a finished one lies.

    linear              softmax regression on the weak labels, solved (with another loss: trained like the others)
    mlp:64, mlp:64,64   hidden layers of these widths
    cnn, cnn:16,32      3×3 convolutions of these channels, then 64 units: images

Inputs are standardised over the taught rows (images by one number), and the model that is left has that folded into its
first layer. Everything that decides a training is its address, so that a finished one is never repeated.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Parameters
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import ModelRecord, load_model, save_model
from surefoot.progress import Progress, silent
from surefoot.rows.digest import rows_digest
from surefoot.study.numerics import numerics_of
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.losses import (
    PAPER_SMALL,
    REPOSITORY,
    AdaptiveConfidence,
    CrossEntropy,
    ReverseCrossEntropy,
    WeakLoss,
)
from surefoot.supervise.soft_probe import fit_soft_probe
from surefoot.supervise.student import Learner, teach

__all__ = ["LOSSES", "RIDGE", "SHORT", "Lesson", "Student", "lesson_of", "parse_student", "taught_in"]

LOSSES: Mapping[str, WeakLoss] = {
    "cross_entropy": CrossEntropy(),
    "confidence": PAPER_SMALL,
    "confidence_repository": REPOSITORY,
    "reverse": ReverseCrossEntropy(),
    "adaptive": AdaptiveConfidence(),
}
"""The losses on weak labels, by the names that commands know them by."""
RIDGE = 1e-3
"""λ of a linear student that is solved, in nats a row of standardised features: certain labels alone have no end."""
SHORT = 3
"""Epochs of the short baseline."""
CHANNELS = (16, 32)
HIDDEN = 64
WORDS = {
    "cross_entropy": "cross-entropy",
    "confidence": "confidence loss",
    "confidence_repository": "confidence loss of the repository",
    "reverse": "reverse cross-entropy",
    "adaptive": "adaptive confidence loss",
}


class Student(NamedTuple):
    """A kind of network and its widths."""

    kind: str
    widths: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """As a command names it."""
        return self.kind + (f":{','.join(map(str, self.widths))}" if self.widths else "")

    def spec(self, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """The network for inputs of this shape; raises `InputError` for a CNN on anything but images."""
        inputs = int(torch.Size(shape).numel())
        if self.kind == "linear":
            return {"linear": {"inputs": inputs, "classes": classes}}
        if self.kind == "mlp":
            return {"mlp": {"inputs": inputs, "hidden": list(self.widths), "classes": classes}}
        if len(shape) != 3:
            raise InputError(
                f"A row holds {show_shape(shape)}, and the student {self.words} reads images of shape (channels, "
                "height, width); give --student linear or mlp:64, or a folder of images."
            )
        sizes = {"shape": list(shape), "channels": list(self.widths or CHANNELS), "hidden": HIDDEN, "classes": classes}
        return {"cnn": sizes}


@dataclass(frozen=True)
class Lesson:
    """How a student is taught: its network, its loss by name, and its descent; None solves a linear one."""

    student: Student
    loss: str
    settings: Ascend | None

    @property
    def words(self) -> str:
        """For a reader."""
        if self.settings is None:
            return f"{self.student.words}, {WORDS[self.loss]}, solved"
        epochs = "1 epoch" if self.settings.epochs == 1 else f"{self.settings.epochs} epochs"
        return f"{self.student.words}, {WORDS[self.loss]}, {epochs}"


def show_shape(shape: tuple[int, ...]) -> str:
    """What one row is.

    >>> show_shape((5,)), show_shape((1, 8, 8))
    ('5 numbers', '1×8×8 numbers')
    """
    return f"{'×'.join(map(str, shape))} number{'' if shape == (1,) else 's'}"


def parse_student(text: str) -> Student:
    """The student that a text names; raises `InputError` for any other.

    >>> parse_student("mlp:64,32")
    Student(kind='mlp', widths=(64, 32))
    """
    kind, colon, behind = text.strip().partition(":")
    widths = tuple(int(each) for each in behind.split(",") if each.strip().isdecimal())
    whole = not colon or len(widths) == len(behind.split(","))
    wanted = {"linear": not colon, "mlp": bool(widths), "cnn": not colon or bool(widths)}
    if not (whole and wanted.get(kind, False) and all(widths)):
        raise InputError(f"There is no student {text!r}; give linear, mlp:64, mlp:64,64 (hidden units) or cnn.")
    return Student(kind, widths)


def lesson_of(student: str, loss: str, epochs: int, batch: int, rate: float) -> Lesson:
    """The lesson that a command names; raises `InputError` for an unknown student or loss.

    >>> lesson_of("linear", "cross_entropy", 20, 64, 0.003).settings is None
    True
    """
    if loss not in LOSSES:
        raise InputError(f"There is no loss {loss!r}; give one of {', '.join(LOSSES)}.")
    wanted = parse_student(student)
    solved = wanted.kind == "linear" and loss == "cross_entropy"
    return Lesson(wanted, loss, None if solved else Ascend(epochs=epochs, batch=batch, rate=rate, schedule="cosine"))


def taught_in(
    place: Path, lesson: Lesson, labels: WeakLabels, seed: int, progress: Progress = silent, device: str = "cpu"
) -> tuple[Parameters, bool]:
    """A student taught these labels, below `place` under its own address; and whether it lay there already.

    device: where a network descends; what is solved, is solved on the CPU.
    """
    shape = tuple(labels.rows.inputs[:1].shape[1:])
    spec = lesson.student.spec(shape, len(labels.rows.classes))
    address = _address(lesson, spec, labels, seed, device)
    folder = place / address[:12]
    if (folder / "record.json").is_file():
        try:
            return load_model(folder).parameters, True
        except InputError:
            pass  # a damaged one is taught again
    parameters = (
        _solved(labels) if lesson.settings is None else _descended(lesson, spec, labels, seed, progress, device)
    )
    provenance = {"student": lesson.words, "seed": seed, "address": address}
    save_model(folder, parameters, ModelRecord(spec, "head", labels.rows.classes, shape, provenance))
    return load_model(folder).parameters, False


def _solved(labels: WeakLabels) -> Parameters:
    head = fit_soft_probe(labels.rows.inputs[:].flatten(1), labels.rows.targets, RIDGE).head
    return {"head.weight": head.weight.float(), "head.bias": head.bias.float()}


def _descended(
    lesson: Lesson, spec: Mapping[str, Any], labels: WeakLabels, seed: int, progress: Progress, device: str
) -> Parameters:
    assert lesson.settings is not None
    network = network_from_spec(spec, seed)
    centre, spread = _scale(labels.rows.inputs[:])
    scaled = WeakLabels(labels.rows.with_inputs((labels.rows.inputs[:] - centre) / spread), labels.seen, labels.by)
    learner = Learner(lesson.student.words, network, lesson.settings, LOSSES[lesson.loss])
    reached = teach(learner, scaled, seed, progress=progress, device=device).point()
    first = next(name.removesuffix(".weight") for name in reached if name.endswith(".weight"))
    weight = reached[f"{first}.weight"].double()
    if centre.ndim:
        folded = weight / spread.double()
        bias = reached[f"{first}.bias"].double() - folded @ centre.double()
        return {**reached, f"{first}.weight": folded.float(), f"{first}.bias": bias.float()}
    return {**reached, f"{first}.weight": (weight / spread.double()).float()}


def _scale(inputs: Float[Tensor, "rows ..."]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each number, one where it never varies; of images none and one for all pixels.

    Images keep their zero: convolutions pad with it.
    """
    if inputs.ndim != 2:
        spread = inputs.double().std(correction=0).float()
        return torch.tensor(0.0), spread if float(spread) > 0 else torch.tensor(1.0)
    spread, centre = torch.std_mean(inputs.double(), dim=0, correction=0)
    return centre.float(), torch.where(spread > 1e-7 * centre.abs(), spread, 1.0).float()


def _address(lesson: Lesson, spec: Mapping[str, Any], labels: WeakLabels, seed: int, device: str) -> str:
    return digest_json(
        {
            "spec": spec,
            "loss": [lesson.loss, repr(LOSSES[lesson.loss])],
            "settings": RIDGE if lesson.settings is None else asdict(lesson.settings),
            "seed": 0 if lesson.settings is None else seed,
            "device": "cpu" if lesson.settings is None else device,
            "labels": rows_digest(labels.rows),
            "numerics": numerics_of("default"),
            "code": digest_file(Path(__file__)),
        }
    )

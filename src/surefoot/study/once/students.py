"""Students that a command can name, how each is taught, and where a finished one lies.

    linear              softmax regression on the weak labels, solved (with another loss: trained like the others)
    mlp:64, mlp:64,64   hidden layers of these widths
    cnn, cnn:16,32      3×3 convolutions of these channels, then 64 units: images

Inputs are standardised over the taught rows (images by one number), and the model that is left has that folded into its
first layer. Everything that decides a training is its address, so that a finished one is never repeated.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
from surefoot.networks.weights import ModelRecord, OpenedModel, load_model, save_model
from surefoot.progress import Progress, silent
from surefoot.rows.digest import rows_digest
from surefoot.rows.rows import Rows
from surefoot.rows.texts import Texts
from surefoot.study.numerics import numerics_of
from surefoot.study.once.predict import probabilities_of
from surefoot.study.once.pupil import Trained
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

__all__ = [
    "KINDS", "LOSSES", "LOSS_WORDS", "RIDGE", "SHORT", "Lesson", "Student", "TaughtNetwork", "lesson_of",
    "parse_student",
]  # fmt: skip

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
FEW = 100
"""Steps in which few networks learn anything."""
KINDS = ("linear", "mlp", "cnn")
CHANNELS = (16, 32)
HIDDEN = 64
LOSS_WORDS: Mapping[str, str] = {
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
class TaughtNetwork:
    """A network that was taught."""

    opened: OpenedModel
    device: str

    def says(self, rows: Rows) -> Float[Tensor, "rows classes"]:
        """Its class probabilities."""
        return probabilities_of(self.opened, rows, device=self.device)

    def leave(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Write it as a model of surefoot."""
        assert self.opened.record is not None
        save_model(folder, self.opened.parameters, replace(self.opened.record, provenance=told))


@dataclass(frozen=True)
class Lesson:
    """How a network is taught: its loss by name, and its descent; None solves a linear one. A `Pupil`.

    device: where it descends; what is solved, is solved on the CPU.
    """

    student: Student
    loss: str
    settings: Ascend | None
    device: str = "cpu"

    @property
    def words(self) -> str:
        """For a reader."""
        if self.settings is None:
            return f"{self.student.words}, {LOSS_WORDS[self.loss]}, solved"
        epochs = "1 epoch" if self.settings.epochs == 1 else f"{self.settings.epochs} epochs"
        return f"{self.student.words}, {LOSS_WORDS[self.loss]}, {epochs}"

    @property
    def record(self) -> Mapping[str, Any]:
        """For the record of a card."""
        return {
            "student": self.student.words,
            "loss": [self.loss, repr(LOSSES[self.loss])],
            "descent": None if self.settings is None else asdict(self.settings),
            "device": self.device,
        }

    @property
    def origins(self) -> frozenset[str]:
        """It begins with nothing."""
        return frozenset()

    @property
    def few(self) -> int:
        """So many, whatever its size."""
        return FEW

    def steps(self, rows: int) -> int | None:
        """Steps of its descent."""
        settings = self.settings
        return None if settings is None else settings.epochs * math.ceil(rows / settings.batch)

    def check(self, taught: Rows, judge: Rows) -> tuple[str, ...]:
        """Raises `InputError` for texts, and for a CNN on anything but images."""
        if isinstance(judge.inputs, Texts):
            raise InputError(
                f"The rows are texts, and the student {self.student.words} reads numbers; give a model of texts, such "
                "as --student minilm, or features of the texts (surefoot features MODEL DATA)."
            )
        self.student.spec(tuple(judge.inputs[:1].shape[1:]), len(taught.classes))
        return ()

    def prepare(self, place: Path, taught: Rows, judge: Rows, progress: Progress) -> None:
        """Its trainings share nothing."""

    def teach(self, place: Path, labels: WeakLabels, seed: int, progress: Progress = silent) -> Trained:
        """Teach it, or take up what lies below `place` under its address."""
        shape = tuple(labels.rows.inputs[:1].shape[1:])
        spec = self.student.spec(shape, len(labels.rows.classes))
        address = _address(self, spec, labels, seed)
        folder = place / address[:12]
        try:
            return Trained(_opened(folder, self.device), True)
        except InputError:
            pass  # not there, or damaged
        parameters = _solved(labels) if self.settings is None else _descended(self, spec, labels, seed, progress)
        provenance = {"student": self.words, "seed": seed, "address": address}
        save_model(folder, parameters, ModelRecord(spec, "head", labels.rows.classes, shape, provenance))
        return Trained(_opened(folder, self.device), False)

    def short(self) -> "Lesson | None":
        """A few epochs of cross-entropy."""
        if self.settings is None:
            return None
        short = replace(self, loss="cross_entropy", settings=replace(self.settings, epochs=SHORT))
        return None if short == self else short

    def ceiling(self) -> "Lesson":
        """By cross-entropy, trained alike."""
        return replace(self, loss="cross_entropy")


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


def lesson_of(student: str, loss: str, epochs: int, batch: int, rate: float, device: str = "cpu") -> Lesson:
    """The lesson that a command names; raises `InputError` for an unknown student or loss.

    >>> lesson_of("linear", "cross_entropy", 20, 64, 0.003).settings is None
    True
    """
    if loss not in LOSSES:
        raise InputError(f"There is no loss {loss!r}; give one of {', '.join(LOSSES)}.")
    wanted = parse_student(student)
    solved = wanted.kind == "linear" and loss == "cross_entropy"
    settings = None if solved else Ascend(epochs=epochs, batch=batch, rate=rate, schedule="cosine")
    return Lesson(wanted, loss, settings, device)


def _opened(folder: Path, device: str) -> TaughtNetwork:
    saved = load_model(folder)
    return TaughtNetwork(OpenedModel(saved.network, saved.parameters, saved.record), device)


def _solved(labels: WeakLabels) -> Parameters:
    head = fit_soft_probe(labels.rows.inputs[:].flatten(1), labels.rows.targets, RIDGE).head
    return {"head.weight": head.weight.float(), "head.bias": head.bias.float()}


def _descended(
    lesson: Lesson, spec: Mapping[str, Any], labels: WeakLabels, seed: int, progress: Progress
) -> Parameters:
    assert lesson.settings is not None
    network = network_from_spec(spec, seed)
    centre, spread = _scale(labels.rows.inputs[:])
    scaled = WeakLabels(labels.rows.with_inputs((labels.rows.inputs[:] - centre) / spread), labels.seen, labels.by)
    learner = Learner(lesson.student.words, network, lesson.settings, LOSSES[lesson.loss])
    reached = teach(learner, scaled, seed, progress=progress, device=lesson.device).point()
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


def _address(lesson: Lesson, spec: Mapping[str, Any], labels: WeakLabels, seed: int) -> str:
    return digest_json(
        {
            "spec": spec,
            "loss": [lesson.loss, repr(LOSSES[lesson.loss])],
            "settings": RIDGE if lesson.settings is None else asdict(lesson.settings),
            "seed": 0 if lesson.settings is None else seed,
            "device": "cpu" if lesson.settings is None else lesson.device,
            "labels": rows_digest(labels.rows),
            "numerics": numerics_of("default"),
            "code": digest_file(Path(__file__)),
        }
    )

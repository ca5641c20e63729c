"""What a card of weak labels needs of a student, whatever it is: a network of this house, or a text model of a rim."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from surefoot.progress import Progress
from surefoot.rows.rows import Rows
from surefoot.supervise.labels import WeakLabels

__all__ = ["Finished", "Pupil", "Trained"]


@runtime_checkable
class Finished(Protocol):
    """A student that was taught."""

    def says(self, rows: Rows) -> Float[Tensor, "rows classes"]:
        """Its class probabilities of rows."""
        ...

    def leave(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Write it as a model that other commands open. told: plain JSON on where it came from."""
        ...


class Trained(NamedTuple):
    """A finished student, and whether it was finished before."""

    finished: Finished
    again: bool


@runtime_checkable
class Pupil(Protocol):
    """A student before it is taught, and how it will be."""

    @property
    def words(self) -> str:
        """Student, loss and training, for a reader."""
        ...

    @property
    def record(self) -> Mapping[str, Any]:
        """Plain JSON: every choice but labels and seeds that changes a number."""
        ...

    @property
    def origins(self) -> frozenset[str]:
        """Names of the rows that shaped it before."""
        ...

    @property
    def few(self) -> int:
        """Steps in which it hardly learns anything."""
        ...

    def steps(self, rows: int) -> int | None:
        """Steps of its training on so many rows; None where it is solved, and has one answer whatever the seed."""
        ...

    def check(self, taught: Rows, judge: Rows) -> tuple[str, ...]:
        """What a reader must know of how it reads these rows; raises `InputError` where it cannot."""
        ...

    def prepare(self, place: Path, taught: Rows, judge: Rows, progress: Progress) -> None:
        """What all its trainings share is done once, and kept below `place`."""
        ...

    def teach(self, place: Path, labels: WeakLabels, seed: int, progress: Progress) -> Trained:
        """Teach it these labels; a finished training is kept below `place`, and never repeated."""
        ...

    def short(self) -> "Pupil | None":
        """The same student, taught by cross-entropy and early stopped; None where that is itself."""
        ...

    def ceiling(self) -> "Pupil":
        """The same student as it is taught the truth: by cross-entropy."""
        ...

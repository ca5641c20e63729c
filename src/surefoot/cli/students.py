"""The student that the options of `surefoot teach` mean, and the rows that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from surefoot.cli.options import published_of
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.rows.reading import Reading
    from surefoot.study.once.columns import Columns
    from surefoot.study.once.pupil import Pupil

__all__ = ["SourceOptions", "TextOptions", "Training", "student_of"]


@dataclass(frozen=True)
class Training:
    """The options of every student; None is what the student usually has."""

    loss: str
    epochs: int | None
    batch: int | None
    rate: float | None
    device: str


@dataclass(frozen=True)
class TextOptions:
    """The options of students that read texts."""

    tune: str | None
    microbatch: int | None
    cut: bool
    trust_code: bool

    def used(self) -> list[str]:
        """Those that were given."""
        given = {"--tune": self.tune, "--microbatch": self.microbatch, "--cut": self.cut}
        return [name for name, value in given.items() if value]


@dataclass(frozen=True)
class SourceOptions:
    """Where rows are, and in what form."""

    data: Path
    columns: "Columns"
    published: str | None
    splits: Sequence[str] | None
    compose: str | None


class Student(NamedTuple):
    """A student, the columns that it reads, and the rows where they are read already."""

    pupil: "Pupil"
    columns: "Columns"
    reading: "Reading | None"


def student_of(named: str, training: Training, texts: TextOptions, source: SourceOptions) -> Student:
    """The student of this name; raises `InputError` for options that are not of its kind, and unknown names."""
    from surefoot.study.once.students import KINDS

    if named.strip().partition(":")[0] in KINDS:
        return Student(_network(named, training, texts, source), source.columns, None)
    _refuse_unknown(named)
    return _text_model(named, training, texts, source)


def _network(named: str, training: Training, texts: TextOptions, source: SourceOptions) -> "Pupil":
    from surefoot.study.numerics import require_device
    from surefoot.study.once.students import lesson_of

    used = [*(["--as"] if source.published else []), *(["--text"] if source.columns.text else []), *texts.used()]
    if used:
        raise InputError(
            f"{used[0]} is of students that read texts, and {named} reads numbers; give a model of texts, such as "
            "--student minilm."
        )
    options = {"--epochs": training.epochs, "--batch": training.batch, "--rate": training.rate}
    given = [name for name, value in options.items() if value is not None]
    if given and named.strip() == "linear" and training.loss == "cross_entropy":
        raise InputError(
            f"{given[0]} is of AdamW, and a linear student of cross-entropy is solved; leave it out, or give another "
            "--student or --loss."
        )
    require_device(training.device)
    return lesson_of(
        named,
        training.loss,
        20 if training.epochs is None else training.epochs,
        64 if training.batch is None else training.batch,
        3e-3 if training.rate is None else training.rate,
        training.device,
    )


def _refuse_unknown(named: str) -> None:
    from surefoot.hub.gguf import is_gguf
    from surefoot.hub.opening import PACKAGED

    if not (named in PACKAGED or Path(named).is_dir() or is_gguf(named) or "/" in named):
        raise InputError(
            f"There is no student {named!r}; give linear, mlp:64, mlp:64,64 (hidden units) or cnn, or of texts minilm, "
            "smollm2, a Hugging Face folder, organisation/model or a GGUF file."
        )


def _text_model(named: str, training: Training, texts: TextOptions, source: SourceOptions) -> Student:
    from surefoot.hub.classes import usual_texts
    from surefoot.hub.tuning.pupil import text_student
    from surefoot.rows.published.read import describe_published, text_rows
    from surefoot.rows.reading import Reading
    from surefoot.study.once.columns import USUAL

    columns = source.columns
    numbers = {"--features": columns.features, "--images": columns.images}
    if used := [name for name, value in numbers.items() if value]:
        raise InputError(f"{used[0]} names what {named} does not read; name its column of texts with --text.")
    if source.published is not None and columns != USUAL:
        raise InputError("--as says what every column is; leave the options that name columns out.")
    if source.published is None and (source.splits or source.compose):
        raise InputError("--splits and --compose speak of a published layout; name it with --as, such as --as sciq.")
    reading = None
    if source.published is not None:
        found = published_of(source.data, source.published, source.splits, source.compose)
        reading = Reading(text_rows(found), found.split, "\n".join(describe_published(found)))
    elif not columns.text:
        columns = replace(columns, text=usual_texts(source.data))
    pupil = text_student(
        named,
        "full" if texts.tune is None else texts.tune,
        loss=training.loss,
        epochs=training.epochs,
        batch=32 if training.batch is None else training.batch,
        microbatch=texts.microbatch,
        rate=training.rate,
        cut=texts.cut,
        device=training.device,
        trust_code=texts.trust_code,
    )
    return Student(pupil, columns, reading)

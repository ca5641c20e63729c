"""A text model as a student of `surefoot teach`: how much of it learns, what is kept of it, and what it leaves.

    pupil = text_student("minilm", "lora", loss="confidence")
    teach_pupil(Path("texts.csv"), Path("labels.csv"), pupil, columns=Columns(text=("text",)))

    full   every weight           lora   low-rank differences           head   a linear head on vectors taken once

Of a finished training the tensors that changed are kept, below an address of everything that decides them; an
unfinished one goes on from its last checkpoint.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.hub.extract import encoder_identity, extract_layers
from surefoot.hub.opening import open_encoder
from surefoot.hub.readers import TextReader
from surefoot.hub.tuning.adapt import Adaptation, Full, HeadOnly, LowRank, first_layers
from surefoot.hub.tuning.classifier import Pools, make_classifier
from surefoot.hub.tuning.finished import FinishedText, code_of_tuning, is_finished, keep_learned
from surefoot.hub.tuning.headed import HeadedText
from surefoot.hub.tuning.keep import check_can_keep
from surefoot.hub.tuning.place import alone
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.texts import lengths_of
from surefoot.hub.tuning.tune import TextLearner, tune
from surefoot.progress import Progress
from surefoot.rows.digest import input_digests, rows_digest
from surefoot.rows.rows import Rows
from surefoot.rows.texts import Texts
from surefoot.study.numerics import numerics_of, require_device
from surefoot.study.once.pupil import Trained
from surefoot.study.once.students import LOSS_WORDS, LOSSES
from surefoot.study.seen import Seen, seen_of_model
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.losses import CrossEntropy

__all__ = ["USUAL", "Learns", "TextStudent", "Usual", "text_student"]

Learns: TypeAlias = Literal["full", "lora", "head"]
"""How much of a text model learns."""
SAVE_EVERY, SAVE_EVERY_QUICK = 50, 500
"""Steps that a killed training loses at most, on a CPU and elsewhere; writing a whole model takes its time."""


@dataclass(frozen=True)
class Usual:
    """A way to learn where a command does not say more. short: epochs of its baseline; few: steps that teach little."""

    how: Adaptation
    words: str
    epochs: int
    rate: float
    short: int
    few: int


USUAL: Mapping[Learns, Usual] = {
    "full": Usual(Full(), "every weight", 2, 1e-4, 1, 20),
    "lora": Usual(LowRank(8, 16.0), "low rank 8", 2, 1e-3, 1, 20),
    "head": Usual(HeadOnly(), "a head alone", 20, 3e-3, 3, 40),
}
"""Rates are the peaks of a cosine, as are those published; batches have 32 texts."""


@dataclass(frozen=True)
class TextStudent:
    """A text model before it is taught; a `Pupil`.

    named: as a command names it; loss: by name; body: the identity of the model. known: vectors that were taken
    already, by the inputs they are of.
    """

    named: str
    learns: Learns
    learner: TextLearner
    loss: str
    pools: Pools
    device: str
    body: str
    known: dict[str, Tensor] = field(default_factory=dict[str, Tensor], compare=False, repr=False)

    @property
    def words(self) -> str:
        """For a reader."""
        epochs = self.learner.settings.epochs
        told = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        return f"{self.named}, {USUAL[self.learns].words}, {LOSS_WORDS[self.loss]}, {told}"

    @property
    def record(self) -> Mapping[str, Any]:
        """For the record of a card."""
        return {
            "student": self.named,
            "learns": [self.learns, repr(self.learner.how)],
            "loss": [self.loss, repr(self.learner.loss)],
            "descent": asdict(self.learner.settings),
            "device": self.device,
            "body": self.body,
        }

    @property
    def origins(self) -> frozenset[str]:
        """The rows that its folder says it was taught before."""
        seen = self._seen()
        return frozenset() if seen is None else seen.names

    @property
    def few(self) -> int:
        """A body that is taught knows something before; a head does not."""
        return USUAL[self.learns].few

    def steps(self, rows: int) -> int | None:
        """Steps of its training."""
        settings = self.learner.settings
        return settings.epochs * ceil(rows / settings.batch)

    def check(self, taught: Rows, judge: Rows) -> tuple[str, ...]:
        """How many texts are cut; raises `InputError` for what it cannot read, and for texts that are too long."""
        if (seen := self._seen()) is not None:
            seen.refuse(judge, f"the model {self.named} before it is taught here")
        cut: list[str] = []
        for what, rows in (("taught", taught), ("judge", judge)):
            if not isinstance(rows.inputs, Texts):
                raise InputError(f"{self.named} reads texts, and the rows hold none; name their column: --text COLUMN.")
            if len(rows.inputs.columns) > 2:
                raise InputError(f"{self.named} reads a text or a pair; {len(rows.inputs.columns)} columns were named.")
            lengths = lengths_of(self.reader, rows.inputs)
            if 0 in lengths:
                raise InputError(
                    f"The text of row {rows.ids[lengths.index(0)]} has no token, so {self.named} cannot read it; leave "
                    "such rows out, or give them a word."
                )
            long = [at for at, length in enumerate(lengths) if length > self.reader.longest]
            if long and self.learner.settings.overlong == "refuse":
                raise InputError(
                    f"{len(long):,} of {len(rows):,} {what} texts are longer than the {self.reader.longest:,} tokens "
                    f"that {self.named} reads (first: {rows.ids[long[0]]}, {lengths[long[0]]:,} tokens); shorten them, "
                    "or have them cut with --cut."
                )
            cut += [f"{len(long):,} of {len(rows):,} {what} texts"] if long else []
        if not cut:
            return ()
        return (f"Cut off after {self.reader.longest:,} tokens, the most that {self.named} reads: {', '.join(cut)}.",)

    @property
    def reader(self) -> TextReader:
        """How texts become tokens."""
        return cast("TextReader", self.learner.encoder.reader)

    def prepare(self, place: Path, taught: Rows, judge: Rows, progress: Progress) -> None:
        """Where a head alone learns, the vectors that it reads."""
        if self.learns == "head":
            for what, rows in (("taught", taught), ("judge", judge)):
                self._vectors(place, rows, partial(_of, progress, f"reading texts: {what}"))

    def teach(self, place: Path, labels: WeakLabels, seed: int, progress: Progress) -> Trained:
        """Teach it, go on with what was begun, or take up what lies below `place` under its address."""
        folder = place / self._address(labels, seed)[:12]
        vectors = partial(self._vectors, place, progress=progress) if self.learns == "head" else None
        finished = FinishedText(folder, self.learner, seed, labels, self.device, vectors)
        begun = folder / "begun.safetensors"
        if is_finished(folder):
            begun.unlink(missing_ok=True)
            return Trained(finished, True)
        every = SAVE_EVERY if self.device == "cpu" else SAVE_EVERY_QUICK
        tuned = tune(
            self.learner, labels, seed, place=alone(self.device), checkpoint=begun, save_every=every,
            vectors=None if vectors is None else vectors(labels.rows), progress=progress,
        )  # fmt: skip
        keep_learned(tuned, folder)
        begun.unlink(missing_ok=True)
        return Trained(finished, False)

    def short(self) -> "TextStudent | None":
        """Fewer epochs of cross-entropy."""
        settings = replace(self.learner.settings, epochs=min(USUAL[self.learns].short, self.learner.settings.epochs))
        short = self._by_cross_entropy()
        short = replace(short, learner=replace(short.learner, settings=settings))
        same = (short.loss, settings) == (self.loss, self.learner.settings)
        return None if same else short

    def ceiling(self) -> "TextStudent":
        """By cross-entropy, trained alike."""
        return self._by_cross_entropy()

    def _seen(self) -> Seen | None:
        folder = self.learner.encoder.folder
        return None if folder is None else seen_of_model(folder)

    def _by_cross_entropy(self) -> "TextStudent":
        return replace(self, loss="cross_entropy", learner=replace(self.learner, loss=CrossEntropy()))

    def _vectors(self, place: Path, rows: Rows, progress: Progress) -> Float[Tensor, "rows features"]:
        """What the head reads of every row, taken once for all trainings."""
        content = digest_json(input_digests(rows.inputs))
        if content not in self.known:
            body = first_layers(self.learner.encoder.module, self.learner.layers).eval()
            encoder = replace(self.learner.encoder, module=body, head=None, pooling=self.pools, normalise=False)
            found = extract_layers(encoder, rows, folder=place / "vectors", device=self.device, progress=progress)
            self.known[content] = next(iter(found.rows.values())).inputs[:].clone()
        return self.known[content]

    def _address(self, labels: WeakLabels, seed: int) -> str:
        return digest_json(
            {
                **{name: value for name, value in self.record.items() if name != "student"},
                "seed": seed,
                "labels": rows_digest(labels.rows),
                "numerics": numerics_of("default"),
                "code": code_of_tuning(),
            }
        )


def text_student(
    named: str,
    learns: str = "full",
    *,
    loss: str = "cross_entropy",
    epochs: int | None = None,
    batch: int = 32,
    microbatch: int | None = None,
    rate: float | None = None,
    cut: bool = False,
    device: str = "cpu",
    trust_code: bool = False,
) -> TextStudent:
    """The text model that a command names, as a student.

    named: as `open_encoder` takes it. learns: "full", "lora" or "head". epochs, rate: `USUAL` where nobody says.
    microbatch: texts that go through the model at once, for memory. cut: texts that are too long lose their ends, and
    are counted; without it they are refused.

    Raises `InputError` for a model that cannot be opened, taught so, or left as a folder; and for unknown names.
    """
    if learns not in USUAL:
        raise InputError(f"There is no way to tune called {learns!r}; give {', '.join(get_args(Learns))}.")
    if loss not in LOSSES:
        raise InputError(f"There is no loss {loss!r}; give one of {', '.join(LOSSES)}.")
    way, usual = cast("Learns", learns), USUAL[cast("Learns", learns)]
    require_device(device)
    settings = Tune(
        epochs=usual.epochs if epochs is None else epochs, batch=batch, microbatch=microbatch,
        rate=usual.rate if rate is None else rate, overlong="cut" if cut else "refuse",
    )  # fmt: skip
    encoder = open_encoder(named, trust_code=trust_code)
    if encoder.reads != "texts":
        raise InputError(f"The student {named} reads {encoder.reads}; give a model of texts, or another student.")
    if isinstance(encoder.module, HeadedText):
        encoder = replace(encoder, module=encoder.module.body, head=None)
    config: Any = encoder.module.config
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"{named} writes texts from texts ({config.model_type}); give an encoder or a decoder, such as minilm."
        )
    tried = make_classifier(encoder, 2, usual.how, 0)
    check_can_keep(tried)
    learner = TextLearner(encoder.name, encoder, usual.how, settings, LOSSES[loss])
    return TextStudent(_short_name(named), way, learner, loss, tried.pools, device, encoder_identity(encoder))


def _short_name(named: str) -> str:
    """A folder's own name; any other as it is."""
    return Path(named).resolve().name if Path(named).exists() else named


def _of(progress: Progress, words: str, stage: str, done: int, total: int) -> None:
    del stage
    progress(words, done, total)

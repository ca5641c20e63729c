"""A finished training of a text model: the tensors that changed, in a folder, and the model again from them.

What a model said of rows is kept beside its tensors, so that a student is judged again without being run again.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, read_json, read_tensors, write_json, write_tensors
from surefoot.hub.readers import TextReader
from surefoot.hub.tuning.classifier import make_classifier
from surefoot.hub.tuning.keep import keep_tuned
from surefoot.hub.tuning.tune import TextLearner, TunedText, said_of_texts
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Rows
from surefoot.supervise.labels import WeakLabels

__all__ = ["FinishedText", "Vectors", "code_of_tuning", "is_finished", "keep_learned"]

Vectors: TypeAlias = Callable[[Rows], Tensor]
"""What a head alone reads of rows, `[rows, features]`."""
LEARNED, RECORD = "learned.safetensors", "learned.json"


@dataclass(frozen=True)
class FinishedText:
    """A text model that was taught, as far as it lies in `folder`; it is opened when it is asked.

    vectors: what its head reads, where nothing but the head was taught.
    """

    folder: Path
    learner: TextLearner
    seed: int
    labels: WeakLabels
    device: str
    vectors: Vectors | None

    def says(self, rows: Rows) -> Float[Tensor, "rows classes"]:
        """Its class probabilities; asked once, and then kept."""
        overlong = self.learner.settings.overlong
        path = self.folder / f"said-{digest_json(input_digests(rows.inputs))[:12]}.safetensors"
        try:
            return read_tensors(path)["probabilities"].clone()
        except InputError:
            pass  # not asked yet, or damaged
        if self.vectors is None:
            said = said_of_texts(self.opened(), rows.inputs, overlong=overlong).probabilities
        else:
            said = (self.vectors(rows) @ _learned(self.folder)["head.weight"].T).softmax(dim=1)
        write_tensors(path, {"probabilities": said.contiguous()})
        return said

    def leave(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Write it as a folder of Hugging Face, whole or not at all."""
        shutil.rmtree(folder, ignore_errors=True)
        keep_tuned(self.opened(), folder, told)

    def opened(self) -> TunedText:
        """The model."""
        rows, told = self.labels.rows, cast("dict[str, Any]", read_json(self.folder / RECORD))
        classifier = make_classifier(
            self.learner.encoder, len(rows.classes), self.learner.how, self.seed, self.learner.layers
        )
        own, learned = dict(classifier.named_parameters()), _learned(self.folder)
        with torch.no_grad():
            for name, tensor in learned.items():
                own[name].copy_(tensor)
        return TunedText(
            self.learner.name, classifier.to(torch.device(self.device)).eval(),
            cast("TextReader", self.learner.encoder.reader), rows.classes, tuple(told["losses"]), int(told["cut"]),
            self.labels.origins(),
        )  # fmt: skip


def keep_learned(tuned: TunedText, folder: Path) -> None:
    """Write what was learnt; the record last, so that a folder with a record is complete."""
    learned = {name: each for name, each in tuned.classifier.named_parameters() if each.requires_grad}
    write_tensors(folder / LEARNED, {name: each.detach().cpu().contiguous() for name, each in learned.items()})
    told = {"losses": list(tuned.losses), "cut": tuned.cut, "sha256": digest_file(folder / LEARNED)}
    write_json(folder / RECORD, told)


def is_finished(folder: Path) -> bool:
    """Whether `keep_learned` finished here, and nothing has changed since."""
    try:
        return digest_file(folder / LEARNED) == read_json(folder / RECORD)["sha256"]
    except (InputError, KeyError, TypeError):
        return False


@cache
def code_of_tuning() -> str:
    """sha256 of the source that tunes: of two installations of one version number it may differ."""
    return digest_json({path.name: digest_file(path) for path in sorted(Path(__file__).parent.glob("*.py"))})


def _learned(folder: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in read_tensors(folder / LEARNED).items()}

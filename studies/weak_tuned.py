"""Students of digits whose whole network descends: the setting of `weak_analyses.py`, as `teach_pairs` asks for it.

Rows, networks and their rotation-pretrained bodies are those of `weak_vision.py`; there students are heads on frozen
bodies, and here whole networks descend from the pretrained start (supervisors, students and ceilings alike), with a
fresh head, by the same epochs of AdamW at the same rate. Heads on frozen bodies are taught the same labels beside them.

The rate was not searched for. On the truth of halves of another split (seed 100, body 0, 20 epochs) cnn16 reaches
91.9 % at 3e-3 and 88.8 % at 1e-2, cnn4 75.3 % and 82.9 %; 5e-3, that of the heads, is between.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from weak_vision import CLASSES, Digits, Settings, build, moved_digits, size_of

from surefoot.files import digest_json, read_tensors, write_tensors
from surefoot.inference.ascend import Ascend
from surefoot.inference.checkpoint import identity
from surefoot.networks.build import build_linear
from surefoot.networks.network import Parameters, parameters_of
from surefoot.rows.rows import Rows, concatenate
from surefoot.supervise.labels import Halves, WeakLabels, halve, true_labels, weak_labels
from surefoot.supervise.losses import PAPER, PAPER_SMALL, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Grid, Said, teach_pairs
from surefoot.supervise.student import Learner, said_of, teach

__all__ = ["BASELINE", "CONFIDENT", "HEAD", "HEAD_CONFIDENT", "UNTRAINED", "Supervised", "Tuned", "Way", "grid_of",
           "setting_of", "supervised", "ways"]  # fmt: skip

BASELINE, CONFIDENT = "cross-entropy", "confidence .75"
HEAD, HEAD_CONFIDENT = "cross-entropy, head on the frozen body", "confidence .75, head on the frozen body"
UNTRAINED = "cross-entropy, never pretrained"


@dataclass(frozen=True)
class Way:
    """How a student is taught. tuned: the whole network descends; else a head on the standardised features."""

    loss: WeakLoss = field(default_factory=CrossEntropy)
    epochs: int = 20
    pretrained: bool = True
    tuned: bool = True

    def __call__(self, logits: Tensor, weak: Tensor, done: float) -> Tensor:
        return self.loss(logits, weak, done)


def ways(settings: Settings) -> dict[str, Way]:
    """The baseline first."""
    plain, long = CrossEntropy(), settings.epochs
    return {
        BASELINE: Way(plain, long),
        "confidence .5": Way(PAPER_SMALL, long),
        CONFIDENT: Way(PAPER, long),
        f"cross-entropy, {settings.short} epochs": Way(plain, settings.short),
        UNTRAINED: Way(plain, long, pretrained=False),
        HEAD: Way(plain, long, tuned=False),
        HEAD_CONFIDENT: Way(PAPER, long, tuned=False),
    }


class Ready(NamedTuple):
    """A learner with labels and rows in the form that it takes."""

    learner: Learner
    labels: WeakLabels
    others: list[Rows]


@dataclass(frozen=True)
class Tuned:
    """The setting as `teach_pairs` asks for it; points reached are kept in the folder and used again."""

    digits: Digits

    def ready(self, size: int, labels: WeakLabels, way: Way, seed: int, others: Sequence[Rows]) -> Ready:
        """What is taught, and its rows: images for whole networks, standardised features for heads."""
        settings, width = self.digits.settings, self.digits.settings.widths[size]
        climb = Ascend(way.epochs, settings.batch, settings.rate, schedule=settings.schedule)
        if way.tuned:
            network = build(width, CLASSES, seed)
            start = parameters_of(network)
            if way.pretrained:
                body = self.digits.body(width, seed)
                start = {name: own if name.startswith(network.head) else body[name] for name, own in start.items()}
            return Ready(Learner(f"cnn{width}", network, climb, way, start), labels, list(others))
        features = self.digits.features_of(width, seed, way.pretrained)
        places = {name: place for place, name in enumerate(self.digits.known.ids.tolist())}

        def seen(rows: Rows) -> Tensor:
            return features[torch.tensor([places[name] for name in rows.ids.tolist()])]

        spread, middle = torch.std_mean(seen(labels.rows), dim=0)
        spread = torch.where(spread > 1e-6, spread, torch.ones_like(spread))
        mine, *rest = (each.with_inputs((seen(each) - middle) / spread) for each in (labels.rows, *others))
        head = build_linear(features.shape[1], CLASSES, seed)
        return Ready(Learner(f"head {width}", head, climb, way), WeakLabels(mine, labels.seen, labels.by), rest)

    def place(self, what: str, size: int, labels: WeakLabels, way: Way, seed: int) -> Path:
        """Where something of this student is kept."""
        made_of = identity(size_of(self.digits.settings.widths[size]), way, seed, labels.rows.targets,
                           labels.rows.ids.tolist())  # fmt: skip
        return self.digits.folder / what / f"{made_of[:20]}.safetensors"

    def point(self, size: int, labels: WeakLabels, way: Way, seed: int) -> Parameters:
        """The last epoch's parameters, from the folder where they lie there."""
        place = self.place("points", size, labels, way, seed)
        if not place.exists():
            ready = self.ready(size, labels, way, seed, ())
            write_tensors(place, teach(ready.learner, ready.labels, seed).point())
        return read_tensors(place)

    def said(self, size: int, labels: WeakLabels, way: Way, seed: int, others: Sequence[Rows]) -> list[Tensor]:
        """Class probabilities of the taught student on other rows."""
        point = self.point(size, labels, way, seed)
        ready = self.ready(size, labels, way, seed, others)
        return [said_of(ready.learner.network, point, each.inputs) for each in ready.others]

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        """Supervisors and ceilings are taught as the baseline is."""
        way = loss if isinstance(loss, Way) else ways(self.digits.settings)[BASELINE]
        return Said(*self.said(size, labels, way, seed, (labelled, judge)))


def setting_of(settings: Settings, folder: Path) -> tuple[Tuned, Rows, Rows]:
    """The setting, the labelled rows and the judge rows."""
    unlabelled, labelled, judge = moved_digits(settings)
    folder = folder / digest_json(asdict(settings))[:10]
    return Tuned(Digits(settings, unlabelled, concatenate(labelled, judge), folder)), labelled, judge


def grid_of(setting: Tuned, labelled: Rows, judge: Rows, seeds: int) -> Grid:
    """All pairs by all ways."""
    settings = setting.digits.settings

    def progress(stage: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"[{done}/{total}] {stage}", file=sys.stderr, flush=True)

    sizes = [size_of(width) for width in settings.widths]
    return teach_pairs(
        sizes, labelled, judge, setting, ways(settings), range(seeds), folder=setting.digits.folder / "said",
        progress=progress,
    )  # fmt: skip


class Supervised(NamedTuple):
    """A supervisor of one seed: the halves, its labels of the second, and its probabilities on the judge rows."""

    parts: Halves
    labels: WeakLabels
    judge: Tensor


def supervised(setting: Tuned, size: int, seed: int, labelled: Rows, judge: Rows) -> Supervised:
    """The supervisor of the grid, of this size and seed."""
    parts, plain = halve(labelled, seed), ways(setting.digits.settings)[BASELINE]
    of, said = setting.said(size, true_labels(parts.weak), plain, seed, (parts.student, judge))
    name = f"cnn{setting.digits.settings.widths[size]}"
    return Supervised(parts, weak_labels(parts.student, of, seen=parts.weak.origins(), by=name), said)

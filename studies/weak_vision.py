"""Weak to strong on images: convolutional networks of growing width that know digits by rotation, taught by each other.

    python studies/weak_vision.py               five seeds; prints tables, keeps what is finished in runs/weak_vision
    python studies/weak_vision.py --quick       small networks on few rows, in seconds: does it all run?
    python studies/weak_vision.py --publish     also writes its part of docs/weak-to-strong.md, its data and picture

A killed run goes on where it was; all of it takes about ten minutes of one core. What is kept does not know the
version of the code: after a change to it, delete the folder.

Rows: the 5,000 digits, each moved by up to four pixels each way and filled with zeros, once. 1,500 of them, the same
for every seed, are judged; 1,500 others have no labels; the other 2,000 are halved by the seed: truth for supervisors,
and rows that supervisors label (whose truth is the ceilings').

A model is three 3×3 convolutions (width w, then 2w, 2w; maxima over 2×2 after the first two, over quarters of the image
after the third) and a linear head. Its body learns which of four ways the unlabelled digits are turned, once for each
seed and width, and is then frozen: supervisors, ceilings and students are heads on its standardised features, 20 epochs
of AdamW whose rate falls by a cosine, as published. So one recipe has all sizes, and what is weak about a small one is
what it learnt to see.

Taught beside the losses, as controls: three epochs of cross-entropy in place of twenty; the same head on a body that
was never trained; and the confidence loss under a rate that first rises (one cycle, the house's default), which is
still low when the student is to believe itself. They are held against the ceiling of the others. Pairs of a size with
itself are self-training.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 (all pairs), appendix D.1 (a frozen body in vision);
Gidaris et al. (2018), "Unsupervised representation learning by predicting image rotations". They have ImageNet.
"""

import sys
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from weak_tables import asked, picture, publish, record_of, tables

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.files import digest_json, read_tensors, write_tensors
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.schedule import Schedule
from surefoot.networks.build import build_linear
from surefoot.networks.network import Network, Parameters, embed, parameters_of
from surefoot.rows.digits import digit_names, load_digits
from surefoot.rows.rows import Rows, concatenate, make_rows
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.losses import PAPER, PAPER_SMALL, REPOSITORY, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Grid, Said, Size, teach_pairs
from surefoot.supervise.student import Learner, said_of, teach

ROOT = Path(__file__).resolve().parents[1]
SIDE, WAYS, CLASSES, BLOCK = 28, 4, 10, 500
BASELINE = "cross-entropy"
TITLE = "Vision: heads on frozen networks that know how digits are turned, taught by smaller ones"


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. turning: epochs of rotation; epochs, short: of heads; shift: pixels each way."""

    judged: int = 1500
    unlabelled: int = 1500
    labelled: int = 2000
    widths: tuple[int, ...] = (2, 4, 8, 16, 24)
    turning: int = 15
    turning_rate: float = 5e-3
    epochs: int = 20
    short: int = 3
    batch: int = 64
    rate: float = 5e-3
    schedule: Schedule = "cosine"
    shift: int = 4


QUICK = Settings(judged=300, unlabelled=100, labelled=400, widths=(1, 2, 3, 4), turning=2, epochs=4, short=1)


@dataclass(frozen=True)
class Recipe:
    """A loss and how it is taught: a control differs from the others in these, and not in its labels."""

    loss: WeakLoss
    epochs: int
    schedule: Schedule
    pretrained: bool = True

    def __call__(self, logits: Tensor, weak: Tensor, done: float) -> Tensor:
        return self.loss(logits, weak, done)


def recipes(settings: Settings) -> dict[str, Recipe]:
    """The baseline first."""
    plain, long, course = CrossEntropy(), settings.epochs, settings.schedule
    return {
        BASELINE: Recipe(plain, long, course),
        "confidence .75": Recipe(PAPER, long, course),
        "confidence .5": Recipe(PAPER_SMALL, long, course),
        "confidence .5, weak shares": Recipe(REPOSITORY, long, course),
        f"cross-entropy, {settings.short} epochs": Recipe(plain, settings.short, course),
        "cross-entropy, untrained body": Recipe(plain, long, course, pretrained=False),
        "confidence .75, one cycle": Recipe(PAPER, long, "one_cycle"),
    }


def moved_digits(settings: Settings) -> tuple[Rows, Rows, Rows]:
    """(unlabelled, labelled, judged), the same for every seed."""
    digits = load_digits()
    generator = torch.Generator().manual_seed(0)
    around = pad(digits.images.float() / 255, (settings.shift,) * 4)
    corners = torch.randint(2 * settings.shift + 1, (len(around), 2), generator=generator).tolist()
    images = torch.stack([
        image[down : down + SIDE, along : along + SIDE]
        for image, (down, along) in zip(around, corners, strict=True)
    ])[:, None]  # fmt: skip
    every = make_rows(images, digits.labels, ids=digit_names(torch.arange(5000).numpy()))
    order = torch.randperm(len(every), generator=generator)
    ends = [settings.judged, settings.judged + settings.unlabelled]
    labelled = order[ends[1] : ends[1] + settings.labelled]
    return every.take(order[ends[0] : ends[1]]), every.take(labelled), every.take(order[: ends[0]])


def build(width: int, classes: int, seed: int) -> Network:
    """Weights as torch draws them, from a generator of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(1000 * seed + width)
        layers = OrderedDict(
            conv1=nn.Conv2d(1, width, 3, padding=1),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(width, 2 * width, 3, padding=1),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            relu3=nn.ReLU(),
            pool3=nn.AdaptiveMaxPool2d(2),
            flatten=nn.Flatten(),
            head=nn.Linear(8 * width, classes),
        )
    return Network(nn.Sequential(layers).eval(), "head")


def size_of(width: int) -> Size:
    module = build(width, CLASSES, 0).module
    return Size(f"cnn{width}", sum(each.numel() for each in module.parameters()))


@dataclass(frozen=True)
class Digits:
    """The setting as `teach_pairs` asks for it; bodies are kept in the folder, features of all rows in memory."""

    settings: Settings
    unlabelled: Rows
    known: Rows
    folder: Path
    features: dict[tuple[int, int, bool], Tensor] = field(default_factory=dict)

    def body(self, width: int, seed: int) -> Parameters:
        """Parameters that tell which way a digit is turned, from the folder where they lie there."""
        place = self.folder / f"body of cnn{width}, seed {seed}.safetensors"
        if place.exists():
            return read_tensors(place)
        images = self.unlabelled.inputs[:]
        turned = torch.cat([images.rot90(way, (2, 3)) for way in range(WAYS)])
        rows = make_rows(turned, torch.arange(WAYS).repeat_interleave(len(images)))
        network = build(width, WAYS, seed)
        climb = Ascend(self.settings.turning, self.settings.batch, self.settings.turning_rate)
        print(f"turning digits before cnn{width}, seed {seed}", file=sys.stderr, flush=True)
        point = ascend(Objective(network, categorical, mean), rows, parameters_of(network), seed, climb).point()
        write_tensors(place, point)
        return point

    def features_of(self, width: int, seed: int, pretrained: bool) -> Tensor:
        """Of all rows that are ever labelled or judged, in the order of `known`."""
        key = (width, seed, pretrained)
        if key not in self.features:
            network = build(width, WAYS, seed)
            body = self.body(width, seed) if pretrained else parameters_of(network)
            images = self.known.inputs[:]
            with torch.no_grad():
                parts = [embed(network, body, images[at : at + BLOCK]) for at in range(0, len(images), BLOCK)]
            self.features[key] = torch.cat(parts)
        return self.features[key]

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        """A head on the frozen body's features; supervisors and ceilings are taught as the baseline is."""
        how = loss if isinstance(loss, Recipe) else recipes(self.settings)[BASELINE]
        features = self.features_of(self.settings.widths[size], seed, how.pretrained)
        places = {name: place for place, name in enumerate(self.known.ids.tolist())}
        taught, other, judged = (
            features[torch.tensor([places[name] for name in rows.ids.tolist()])]
            for rows in (labels.rows, labelled, judge)
        )
        spread, middle = torch.std_mean(taught, dim=0)
        spread = torch.where(spread > 1e-6, spread, torch.ones_like(spread))
        head = build_linear(features.shape[1], CLASSES, seed)
        climb = Ascend(how.epochs, self.settings.batch, self.settings.rate, schedule=how.schedule)
        mine = WeakLabels(labels.rows.with_inputs((taught - middle) / spread), labels.seen, labels.by)
        point = teach(Learner(f"head {size}", head, climb, how), mine, seed).point()
        return Said(*(said_of(head, point, (each - middle) / spread) for each in (other, judged)))


def study(settings: Settings, seeds: int, folder: Path) -> Grid:
    """All models of the setting, told on stderr as they are finished."""
    folder = folder / digest_json(asdict(settings))[:10]
    unlabelled, labelled, judge = moved_digits(settings)
    setting = Digits(settings, unlabelled, concatenate(labelled, judge), folder)

    def progress(stage: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"[{done}/{total}] {stage}", file=sys.stderr, flush=True)

    sizes = [size_of(width) for width in settings.widths]
    return teach_pairs(
        sizes, labelled, judge, setting, recipes(settings), range(seeds), folder=folder, progress=progress
    )


def main() -> None:
    chosen = asked(__doc__, seeds=5, quick_seeds=2, folder=ROOT / "runs" / "weak_vision")
    settings = QUICK if chosen.quick else Settings()
    grid = study(settings, chosen.seeds, chosen.folder)
    record = record_of(grid, asdict(settings), chosen.seeds, baseline=BASELINE)
    blocks, drawn = tables(record), picture(record, TITLE, "confidence .75")
    print("\n\n".join(blocks))
    if chosen.publish:
        publish("vision", record, blocks, drawn)


if __name__ == "__main__":
    main()

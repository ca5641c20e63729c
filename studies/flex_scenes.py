"""What else a flexible backbone is for: boxes, masks, segments and captions of scenes of digits, at every patch size.

    python studies/flex_scenes.py               one seed; prints tables, keeps what is finished in runs/flex_scenes
    python studies/flex_scenes.py --quick       a few steps on few scenes, in a minute: does it all run?
    python studies/flex_scenes.py --publish     also writes docs/flex-scenes.md's numbers, its data and pictures

A killed run goes on where it was; all of it takes about an hour of one core. What is kept does not know the version of
the code: after a change to it, delete the folder.

One transformer with all heads at once (`surefoot.flex.dense`) is taught with patch sizes 8, 12 and 16 of 48 pixels,
drawn anew each step; beside it, for each size, a fixed one: the same start, the same scenes in the same order, the same
number of steps, all of them at that size. At each size a flexible one has thus had a third of a fixed one's steps. The
"long" one is flexible and has three times the steps: as many at each size as a fixed one, at the cost of the three.
Judged on scenes of digits that none has seen. The fixed one of 8 is also asked at the other sizes, with its kernel and
positions resized as those of a flexible one are.

Besides, boxes for names that were not taught: other words for the ten digits; and a flexible one that is taught the
boxes of eight digits, and asked for the other two.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from flex_scenes_data import QUESTIONS, Data, read
from flex_scenes_sheet import sheet
from flex_scenes_tables import Judged, pictures, publish, record_of, tables
from torch import Tensor
from weak_tables import DOCS, asked

from surefoot.files import digest_json, read_tensors, write_tensors
from surefoot.findings.average_precision import judge_detections
from surefoot.findings.overlap import count_overlap
from surefoot.findings.panoptic_quality import count_panoptic
from surefoot.flex.dense.detect import detections_of, true_detections
from surefoot.flex.dense.heads import DenseViT, Heads, Outputs, build_dense
from surefoot.flex.dense.panoptic import segments_of, true_segments
from surefoot.flex.dense.retrieve import recalled_both_ways
from surefoot.flex.dense.segment import pixel_classes
from surefoot.flex.dense.train import Course, Texts, outputs_of, train_dense
from surefoot.flex.schedule import uniform
from surefoot.networks.flexible import Shape
from surefoot.rows.scenes import take_scenes

ROOT = Path(__file__).resolve().parents[1]
SIDE, CLASSES, DIGITS = 48, 11, 10
TAUGHT = next(iter(QUESTIONS))
HELD_OUT = (4, 7)


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. gallery: how many scenes a caption is to be told apart among."""

    fit: int = 16000
    judge: int = 1000
    gallery: int = 100
    sizes: tuple[int, ...] = (8, 12, 16)
    width: int = 64
    depth: int = 4
    steps: int = 6000
    batch: int = 16
    rate: float = 3e-3


QUICK = Settings(fit=100, judge=40, gallery=20, sizes=(12, 16), width=16, depth=1, steps=6, batch=8)


@dataclass(frozen=True)
class Model:
    """One to be taught. sizes: its patch sizes. known: the classes whose boxes are marked and named.

    times: how often it has the steps of the others.
    """

    name: str
    sizes: tuple[int, ...]
    seed: int
    known: tuple[int, ...] = tuple(range(DIGITS))
    times: int = 1


def models(settings: Settings, seeds: int) -> Iterator[Model]:
    """Seed by seed, so that what is finished can be read."""
    for seed in range(seeds):
        yield Model("flexible", settings.sizes, seed)
        for size in settings.sizes:
            yield Model(f"fixed {size}", (size,), seed)
        yield Model("long", settings.sizes, seed, times=len(settings.sizes))
        if seed == 0:
            known = tuple(digit for digit in range(DIGITS) if digit not in HELD_OUT)
            yield Model("eight names", settings.sizes, seed, known)


def taught(model: Model, settings: Settings, data: Data, folder: Path) -> DenseViT:
    """From the folder where it lies there."""
    buffer = max(settings.sizes)
    shape = Shape(
        (1, SIDE, SIDE), settings.width, settings.depth, heads=4, buffer=(buffer, buffer), grid=(6, 6), pool="mean",
        positions="sincos",
    )  # fmt: skip
    made = build_dense(shape, Heads(CLASSES, data.captions.shape[1]), model.seed)
    place = folder / f"{model.name}, seed {model.seed}.safetensors"
    if place.exists():
        made.load_state_dict(read_tensors(place))
        return made
    known = torch.tensor(model.known)
    texts = Texts(data.names[TAUGHT][known], known, data.captions, data.numbers)
    sizes = uniform([(size, size) for size in model.sizes])
    course = Course(sizes, settings.steps * model.times, settings.batch, settings.rate)

    def progress(stage: str, done: int, total: int) -> None:
        if done % 1000 == 0 or done == total:
            print(f"[{done}/{total}] {model.name}, seed {model.seed}: {stage}", file=sys.stderr, flush=True)

    checkpoint = place.with_suffix(".unfinished")
    train_dense(made, data.fit, texts, course, model.seed, checkpoint=checkpoint, progress=progress)
    write_tensors(place, made.state_dict())
    checkpoint.unlink(missing_ok=True)
    return made


@torch.inference_mode()
def judged(model: DenseViT, settings: Settings, data: Data, size: int) -> tuple[Outputs, dict[str, Tensor]]:
    """What it says at a size, and every count behind the four measures, by name; of boxes for each way to ask."""
    scenes = data.judge
    said = outputs_of(model, scenes, (size, size))
    overlap = count_overlap(pixel_classes(said, (SIDE, SIDE)), scenes.classes, CLASSES)
    panoptic = count_panoptic(segments_of(said, (SIDE, SIDE)), true_segments(scenes), CLASSES)
    texts = model.captions(data.captions[data.judge_numbers])
    found = {f"overlap.{name}": each for name, each in vars(overlap).items()}
    found |= {f"panoptic.{name}": each for name, each in vars(panoptic).items()}
    found["hits"] = recalled_both_ways(said.image, texts, data.judge_numbers, settings.gallery)
    for place, names in enumerate(data.names.values()):
        boxes = judge_detections(detections_of(model, said, names), true_detections(scenes), DIGITS)
        found |= {f"boxes.{place}.{name}": each for name, each in vars(boxes).items()}
    return said, {name: each.contiguous() for name, each in found.items()}


def study(settings: Settings, seeds: int, data: Data, folder: Path) -> list[Judged]:
    """Every model at every size that it is to be asked at."""
    folder = folder / digest_json(asdict(settings))[:10]
    every: list[Judged] = []
    for model in models(settings, seeds):
        made = taught(model, settings, data, folder)
        sizes = settings.sizes if len(model.sizes) > 1 or model.name == "fixed 8" else model.sizes
        for size in sizes:
            place = folder / f"{model.name}, seed {model.seed}, at {size}.judged.safetensors"
            if not place.exists():
                write_tensors(place, judged(made, settings, data, size)[1])
            every.append(Judged(model.name, model.seed, size, read_tensors(place)))
    return every


def draw(settings: Settings, data: Data, folder: Path, path: Path) -> None:
    """Some scenes with what the long flexible one of seed 0 says of them, at its finest and its coarsest patch."""
    scenes = take_scenes(data.judge, torch.arange(min(6, len(data.judge))))
    folder = folder / digest_json(asdict(settings))[:10]
    model = taught(Model("long", settings.sizes, 0, times=len(settings.sizes)), settings, data, folder)
    said = {
        f"patch {size}, {(SIDE // size) ** 2} tokens": outputs_of(model, scenes, (size, size))
        for size in (settings.sizes[0], settings.sizes[-1])
    }
    sheet(model, scenes, said, data.names[TAUGHT], path)


def main() -> None:
    chosen = asked(__doc__, seeds=1, quick_seeds=1, folder=ROOT / "runs" / "flex_scenes")
    settings = QUICK if chosen.quick else Settings()
    data = read(settings.fit, settings.judge, chosen.folder)
    every = study(settings, chosen.seeds, data, chosen.folder)
    record = record_of(every, data.fit, data.judge, data.judge_numbers, asdict(settings), chosen.seeds, HELD_OUT)
    blocks, drawn = tables(record), pictures(record)
    print("\n\n".join(blocks))
    draw(settings, data, chosen.folder, chosen.folder / "flex-scenes-shown.png")
    if chosen.publish:
        publish(record, blocks, drawn)
        draw(settings, data, chosen.folder, DOCS / "images" / "flex-scenes-shown.png")


if __name__ == "__main__":
    main()

"""Baselines, tables and pictures of `flex_scenes.py`: the record lies in docs/data/flex-scenes.json, and a test makes
tables and curves again from it alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, TypeAlias

import torch
from curves import Axis, Line, Panel, chart
from flex_scenes_data import QUESTIONS
from torch import Tensor
from torch.nn.functional import max_pool2d
from weak_tables import COLOURS, DOCS, GREY, rounded, with_blocks

from surefoot.files import write_json, write_text
from surefoot.findings.average_precision import Detections, Found, class_precisions, judge_detections, mean_precision
from surefoot.findings.overlap import Overlap, count_overlap, mean_overlap
from surefoot.findings.panoptic_quality import PanopticCounts, Segments, count_panoptic, panoptic_quality
from surefoot.findings.recall import chance_recalled
from surefoot.findings.redrawn import drawn_times, percentile_interval
from surefoot.flex.dense.detect import true_detections
from surefoot.flex.dense.panoptic import nothing, true_segments
from surefoot.flex.dense.retrieve import alike
from surefoot.flex.dense.segment import background
from surefoot.rows.scenes import Scenes

__all__ = ["Judged", "baselines", "components", "pictures", "publish", "record_of", "tables"]

Record: TypeAlias = dict[str, Any]
CLASSES, DIGITS = 11, 10
TASKS = {
    "recall": "retrieval, recall@1",
    "boxes": "detection, AP50",
    "overlap": "semantic segmentation, mIoU",
    "panoptic": "panoptic segmentation, PQ",
}
INK, FEWEST = 0.35, 12
"""Of the baseline that sees brightness alone: the grey that is a digit's, and the fewest pixels of one."""
RESAMPLES = 1000
NEAR, LEAST = 0.9, 1e-6
"""Within 10 % of the fixed one; what that is at least, where it is divided by."""


@dataclass(frozen=True)
class Judged:
    """The counts behind the measures of one model at one size, by name."""

    model: str
    seed: int
    size: int
    counts: Mapping[str, Tensor]


def measures(counts: Mapping[str, Tensor], question: int = 0) -> dict[str, Callable[[Tensor], Tensor]]:
    """From how often each scene counts to each task's measure."""
    hits = counts["hits"].double()
    overlap = Overlap(*(counts[f"overlap.{name}"] for name in ("both", "either")))
    names = ("overlap", "matched", "spurious", "missed")
    panoptic = PanopticCounts(*(counts[f"panoptic.{name}"] for name in names))
    return {
        "recall": lambda times: (times @ hits) / times.sum(dim=1),
        "boxes": lambda times: mean_precision(found_of(counts, question), times),
        "overlap": lambda times: mean_overlap(overlap, times),
        "panoptic": lambda times: panoptic_quality(panoptic, times),
    }


def found_of(counts: Mapping[str, Tensor], question: int) -> Found:
    return Found(*(counts[f"boxes.{question}.{name}"] for name in ("scenes", "classes", "scores", "right", "true")))


def components(scenes: Scenes) -> list[Tensor]:
    """Of each scene, where it is bright: pixels by component from 1, those next to bright ones with them; 0 is dark.

    The highest number of a pixel's neighbours spreads until nothing changes, within what is bright.
    """
    images = scenes.inputs()
    bright = (max_pool2d((images > INK).float(), 3, 1, 1) > 0)[:, 0]
    number = torch.arange(1, bright[0].numel() + 1, dtype=torch.float32).view(bright[0].shape).expand(bright.shape)
    number = number * bright
    while True:
        spread = max_pool2d(number[:, None], 3, 1, 1)[:, 0] * bright
        if torch.equal(spread, number):
            break
        number = spread
    found: list[Tensor] = []
    for each in number:
        kinds, pixels, sizes = torch.unique(each, return_inverse=True, return_counts=True)
        kept = (sizes >= FEWEST) & (kinds > 0)
        again = torch.where(kept, kept.cumsum(0), 0)
        found.append(again[pixels])
    return found


def baselines(fit: Scenes, judge: Scenes, numbers: Tensor, gallery: int) -> Record:
    """What comes without looking, and with looking at brightness alone; see the page."""
    one = torch.ones(1, len(judge), dtype=torch.float64)
    right = [alike(each, each) for each in numbers.split(gallery)]
    chance = float(torch.cat([chance_recalled(each) for each in right]).mean())

    there = fit.labels >= 0
    counted = torch.bincount(fit.labels[there], minlength=DIGITS).float()
    shares, usual = counted / counted.sum(), int(counted.argmax())
    middle = fit.boxes[there].mean(dim=0)
    every = torch.arange(DIGITS)
    blind = [Detections(middle.expand(DIGITS, 4), every, shares)] * len(judge)
    truth = true_detections(judge)
    height, width = judge.images.shape[1:]
    dark = nothing(len(judge), (height, width))

    maps = components(judge)
    boxes = [Detections(*_of_components(each, shares)) for each in maps]
    guessed = torch.stack([torch.where(each > 0, usual + 1, 0) for each in maps])
    segments = [
        Segments(each, torch.cat([torch.zeros(1), torch.full((int(each.max()),), usual + 1.0)]).long()) for each in maps
    ]
    true_maps = true_segments(judge)
    return {
        "blind": {
            "recall": chance,
            "boxes": float(mean_precision(judge_detections(blind, truth, DIGITS), one)),
            "overlap": float(mean_overlap(count_overlap(background(judge.images.shape), judge.classes, CLASSES), one)),
            "panoptic": float(panoptic_quality(count_panoptic(dark, true_maps, CLASSES), one)),
        },
        "brightness": {
            "recall": None,
            "boxes": float(mean_precision(judge_detections(boxes, truth, DIGITS), one)),
            "overlap": float(mean_overlap(count_overlap(guessed, judge.classes, CLASSES), one)),
            "panoptic": float(panoptic_quality(count_panoptic(segments, true_maps, CLASSES), one)),
        },
    }


def record_of(
    every: Sequence[Judged],
    fit: Scenes,
    judge: Scenes,
    numbers: Tensor,
    settings: Mapping[str, Any],
    seeds: int,
    held_out: Sequence[int],
) -> Record:
    """All that is told, as plain JSON."""
    times = drawn_times(len(judge), resamples=RESAMPLES)
    asked = torch.cat([torch.ones(1, len(judge), dtype=torch.float64), times])
    found = {
        (each.model, each.seed, each.size, task): measure(asked)
        for each in every
        for task, measure in measures(each.counts).items()
    }
    sizes = settings["sizes"]
    compared: list[Record] = []
    for task in TASKS:
        for size in sizes:
            ours, theirs, long = (
                torch.stack([found[name, seed, size, task] for seed in range(seeds)])
                for name in ("flexible", f"fixed {size}", "long")
            )
            compared.append({
                "task": task, "size": size,
                "flexible": _told(ours.mean(dim=0)), "fixed": _told(theirs.mean(dim=0)),
                "long": _told(long.mean(dim=0)),
                "ratio": _told(ours.mean(dim=0) / theirs.mean(dim=0).clamp_min(LEAST)),
                "long_ratio": _told(long.mean(dim=0) / theirs.mean(dim=0).clamp_min(LEAST)),
                "seeds": {"flexible": ours[:, 0].tolist(), "fixed": theirs[:, 0].tolist()},
            })  # fmt: skip
    resized = [
        {
            "size": size,
            **{task: mean(float(found["fixed 8", seed, size, task][0]) for seed in range(seeds)) for task in TASKS},
        }
        for size in sizes
        if ("fixed 8", 0, size, "boxes") in found
    ]
    return rounded({
        "settings": dict(settings), "seeds": seeds, "judged": len(judge), "resamples": RESAMPLES,
        "held_out": list(held_out), "baselines": baselines(fit, judge, numbers, settings["gallery"]),
        "compared": compared, "resized": resized, "names": _names(every, asked, sizes, held_out),
    })  # fmt: skip


def tables(record: Mapping[str, Any]) -> list[str]:
    """Three blocks: what the claim comes to; every size; names that were not taught."""
    return [_claims_table(record), _sizes_table(record), _names_table(record)]


def pictures(record: Mapping[str, Any]) -> str:
    """Four panels: each measure against the patch size."""
    sizes = record["settings"]["sizes"]
    across = Axis("patch, pixels (finer to the left)", sizes[0] - 1, sizes[-1] + 1, sizes)
    panels: list[Panel] = []
    for task, title in TASKS.items():
        mine = [each for each in record["compared"] if each["task"] == task]
        trivial = record["baselines"]["brightness"][task] or record["baselines"]["blind"][task]
        lines = [
            Line(name, colour, [(each["size"], each[kind]["value"]) for each in mine], dashed, dots=True)
            for name, colour, kind, dashed in (
                ("fixed, one for each size", COLOURS[3], "fixed", False),
                ("flexible, as many steps in all", COLOURS[1], "flexible", True),
                ("flexible, as many at each size", COLOURS[1], "long", False),
            )
        ]
        off = [(each["size"], each[task]) for each in record["resized"]]
        lines.append(Line("fixed 8, resized", COLOURS[4], off, dashed=True, dots=True))
        lines.append(Line("baseline", GREY, [(size, trivial) for size in (sizes[0], sizes[-1])], dashed=True))
        panels.append(Panel(title, across, Axis(title.split(", ")[1], 0.0, 1.0, (0, 0.25, 0.5, 0.75, 1)), lines))
    return chart("Scenes of digits: a flexible backbone at each patch size", panels)


def publish(record: Mapping[str, Any], blocks: Sequence[str], drawn: str) -> None:
    """The record, the curves, and the page's numbers."""
    place = DOCS / "flex-scenes.md"
    changed = place.read_text(encoding="utf-8")
    for name, block in zip(("scenes-claims", "scenes-sizes", "scenes-names"), blocks, strict=True):
        changed = with_blocks(changed, name, [block])
    write_json(DOCS / "data" / "flex-scenes.json", record)
    write_text(DOCS / "images" / "flex-scenes-sizes.svg", drawn)
    write_text(place, changed)


def _names(every: Sequence[Judged], asked: Tensor, sizes: Sequence[int], held_out: Sequence[int]) -> Record:
    """AP50 by the words asked with, and of the classes without a name in training; means over sizes, of seed 0."""
    told: Record = {}
    rest = [digit for digit in range(DIGITS) if digit not in held_out]
    for name in ("flexible", "eight names"):
        mine = [each for each in every if (each.model, each.seed) == (name, 0) and each.size in sizes]
        if not mine:
            continue
        told[name] = []
        for question, words in enumerate(QUESTIONS):
            precisions = torch.stack([class_precisions(found_of(each.counts, question), asked) for each in mine])
            parts = {"all": list(range(DIGITS)), "eight": rest, "two": list(held_out)}
            told[name].append({
                "words": words,
                **{part: _told(precisions[:, :, chosen].nanmean(dim=2).mean(dim=0)) for part, chosen in parts.items()},
            })  # fmt: skip
    return told


def _told(values: Tensor) -> Record:
    """The first value, and the interval of the others."""
    interval = percentile_interval(values[1:])
    return {"value": float(values[0]), "low": interval.low, "high": interval.high}


def _of_components(pixels: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The box around each component, once for each digit."""
    boxes: list[Tensor] = []
    for number in range(1, int(pixels.max()) + 1):
        down, across = (pixels == number).nonzero(as_tuple=True)
        boxes.append(torch.stack([across.min(), down.min(), across.max() + 1, down.max() + 1]).float())
    if not boxes:
        return torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    return torch.stack(boxes).repeat_interleave(DIGITS, 0), torch.arange(DIGITS).repeat(len(boxes)), shares.repeat(
        len(boxes)
    )  # fmt: skip


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _share(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _claims_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| task, % | blind baseline | brightness alone | flexible, worst to best size | sizes clearly above both | "
        "within 10 % of fixed, by as many steps in all | … clearly | by as many steps at each size | … clearly |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, title in TASKS.items():
        mine = [each for each in record["compared"] if each["task"] == task]
        values = sorted(100 * each["flexible"]["value"] for each in mine)
        blind, bright = (record["baselines"][name][task] for name in ("blind", "brightness"))
        least = max(each for each in (blind, bright) if each is not None)
        above = sum(each["flexible"]["low"] > least for each in mine)
        near = [
            f"{sum(each[ratio][end] >= NEAR for each in mine)} of {len(mine)}"
            for ratio in ("ratio", "long_ratio")
            for end in ("value", "low")
        ]
        dim = "—" if bright is None else f"{100 * bright:.1f}"
        lines.append(
            f"| {title} | {100 * blind:.1f} | {dim} | {values[0]:.1f} to {values[-1]:.1f} | {above} of {len(mine)} | "
            f"{' | '.join(near)} |"
        )
    return "\n".join(lines)


def _sizes_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| task, % | patch | tokens | fixed | flexible, as many steps in all | flexible / fixed | "
        "flexible, as many steps at each size | flexible / fixed | fixed 8, resized |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    other = {each["size"]: each for each in record["resized"]}
    for each in record["compared"]:
        size = each["size"]
        there = f"{100 * other[size][each['task']]:.1f}" if size in other else "—"
        lines.append(
            f"| {TASKS[each['task']]} | {size} | {(48 // size) ** 2} | {_percent(each['fixed'])} | "
            f"{_percent(each['flexible'])} | {_share(each['ratio'])} | {_percent(each['long'])} | "
            f"{_share(each['long_ratio'])} | {there} |"
        )
    return "\n".join(lines)


def _names_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| asked for as | taught ten names: AP50, % | taught eight names: those eight | the two others |",
        "| --- | --- | --- | --- |",
    ]
    ten, eight = (record["names"].get(name, []) for name in ("flexible", "eight names"))
    for number, each in enumerate(ten):
        more = [_percent(eight[number][part]) for part in ("eight", "two")] if eight else ["—", "—"]
        lines.append(f"| {each['words']} | {_percent(each['all'])} | " + " | ".join(more) + " |")
    return "\n".join(lines)

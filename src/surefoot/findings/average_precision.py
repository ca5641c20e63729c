"""Average precision of a detector at one overlap (AP50: a box is right where its IoU with a true one is ½ or more).

Detections of a class are taken from the surest to the least sure, over all scenes. Each takes the true box of its scene
that it overlaps most, if that is enough and none surer took it; otherwise it is wrong. With precision p and recall r
after each,

    AP = Σ_k (r_k − r_{k−1}) · max_{j ≥ k} p_j,     AP50 = mean over classes that are true anywhere

the area under the precision that a recall can still be had at. Equally sure detections of different scenes are counted
together, so that their order does not matter. One object has one box: a second box on it is wrong.

Source: Everingham et al. (2010), "The Pascal visual object classes (VOC) challenge", §3.4 and §4.2, with the area in
place of 11 points, as the challenge has had it since 2010. Lin et al. (2014), COCO, take 101 recalls, and give a
detection the best box that is left; theirs is no different where true boxes do not overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Detections", "Found", "box_overlap", "class_precisions", "judge_detections", "mean_precision"]


@dataclass(frozen=True)
class Detections:
    """What is said, or true, of one scene: boxes as left, top, right, bottom; scores are not read of the truth."""

    boxes: Float[Tensor, "boxes 4"]
    classes: Int[Tensor, "boxes"]
    scores: Float[Tensor, "boxes"]


@dataclass(frozen=True)
class Found:
    """Every detection of all scenes, judged, and how many boxes of each class each scene has."""

    scenes: Int[Tensor, "detections"]
    classes: Int[Tensor, "detections"]
    scores: Float[Tensor, "detections"]
    right: Bool[Tensor, "detections"]
    true: Float64[Tensor, "scenes classes"]


def box_overlap(one: Float[Tensor, "many 4"], two: Float[Tensor, "others 4"]) -> Float[Tensor, "many others"]:
    """IoU of boxes; 0 where both are empty.

    >>> box_overlap(torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([[1.0, 0.0, 4.0, 2.0]])).item()
    0.75
    """
    low = torch.maximum(one[:, None, :2], two[:, :2])
    high = torch.minimum(one[:, None, 2:], two[:, 2:])
    both = (high - low).clamp_min(0).prod(dim=2)
    areas = [(each[:, 2:] - each[:, :2]).clamp_min(0).prod(dim=1) for each in (one, two)]
    return both / (areas[0][:, None] + areas[1] - both).clamp_min(1e-12)


def judge_detections(
    said: Sequence[Detections], truth: Sequence[Detections], classes: int, *, overlap: float = 0.5
) -> Found:
    """Which detections are right.

    Raises `InputError` for other scenes, classes outside, and scores that are no numbers.
    """
    if len(said) != len(truth):
        raise InputError(f"{len(said)} scenes have detections and {len(truth)} are known; give one for each.")
    scenes: list[Tensor] = []
    rights: list[Tensor] = []
    true = torch.zeros(len(truth), classes, dtype=torch.float64)
    for scene, (one, known) in enumerate(zip(said, truth, strict=True)):
        for each in (one, known):
            if len(each.classes) and not 0 <= int(each.classes.min()) <= int(each.classes.max()) < classes:
                raise InputError(f"A box's class is not among 0 … {classes - 1}; give as many classes as there are.")
        if not bool(one.scores.isfinite().all()):
            raise InputError("A detection's score is no number; give finite ones, the surest highest.")
        true[scene] = torch.bincount(known.classes, minlength=classes)
        rights.append(_right(one, known, overlap))
        scenes.append(torch.full((len(one.classes),), scene))
    return Found(
        torch.cat(scenes),
        torch.cat([one.classes for one in said]),
        torch.cat([one.scores for one in said]),
        torch.cat(rights),
        true,
    )


def class_precisions(found: Found, times: Float64[Tensor, "resamples scenes"]) -> Float64[Tensor, "resamples classes"]:
    """AP of each class; NaN for one that is true in no scene that was drawn."""
    return torch.stack([_area(found, label, times) for label in range(found.true.shape[1])], dim=1)


def mean_precision(found: Found, times: Float64[Tensor, "resamples scenes"]) -> Float64[Tensor, "resamples"]:
    """The mean of AP over classes, with each scene counted as often as `times` says.

    >>> box = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    >>> known = [Detections(box, torch.tensor([0]), torch.ones(1))] * 2
    >>> beside = Detections(box + 20, torch.tensor([0]), torch.tensor([0.9]))
    >>> judged = judge_detections([known[0], beside], known, classes=1)
    >>> float(mean_precision(judged, torch.ones(1, 2).double()))
    0.5
    """
    return class_precisions(found, times).nanmean(dim=1)


def _right(said: Detections, known: Detections, least: float) -> Bool[Tensor, "boxes"]:
    right = torch.zeros(len(said.classes), dtype=torch.bool)
    if not len(known.classes) or not len(right):
        return right
    overlap = box_overlap(said.boxes, known.boxes)
    overlap = torch.where(said.classes[:, None] == known.classes, overlap, torch.full_like(overlap, -1.0))
    most, which = (each.tolist() for each in overlap.max(dim=1))
    taken: set[int] = set()
    for place in said.scores.argsort(descending=True, stable=True).tolist():
        if most[place] >= least and which[place] not in taken:
            taken.add(which[place])
            right[place] = True
    return right


def _area(found: Found, label: int, times: Tensor) -> Float64[Tensor, "resamples"]:
    mine = found.classes == label
    scores, order = found.scores[mine].sort(descending=True, stable=True)
    weights = times[:, found.scenes[mine][order]]
    right = torch.cumsum(weights * found.right[mine][order], dim=1)
    every = torch.cumsum(weights, dim=1)
    total = times @ found.true[:, label]
    if len(scores):
        # Of equal scores the last speaks for all of them.
        last = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
        right, every = right[:, last], every[:, last]
    precision = right / every.clamp_min(1e-12)
    reachable = precision.flip(1).cummax(dim=1).values.flip(1) if precision.shape[1] else precision
    gained = torch.diff(right, dim=1, prepend=torch.zeros(len(right), 1, dtype=right.dtype))
    return (gained * reachable).sum(dim=1) / total

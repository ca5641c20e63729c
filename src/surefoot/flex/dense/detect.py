"""Open-vocabulary detection: every anchor gives a box and a vector, and names are scored as text embeddings.

    score of anchor a for name n = σ(scale · cos(v_a, e_n) + shift),     e is locked

    loss of scores: focal, a sum over anchors and names, divided by the number of objects
    loss of boxes:  |centre|₁ in anchors + |log size|₁ + (1 − GIoU), of each object's own anchor

An object's anchor is the one that its centre lies in; the eight around it are not asked. Hungarian assignment costs a
matching each step and starts out arbitrary; here two centres are never in one anchor of 4 pixels, since boxes do not
touch, so that nothing is left to be assigned.

Source: Minderer et al. (2022), "Simple open-vocabulary object detection with vision transformers" (OWL-ViT: a box and a
vector from every token, names as text); Tian et al. (2019), "FCOS" (assignment by centres); Lin et al. (2017), "Focal
loss"; Rezatofighi et al. (2019), "Generalized intersection over union". OWL-ViT has the tokens of the backbone's grid
for anchors: ours are on the common grid, so that coarse patches can have two objects.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.findings.average_precision import Detections, box_overlap
from surefoot.flex.dense.heads import ANCHOR, DenseViT, Outputs
from surefoot.rows.scenes import Scenes

__all__ = ["detect_loss", "detections_of", "suppressed", "true_detections"]

ALPHA, GAMMA = 0.25, 2.0
KEPT, LEAST, SAME = 40, 0.01, 0.5
"""Boxes of a scene that are looked at; the least score of one; the overlap of two that are the same object."""


def detect_loss(
    model: DenseViT,
    said: Outputs,
    scenes: Scenes,
    names: Float[Tensor, "names text"],
    known: Int[Tensor, "names"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The losses of scores and of boxes.

    known: the class of each name; all of them in order where it is None. An object whose class has no name here is
    background to the scores and is left out of the boxes: nobody marked it.
    """
    height, width = scenes.images.shape[1:]
    down, across = height // ANCHOR, width // ANCHOR
    classes = torch.arange(len(names)) if known is None else known
    row, column = (scenes.labels[:, :, None] == classes).any(dim=2).nonzero(as_tuple=True)
    boxes, labels = scenes.boxes[row, column], scenes.labels[row, column]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    x, y = (middle / ANCHOR).long().unbind(1)
    anchor = y * across + x
    count = max(1, len(row))

    logits = model.scores(said.vectors, names)
    truth, asked = torch.zeros_like(logits), torch.ones(len(logits), down + 2, across + 2)
    for dy in range(3):
        for dx in range(3):
            asked[row, y + dy, x + dx] = 0
    asked = asked[:, 1:-1, 1:-1].flatten(1)
    asked[row, anchor] = 1
    truth[row, anchor] = (labels[:, None] == classes).to(truth)
    scores = (_focal(logits, truth) * asked[:, :, None]).sum() / count

    own = said.boxes[row, anchor]
    own_middle, own_size = (own[:, :2] + own[:, 2:]) / 2, own[:, 2:] - own[:, :2]
    wrong = (own_middle - middle).abs() / ANCHOR + (own_size / (boxes[:, 2:] - boxes[:, :2])).log().abs()
    return scores, (wrong.sum() + (1 - _generalised(own, boxes)).sum()) / count


def detections_of(model: DenseViT, said: Outputs, names: Float[Tensor, "names text"]) -> list[Detections]:
    """Boxes of each image for any names; the class of a box is its name's place."""
    chances = model.scores(said.vectors, names).sigmoid()
    found: list[Detections] = []
    for boxes, each in zip(said.boxes, chances, strict=True):
        best = each.flatten().topk(min(KEPT, each.numel()))
        fine = best.values >= LEAST
        place, label = best.indices[fine] // each.shape[1], best.indices[fine] % each.shape[1]
        found.append(suppressed(Detections(boxes[place], label, best.values[fine])))
    return found


def suppressed(said: Detections, same: float = SAME) -> Detections:
    """Without the boxes that overlap a surer one of their class by more than `same`; the surest first.

    Raises `InputError` for an overlap outside [0, 1].

    >>> boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 1.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0]])
    >>> suppressed(Detections(boxes, torch.zeros(3).long(), torch.tensor([0.5, 0.9, 0.3]))).scores.tolist()
    [0.8999999761581421, 0.30000001192092896]
    """
    if not 0 <= same <= 1:
        raise InputError(f"Boxes that overlap by {same} were called the same; give a share from 0 to 1.")
    order = said.scores.argsort(descending=True, stable=True)
    boxes, classes = said.boxes[order], said.classes[order]
    again = ((box_overlap(boxes, boxes) > same) & (classes[:, None] == classes)).tolist()
    kept: list[int] = []
    for place in range(len(order)):
        if not any(again[place][other] for other in kept):
            kept.append(place)
    chosen = order[torch.tensor(kept, dtype=torch.int64)]
    return Detections(said.boxes[chosen], said.classes[chosen], said.scores[chosen])


def true_detections(scenes: Scenes) -> list[Detections]:
    """What is on each scene."""
    there = scenes.labels >= 0
    return [
        Detections(boxes[known], labels[known], torch.ones(int(known.sum())))
        for boxes, labels, known in zip(scenes.boxes, scenes.labels, there, strict=True)
    ]


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    plain = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    chance = logits.sigmoid()
    sure = chance * truth + (1 - chance) * (1 - truth)
    return (ALPHA * truth + (1 - ALPHA) * (1 - truth)) * (1 - sure) ** GAMMA * plain


def _generalised(one: Float[Tensor, "boxes 4"], two: Float[Tensor, "boxes 4"]) -> Float[Tensor, "boxes"]:
    """IoU − (what of the smallest box around both is in neither) / that box."""
    both = (torch.minimum(one[:, 2:], two[:, 2:]) - torch.maximum(one[:, :2], two[:, :2])).clamp_min(0).prod(dim=1)
    either = sum((each[:, 2:] - each[:, :2]).prod(dim=1) for each in (one, two)) - both
    around = (torch.maximum(one[:, 2:], two[:, 2:]) - torch.minimum(one[:, :2], two[:, :2])).prod(dim=1)
    return both / either - (around - either) / around

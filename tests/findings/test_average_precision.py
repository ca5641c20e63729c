"""Average precision against the integral of the curve done naively, by hand, and scikit-learn where they agree."""

import pytest
import torch
from sklearn.metrics import average_precision_score

from surefoot.errors import InputError
from surefoot.findings.average_precision import (
    Detections,
    Found,
    box_overlap,
    class_precisions,
    judge_detections,
    mean_precision,
)


def one(scenes: int) -> torch.Tensor:
    return torch.ones(1, scenes, dtype=torch.float64)


def boxes_at(*corners: float) -> torch.Tensor:
    """Squares of 10 pixels, far apart where corners are."""
    return torch.tensor([[at, 0.0, at + 10, 10.0] for at in corners])


def found(seed: int, count: int = 60, scenes: int = 8, ties: bool = False) -> Found:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=generator)
    scores = (8 * scores).round() / 8 if ties else scores
    return Found(
        torch.randint(scenes, (count,), generator=generator),
        torch.zeros(count, dtype=torch.int64),
        scores,
        torch.rand(count, generator=generator) < scores,
        torch.full((scenes, 1), 6.0, dtype=torch.float64),
    )


def naive(each: Found, total: float) -> float:
    """∫ of max precision at recall ≥ r over r, on a fine grid of thresholds."""
    points = []
    for threshold in sorted(set(each.scores.tolist()), reverse=True):
        kept = each.scores >= threshold
        right = int((kept & each.right).sum())
        points.append((right / total, right / int(kept.sum())))
    area, before = 0.0, 0.0
    for recall, _ in points:
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize("ties", [False, True])
def test_area_is_the_integral_of_the_best_precision(ties: bool) -> None:
    for seed in range(5):
        each = found(seed, ties=ties)
        assert float(mean_precision(each, one(8))) == pytest.approx(naive(each, 48))


def test_area_without_the_envelope_is_a_lower_bound_and_ties_have_no_order() -> None:
    each = found(9, ties=True)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    again = Found(each.scenes[order], each.classes, each.scores[order], each.right[order], each.true)
    torch.testing.assert_close(mean_precision(each, one(8)), mean_precision(again, one(8)))
    plain = average_precision_score(each.right.numpy(), each.scores.numpy()) * int(each.right.sum()) / 48
    assert plain <= float(mean_precision(each, one(8))) < plain + 0.1


def test_scenes_are_counted_as_often_as_they_were_drawn() -> None:
    each = found(3)
    times = torch.tensor([[2.0, 0, 1, 1, 0, 3, 1, 0]], dtype=torch.float64)
    index = torch.cat([torch.arange(60)[each.scenes == scene].repeat(int(n)) for scene, n in enumerate(times[0])])
    again = Found(each.scenes[index], each.classes[index], each.scores[index], each.right[index], each.true)
    assert float(mean_precision(each, times)) == pytest.approx(naive(again, 48))


def test_each_true_box_is_found_once_by_the_surest() -> None:
    known = [Detections(boxes_at(0, 100), torch.tensor([0, 0]), torch.ones(2))]
    said = [Detections(boxes_at(1, 0, 100, 50), torch.zeros(4).long(), torch.tensor([0.9, 0.8, 0.7, 0.6]))]
    judged = judge_detections(said, known, 1)
    assert judged.right.tolist() == [True, False, True, False]
    # Precisions 1, ½, ⅔, ½ at recalls ½, ½, 1, 1.
    assert float(mean_precision(judged, one(1))) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_overlap_decides_at_half_and_classes_are_kept_apart() -> None:
    known = [Detections(boxes_at(0), torch.tensor([1]), torch.ones(1))]

    def right(at: float, label: int) -> bool:
        said = [Detections(boxes_at(at), torch.tensor([label]), torch.ones(1))]
        return bool(judge_detections(said, known, 2).right[0])

    assert right(3.3, 1)  # 6.7 / 13.3
    assert not right(3.4, 1)  # 6.6 / 13.4
    assert not right(0, 0)
    precisions = class_precisions(judge_detections(known, known, 2), one(1))[0]
    assert precisions.isnan().tolist() == [True, False]
    assert float(precisions[1]) == 1


def test_nothing_said_is_nothing_found() -> None:
    none = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    known = Detections(boxes_at(0), torch.tensor([0]), torch.ones(1))
    assert float(mean_precision(judge_detections([none], [known], 1), one(1))) == 0
    both = judge_detections([known, known], [known, none], 1)
    assert both.right.tolist() == [True, False]
    # Equally sure: one right of two, whichever comes first.
    assert float(mean_precision(both, one(2))) == 0.5


def test_overlaps_of_boxes_are_those_of_their_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(12, (2, 9, 2), generator=generator)
    sides = torch.randint(1, 9, (2, 9, 2), generator=generator)
    boxes = torch.cat([corners, corners + sides], dim=2)
    filled = torch.zeros(2, 9, 24, 24)
    for group in range(2):
        for number, (left, top, right, bottom) in enumerate(boxes[group].tolist()):
            filled[group, number, top:bottom, left:right] = 1
    both = torch.einsum("ahw,bhw->ab", *filled)
    either = filled[0].sum((1, 2))[:, None] + filled[1].sum((1, 2)) - both
    torch.testing.assert_close(box_overlap(*boxes.float()), both / either)


def test_refusals() -> None:
    known = [Detections(boxes_at(0), torch.tensor([1]), torch.ones(1))]
    with pytest.raises(InputError, match="one for each"):
        judge_detections(known, known * 2, 2)
    with pytest.raises(InputError, match="not among 0 … 0"):
        judge_detections(known, known, 1)
    with pytest.raises(InputError, match="no number"):
        judge_detections([Detections(boxes_at(0), torch.tensor([1]), torch.tensor([float("nan")]))], known, 2)

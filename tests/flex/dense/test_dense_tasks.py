"""Losses are least, and decoding is perfect, where heads say the truth; what is wrong is noticed by each measure."""

import math

import pytest
import torch
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.findings.average_precision import Detections, judge_detections, mean_precision
from surefoot.findings.overlap import count_overlap, mean_overlap
from surefoot.findings.panoptic_quality import count_panoptic, panoptic_quality
from surefoot.flex.dense.detect import detect_loss, detections_of, suppressed, true_detections
from surefoot.flex.dense.heads import ANCHOR, CELL, DenseViT, Heads, Outputs, build_dense, resized
from surefoot.flex.dense.panoptic import SIGMA, centre_loss, nothing, offset_loss, segments_of, true_segments
from surefoot.flex.dense.retrieve import contrastive_loss, recalled_both_ways
from surefoot.flex.dense.segment import background, pixel_classes, segment_loss
from surefoot.networks.flexible import Shape
from surefoot.rows.digits import load_digits
from surefoot.rows.scenes import Scenes, make_scenes

SIZE = (48, 48)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(load_digits(), torch.arange(0, 5000, 11), 24, seed=5)


@pytest.fixture
def model() -> DenseViT:
    return build_dense(
        Shape((1, 48, 48), width=8, depth=1, heads=2, buffer=(8, 8), grid=(6, 6), pool="mean"),
        Heads(11, 16, joint=4),
        0,
    )


@pytest.fixture(scope="module")
def names() -> torch.Tensor:
    return torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))[0][:10]


def oracle(scenes: Scenes, names: torch.Tensor) -> Outputs:
    """What heads would say that know the truth, at the resolution that they have."""
    rows = len(scenes)
    onehot = functional.one_hot(scenes.classes, 11).permute(0, 3, 1, 2).float()
    classes = 20 * functional.avg_pool2d(onehot, CELL)
    places = (torch.arange(24.0) + 0.5) * CELL
    heat, offsets = torch.zeros(rows, 24, 24), torch.zeros(rows, 2, 24, 24)
    boxes = torch.zeros(rows, 144, 4)
    vectors = -names.sum(dim=0).expand(rows, 144, 16).clone()
    inside = functional.max_pool2d(scenes.instances[:, None].float(), CELL)[:, 0].long()
    for row in range(rows):
        for column in range(int((scenes.labels[row] >= 0).sum())):
            left, top, right, bottom = scenes.boxes[row, column].tolist()
            x, y = (left + right) / 2, (top + bottom) / 2
            apart = (places[:, None] - y) ** 2 + (places - x) ** 2
            heat[row] = torch.maximum(heat[row], torch.exp(-apart / (2 * SIGMA**2)))
            mine = inside[row] == column + 1
            offsets[row, 0][mine] = (y - places[:, None]).expand(24, 24)[mine]
            offsets[row, 1][mine] = (x - places).expand(24, 24)[mine]
            anchor = int(y // ANCHOR) * 12 + int(x // ANCHOR)
            boxes[row, anchor] = scenes.boxes[row, column]
            vectors[row, anchor] = names[scenes.labels[row, column]]
    return Outputs(classes, heat, offsets, boxes, vectors, torch.zeros(rows, 4))


def one(scenes: Scenes) -> torch.Tensor:
    return torch.ones(1, len(scenes), dtype=torch.float64)


def test_who_knows_the_truth_is_near_perfect_in_every_task(
    scenes: Scenes, model: DenseViT, names: torch.Tensor
) -> None:
    """Cells of two pixels lose an edge here and there; boxes lose nothing."""
    said = oracle(scenes, names)
    assert float(mean_overlap(count_overlap(pixel_classes(said, SIZE), scenes.classes, 11), one(scenes))) > 0.85
    panoptic = count_panoptic(segments_of(said, SIZE), true_segments(scenes), 11)
    assert float(panoptic_quality(panoptic, one(scenes))) > 0.85
    assert float(panoptic.missed.sum()) == float(panoptic.spurious.sum()) == 0
    found = judge_detections(detections_of(model, said, names), true_detections(scenes), 10)
    assert float(mean_precision(found, one(scenes))) == pytest.approx(1)
    assert float(centre_loss(said, scenes)) < 1e-12
    assert float(offset_loss(said, scenes)) < 1e-5
    assert float(detect_loss(model, said, scenes, names)[1]) < 1e-5


def test_segment_loss_is_the_mean_over_pixels(scenes: Scenes, names: torch.Tensor) -> None:
    said = oracle(scenes, names)._replace(
        classes=torch.randn(24, 11, 24, 24, generator=torch.Generator().manual_seed(1))
    )
    logs = resized(said.classes, SIZE).log_softmax(dim=1)
    expected = -logs.gather(1, scenes.classes[:, None]).mean()
    torch.testing.assert_close(segment_loss(said, scenes.classes), expected)
    even = said._replace(classes=torch.zeros(24, 11, 24, 24))
    assert float(segment_loss(even, scenes.classes)) == pytest.approx(math.log(11))


def test_centre_and_offset_losses_are_in_their_units(scenes: Scenes, names: torch.Tensor) -> None:
    said = oracle(scenes, names)
    # Half a unit of heat, and three pixels down plus one to the side.
    assert float(centre_loss(said._replace(centres=said.centres + 0.5), scenes)) == pytest.approx(0.25, rel=1e-4)
    moved = said.offsets + torch.tensor([3.0, -1.0])[:, None, None]
    assert float(offset_loss(said._replace(offsets=moved), scenes)) == pytest.approx(4, rel=1e-4)


def test_losses_are_lower_at_the_truth_than_beside_it(scenes: Scenes, model: DenseViT, names: torch.Tensor) -> None:
    said = oracle(scenes, names)
    scores, boxes = (float(each.detach()) for each in detect_loss(model, said, scenes, names))
    other = said._replace(vectors=said.vectors.roll(1, dims=1), boxes=said.boxes.roll(1, dims=1) + 1)
    worse, moved = (float(each.detach()) for each in detect_loss(model, other, scenes, names))
    assert worse > scores + 0.1
    assert not moved <= boxes + 1


def test_box_loss_by_hand(model: DenseViT, names: torch.Tensor, scenes: Scenes) -> None:
    """Said one pixel to the right: a quarter of an anchor, and GIoU of a box and itself moved by one."""
    said = oracle(scenes, names)
    moved = said._replace(boxes=said.boxes + torch.tensor([1.0, 0.0, 1.0, 0.0]))
    widths = (scenes.boxes[..., 2] - scenes.boxes[..., 0])[scenes.labels >= 0]
    generalised = (widths - 1) / (widths + 1)
    expected = float((0.25 + 1 - generalised).mean())
    assert float(detect_loss(model, moved, scenes, names)[1]) == pytest.approx(expected, rel=1e-4)


def test_a_box_moved_in_both_directions_pays_for_the_empty_corners(
    model: DenseViT, names: torch.Tensor, scenes: Scenes
) -> None:
    """The smallest box around both has two corners that are in neither."""
    said = oracle(scenes, names)
    wide, tall = (scenes.boxes[..., 2:] - scenes.boxes[..., :2])[scenes.labels >= 0].unbind(1)
    both, around = (wide - 1) * (tall - 1), (wide + 1) * (tall + 1)
    either = 2 * wide * tall - both
    expected = float((0.5 + 1 - both / either + 2 / around).mean())
    assert float(detect_loss(model, said._replace(boxes=said.boxes + 1), scenes, names)[1]) == pytest.approx(
        expected, rel=1e-4
    )


def test_score_loss_by_hand_and_neighbours_are_not_asked(model: DenseViT, names: torch.Tensor, scenes: Scenes) -> None:
    """At scores of one half everywhere the focal loss of a question is α or 1 − α, times ¼, times ln 2."""
    with torch.no_grad():
        model.scale.zero_()
        model.shift.zero_()
    said = oracle(scenes, names)
    asked = torch.ones(len(scenes), 14, 14, dtype=torch.bool)
    count = 0
    middles = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2 // ANCHOR
    for row, column in (scenes.labels >= 0).nonzero().tolist():
        x, y = (int(each) for each in middles[row, column])
        asked[row, y : y + 3, x : x + 3] = False
        count += 1
    free = int(asked[:, 1:-1, 1:-1].sum())
    wrong = 10 * free + 9 * count
    expected = (0.25 * count + 0.75 * wrong) * 0.25 * math.log(2) / count
    assert float(detect_loss(model, said, scenes, names)[0].detach()) == pytest.approx(expected, rel=1e-4)


def test_a_class_without_a_name_is_nobodys_box(scenes: Scenes, model: DenseViT, names: torch.Tensor) -> None:
    said = oracle(scenes, names)
    known = torch.tensor([digit for digit in range(10) if digit not in (4, 7)])
    broken = said.boxes.clone()
    for row, column in (scenes.labels >= 0).nonzero().tolist():
        if int(scenes.labels[row, column]) in (4, 7):
            x, y = ((scenes.boxes[row, column, :2] + scenes.boxes[row, column, 2:]) / 2 // ANCHOR).long().tolist()
            broken[row, 12 * y + x] += 5
    assert float(detect_loss(model, said._replace(boxes=broken), scenes, names[known], known)[1]) < 1e-5
    assert float(detect_loss(model, said._replace(boxes=broken), scenes, names)[1]) > 0.1


def test_names_may_be_any_and_in_any_order(scenes: Scenes, model: DenseViT, names: torch.Tensor) -> None:
    said = oracle(scenes, names)
    order = torch.tensor([7, 3])
    for all_names, two in zip(
        detections_of(model, said, names), detections_of(model, said, names[order]), strict=True
    ):  # fmt: skip
        sure = all_names.scores > 0.5
        kept = {
            (tuple(box), int(label))
            for box, label in zip(all_names.boxes[sure].tolist(), all_names.classes[sure], strict=True)
        }
        sure = two.scores > 0.5
        found = {
            (tuple(box), int(order[label]))
            for box, label in zip(two.boxes[sure].tolist(), two.classes[sure], strict=True)
        }
        assert found == {each for each in kept if each[1] in (7, 3)}


def test_of_boxes_on_one_object_the_surest_of_each_class_is_kept() -> None:
    generator = torch.Generator().manual_seed(3)
    corners = 30 * torch.rand(80, 2, generator=generator)
    said = Detections(
        torch.cat([corners, corners + 10], dim=1),
        torch.randint(2, (80,), generator=generator),
        torch.rand(80, generator=generator),
    )
    kept = suppressed(said, 0.3)
    from surefoot.findings.average_precision import box_overlap

    overlap = box_overlap(kept.boxes, kept.boxes).fill_diagonal_(0)
    assert bool((overlap[kept.classes[:, None] == kept.classes] <= 0.3).all())
    assert bool((kept.scores.diff() <= 0).all())
    # Each that is gone is too near a surer one of its class that is kept.
    left = {tuple(box) for box in kept.boxes.tolist()}
    for box, label, score in zip(said.boxes, said.classes, said.scores, strict=True):
        near = (box_overlap(box[None], kept.boxes)[0] > 0.3) & (kept.classes == label) & (kept.scores > score)
        assert (tuple(box.tolist()) in left) != bool(near.any())
    with pytest.raises(InputError, match="share"):
        suppressed(said, 1.5)


def test_two_objects_of_one_class_side_by_side_are_two_segments(names: torch.Tensor) -> None:
    """They touch, and only offsets tell them apart: the first reaches further than half way to the second."""
    classes = torch.zeros(1, 11, 24, 24)
    classes[0, 4, 8:16, 4:20] = 9.0
    heat, offsets = torch.zeros(1, 24, 24), torch.zeros(1, 2, 24, 24)
    heat[0, 12, 5] = heat[0, 12, 18] = 1.0
    offsets[0, 1, :, :16] = CELL * (5.0 - torch.arange(16))
    offsets[0, 1, :, 16:] = CELL * (18.0 - torch.arange(16, 24))
    said = Outputs(classes, heat, offsets, torch.zeros(1, 144, 4), torch.zeros(1, 144, 16), torch.zeros(1, 4))
    found = segments_of(said, SIZE)[0]
    assert found.classes.tolist() == [0, 4, 4]
    assert set(found.pixels[18:30, 10:31].unique().tolist()) == {1}
    assert set(found.pixels[18:30, 33:38].unique().tolist()) == {2}
    none = said._replace(centres=torch.zeros(1, 24, 24))
    assert segments_of(none, SIZE)[0].pixels.max() == 0


def test_a_centre_between_cells_is_one_object(names: torch.Tensor) -> None:
    """Two or four cells around it are equally warm, and were two or four objects if each was a peak."""
    classes = torch.zeros(1, 11, 24, 24)
    classes[0, 4, 8:16, 8:16] = 9.0
    heat = torch.zeros(1, 24, 24)
    heat[0, 11:13, 11:13] = 0.9
    said = Outputs(classes, heat, torch.zeros(1, 2, 24, 24), *[torch.zeros(1)] * 3)  # type: ignore[arg-type]
    assert segments_of(said, SIZE)[0].classes.tolist() == [0, 4]


def test_pixels_without_an_offset_belong_to_the_nearest_centre() -> None:
    """Centres of cells 6 and 14 are at 13 and 29 pixels, so that the border is at 21."""
    classes = torch.zeros(1, 11, 24, 24)
    classes[0, 4] = 9.0
    heat = torch.zeros(1, 24, 24)
    heat[0, 12, 6] = heat[0, 12, 14] = 1.0
    said = Outputs(classes, heat, torch.zeros(1, 2, 24, 24), *[torch.zeros(1)] * 3)  # type: ignore[arg-type]
    pixels = segments_of(said, SIZE)[0].pixels
    assert bool((pixels[:, :21] == 1).all())
    assert bool((pixels[:, 21:] == 2).all())


def test_who_sees_nothing_says_background(scenes: Scenes) -> None:
    assert int(background(scenes.images.shape).max()) == 0
    quality = count_panoptic(nothing(len(scenes), SIZE), true_segments(scenes), 11)
    assert float(quality.matched[:, 1:].sum()) == 0
    assert float(quality.missed[:, 1:].sum()) == float((scenes.labels >= 0).sum())


@torch.no_grad()
def test_contrast_is_least_where_pairs_meet_and_knows_equal_captions(model: DenseViT) -> None:
    """With orthogonal pairs at scale s it is ln(1 + (n − 1) e^{−s}); equal captions share, whichever is right."""
    rows, scale = 4, float(model.warmth.exp())
    with torch.no_grad():
        model.text.weight.zero_()
        model.text.bias.zero_()
        model.text.weight[:, :4] = torch.eye(4)
    said = Outputs(*[torch.zeros(1)] * 5, torch.eye(4))  # type: ignore[arg-type]
    texts = functional.pad(torch.eye(4), (0, 12))
    numbers = torch.arange(rows)
    expected = math.log(1 + 3 * math.exp(-scale))
    assert float(contrastive_loss(model, said, texts, numbers)) == pytest.approx(expected, abs=1e-6)
    assert float(contrastive_loss(model, said, texts.roll(1, 0), numbers)) > 5
    generator = torch.Generator().manual_seed(4)
    images, others = torch.randn(4, 4, generator=generator), torch.randn(4, 16, generator=generator)
    logits = scale * functional.normalize(images, dim=1) @ functional.normalize(others[:, :4], dim=1).T
    both = functional.cross_entropy(logits, numbers) + functional.cross_entropy(logits.T, numbers)
    told = contrastive_loss(model, said._replace(image=functional.normalize(images, dim=1)), others, numbers)
    torch.testing.assert_close(told, both / 2)
    # Two scenes of one caption, one image and one text: no model can do better than share.
    twice = said._replace(image=torch.eye(4)[[0, 0, 1, 2]])
    told = float(contrastive_loss(model, twice, texts[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 2])))
    assert told == pytest.approx((2 * math.log(2) + 0) / 4, abs=0.01)


def test_recall_is_asked_within_galleries_both_ways() -> None:
    images, texts = torch.eye(4), torch.eye(4)[[0, 1, 3, 2]]
    numbers = torch.arange(4)
    assert recalled_both_ways(images, texts, numbers, 4).tolist() == [1, 1, 0, 0]
    assert recalled_both_ways(images, texts[[0, 2, 1, 3]], numbers, 2).tolist() == [1, 0.5, 0.25, 0.25]
    assert recalled_both_ways(images, texts, torch.tensor([0, 1, 2, 2]), 4).tolist() == [1, 1, 1, 1]
    with pytest.raises(InputError, match="divides"):
        recalled_both_ways(images, texts, numbers, 3)

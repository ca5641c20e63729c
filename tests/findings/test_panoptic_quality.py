"""Panoptic quality against the definition, by hand and by brute force."""

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.panoptic_quality import PanopticCounts, Segments, count_panoptic, panoptic_quality


def one(scenes: int) -> torch.Tensor:
    return torch.ones(1, scenes, dtype=torch.float64)


def quality(said: list[Segments], true: list[Segments], classes: int) -> float:
    return float(panoptic_quality(count_panoptic(said, true, classes), one(len(true))))


def blobs(seed: int, segments: int = 6, classes: int = 3) -> Segments:
    """Pieces of a map, grown from seeds, with classes at random."""
    generator = torch.Generator().manual_seed(seed)
    seeds = 20 * torch.rand(segments, 2, generator=generator)
    places = torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0))
    pixels = torch.cdist(places, seeds).argmin(dim=1).view(20, 20)
    return Segments(pixels, torch.randint(classes, (segments,), generator=generator))


def shaken(true: Segments, seed: int) -> Segments:
    """The same pieces moved a little, one class changed."""
    classes = true.classes.clone()
    classes[seed % len(classes)] = (classes[seed % len(classes)] + 1) % 3
    return Segments(true.pixels.roll((seed % 4, 2), (0, 1)), classes)


def pixels_of(each: Segments, number: int) -> set[tuple[int, ...]]:
    return set(map(tuple, (each.pixels == number).nonzero().tolist()))


def by_definition(said: list[Segments], true: list[Segments], classes: int) -> float:
    """Over sets of pixels, every pair of segments looked at."""
    values = []
    for label in range(classes):
        overlap, matched, many, others = 0.0, 0, 0, 0
        for a, b in zip(said, true, strict=True):
            ours, theirs = (
                [pixels_of(each, k) for k, own in enumerate(each.classes) if own == label] for each in (a, b)
            )  # fmt: skip
            ours, theirs = [each for each in ours if each], [each for each in theirs if each]
            many, others = many + len(ours), others + len(theirs)
            for left in ours:
                for right in theirs:
                    if (share := len(left & right) / len(left | right)) > 0.5:
                        overlap, matched = overlap + share, matched + 1
        if many + others:
            values.append(overlap / (matched + (many - matched) / 2 + (others - matched) / 2))
    return sum(values) / len(values)


def test_quality_is_that_of_the_definition() -> None:
    true = [blobs(seed) for seed in range(8)]
    said = [shaken(each, seed) for seed, each in enumerate(true)]
    expected = by_definition(said, true, 3)
    assert 0.1 < expected < 0.8
    assert quality(said, true, 3) == pytest.approx(expected)


def test_by_hand() -> None:
    """Class 1: IoU 3/4 matched, one missed, one spurious: ¾ / (1 + ½ + ½). Class 0: IoU 4/5."""
    true = Segments(torch.tensor([[1, 1, 1, 1, 2, 0, 0, 0, 0, 0]]), torch.tensor([0, 1, 1]))
    said = Segments(torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0, 0, 2]]), torch.tensor([0, 1, 1]))
    # Background: 4 pixels in both, of 6 said and 5 true.
    assert quality([said], [true], 2) == pytest.approx((4 / 7 + 0.75 / 2) / 2)


def test_perfect_is_one_and_numbers_of_segments_do_not_matter() -> None:
    true = [blobs(seed) for seed in range(3)]
    assert quality(true, true, 3) == 1
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    said = [shaken(each, seed) for seed, each in enumerate(true)]
    again = [Segments(order[each.pixels], each.classes[order.argsort()]) for each in said]
    assert not torch.equal(again[0].pixels, said[0].pixels)
    assert quality(again, true, 3) == pytest.approx(quality(said, true, 3))


def test_two_objects_said_to_be_one_are_no_match() -> None:
    """What semantic segmentation would not notice."""
    true = Segments(torch.tensor([[1, 1, 2, 2]]), torch.tensor([0, 1, 1]))
    said = Segments(torch.tensor([[1, 1, 1, 1]]), torch.tensor([0, 1]))
    assert quality([said], [true], 2) == 0


def test_a_numbered_segment_without_pixels_is_none() -> None:
    true = Segments(torch.tensor([[0, 0, 2]]), torch.tensor([0, 1, 1]))
    assert quality([true], [true], 2) == 1
    counts = count_panoptic([Segments(torch.zeros(1, 3).long(), torch.tensor([0]))], [true], 2)
    assert counts.missed[0].tolist() == [0, 1]


def test_scenes_are_counted_as_often_as_they_were_drawn() -> None:
    true = [blobs(seed) for seed in range(4)]
    said = [shaken(each, seed) for seed, each in enumerate(true)]
    counts = count_panoptic(said, true, 3)
    assert isinstance(counts, PanopticCounts)
    drawn = panoptic_quality(counts, torch.tensor([[2.0, 0.0, 1.0, 1.0]], dtype=torch.float64))
    index = [0, 0, 2, 3]
    again = quality([said[each] for each in index], [true[each] for each in index], 3)
    assert float(drawn) == pytest.approx(again)


def test_refusals() -> None:
    fine = blobs(0)
    with pytest.raises(InputError, match="one for each"):
        count_panoptic([fine], [fine, fine], 3)
    with pytest.raises(InputError, match="not among 0 … 1"):
        count_panoptic([fine], [fine], 2)
    with pytest.raises(InputError, match="class of each"):
        Segments(torch.tensor([[0, 2]]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="segment for each pixel"):
        count_panoptic([Segments(fine.pixels[:5], fine.classes)], [fine], 3)

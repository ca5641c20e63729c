"""Scenes say of their pixels what is true: boxes and masks are found again from sources, captions from boxes."""

import re

import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.digits import load_digits
from surefoot.rows.scenes import NAMES, Scenes, digits_apart, make_scenes, take_scenes


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(load_digits(), torch.arange(0, 5000, 7), 200, seed=3)


def test_parts_share_no_digit_and_have_all_classes_alike() -> None:
    digits = load_digits()
    one, two = digits_apart(digits, [400, 100], seed=0)
    assert not set(one.tolist()) & set(two.tolist())
    assert torch.bincount(digits.labels[one]).tolist() == [400] * 10
    assert torch.bincount(digits.labels[two]).tolist() == [100] * 10
    assert not torch.equal(one, digits_apart(digits, [400, 100], seed=1)[0])


def test_the_seed_alone_decides(scenes: Scenes) -> None:
    again = make_scenes(load_digits(), torch.arange(0, 5000, 7), 200, seed=3)
    other = make_scenes(load_digits(), torch.arange(0, 5000, 7), 200, seed=4)
    assert torch.equal(scenes.images, again.images)
    assert scenes.captions == again.captions
    assert not torch.equal(scenes.images, other.images)


def test_only_given_digits_are_used_and_labels_are_theirs(scenes: Scenes) -> None:
    there = scenes.sources >= 0
    assert set(scenes.sources[there].tolist()) <= set(range(0, 5000, 7))
    assert torch.equal(scenes.labels[there], load_digits().labels[scenes.sources[there]])
    assert torch.equal(there, scenes.labels >= 0)
    # Each number of digits as often as every other: 200 scenes, within five standard deviations of 66.7.
    assert torch.bincount(there.sum(dim=1), minlength=4)[1:].sub(200 / 3).abs().max() < 34


def test_a_mask_lies_in_its_box_touches_all_sides_and_no_other(scenes: Scenes) -> None:
    for scene in range(len(scenes)):
        for column in range(3):
            mask = scenes.instances[scene] == column + 1
            assert bool(mask.any()) == bool(scenes.labels[scene, column] >= 0)
            if not bool(mask.any()):
                continue
            down, across = mask.nonzero(as_tuple=True)
            edges = [int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1]
            # Ink is thinned as it is scaled, so that a mask may end a pixel or two before its box.
            gaps = [edges[0] - scenes.boxes[scene, column, 0], edges[1] - scenes.boxes[scene, column, 1]]
            gaps += [scenes.boxes[scene, column, 2] - edges[2], scenes.boxes[scene, column, 3] - edges[3]]
            assert all(0 <= float(gap) <= 2 for gap in gaps)


def test_classes_are_those_of_the_instances(scenes: Scenes) -> None:
    classes = scenes.classes
    assert torch.equal(classes == 0, scenes.instances == 0)
    for scene in range(20):
        for column, label in enumerate(scenes.labels[scene].tolist()):
            assert set(classes[scene][scenes.instances[scene] == column + 1].tolist()) <= {label + 1}


def test_ink_is_where_the_masks_are() -> None:
    bare = make_scenes(load_digits(), torch.arange(50), 30, seed=0, noise=0.0)
    outside = bare.images[bare.instances == 0]
    inside = bare.images[bare.instances > 0]
    assert int(outside.max()) <= 40
    assert float(inside.float().mean()) > 60
    # Every pixel of a mask is ink or next to it; 40 is a digit's least grey, and digits are dimmed to .6 at most.
    near = torch.nn.functional.max_pool2d(bare.images[:, None].float(), 3, 1, 1)[:, 0]
    assert int(near[bare.instances > 0].min()) >= 23


def test_captions_are_read_off_the_boxes(scenes: Scenes) -> None:
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    seen: set[str] = set()
    for scene, caption in enumerate(scenes.captions):
        count = int((scenes.labels[scene] >= 0).sum())
        words = [NAMES.index(word) for word in re.findall("|".join(NAMES), caption)]
        heights = (scenes.boxes[scene, :count, 3] - scenes.boxes[scene, :count, 1]).tolist()
        assert caption.count("large") == sum(height > 18 for height in heights)
        across, down = middle[scene, :count, 0], middle[scene, :count, 1]
        order = across.argsort()
        if count == 2:
            upright = bool((down[0] - down[1]).abs() >= (across[0] - across[1]).abs())
            order = down.argsort() if upright else order
            seen.add("above" if upright else "left of")
            assert (" above " if upright else " left of ") in caption
        assert words == scenes.labels[scene, order].tolist()
        sizes = [each == "large" for each in re.findall("large|small", caption)]
        assert sizes == [heights[place] > 18 for place in order.tolist()]
    assert seen == {"above", "left of"}


def test_taking_keeps_everything_together(scenes: Scenes) -> None:
    some = take_scenes(scenes, torch.tensor([5, 2]))
    assert some.captions == (scenes.captions[5], scenes.captions[2])
    assert torch.equal(some.classes[1], scenes.classes[2])
    assert torch.equal(some.boxes[0], scenes.boxes[5])
    assert len(some) == 2


def test_what_cannot_be_made_is_refused() -> None:
    digits = load_digits()
    with pytest.raises(InputError, match="500 in all"):
        digits_apart(digits, [400, 101], seed=0)
    for given in ({"count": 0}, {"side": 20}, {"most": 10}, {"most": 0}):
        with pytest.raises(InputError, match="digits on"):
            make_scenes(digits, torch.arange(9), **{"count": 2, "seed": 0, **given})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of 0 digits"):
        make_scenes(digits, torch.zeros(0, dtype=torch.int64), 2, 0)

"""Scaled digits: whose they are, how large, where, and in what noise."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.digits import load_digits
from surefoot.rows.scaled_digits import LARGE, MIDDLE, POOLS, SMALL, SPREAD, Scene, draw_scenes, scaled_digits


def pixels_of(scenes: torch.Tensor) -> torch.Tensor:
    return scenes * SPREAD + MIDDLE


def test_roles_share_no_digit_and_every_digit_comes_equally_often() -> None:
    roles = scaled_digits(sizes={"fit": 400, "choose": 700, "judge": 1500})
    origins = [rows.origins() for rows in roles.values()]
    assert not origins[0] & origins[1]
    assert not (origins[0] | origins[1]) & origins[2]
    choose, judge = roles["choose"], roles["judge"]
    # 500 digits are for choice and 1,000 for judgement, of which half come twice.
    assert np.unique(np.unique(choose.sources, return_counts=True)[1]).tolist() == [1, 2]
    assert sorted(np.unique(judge.sources, return_counts=True)[1]) == [1] * 500 + [2] * 500
    assert len(judge.clusters.unique()) == 1000
    assert choose.classes == tuple("0123456789")
    labels = load_digits().labels
    places = [int(name.split(":")[1]) for name in judge.sources[:, 0]]
    assert torch.equal(labels[places], judge.targets)


def test_a_role_depends_on_scene_seed_and_its_own_size_alone() -> None:
    alone = scaled_digits(sizes={"judge": 60})["judge"]
    beside = scaled_digits(sizes={"fit": 40, "judge": 60})["judge"]
    assert torch.equal(alone.inputs[:], beside.inputs[:])
    assert alone.ids.tolist() == beside.ids.tolist()
    other = scaled_digits(sizes={"judge": 60}, seed=1)["judge"]
    assert not torch.equal(alone.inputs[:], other.inputs[:])
    small = scaled_digits(SMALL, sizes={"judge": 60})["judge"]
    assert torch.equal(alone.targets, small.targets)
    assert not torch.equal(alone.inputs[:], small.inputs[:])


def test_without_turn_noise_or_room_a_scene_is_the_digit_resized() -> None:
    digits = load_digits().images[:5].float() / 255
    scene = Scene(48.0, 48.0, turn=0.0, noise=0.0)
    ours = draw_scenes(digits, scene, torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.interpolate(digits[:, None], size=(48, 48), mode="bilinear", align_corners=False)
    assert torch.allclose(pixels_of(ours)[:, :, 1:-1, 1:-1], theirs[:, :, 1:-1, 1:-1], atol=1e-5)


def test_squares_have_the_size_and_the_places_that_are_drawn() -> None:
    """A full 28 × 28 square of side s covers s² pixels, wherever it lies, and lies everywhere equally."""
    squares = torch.ones(2000, 28, 28)
    scene = Scene(20.0, 20.0, turn=0.0, noise=0.0)
    images = pixels_of(draw_scenes(squares, scene, torch.Generator().manual_seed(0)))[:, 0]
    area = images.sum(dim=(1, 2))
    assert torch.allclose(area, torch.full_like(area, 400.0), atol=1.0)
    pixels = torch.arange(48.0) + 0.5
    for side, others in ((1, 2), (2, 1)):
        middle = (images.sum(dim=others) * pixels).sum(dim=1) / area
        assert 9.9 < middle.min() < 10.3
        assert 37.7 < middle.max() < 38.1
        # Uniform on 28 pixels: 2,000 means lie within 4 · 28/√12/√2000 = .72 of the middle.
        assert abs(middle.mean() - 24) < 0.72, side
        assert abs(middle.std() - 28 / 12**0.5) < 0.5
    mixed = draw_scenes(squares, Scene(38.0, 46.0, turn=0.0, noise=0.0), torch.Generator().manual_seed(0))
    sides = pixels_of(mixed).sum(dim=(1, 2, 3)).sqrt()
    assert 37.9 < sides.min() < 38.2
    assert 45.8 < sides.max() < 46.1


def test_turns_are_as_large_as_was_asked() -> None:
    """A bar's principal axis; bilinear pixels leave a hundredth of a radian."""
    bars = torch.zeros(500, 28, 28)
    bars[:, 12:16, 2:26] = 1
    scene = Scene(40.0, 40.0, turn=0.3, noise=0.0)
    images = pixels_of(draw_scenes(bars, scene, torch.Generator().manual_seed(0)))[:, 0]
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    mass = images.sum(dim=(1, 2), keepdim=True)
    x, y = (each - (images * each).sum(dim=(1, 2), keepdim=True) / mass for each in (x, y))
    moments = [(images * each).sum(dim=(1, 2)) for each in (x * y, x * x - y * y)]
    angles = 0.5 * torch.atan2(2 * moments[0], moments[1])
    assert 0.28 < angles.max() < 0.31
    assert -0.31 < angles.min() < -0.28
    assert abs(angles.mean()) < 4 * 0.3 / 3**0.5 / 500**0.5


def test_noise_has_its_deviation() -> None:
    images = pixels_of(draw_scenes(torch.zeros(50, 28, 28), LARGE, torch.Generator().manual_seed(0)))
    assert images.shape == (50, 1, 48, 48)
    # 115,200 pixels: within 5 standard errors of .25.
    assert abs(images.std() - 0.25) < 5 * 0.25 / (2 * 115_200) ** 0.5


def test_what_cannot_be_drawn_is_refused() -> None:
    assert sum(POOLS.values()) == pytest.approx(1)
    with pytest.raises(InputError, match="do not fit a canvas of 48"):
        Scene(38.0, 50.0)
    with pytest.raises(InputError, match="turn is -1"):
        Scene(20.0, 30.0, turn=-1.0)
    with pytest.raises(InputError, match="have fit, choose, judge"):
        scaled_digits(sizes={"repair": 10})
    with pytest.raises(InputError, match="size of fit is 0"):
        scaled_digits(sizes={"fit": 0})

"""Every corruption: deterministic, a row's own, in range, stronger with severity, and the row it was."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from surefoot.errors import InputError
from surefoot.rows.coloured import coloured_digits
from surefoot.rows.digits import load_digits
from surefoot.rows.dominoes import dominoes
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.corrupt import CIFAR_C, MNIST_C, SEVERITIES, corrupt
from surefoot.rows.shift.strengths import CORRUPTIONS, strength

NAMES = tuple(CORRUPTIONS)
UNEVEN = {"spatter": (3, 4), "pixelate": (1, 2), "frost": (3, 4)}
"""Published strengths of MNIST-C of which the stronger changes digits less; the others grow strictly."""


def images(count: int) -> Tensor:
    return load_digits().images[:: 5000 // count, None].float()[:count] / 255


@pytest.fixture(scope="module")
def rows() -> Rows:
    pictures = images(100)
    ids = np.array([f"digit:{place}" for place in range(100)])
    return make_rows(pictures, torch.arange(100) // 10, ids=ids)


@pytest.fixture(scope="module")
def coloured(rows: Rows) -> Rows:
    """Digits in soft colours on a soft ground, 32×32: nothing is black, white or fully saturated."""
    grown = interpolate(rows.inputs[:], (32, 32), mode="bilinear")
    ink, ground = torch.tensor([0.8, 0.35, 0.3]), torch.tensor([0.25, 0.35, 0.5])
    return rows.with_inputs(
        grown * ink[:, None, None] + (1 - grown) * ground[:, None, None],
    )


def test_the_suites_have_their_names() -> None:
    assert len(CIFAR_C) == len(set(CIFAR_C)) == 19
    assert len(MNIST_C) == len(set(MNIST_C)) == 16
    assert {*CIFAR_C, *MNIST_C} == {"identity", *CORRUPTIONS}
    for name in CIFAR_C:
        assert CORRUPTIONS[name].cifar is not None
    for name in MNIST_C[1:]:
        assert CORRUPTIONS[name].published in SEVERITIES
    for corruption in CORRUPTIONS.values():
        for levels in filter(None, (corruption.mnist, corruption.cifar)):
            assert len(levels) == 5
            assert {len(level) for level in levels} == {len(corruption.parameters)}
        assert corruption.lengths <= set(corruption.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_corrupted_alike_in_any_company_and_order(name: str, rows: Rows, coloured: Rows) -> None:
    """Bit for bit; odd counts and sizes, since vectorised loops end differently there."""
    few = rows.take(torch.arange(37))
    odd = few.with_inputs(few.inputs[:, :, 3:25, 2:25].clone())
    for each in (few, coloured.take(torch.arange(37)), odd):
        whole = corrupt(each, name, 4, seed=5).inputs[:]
        assert torch.equal(whole, corrupt(each, name, 4, seed=5).inputs[:])
        chosen = torch.tensor([36, 17, 3])
        assert torch.equal(corrupt(each.take(chosen), name, 4, seed=5).inputs[:], whole[chosen])
        assert torch.equal(corrupt(each.take(chosen[1:2]), name, 4, seed=5).inputs[:], whole[17:18])


DRAWN = set(NAMES) - {
    "gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "saturate",
    "scale", "stripe", "canny_edges",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_draws_anew_where_anything_is_drawn(name: str, rows: Rows) -> None:
    first, second = (corrupt(rows, name, 3, seed=seed).inputs[:] for seed in (0, 1))
    assert torch.equal(first, second) == (name not in DRAWN)


@pytest.mark.parametrize("name", NAMES)
def test_distance_grows_with_severity_on_real_digits(name: str, rows: Rows) -> None:
    clean = rows.inputs[:]
    away = [float((corrupt(rows, name, each, 0).inputs[:] - clean).square().mean().sqrt()) for each in SEVERITIES]
    assert away[0] > 0.01
    for weaker, stronger in pairwise(SEVERITIES):
        grows = away[stronger - 1] > away[weaker - 1]
        assert grows == (UNEVEN.get(name) != (weaker, stronger)), away


UNEVEN_IN_COLOUR = {
    "saturate": {(2, 3)},  # colour is taken away, then added
    "spatter": {(3, 4)},  # water, then mud
    "glass_blur": {(1, 2), (2, 3), (4, 5)},  # pixels change places alike, and a stronger blur hides it
    "motion_blur": {(3, 4)},  # 8 or 6 pixels, where a deviation of 2 ends the trail before
    "frost": {(3, 4), (4, 5)},  # the picture gives way to ice that is no brighter
    "pixelate": {(1, 2)},
}
"""Published strengths of CIFAR-C of which the stronger need not be further away."""


@pytest.mark.parametrize("name", CIFAR_C)
def test_distance_grows_with_severity_in_colour(name: str, coloured: Rows) -> None:
    clean = coloured.inputs[:]
    away = [float((corrupt(coloured, name, each, 0).inputs[:] - clean).square().mean().sqrt()) for each in SEVERITIES]
    for weaker, stronger in pairwise(SEVERITIES):
        if (weaker, stronger) not in UNEVEN_IN_COLOUR.get(name, set()):
            assert away[stronger - 1] > away[weaker - 1], away


@pytest.mark.parametrize("size", [(8, 8), (14, 14), (28, 14), (4, 5), (48, 40)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_stays_in_range(size: tuple[int, int], channels: int, rows: Rows) -> None:
    small = interpolate(rows.inputs[:3], size, mode="bilinear").clamp(0, 1).expand(-1, channels, -1, -1)
    own = rows.take(torch.arange(3)).with_inputs(small.contiguous())
    for name in NAMES:
        for severity in (1, 5):
            found = corrupt(own, name, severity, seed=0).inputs[:]
            assert found.shape == small.shape
            assert bool(((found >= 0) & (found <= 1)).all()), name  # false for NaN too


def test_black_and_white_pictures_are_pictures() -> None:
    plain = make_rows(torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)]), torch.tensor([0, 1]))
    for name in NAMES:
        found = corrupt(plain, name, 5, seed=0).inputs[:]
        assert bool(((found >= 0) & (found <= 1)).all()), name


def test_more_rows_than_a_block_are_all_there() -> None:
    pictures = images(1000)
    rows = make_rows(pictures, torch.zeros(1000, dtype=torch.int64))
    assert torch.equal(corrupt(rows, "stripe", 5, 0).inputs[:, :, :, 7:21], pictures[:, :, :, 7:21])
    assert len(corrupt(rows, "shot_noise", 5, 0)) == 1000
    none = rows.take(torch.arange(0))
    assert len(corrupt(none, "fog", 1, 0)) == 0


def test_the_identity_changes_nothing(rows: Rows) -> None:
    assert torch.equal(corrupt(rows, "identity", 5, 0).inputs[:], rows.inputs[:])


def test_a_corrupted_row_descends_from_the_roots_of_the_clean_one() -> None:
    clean = dominoes(sizes={"judge": 40})["judge"]
    foggy = corrupt(clean, "fog", 3, seed=0)
    assert foggy.origins() == clean.origins()
    for name in ("ids", "sources"):
        assert (getattr(foggy, name) == getattr(clean, name)).all()
    assert torch.equal(foggy.clusters, clean.clusters)
    assert torch.equal(foggy.targets, clean.targets)
    assert foggy.groups is clean.groups


def test_lengths_grow_with_the_picture() -> None:
    corruption = CORRUPTIONS["motion_blur"]
    assert strength(corruption, "mnist", 1, 28) == (10.0, 3.0)
    assert strength(corruption, "mnist", 1, 56) == (20.0, 6.0)
    assert strength(corruption, "cifar", 1, 32) == (6.0, 1.0)
    assert strength(CORRUPTIONS["gaussian_noise"], "cifar", 5, 96) == (0.10,)


def test_grey_takes_the_strengths_of_mnist_and_colour_those_of_cifar(rows: Rows) -> None:
    grey, colour = (corrupt(rows, "contrast", 1, 0, suite=suite).inputs[:] for suite in ("mnist", "cifar"))
    assert torch.equal(grey, corrupt(rows, "contrast", 1, 0).inputs[:])
    assert not torch.equal(grey, colour)
    red = coloured_digits()["repair"].take(torch.arange(5))
    assert torch.equal(
        corrupt(red, "contrast", 1, 0).inputs[:], corrupt(red, "contrast", 1, 0, suite="cifar").inputs[:]
    )


def test_what_is_wrong_is_said(rows: Rows) -> None:
    with pytest.raises(InputError, match='no corruption "fogg"; did you mean "fog"'):
        corrupt(rows, "fogg", 1, 0)
    for severity in (0, 6):
        with pytest.raises(InputError, match=f"severity of fog is {severity}; give a whole number from 1"):
            corrupt(rows, "fog", severity, 0)
    with pytest.raises(InputError, match=re.escape("a row here is float32 of shape (784,)")):
        corrupt(rows.with_inputs(rows.inputs[:].flatten(1)), "fog", 1, 0)
    with pytest.raises(InputError, match="a row here is uint8"):
        corrupt(rows.with_inputs((rows.inputs[:] * 255).to(torch.uint8)), "fog", 1, 0)
    with pytest.raises(
        InputError, match=re.escape("go from -0.4242 to 2.821; corrupt them before they are normalised")
    ):
        corrupt(rows.with_inputs((rows.inputs[:] - 0.1307) / 0.3081), "fog", 1, 0)
    with pytest.raises(InputError, match="pictures in"):
        corrupt(rows.with_inputs(torch.full((100, 1, 8, 8), torch.nan)), "fog", 1, 0)

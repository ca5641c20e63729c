"""Noise along directions: it lies where it should, has the deviation it should, and is a row's own."""

import math
import re

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.digits import halved, load_digits
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.directions import (
    along_directions,
    dead_pixel_noise,
    dead_pixels,
    highest,
    lowest,
    pixel_noise,
    principal_directions,
)


@pytest.fixture(scope="module")
def rows() -> Rows:
    digits = load_digits()
    return make_rows(halved(digits)[::5, None], digits.labels[::5])


def test_directions_are_those_of_numpy_and_explain_all_variance(rows: Rows) -> None:
    inputs = rows.inputs[:]
    found = principal_directions(inputs)
    expected = np.linalg.eigvalsh(np.cov(inputs.flatten(1).double().numpy().T))[::-1]
    assert np.abs(found.variances.numpy() - expected.clip(0)).max() < 1e-12
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(196, dtype=torch.float64), atol=1e-12)
    along = (inputs.flatten(1).double() @ found.vectors).var(dim=0)
    assert torch.allclose(along, found.variances, atol=1e-12)


def test_noise_lies_in_the_directions_and_has_their_deviation(rows: Rows) -> None:
    """The mean square of 1,000 · 20 normal numbers, to 4.9 standard errors (false alarm 1e-6)."""
    directions = principal_directions(rows.inputs[:])
    for basis in (highest(directions, 0.1), lowest(directions, 0.1)):
        assert basis.shape == (196, 20)
        moved = (along_directions(rows, basis, 0.3, seed=1).inputs[:] - rows.inputs[:]).flatten(1).double()
        inside = moved @ basis
        assert float((moved - inside @ basis.T).abs().max()) < 1e-6
        assert abs(float(inside.square().mean()) / 0.09 - 1) < 4.9 * math.sqrt(2 / inside.numel())
    assert float(directions.variances[:20].min()) > float(directions.variances[-20:].max())


def test_the_lowest_directions_of_a_plane_are_off_it() -> None:
    """x₁ + x₂ + x₃ = 1 on all rows, so the direction of least variance is (1, 1, 1)/√3, with variance 0."""
    drawn = torch.rand(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = torch.cat([drawn, 1 - drawn.sum(dim=1, keepdim=True)], dim=1)
    directions = principal_directions(inputs)
    assert float(directions.variances[-1]) < 1e-15
    assert torch.allclose(lowest(directions, 0.01).abs(), torch.full((3, 1), 3**-0.5, dtype=torch.float64))
    rows = make_rows(inputs, torch.zeros(100, dtype=torch.int64))
    kept = along_directions(rows, highest(directions, 2 / 3), 5.0, seed=0).inputs[:].sum(dim=1)
    assert torch.allclose(kept, torch.ones(100, dtype=torch.float64))


def test_dead_pixels_are_constant_and_only_they_move(rows: Rows) -> None:
    inputs = rows.inputs[:]
    dead = dead_pixels(inputs)
    assert dead.shape == (1, 14, 14)
    assert bool(dead[0, 0, 0])  # a corner, black in every digit
    assert torch.equal(dead, inputs.amax(dim=0) == inputs.amin(dim=0))
    moved = dead_pixel_noise(rows, dead, 2.0, seed=0).inputs[:] - inputs
    assert not moved[:, ~dead].any()
    # Its mean square, to 4.9 standard errors (false alarm 1e-6).
    own = moved[:, dead].double()
    assert abs(float(own.square().mean()) / 4 - 1) < 4.9 * math.sqrt(2 / own.numel())
    # What dead pixels are to the covariance: directions without variance.
    assert int((principal_directions(inputs).variances < 1e-12).sum()) >= int(dead.sum())


def test_noise_is_a_row_s_own_and_rows_stay_what_they_are(rows: Rows) -> None:
    directions = principal_directions(rows.inputs[:])
    dead = dead_pixels(rows.inputs[:])
    chosen = torch.tensor([700, 3, 20])
    for shift in (
        lambda each: along_directions(each, lowest(directions, 0.2), 1.0, seed=4),
        lambda each: dead_pixel_noise(each, dead, 1.0, seed=4),
        lambda each: pixel_noise(each, 1.0, seed=4),
    ):
        whole, some = shift(rows), shift(rows.take(chosen))
        assert torch.equal(some.inputs[:], whole.inputs[:][chosen])
        assert whole.origins() == rows.origins()
        assert whole.inputs[:].dtype == torch.float32
        assert not torch.equal(whole.inputs[:], rows.inputs[:])


def test_pixel_noise_has_its_deviation_and_is_not_clamped(rows: Rows) -> None:
    """Of 196,000 numbers, to 4.9 standard errors (false alarm 1e-6)."""
    moved = (pixel_noise(rows, 10.0, seed=0).inputs[:] - rows.inputs[:]).double()
    assert abs(float(moved.std()) / 10 - 1) < 4.9 / math.sqrt(2 * moved.numel())
    assert torch.equal(pixel_noise(rows, 0.0, seed=0).inputs[:], rows.inputs[:])


def test_what_is_wrong_is_said(rows: Rows) -> None:
    directions = principal_directions(rows.inputs[:])
    with pytest.raises(InputError, match="have 196 features and the rows 3"):
        along_directions(make_rows(torch.zeros(2, 3), torch.tensor([0, 1])), directions.vectors, 1.0, 0)
    with pytest.raises(InputError, match="not orthonormal"):
        along_directions(rows, 2 * directions.vectors, 1.0, 0)
    with pytest.raises(InputError, match=re.escape("share of directions is 1.5")):
        highest(directions, 1.5)
    with pytest.raises(InputError, match="at least two rows and 1"):
        principal_directions(torch.zeros(1, 3))
    with pytest.raises(InputError, match=re.escape("mask has shape (14, 14) and an input (1, 14, 14)")):
        dead_pixel_noise(rows, torch.zeros(14, 14, dtype=torch.bool), 1.0, 0)
    with pytest.raises(InputError, match="no dead pixel"):
        dead_pixel_noise(rows, torch.zeros(1, 14, 14, dtype=torch.bool), 1.0, 0)
    with pytest.raises(InputError, match="these are int64"):
        pixel_noise(make_rows(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1])), 1.0, 0)

"""Sizes drawn for steps: how often, from what, and what training makes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.flex.schedule import Curriculum, Drawn, Weighted, by_cost, size_at, uniform
from surefoot.inference import ascend as ascending
from surefoot.inference.ascend import ascend
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import FlexibleViT, Shape, build_vit
from surefoot.networks.network import Network, parameters_of
from surefoot.networks.patches import BILINEAR_SMOOTH
from surefoot.rows.rows import Rows, make_rows

SIZES = ((16, 16), (8, 8), (4, 4))
SHAPE = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2), pool="mean")
SETTINGS = Ascend(epochs=3, batch=4, rate=1e-2)


@pytest.fixture
def rows() -> Rows:
    generator = torch.Generator().manual_seed(0)
    return make_rows(torch.randn(24, 1, 16, 16, generator=generator), torch.arange(24) % 2)


@pytest.fixture
def network() -> Network:
    return build_vit(SHAPE, classes=2, patch=8, seed=0)


def test_a_step_has_one_size_whoever_asks_and_seeds_differ() -> None:
    schedule = uniform(SIZES)
    drawn = [size_at(schedule, 3, step, 200) for step in range(200)]
    assert drawn == [size_at(schedule, 3, step, 200) for step in range(200)]
    assert drawn != [size_at(schedule, 4, step, 200) for step in range(200)]
    assert drawn[100:] == [size_at(schedule, 3, step, 200) for step in range(100, 200)]


def test_sizes_come_as_often_as_is_said() -> None:
    """3,000 draws; each count within 4.5 standard deviations, which fails once in about 50,000."""
    for schedule, shares in (
        (uniform(SIZES), [1 / 3] * 3),
        (by_cost(SIZES, [1.0, 4.0, 16.0]), [16 / 21, 4 / 21, 1 / 21]),
        (Weighted(SIZES, (1.0, 1.0, 2.0)), [0.25, 0.25, 0.5]),
    ):
        drawn = [size_at(schedule, 0, step, 3000) for step in range(3000)]
        for size, share in zip(SIZES, shares, strict=True):
            deviation = (3000 * share * (1 - share)) ** 0.5
            assert abs(drawn.count(size) - 3000 * share) < 4.5 * deviation


def test_a_curriculum_begins_coarse_and_ends_uniform() -> None:
    schedule = Curriculum(SIZES, ramp=0.5)
    assert schedule.shares(0.0).tolist() == [1.0, 0.0, 0.0]
    assert schedule.shares(0.24).tolist() == [1.0, 0.0, 0.0]
    assert schedule.shares(0.25).tolist() == [0.5, 0.5, 0.0]
    for done in (0.5, 0.75, 1.0):
        assert schedule.shares(done) == pytest.approx([1 / 3] * 3)
    assert Curriculum(SIZES, ramp=0.0).shares(0.0) == pytest.approx([1 / 3] * 3)
    assert Curriculum(SIZES[:1]).shares(0.0).tolist() == [1.0]
    assert {size_at(schedule, 0, step, 400) for step in range(100)} == {SIZES[0]}


def test_training_runs_each_step_at_its_size(rows: Rows, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[int, int]] = []
    forward = FlexibleViT.forward

    def watched(self: FlexibleViT, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            ran.append(self.patch)
        return forward(self, images)

    monkeypatch.setattr(FlexibleViT, "forward", watched)
    view = Drawn(uniform(SIZES), 5)
    draws = ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, SETTINGS, view=view)
    assert ran == [size_at(view.schedule, 5, step, 18) for step in range(18)]
    start = parameters_of(network)
    assert all(not torch.equal(draws.point()[name], start[name]) for name in ("kernel", "positions", "head.weight"))


def test_one_size_only_is_training_at_that_size(rows: Rows, network: Network) -> None:
    """A view that always says 4 is the plain training of the network at 4, bit for bit."""
    assert isinstance(network.module, FlexibleViT)
    there = replace(network, module=network.module.at((4, 4)))
    start = parameters_of(network)
    plain = ascend(Objective(there, categorical, mean), rows, start, 0, SETTINGS).point()
    viewed = ascend(
        Objective(network, categorical, mean), rows, start, 0, SETTINGS, view=Drawn(uniform([(4, 4)]), 0)
    ).point()
    assert all(torch.equal(plain[name], viewed[name]) for name in plain)


def test_a_killed_run_ends_with_the_same_weights(
    rows: Rows, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, start = Objective(network, categorical, mean), parameters_of(network)
    view = Drawn(Curriculum(SIZES, ramp=0.7), 1)
    whole = ascend(objective, rows, start, 0, SETTINGS, view=view).point()
    climb = ascending.climb_epoch

    def killed(*arguments: object) -> torch.Tensor:
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return climb(*arguments)  # type: ignore[arg-type]

    kept = tmp_path / "run.safetensors"
    monkeypatch.setattr(ascending, "climb_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        ascend(objective, rows, start, 0, SETTINGS, view=view, checkpoint=kept)
    monkeypatch.undo()
    again = ascend(objective, rows, start, 0, SETTINGS, view=view, checkpoint=kept).point()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(InputError, match="another"):
        ascend(objective, rows, start, 0, SETTINGS, view=Drawn(uniform(SIZES), 1), checkpoint=kept)
    assert isinstance(network.module, FlexibleViT)
    smooth = replace(network.module.shape, patches=BILINEAR_SMOOTH)
    other = build_vit(smooth, classes=2, patch=8, seed=0)
    with pytest.raises(InputError, match="another"):
        ascend(Objective(other, categorical, mean), rows, start, 0, SETTINGS, view=view, checkpoint=kept)


def test_what_cannot_be_drawn_is_refused(rows: Rows) -> None:
    with pytest.raises(InputError, match="at least one, and each once"):
        uniform([])
    with pytest.raises(InputError, match="each once"):
        Curriculum(((8, 8), (8, 8)))
    with pytest.raises(InputError, match="positive one for each"):
        Weighted(SIZES, (1.0, 2.0))
    with pytest.raises(InputError, match="positive one for each"):
        Weighted(SIZES, (1.0, np.inf, 1.0))
    with pytest.raises(InputError, match="costs of steps"):
        by_cost(SIZES, [1.0, 0.0, 2.0])
    with pytest.raises(InputError, match="ramp of a curriculum is"):
        Curriculum(SIZES, ramp=1.5)
    with pytest.raises(InputError, match="Linear has no patch size"):
        Drawn(uniform(SIZES), 0)(nn.Linear(2, 2), 0, 1)

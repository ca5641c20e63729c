"""Plain transformers made flexible by training, on labels and on what they said themselves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.flex.distil import Lesson, Teacher, divergence
from surefoot.flex.schedule import Drawn, uniform
from surefoot.flex.tune import itself, train_at_sizes
from surefoot.inference import ascend as ascending
from surefoot.inference.ascend import ascend
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import Shape, at_patch, build_vit
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

SIZES = ((8, 8), (4, 4))
SHAPE = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(4, 4), grid=(4, 4), pool="mean")
SETTINGS = Ascend(epochs=3, batch=8, rate=1e-2)


@pytest.fixture
def rows() -> Rows:
    """Bars that lie or stand, in noise: what every size can tell."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(96) % 2
    images = 0.3 * torch.randn(96, 1, 16, 16, generator=generator)
    places = torch.randint(16, (96,), generator=generator)
    for row, (target, place) in enumerate(zip(targets.tolist(), places.tolist(), strict=True)):
        images[row, 0, place] += 2 * target
        images[row, 0, :, place] += 2 * (1 - target)
    return make_rows(images, targets)


@pytest.fixture
def network() -> Network:
    return build_vit(SHAPE, classes=2, patch=4, seed=0)


def right(network: Network, parameters: Parameters, rows: Rows, patch: int) -> float:
    return float(
        (forward(at_patch(network, patch), parameters, rows.inputs[:]).argmax(1) == rows.targets).float().mean()
    )


def trained(network: Network, rows: Rows) -> Parameters:
    settings = Ascend(12, 8, 1e-2)
    return ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, settings).point()


def test_with_labels_it_is_ascend_at_drawn_sizes(rows: Rows, network: Network) -> None:
    start, sizes = parameters_of(network), uniform(SIZES)
    ours = train_at_sizes(network, start, rows, sizes, 7, SETTINGS).point()
    plain = ascend(Objective(network, categorical, mean), rows, start, 7, SETTINGS, view=Drawn(sizes, 7)).point()
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_plain_transformer_learns_the_other_size_and_keeps_its_own(
    rows: Rows, network: Network, labelled: bool
) -> None:
    plain = trained(network, rows)
    assert right(network, plain, rows, 4) > 0.9
    assert right(network, plain, rows, 8) < 0.75
    teacher = None if labelled else itself(network, plain, (4, 4), seen=rows.origins())
    unlabelled = rows if labelled else rows.with_targets(torch.zeros(96, dtype=torch.int64))
    tuned = train_at_sizes(
        network, plain, unlabelled, uniform(SIZES), 0, Ascend(16, 8, 1e-2), teacher=teacher
    ).point()  # fmt: skip
    assert right(network, tuned, rows, 8) > 0.9
    assert right(network, tuned, rows, 4) > 0.9
    assert tuned["kernel"].shape == plain["kernel"].shape


def test_its_own_teacher_says_what_it_said(rows: Rows, network: Network) -> None:
    plain = trained(network, rows)
    teacher = itself(network, plain, (4, 4), classes=("0", "1"), seen=frozenset({"x"}))
    said = forward(teacher.network, teacher.parameters, rows.inputs[:])
    assert torch.equal(said, forward(network, plain, rows.inputs[:]))
    at_eight = itself(network, plain, (8, 8), seen=frozenset())
    there = forward(at_eight.network, at_eight.parameters, rows.inputs[:])
    assert torch.allclose(there, forward(at_patch(network, 8), plain, rows.inputs[:]), atol=1e-5)
    assert float(divergence(said, there).mean()) > 0.01
    draws = train_at_sizes(network, plain, rows, uniform(SIZES), 0, replace(SETTINGS, epochs=1), teacher=teacher)
    assert draws.seen == rows.origins() | {"x"}


def test_a_killed_lesson_ends_with_the_same_weights(
    rows: Rows, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, kept = parameters_of(network), tmp_path / "run.safetensors"
    head = {**start, "head.weight": torch.randn(2, 8, generator=torch.Generator().manual_seed(0))}
    teacher = Teacher(network, head)

    def run(checkpoint: Path | None = None, temperature: float = 2.0) -> Parameters:
        return train_at_sizes(
            network, start, rows, uniform(SIZES), 0, replace(SETTINGS, mixup=1.0), teacher=teacher,
            lesson=Lesson(temperature), checkpoint=checkpoint,
        ).point()  # fmt: skip

    whole, climb = run(), ascending.climb_epoch

    def killed(*arguments: object) -> torch.Tensor:
        if arguments[4] == 1:
            raise KeyboardInterrupt
        return climb(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ascending, "climb_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(kept)
    monkeypatch.undo()
    again = run(kept)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not torch.allclose(whole["kernel"], run(temperature=1.0)["kernel"], atol=1e-4)


def test_what_has_no_such_sizes_is_refused_before_training(rows: Rows, network: Network) -> None:
    with pytest.raises(InputError, match="does not divide"):
        train_at_sizes(network, parameters_of(network), rows, uniform([(8, 8), (5, 5)]), 0, SETTINGS)
    linear = Network(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), "1")
    with pytest.raises(InputError, match="no patch size"):
        train_at_sizes(linear, parameters_of(linear), rows, uniform(SIZES), 0, SETTINGS)

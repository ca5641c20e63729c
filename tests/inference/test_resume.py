"""Early stopping, and runs that are killed and resumed: the same bits as one that was not."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior
from surefoot.density.pools import mean
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.findings.finding import Direction, Finding
from surefoot.inference.ascend import Ascend, Stop, ascend
from surefoot.inference.settings import Optimiser
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Rows, make_rows


class Killed(Exception):
    """Stands for a power cut."""


def images() -> Rows:
    generator = torch.Generator().manual_seed(0)
    return make_rows(torch.rand(70, 1, 6, 6, generator=generator), torch.randint(0, 2, (70,), generator=generator))


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48, 2)
        )
    return Network(module, "5")


class Dying:
    """A likelihood that kills the run when it has been called so many times."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def identity_parts(self) -> tuple[str]:
        return ("how many calls are left is no part of the run",)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return categorical(outputs, targets)


SETTINGS = {
    "adamw": Ascend(epochs=5, batch=16, shift=1, weight_decay=0.1),
    "sgd": Ascend(epochs=5, batch=16, rate=0.05, optimiser="sgd", shift=1),
    "lbfgs": Ascend(epochs=5, rate=0.5, optimiser="lbfgs", schedule="constant"),
}


@pytest.mark.parametrize("optimiser", list(SETTINGS))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.93])
def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_bits(
    optimiser: Optimiser, share: float, tmp_path: Path
) -> None:
    rows, settings = images(), SETTINGS[optimiser]
    start = parameters_of(network())
    counting = Dying(10**9)
    whole = ascend(Objective(network(), counting, mean), rows, start, 0, settings)
    calls = 10**9 - counting.left
    file = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        ascend(Objective(network(), Dying(int(share * calls)), mean), rows, start, 0, settings, checkpoint=file)
    counting = Dying(10**9)
    resumed = ascend(Objective(network(), counting, mean), rows, start, 0, settings, checkpoint=file)
    if share > 0.3:
        assert 10**9 - counting.left < calls, "finished epochs are not computed again"
    assert resumed.diagnostics == whole.diagnostics
    for name, tensor in whole.parameters.items():
        assert torch.equal(resumed.parameters[name], tensor), name


def test_a_finished_run_is_read_back_without_a_step(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    first = ascend(Objective(network(), Dying(25), mean), rows, start, 0, SETTINGS["adamw"], checkpoint=file)
    again = ascend(Objective(network(), Dying(0), mean), rows, start, 0, SETTINGS["adamw"], checkpoint=file)
    assert again.diagnostics == first.diagnostics
    assert all(torch.equal(again.parameters[name], first.parameters[name]) for name in first.parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_checkpoint_may_be_written_seldom_but_at_the_end_always(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    there: list[bool] = []

    def seen(stage: str, done: int, total: int) -> None:
        there.append(file.exists())

    objective = Objective(network(), categorical, mean)
    run = partial(ascend, objective, rows, start, 0, SETTINGS["adamw"], checkpoint=file)
    first = run(save_seconds=1e9, progress=seen)
    assert there == [False] * 4 + [True]
    again = ascend(
        Objective(network(), categorical, mean), rows, start, 0, SETTINGS["adamw"], checkpoint=file, save_seconds=0.0
    )
    assert all(torch.equal(again.parameters[name], first.parameters[name]) for name in first.parameters)
    file.unlink()
    there.clear()
    run(save_seconds=0.0, progress=seen)
    assert there == [True] * 5


def test_a_checkpoint_belongs_to_one_run(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    objective, settings = Objective(network(), categorical, mean), Ascend(epochs=1)
    ascend(objective, rows, start, 0, settings, checkpoint=file)
    moved = {name: tensor + 1 for name, tensor in start.items()}
    stop = Stop(Scripted([], "higher"), frozenset())
    others = [
        lambda: ascend(objective, rows, start, 0, settings, checkpoint=file, stop=stop),
        lambda: ascend(objective, rows, start, 1, settings, checkpoint=file),
        lambda: ascend(objective, rows, start, 0, Ascend(epochs=2), checkpoint=file),
        lambda: ascend(objective, rows, moved, 0, settings, checkpoint=file),
        lambda: ascend(objective, rows.with_inputs(rows.inputs[:] + 1), start, 0, settings, checkpoint=file),
        lambda: ascend(objective, rows.with_targets(1 - rows.targets), start, 0, settings, checkpoint=file),
        lambda: ascend(Posterior(network(), categorical, Gaussian(1.0)), rows, start, 0, settings, checkpoint=file),
    ]
    for other in others:
        with pytest.raises(InputError) as raised:
            other()
        assert str(raised.value) == (
            f"The checkpoint {file} belongs to a run with another objective, other settings, stopping, seed, rows or "
            "start; delete it, or give this run a checkpoint of its own."
        )


def test_priors_with_other_numbers_are_other_runs(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    centre = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    for prior in (Gaussian(1.0), Gaussian(2.0), Gaussian(1.0, centre=centre)):
        file_of_first = file.exists()
        posterior = Posterior(network(), categorical, prior)
        if not file_of_first:
            ascend(posterior, rows, start, 0, Ascend(epochs=1), checkpoint=file)
            continue
        with pytest.raises(InputError, match="belongs to a run with another objective"):
            ascend(posterior, rows, start, 0, Ascend(epochs=1), checkpoint=file)


class Pieces:
    """Inputs that are handed out in pieces, as image files would be."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, index: Any, /) -> Tensor:
        return self.tensor[index]


def test_inputs_that_are_read_when_needed_and_bound_arguments_belong_to_a_run(tmp_path: Path) -> None:
    def tempered(outputs: Tensor, targets: Tensor, temperature: float) -> Tensor:
        return categorical(outputs / temperature, targets)

    rows, file, once = images(), tmp_path / "run.safetensors", Ascend(epochs=1)
    start = parameters_of(network())
    score = partial(tempered, temperature=2.0)
    lazy = rows.with_inputs(Pieces(rows.inputs[:]))
    first = ascend(Objective(network(), score, mean), lazy, start, 0, once, checkpoint=file)
    again = ascend(Objective(network(), score, mean), lazy, start, 0, once, checkpoint=file)
    assert all(torch.equal(first.parameters[name], again.parameters[name]) for name in start)
    other = rows.with_inputs(Pieces(rows.inputs[:] + 1))
    for objective, given in (
        (Objective(network(), score, mean), other),
        (Objective(network(), partial(tempered, temperature=3.0), mean), lazy),
    ):
        with pytest.raises(InputError, match="belongs to a run with another objective"):
            ascend(objective, given, start, 0, once, checkpoint=file)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    objective = Objective(network(), categorical, mean)
    ascend(objective, rows, start, 0, Ascend(epochs=1), checkpoint=file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(
        InputError, match=r"run\.safetensors is not a readable checkpoint .*; delete it to start anew\.$"
    ):
        ascend(objective, rows, start, 0, Ascend(epochs=1), checkpoint=file)


def finding(value: float, direction: Direction) -> Finding:
    return Finding("score", value, None, 10, 10, "proportion", "all", direction, "net", "choose")


class Scripted:
    """A measure that tells given values and remembers the parameters it was shown."""

    def __init__(self, values: list[float], direction: Direction) -> None:
        self.values: Iterator[float] = iter(values)
        self.direction: Direction = direction
        self.shown: list[Parameters] = []

    def identity_parts(self) -> tuple[str]:
        return ("values that were read are no part of the run",)

    def __call__(self, parameters: Parameters) -> Finding:
        self.shown.append(parameters)
        return finding(next(self.values), self.direction)


@pytest.mark.parametrize(
    ("values", "direction", "best", "calls"),
    [
        ([0.1, 0.5, 0.5, 0.4, 0.9], "higher", 1, 4),
        ([3.0, 2.0, 2.0, 2.0, 1.0], "lower", 1, 4),
        ([1.0, 2.0, 3.0, 4.0, 5.0], "higher", 4, 5),
        ([0.3, 0.2, 0.4, 0.1, 0.2], "higher", 2, 5),
    ],
)
def test_stops_after_patience_and_returns_the_best(
    values: list[float], direction: Direction, best: int, calls: int
) -> None:
    measure = Scripted(values, direction)
    objective, rows = Objective(network(), categorical, mean), images()
    draws = ascend(
        objective,
        rows,
        parameters_of(network()),
        0,
        Ascend(epochs=5),
        stop=Stop(measure, frozenset({"c:1"}), patience=2),
    )
    assert len(measure.shown) == calls
    for name, tensor in draws.point().items():
        assert torch.equal(tensor, measure.shown[best][name])
    assert not torch.equal(measure.shown[0]["5.weight"], measure.shown[1]["5.weight"]), "each keeps memory of its own"
    assert [told.value for told in draws.diagnostics if told.name == "score"] == values[:calls]
    assert draws.seen == rows.origins() | {"c:1"}


def test_measures_after_every_so_many_epochs() -> None:
    measure = Scripted([1.0, 2.0], "higher")
    ascend(
        Objective(network(), categorical, mean), images(), parameters_of(network()), 0, Ascend(epochs=5),
        stop=Stop(measure, frozenset(), every=2),
    )  # fmt: skip
    assert len(measure.shown) == 2


def test_a_resumed_run_remembers_the_best(tmp_path: Path) -> None:
    rows, start, file = images(), parameters_of(network()), tmp_path / "run.safetensors"
    settings, values = Ascend(epochs=5, batch=16), [0.1, 0.9, 0.5, 0.6, 0.7]
    whole = ascend(
        Objective(network(), categorical, mean),
        rows,
        start,
        0,
        settings,
        stop=Stop(Scripted(values, "higher"), frozenset()),
    )
    with pytest.raises(Killed):
        ascend(
            Objective(network(), Dying(17), mean), rows, start, 0, settings,
            stop=Stop(Scripted(values, "higher"), frozenset()), checkpoint=file,
        )  # fmt: skip
    rest = Stop(Scripted(values[3:], "higher"), frozenset())
    resumed = ascend(Objective(network(), Dying(99), mean), rows, start, 0, settings, stop=rest, checkpoint=file)
    assert resumed.diagnostics == whole.diagnostics
    assert all(torch.equal(resumed.parameters[name], whole.parameters[name]) for name in whole.parameters)


@pytest.mark.parametrize(("value", "direction"), [(float("nan"), "higher"), (0.5, "none")])
def test_a_finding_that_cannot_be_compared_is_refused(value: float, direction: Direction) -> None:
    stop = Stop(Scripted([value], direction), frozenset())
    with pytest.raises(InputError) as raised:
        ascend(Objective(network(), categorical, mean), images(), parameters_of(network()), 0, Ascend(), stop=stop)
    assert str(raised.value) == (
        f"Early stopping watches score = {value} with direction {direction}; give a finding that is a number and is "
        "better higher or lower."
    )


def test_stop_is_checked() -> None:
    with pytest.raises(InputError) as raised:
        Stop(Scripted([], "higher"), frozenset(), every=0)
    assert str(raised.value) == "every is 0 and patience 5; give at least 1 of each."

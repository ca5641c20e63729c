"""Several processes train as one does: the same point to rounding, whatever the batches and however they divide."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Paced, Posterior
from surefoot.density.pools import mean, per_row, total, worst_group
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.findings.finding import Finding
from surefoot.flex.schedule import Drawn, uniform
from surefoot.inference.ascend import Ascend, Stop, ascend
from surefoot.inference.draws import Draws
from surefoot.inference.together import Together, joined, share_of_loss
from surefoot.networks.flexible import Shape, build_vit
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Rows, make_rows

CLOSE = {"atol": 1e-10, "rtol": 1e-10}
BLOCKS = 5  # of batches of 7 rows: three blocks for one process and two for the other; the last batch has one row


def images(count: int = 22) -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    weights = torch.rand(count, generator=generator, dtype=torch.float64) + 0.1
    return make_rows(inputs, (inputs.mean(dim=(1, 2, 3)) > 0).long(), weights=weights)


def transformer() -> Network:
    shape = Shape((1, 8, 8), width=8, depth=1, heads=2, buffer=(4, 4), grid=(2, 2))
    network = build_vit(shape, classes=2, patch=4, seed=0)
    return replace(network, module=network.module.double())


class Partly(nn.Module):
    """A linear layer, and a tensor that nothing uses: weight decay must leave it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.head = nn.Linear(64, 2, dtype=torch.float64)
        generator = torch.Generator().manual_seed(1)
        for tensor in self.head.parameters():
            nn.init.normal_(tensor, std=0.1, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(inputs.flatten(1))


def linear() -> Network:
    return Network(Partly(), "head")


def shrinking(parameters: Parameters) -> Tensor:
    return -0.05 * parameters["head.weight"].square().sum()


def growing(outputs: Tensor, targets: Tensor, done: float) -> Tensor:
    return categorical(outputs, targets) * (1 + done)


def against_the_batch(outputs: Tensor, targets: Tensor, done: float) -> Tensor:
    """Nothing of others at first, and later the batch's median."""
    return categorical(outputs, targets) - done * outputs.median()


class Run(NamedTuple):
    objective: Objective | Posterior
    settings: Ascend
    view: Drawn | None = None


def runs() -> dict[str, Run]:
    """Batches of 7 from 22 rows: 4 and 3 rows for two processes, and in the last batch one and none."""
    network, plain = transformer(), linear()
    sizes = Drawn(uniform([(8, 8), (4, 4), (2, 2)]), seed=3)
    adam, sgd = Ascend(epochs=3, batch=7, weight_decay=0.1), Ascend(epochs=3, batch=7, optimiser="sgd", rate=0.05)
    return {
        "patch sizes": Run(Objective(network, categorical, mean), replace(adam, shift=1), sizes),
        "mixup": Run(Objective(network, categorical, mean), replace(adam, mixup=0.5), sizes),
        "posterior": Run(Posterior(plain, categorical, Gaussian(1.0), likelihood_temperature=0.7), sgd),
        "regularised": Run(Objective(plain, Paced(growing), per_row, shrinking), replace(adam, draw="weighted")),
        "sums": Run(
            Objective(plain, categorical, total, shrinking),
            Ascend(epochs=2, optimiser="lbfgs", schedule="constant", rate=1.0),
        ),
    }


def climb(run: Run, seed: int = 0, **others: object) -> Draws:
    start = parameters_of(run.objective.network)
    return ascend(run.objective, images(), start, seed, run.settings, view=run.view, **others)  # type: ignore[arg-type]


class Broken(Exception):
    pass


class Measuring:
    """The size of the weights, in each process a little another one; it may break off."""

    def __init__(self, off: float = 0.0, breaks: int = 99) -> None:
        self.off, self.left = off, breaks

    def identity_parts(self) -> tuple[str]:
        return ("what a process measures is no part of the run",)

    def __call__(self, parameters: Parameters) -> Finding:
        if self.left == 0:
            raise Broken
        self.left -= 1
        size = float(parameters["head.weight"].square().sum()) + self.off
        return Finding("size", size, None, 1, 1, "nats", "all", "lower", "test", "fit")


def stopping(off: float = 0.0, breaks: int = 99) -> Stop:
    return Stop(Measuring(off, breaks), frozenset(), patience=2)


def refusals() -> dict[str, Callable[[Together], Draws]]:
    run = runs()["regularised"]
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    dropping = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 2)).double()

    def with_objective(**changed: object) -> Callable[[Together], Draws]:
        objective = replace(run.objective, **changed)  # type: ignore[arg-type]
        return lambda together: climb(replace_run(run, objective), together=together)

    def replace_run(run: Run, objective: Objective | Posterior) -> Run:
        return run._replace(objective=objective)

    return {
        "pool": with_objective(pool=worst_group, regulariser=None),
        "score": with_objective(score=Paced(against_the_batch)),
        "batch statistics": with_objective(network=Network(module, "3"), regulariser=None),
        "dropout": with_objective(network=Network(dropping, "2"), regulariser=None),
        "seeds": lambda together: climb(run, seed=together.rank, together=together),
        "blocks": lambda together: climb(run, blocks=together.rank + 4, together=together),
        "few blocks": lambda together: climb(run, blocks=1, together=together),
    }


def work(rank: int, processes: int, folder: Path) -> None:
    """What each process does: everything, one after the other."""
    torch.set_num_threads(1)
    said: dict[str, object] = {}
    points: dict[str, Tensor] = {}
    with joined(rank=rank, processes=processes, meeting=f"file://{folder}/meeting") as together:
        for name, run in runs().items():
            draws = climb(run, together=together)
            points |= {f"{name}/{key}": tensor for key, tensor in draws.point().items()}
            said[name] = [finding.value for finding in draws.diagnostics]
            draws = climb(run, together=together, blocks=BLOCKS)
            points |= {f"{name} in blocks/{key}": tensor for key, tensor in draws.point().items()}
            said[f"{name} in blocks"] = [finding.value for finding in draws.diagnostics]
        run = runs()["posterior"]
        draws = climb(run, together=together, blocks=BLOCKS, checkpoint=folder / "blocks_begun_by_one")
        points |= {f"resumed in blocks/{key}": tensor for key, tensor in draws.point().items()}
        draws = climb(run, together=together, stop=stopping(off=0.3 * rank))
        points |= {f"stopped/{key}": tensor for key, tensor in draws.point().items()}
        said["stopped"] = [finding.value for finding in draws.diagnostics]
        draws = climb(run, together=together, checkpoint=folder / "begun_by_one")
        points |= {f"resumed/{key}": tensor for key, tensor in draws.point().items()}
        for name, refused in refusals().items():
            try:
                refused(together)
            except InputError as error:
                said[name] = str(error)
        try:
            climb(run, together=together, checkpoint=folder / ("begun_by_one" if rank else "not_there"))
        except InputError as error:
            said["checkpoint"] = str(error)
        try:
            climb(run, together=together, checkpoint=folder / "begun_by_two", stop=stopping(breaks=2))
        except Broken:
            said["broken"] = (folder / "begun_by_two").is_file()
    write_tensors(folder / f"points-{rank}.safetensors", points)
    (folder / f"said-{rank}.json").write_text(json.dumps(said))


class Worked(NamedTuple):
    folder: Path
    points: list[dict[str, Tensor]]
    said: list[dict[str, object]]


def launch(processes: int, folder: Path) -> Worked:
    run = runs()["posterior"]
    with pytest.raises(Broken):
        climb(run, checkpoint=folder / "begun_by_one", progress=breaking)
    with pytest.raises(Broken):
        climb(run, blocks=BLOCKS, checkpoint=folder / "blocks_begun_by_one", progress=breaking)
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(processes), str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(processes)
    ]
    until = time.monotonic() + 120
    for each in started:
        try:
            _, errors = each.communicate(timeout=max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            for other in started:
                other.kill()
            raise
        assert each.returncode == 0, errors
    return Worked(
        folder,
        [read_tensors(folder / f"points-{rank}.safetensors") for rank in range(processes)],
        [json.loads((folder / f"said-{rank}.json").read_text()) for rank in range(processes)],
    )


def breaking(what: str, done: int, of: int) -> None:
    if done == 1:
        raise Broken


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    return launch(2, tmp_path_factory.mktemp("two"))


def assert_same(worked: Worked, name: str, alone: Draws) -> None:
    for rank, points in enumerate(worked.points):
        for key, tensor in alone.point().items():
            torch.testing.assert_close(points[f"{name}/{key}"], tensor, **CLOSE, msg=f"{name}/{key} of {rank}")
            assert torch.equal(points[f"{name}/{key}"], worked.points[0][f"{name}/{key}"])


@pytest.mark.parametrize("name", list(runs()))
def test_two_processes_equal_one(two: Worked, name: str) -> None:
    run = runs()[name]
    alone = climb(run)
    assert_same(two, name, alone)
    for said in two.said:
        assert said[name] == pytest.approx([finding.value for finding in alone.diagnostics], rel=1e-10, abs=1e-12)
    moved = [
        not torch.equal(tensor, alone.point()[key]) for key, tensor in parameters_of(run.objective.network).items()
    ]
    assert sum(moved) >= 2


@pytest.mark.parametrize("name", list(runs()))
def test_blocks_give_two_processes_the_bits_of_one(two: Worked, name: str) -> None:
    alone = climb(runs()[name], blocks=BLOCKS)
    whole = climb(runs()[name]).point()
    for points, said in zip(two.points, two.said, strict=True):
        assert said[f"{name} in blocks"] == [finding.value for finding in alone.diagnostics]
        for key, tensor in alone.point().items():
            assert torch.equal(points[f"{name} in blocks/{key}"], tensor), key
            torch.testing.assert_close(tensor, whole[key], **CLOSE)


def test_blocks_keep_the_bits_in_a_run_that_goes_on_in_two_processes(two: Worked) -> None:
    for key, tensor in climb(runs()["posterior"], blocks=BLOCKS).point().items():
        for points in two.points:
            assert torch.equal(points[f"resumed in blocks/{key}"], tensor), key


def test_there_is_at_least_one_block() -> None:
    with pytest.raises(InputError, match="blocks is 0; give at least 1"):
        climb(runs()["posterior"], blocks=0)


def test_processes_stop_on_the_numbers_of_the_first(two: Worked) -> None:
    alone = climb(runs()["posterior"], stop=stopping())
    assert_same(two, "stopped", alone)
    for said in two.said:
        assert said["stopped"] == pytest.approx([finding.value for finding in alone.diagnostics], rel=1e-10)


def test_a_run_goes_on_in_another_number_of_processes(two: Worked) -> None:
    run = runs()["posterior"]
    assert_same(two, "resumed", climb(run))
    assert [said["broken"] for said in two.said] == [True, True]
    again = climb(run, checkpoint=two.folder / "begun_by_two", stop=stopping())
    whole = climb(run, stop=stopping())
    assert again.point().keys() == whole.point().keys()
    for key, tensor in again.point().items():
        torch.testing.assert_close(tensor, whole.point()[key], **CLOSE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pool", "The pool worst_group of a batch is no sum over its rows"),
        ("score", "The score of a row depends on the other rows of its batch"),
        ("batch statistics", 'The layer "2" (BatchNorm1d) computes over a batch'),
        ("dropout", 'The layer "1" (Dropout) draws for each row'),
        ("seeds", "Process 1 of 2 differs from process 0: it has another objective, seed"),
        ("blocks", "Process 1 of 2 differs from process 0: it has another objective, seed"),
        ("few blocks", "There are 2 processes and blocks=1, so that some would have nothing to do"),
        ("checkpoint", "Process 1 of 2 differs from process 0: it has another objective, seed"),
    ],
)
def test_every_process_refuses_what_cannot_be_shared(two: Worked, name: str, message: str) -> None:
    for said in two.said:
        assert message in str(said[name])


def test_parts_are_all_rows_once() -> None:
    for processes in (1, 2, 3, 5):
        for rows in range(12):
            parts = [Together(rank, processes).part(rows) for rank in range(processes)]
            assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
            sizes = [part.stop - part.start for part in parts]
            assert max(sizes) - min(sizes) <= 1


def test_shares_add_up_to_the_loss_of_one_process() -> None:
    from surefoot.density.batch import whole

    for name in ("regularised", "posterior", "sums"):
        objective, batch = runs()[name].objective, whole(images())._replace(done=0.25)
        shares = [
            share_of_loss(objective, objective.network.module, 40, Together(rank, 3))(objective.network.module, batch)
            for rank in range(3)
        ]
        live = parameters_of(objective.network)
        expected = (
            -objective.value(live, batch)
            if isinstance(objective, Objective)
            else objective.minibatch_log_density(live, batch, 40) / -40
        )
        torch.testing.assert_close(torch.stack(shares).sum(), expected, **CLOSE)


def test_rows_without_weight_have_no_mean() -> None:
    from surefoot.density.batch import whole

    objective = Objective(linear(), categorical, mean)
    batch = whole(images())
    empty = batch._replace(weights=torch.zeros_like(batch.weights))
    with pytest.raises(InputError, match="All 22 rows of a batch have weight zero"):
        share_of_loss(objective, objective.network.module, 22, Together(0, 2))(objective.network.module, empty)


def test_nobody_to_join_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="start the script with torchrun"), joined():
        pass
    with pytest.raises(InputError, match="needs a rank and the number of processes"), joined(meeting="file:///tmp/x"):
        pass


@pytest.mark.slow
def test_three_processes_equal_one(tmp_path: Path) -> None:
    worked = launch(3, tmp_path)
    for name, run in runs().items():
        assert_same(worked, name, climb(run))


@pytest.mark.slow
def test_torchrun_starts_them(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_together import climb, runs\n"
        "from surefoot.files import write_tensors\n"
        "from surefoot.inference.together import joined\n"
        "with joined() as together:\n"
        "    draws = climb(runs()['patch sizes'], together=together)\n"
        "if together.rank == 0:\n"
        "    write_tensors(Path(sys.argv[1]), draws.point())\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    told = subprocess.run(
        [*command, str(script), str(tmp_path / "out")], capture_output=True, text=True, timeout=300, check=False
    )
    assert told.returncode == 0, told.stderr
    reached = read_tensors(tmp_path / "out")
    for key, tensor in climb(runs()["patch sizes"]).point().items():
        torch.testing.assert_close(reached[key], tensor, **CLOSE)


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

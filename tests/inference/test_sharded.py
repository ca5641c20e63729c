"""A network in shares is trained as a whole one is, to the last bit, also where its processes were killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior
from surefoot.density.pools import mean, worst_group
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.draws import Draws
from surefoot.inference.sharded import Reached, ascend_sharded, layers_of
from surefoot.inference.shards import newest_shards, read_whole, save_shards
from surefoot.inference.together import Together, joined
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Rows, make_rows

CLOSE = {"atol": 1e-10, "rtol": 1e-10}
KILLED_AT, SAVED = 8, 3  # steps; the last checkpoint before is of step 6
ALONE = Together(0, 1)


class Layered(nn.Module):
    """Layers of 9 in a list, of which the last two share a weight; three classes, one number that only one process
    holds, a buffer, and what does not learn."""

    def __init__(self) -> None:
        super().__init__()
        kind = torch.float64
        self.first = nn.Linear(5, 9, dtype=kind)
        self.layers = nn.ModuleList([nn.Linear(9, 9, dtype=kind) for _ in range(4)])
        self.layers[3].weight = self.layers[2].weight
        self.head = nn.Linear(9, 3, dtype=kind)
        self.fixed = nn.Parameter(torch.full((9,), 0.5, dtype=kind), requires_grad=False)
        self.gain = nn.Parameter(torch.ones(1, dtype=kind))
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 9, dtype=kind))
        generator = torch.Generator().manual_seed(2)
        for tensor in self.parameters():
            if tensor.requires_grad:
                nn.init.normal_(tensor, std=0.4, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.first(inputs) * self.scale + self.fixed
        for layer in self.layers:
            found = found + self.gain * torch.tanh(layer(found))
        return self.head(found)


class Run(NamedTuple):
    objective: Objective
    settings: Ascend


def points(run: Run, count: int = 22) -> Rows:
    """Batches of 7: 4 and 3 rows for two processes, and in the last batch one and none."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    weights = torch.rand(count, generator=generator, dtype=torch.float64) + 0.1
    kind = run.objective.network.module.first.weight.dtype
    return make_rows(inputs.to(kind), inputs[:, :3].argmax(dim=1), weights=weights.to(kind))


def objective() -> Objective:
    return Objective(Network(Layered(), "head"), categorical, mean)


def runs() -> dict[str, Run]:
    adam = Ascend(epochs=3, batch=7, weight_decay=0.1, rate=0.01)
    return {
        "adam": Run(objective(), adam),
        "sgd": Run(objective(), replace(adam, optimiser="sgd", rate=0.05, momentum=0.9, mixup=0.5)),
    }


def whole(run: Run, blocks: int | None = None) -> Draws:
    return ascend(run.objective, points(run), parameters_of(run.objective.network), 1, run.settings, blocks=blocks)


def spread(run: Run, together: Together, folder: Path, **others: object) -> Reached:
    start = parameters_of(run.objective.network)
    before = {name: tensor.clone() for name, tensor in start.items()}
    given = {"save_every": SAVED} | others
    found = ascend_sharded(run.objective, points(run), start, 1, run.settings, together, folder=folder, **given)  # type: ignore[arg-type]
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.items())
    return found


def halved() -> Run:
    """In float32, so that it can be computed in bfloat16."""
    run = runs()["adam"]
    network = replace(run.objective.network, module=run.objective.network.module.float())
    return run._replace(objective=replace(run.objective, network=network))


class Broken(Exception):
    pass


def breaking(what: str, done: int, of: int) -> None:
    if done == KILLED_AT:
        raise Broken


def dying(what: str, done: int, of: int) -> None:
    """The first time, this process is killed as by the system; later it says where the run went on."""
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        if done == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        with Path(sys.argv[1], "went_on").open("a") as said:
            said.write(f"{done} ")


def work(folder: Path) -> None:
    """What each process that torchrun starts does."""
    torch.set_num_threads(1)
    said: dict[str, object] = {}
    with joined() as together:
        if together.processes == 2:
            spread(runs()["adam"], together, folder / "killed", progress=dying)
            spread(runs()["adam"], together, folder / "begun_by_one")
        for name, run in runs().items():
            reached = spread(run, together, folder / name)
            said[name] = [reached.steps, *reached.losses]
        spread(halved(), together, folder / "bfloat16", precision="bfloat16")
        run = runs()["sgd"]
        try:
            spread(run, together, folder / ("sgd" if together.rank else "not_there"))
        except InputError as error:
            said["folder"] = str(error)
        try:
            spread(run._replace(settings=replace(run.settings, rate=1e300)), together, folder / "burst")
        except InputError as error:
            said["burst"] = [str(error), (folder / "burst").exists()]
    (folder / f"said-{together.rank}.json").write_text(json.dumps(said))


def launch(processes: int, folder: Path) -> list[dict[str, list[float]]]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "1"]
    told = subprocess.run(
        [*command, "--nproc-per-node", str(processes), __file__, str(folder)],
        capture_output=True, text=True, timeout=240, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return [json.loads((folder / f"said-{rank}.json").read_text()) for rank in range(processes)]


class Worked(NamedTuple):
    folder: Path
    said: list[dict[str, list[float]]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    folder = tmp_path_factory.mktemp("two")
    with pytest.raises(Broken):
        spread(runs()["adam"], ALONE, folder / "begun_by_one", progress=breaking)
    return Worked(folder, launch(2, folder))


def assert_equal(found: Parameters, wanted: Parameters) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def assert_close(found: Parameters, wanted: Parameters) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], **CLOSE, msg=name)


def assert_as_blocks(folder: Path, said: list[dict[str, list[float]]], processes: int) -> None:
    for name, run in runs().items():
        alone = whole(run, blocks=processes)
        assert_equal(read_whole(folder / name), alone.point())
        assert_close(alone.point(), whole(run).point())
        curve = [finding.value for finding in alone.diagnostics if finding.slice.startswith("epoch")]
        assert [each[name] for each in said] == [[12, *curve]] * processes


def test_two_shares_are_trained_to_the_bits_of_a_whole(two: Worked) -> None:
    assert_as_blocks(two.folder, two.said, 2)


def test_a_killed_process_is_started_again_and_ends_with_the_same_bits(two: Worked) -> None:
    assert (two.folder / "went_on").read_text().split() == [str(step) for step in range(7, 13)]
    assert_equal(read_whole(two.folder / "killed"), read_whole(two.folder / "adam"))
    kept, other = newest_shards(two.folder / "killed"), newest_shards(two.folder / "adam")
    assert kept is not None
    assert other is not None
    assert (kept.told, kept.step) == (other.told, other.step)
    assert [place.name for place in (two.folder / "killed").iterdir()] == ["step-00000012"]


def test_no_process_holds_more_than_its_share(two: Worked) -> None:
    kept = two.folder / "adam" / "step-00000012"
    parts = [read_tensors(kept / f"{rank}-of-2.safetensors") for rank in range(2)]
    shapes = [tuple(part["parameter/layers.0.weight"].shape) for part in parts]
    assert shapes == [(5, 9), (4, 9)]
    assert [tuple(part["optimiser/layers.0.weight/exp_avg"].shape) for part in parts] == shapes
    assert [len(part["parameter/head.weight"]) for part in parts] == [2, 1]
    assert ["parameter/scale" in part for part in parts] == [True, False]
    assert not list(kept.glob("*.metadata"))


def test_another_number_of_processes_goes_on(two: Worked, tmp_path: Path) -> None:
    run = runs()["adam"]
    assert_close(read_whole(two.folder / "begun_by_one"), whole(run).point())
    begun = tmp_path / "begun_by_two"
    kept = newest_shards(two.folder / "adam")
    assert kept is not None
    longer = run._replace(settings=replace(run.settings, epochs=3))
    # The shares of two, read by one, are the numbers that two had: written again by one they are the same.
    tensors: dict[str, Tensor] = {}
    for name in kept.tensors:
        kind = torch.float32 if name.endswith("/step") else torch.float64
        tensors[name] = torch.zeros(kept.shape(name), dtype=kind)
        kept.fill(tensors[name], name)
    save_shards(begun, kept.run, kept.step, tensors, kept.told, ALONE)
    assert_equal(read_whole(begun), read_whole(two.folder / "adam"))
    assert spread(longer, ALONE, begun).losses == tuple(two.said[0]["adam"][1:])


def test_bfloat16_is_near_float32_and_not_it(two: Worked, tmp_path: Path) -> None:
    plain, half = whole(halved()).point(), read_whole(two.folder / "bfloat16")
    assert all(tensor.dtype == torch.float32 for tensor in half.values())
    apart = max(float((tensor - plain[name]).abs().max()) for name, tensor in half.items())
    assert 1e-6 < apart < 0.05
    spread(halved(), ALONE, tmp_path, precision="bfloat16")
    for name, tensor in read_whole(tmp_path).items():
        torch.testing.assert_close(half[name], tensor, atol=0.05, rtol=0)


def test_every_process_refuses_alike(two: Worked) -> None:
    for said in two.said:
        assert "it has another objective, seed, start, rows, settings, precision or folder" in str(said["folder"])
        assert "The training loss became nan at step" in str(said["burst"]) or "inf at step" in str(said["burst"])
        assert said["burst"][1] is False


def test_a_run_that_breaks_off_goes_on_alone(tmp_path: Path) -> None:
    run = runs()["sgd"]
    with pytest.raises(Broken):
        spread(run, ALONE, tmp_path, progress=breaking)
    seen: list[int] = []
    reached = spread(run, ALONE, tmp_path, progress=lambda what, done, of: seen.append(done))
    assert seen == list(range(7, 13))
    assert_equal(read_whole(tmp_path), whole(run, blocks=1).point())
    assert spread(run, ALONE, tmp_path) == reached


def test_one_process_that_joined_leaves_the_start_alone(tmp_path: Path) -> None:
    run = runs()["adam"]
    with joined(rank=0, processes=1, meeting=f"file://{tmp_path}/meeting") as together:
        spread(run, together, tmp_path / "run")
    assert_equal(read_whole(tmp_path / "run"), whole(run, blocks=1).point())


def test_an_unfinished_step_is_not_there_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole checkpoint"):
        read_whole(tmp_path)
    tensors = {"parameter/weight": torch.arange(6.0).view(3, 2)}
    save_shards(tmp_path, "run", 3, tensors, None, ALONE)
    write_tensors(tmp_path / "step-00000004" / "0-of-1.safetensors", {"parameter/weight": torch.zeros(3, 2)})
    kept = newest_shards(tmp_path, "run")
    assert kept is not None
    assert kept.step == 3
    assert_equal(read_whole(tmp_path), {"weight": tensors["parameter/weight"]})
    with pytest.raises(InputError, match=r"holds \[3, 2\] as parameter/weight, and \[2, 2\] is expected"):
        kept.fill(torch.zeros(2, 2), "parameter/weight")
    with pytest.raises(InputError, match="belongs to a run with another objective"):
        newest_shards(tmp_path, "another")
    part = tmp_path / "step-00000003" / "0-of-1.safetensors"
    part.write_bytes(part.read_bytes()[:-4])
    with pytest.raises(InputError, match="is not readable"):
        read_whole(tmp_path)
    index = part.parent / "index.json"
    index.write_text(index.read_text().replace("0-of-1", "../0-of-1"))
    with pytest.raises(InputError, match="which is not in it"):
        read_whole(tmp_path)
    index.write_text('{"format": 1}')
    with pytest.raises(InputError, match="is no index of this version"):
        newest_shards(tmp_path)


def test_layers_that_share_tensors_are_held_together() -> None:
    module = Layered()
    assert layers_of(module) == [module.layers[0], module.layers[1]]


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    run = runs()["adam"]

    def refused(message: str, run: Run = run, **others: object) -> None:
        with pytest.raises(InputError, match=message):
            spread(run, ALONE, tmp_path, **others)

    posterior = Posterior(run.objective.network, categorical, Gaussian(1.0))
    refused("A prior or a regulariser reads the whole network", run._replace(objective=posterior))  # type: ignore[arg-type]
    refused("is no sum over its rows", run._replace(objective=replace(run.objective, pool=worst_group)))
    lbfgs = Ascend(optimiser="lbfgs", schedule="constant", rate=1.0)
    refused("L-BFGS keeps many gradients", run._replace(settings=lbfgs))
    refused("save_every is 0", save_every=0)
    refused("bfloat16 is for products of a network in float32, and this one is in float64", precision="bfloat16")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_three_shares_are_trained_to_the_bits_of_a_whole(tmp_path: Path) -> None:
    assert_as_blocks(tmp_path, launch(3, tmp_path), 3)


if __name__ == "__main__":
    work(Path(sys.argv[1]))

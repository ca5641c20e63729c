"""Writing chains: every draw once and in order, whatever the shard size, and none from after the last checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inference.chains.chains import Chains, Shard, load_chains, seal_chains
from surefoot.inference.chains.writer import ChainWriter

CHAINS, DRAW_BYTES = 2, 2 * (3 * 4 + 8)  # two chains of three float32 and one float64
FINDING = Finding("acceptance", 0.8, None, 10, 2, "proportion", "all", "none", "hmc", "fit")


def draw(number: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A draw whose every number tells which draw, chain and place it is."""
    place = torch.arange(3).float() + 10 * torch.arange(CHAINS).float()[:, None] + 100 * number
    parameters = {"weight": place, "bias": torch.full((CHAINS,), number, dtype=torch.float64)}
    return parameters, {"energy": torch.arange(CHAINS).double() - number}


def write(writer: ChainWriter, first: int, last: int) -> None:
    for number in range(first, last):
        writer.append(*draw(number))


def finish(writer: ChainWriter) -> Chains:
    return writer.finish(diagnostics=(FINDING,), seen=frozenset({"b", "a"}))


def check(chains: Chains, draws: int) -> None:
    assert (chains.chains, chains.draws) == (CHAINS, draws)
    assert chains.seen == frozenset({"a", "b"})
    assert chains.diagnostics == (FINDING,)
    points = list(chains.points())
    assert len(points) == draws * CHAINS
    for at, point in enumerate(points):
        number, chain = divmod(at, CHAINS)
        parameters, _ = draw(number)
        assert point.keys() == parameters.keys()
        assert all(torch.equal(point[name], parameters[name][chain]) for name in point)
        assert point["bias"].dtype == torch.float64
    expected = torch.stack([draw(number)[1]["energy"] for number in range(draws)])
    assert torch.equal(chains.statistics()["energy"], expected)
    joined = chains.as_draws()
    assert torch.equal(joined.parameters["weight"], torch.cat([draw(number)[0]["weight"] for number in range(draws)]))


@pytest.mark.parametrize(("shard_bytes", "shards"), [(1, 7), (2 * DRAW_BYTES, 4), (3 * DRAW_BYTES, 3), (10**6, 1)])
def test_draws_come_back_in_order_from_shards_of_any_size(shard_bytes: int, shards: int, tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS, shard_bytes=shard_bytes)
    assert writer.state is None
    write(writer, 0, 7)
    finished = finish(writer)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["chains.json", *(f"shard-{number:05d}.safetensors" for number in range(shards))]
    check(finished, 7)
    check(load_chains(tmp_path), 7)


def test_chains_in_memory_are_the_same(tmp_path: Path) -> None:
    """In shards too: joining all draws in the end would hold every draw twice."""
    writer = ChainWriter(None, "run", chains=CHAINS, shard_bytes=3 * DRAW_BYTES)
    write(writer, 0, 7)
    writer.checkpoint({"ignored": 1})
    chains = finish(writer)
    check(chains, 7)
    assert [shard.draws for shard in chains.shards if isinstance(shard, Shard)] == [3, 3, 1]
    with pytest.raises(InputError, match="Some shards of these chains are not in"):
        seal_chains(tmp_path, chains)


@pytest.mark.parametrize("shard_bytes", [1, 2 * DRAW_BYTES, 10**6])
@pytest.mark.parametrize(("saved", "lost"), [(0, 0), (0, 3), (1, 0), (3, 0), (3, 2), (4, 3)])
def test_what_came_before_the_checkpoint_is_kept_and_what_came_after_is_drawn_anew(
    shard_bytes: int, saved: int, lost: int, tmp_path: Path
) -> None:
    """The draws lost in the kill are written as other numbers than the ones drawn anew, so mixing shows."""
    writer = ChainWriter(tmp_path, "run", chains=CHAINS, shard_bytes=shard_bytes)
    write(writer, 0, saved)
    writer.checkpoint({"iteration": saved, "position": torch.ones(2)})
    write(writer, 50, 50 + lost)
    resumed = ChainWriter(tmp_path, "run", chains=CHAINS, shard_bytes=shard_bytes)
    assert resumed.kept == saved
    assert resumed.state["iteration"] == saved
    assert torch.equal(resumed.state["position"], torch.ones(2))
    write(resumed, saved, 7)
    check(finish(resumed), 7)
    check(load_chains(tmp_path), 7)
    assert not (tmp_path / "unfinished.safetensors").exists()


def test_a_copy_is_kept_of_each_draw() -> None:
    writer = ChainWriter(None, "run", chains=CHAINS)
    position = {"weight": torch.zeros(CHAINS, 3)}
    for number in range(3):
        position["weight"].fill_(number)
        writer.append(position, {})
    chains = writer.finish(diagnostics=(), seen=frozenset())
    assert chains.as_draws().parameters["weight"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert chains.statistics() == {}


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS)
    write(writer, 0, 2)
    writer.checkpoint(None)
    with pytest.raises(InputError, match="belongs to a run with another objective"):
        ChainWriter(tmp_path, "other run", chains=CHAINS)


def test_a_finished_folder_is_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS)
    write(writer, 0, 2)
    finish(writer)
    with pytest.raises(InputError, match="holds finished chains; load them, or sample into another folder"):
        ChainWriter(tmp_path, "run", chains=CHAINS)


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_shard_is_refused_unfinished_and_finished(damage: str, tmp_path: Path) -> None:
    for finished in (False, True):
        folder = tmp_path / str(finished)
        writer = ChainWriter(folder, "run", chains=CHAINS, shard_bytes=2 * DRAW_BYTES)
        write(writer, 0, 5)
        if finished:
            finish(writer)
        else:
            writer.checkpoint(None)
        shard = folder / "shard-00001.safetensors"
        content = shard.read_bytes()
        if damage == "cut":
            shard.write_bytes(content[:-1])
        elif damage == "gone":
            shard.unlink()
        else:
            shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        if finished:
            with pytest.raises(InputError, match=r"shard-00001.safetensors is not the file that chains.json describes"):
                load_chains(folder)
        else:
            words = r"shard-00001.safetensors is not the file that the checkpoint describes"
            with pytest.raises(InputError, match=words):
                ChainWriter(folder, "run", chains=CHAINS)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS)
    write(writer, 0, 2)
    writer.checkpoint(None)
    file = tmp_path / "unfinished.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match="is not a readable checkpoint"):
        ChainWriter(tmp_path, "run", chains=CHAINS)


def test_unfinished_or_empty_chains_are_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS)
    with pytest.raises(InputError, match="No draw was kept"):
        finish(writer)
    write(writer, 0, 1)
    writer.checkpoint(None)
    with pytest.raises(InputError, match="holds no finished chains"):
        load_chains(tmp_path)
    with pytest.raises(InputError, match="weight has 3 chains, and 2 are being written"):
        writer.append({"weight": torch.zeros(3, 3)}, {})


def test_the_record_names_every_shard(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, "run", chains=CHAINS, shard_bytes=1)
    write(writer, 0, 3)
    finish(writer)
    record = json.loads((tmp_path / "chains.json").read_text())
    assert list(record["shards"]) == [f"shard-{number:05d}.safetensors" for number in range(3)]
    assert record["seen"] == ["a", "b"]

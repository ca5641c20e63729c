"""Predict with many draws: draws and rows stream by, and running sums are all that is held.

Draws come a few at a time, in the order of `Chains.points`, and each batch of rows is read once for all of these. The
sums of a row only depend on the order of the draws, so the same numbers come out however many are taken at a time.

In a folder a prediction survives a kill: the sums are written every few draws to `predicting.safetensors`, and the next
call goes on from there. When it is done the folder holds `predictive.safetensors`, if every draw is kept the shards
`draws-00000.safetensors`, …, and `predictive.json`, written last.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_tensor, read_json, read_tensors, write_json, write_tensors
from surefoot.inference.chains.chains import Chains
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.inference.draws import Draws
from surefoot.inference.predict.normal import (
    Normal,
    NormalPredictive,
    add_moments,
    empty_normal_tally,
    moments_of,
    normal_predictive_of,
)
from surefoot.inference.predict.predictive import Categorical, Predictive, add_outputs, empty_tally, predictive_of
from surefoot.inference.predict.running import Runner, as_chains, make_runner, prepare, run
from surefoot.memory import require_memory
from surefoot.networks.network import Network, Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Inputs

__all__ = ["kept_draws", "predict"]

TOGETHER = 8
EVERY = 16
"""Draws that are taken together, and draws between two checkpoints."""
KEPT_BYTES = 64 * 2**20
"""A shard of kept draws is no larger, unless a single draw is."""
RECORD = "predictive.json"
SUMS = "predictive.safetensors"
UNFINISHED = "predicting.safetensors"


@overload
def predict(
    network: Network,
    chains: Chains | Draws,
    inputs: Inputs,
    family: Literal["categorical"] | Categorical = "categorical",
    *,
    fixed: Parameters | None = None,
    batch: int = 512,
    folder: Path | None = None,
    keep: Literal["mean", "draws"] = "mean",
    progress: Progress = silent,
    device: str = "cpu",
) -> Predictive: ...


@overload
def predict(
    network: Network,
    chains: Chains | Draws,
    inputs: Inputs,
    family: Normal,
    *,
    fixed: Parameters | None = None,
    batch: int = 512,
    folder: Path | None = None,
    keep: Literal["mean", "draws"] = "mean",
    progress: Progress = silent,
    device: str = "cpu",
) -> NormalPredictive: ...


def predict(
    network: Network,
    chains: Chains | Draws,
    inputs: Inputs,
    family: Literal["categorical"] | Categorical | Normal = "categorical",
    *,
    fixed: Parameters | None = None,
    batch: int = 512,
    folder: Path | None = None,
    keep: Literal["mean", "draws"] = "mean",
    progress: Progress = silent,
    device: str = "cpu",
) -> Predictive | NormalPredictive:
    """What all draws, each of equal weight, say together about `inputs`; see `predictive` and `normal` for equations.

    Every draw counts, repeated ones too: a chain that stayed where it was has said so twice (leaving rejected
    proposals out, as published code has done, is a biased average).

    family: `Categorical(logit_temperature)` for logits of classes, or a `Normal` that says how outputs are read as
    means and deviations; "categorical" is `Categorical()`. Chains know neither: give what their posterior had.
    fixed: the tensors that were not sampled (frozen parameters, buffers), wherever the draws lack some; a whole trained
    point will do. The network's own are never taken in silence.
    batch: rows a step. folder: where it survives a kill, and where a finished prediction is found again.
    keep: "draws" writes every draw's probabilities (or means and deviations) in float32 there, for `kept_draws`.
    progress: told of "predicting", in draws. device: where the network runs; sums are kept on the CPU, in float64.

    Raises `InputError` when there are no rows or draws, the draws are of another network, lack a tensor that `fixed`
    lacks too, or predict NaN, the folder holds another prediction, or draws are to be kept without a folder.

    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.Linear(1, 2, bias=False)), "0")
    >>> draws = Draws({"0.weight": torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]]]).log1p()}, (), frozenset())
    >>> made = predict(network, draws, torch.ones(1, 1))
    >>> [round(float(each), 4) for each in made.probabilities[0]], made.draws
    ([0.5833, 0.4167], 2)
    """
    draws = as_chains(chains)
    if batch < 1:
        raise InputError(f"batch is {batch}; give at least one row a step.")
    if keep == "draws" and folder is None:
        raise InputError('Every draw is to be kept, and there is no folder for them; give one, or keep="mean".')
    runner = make_runner(network, inputs, device, fixed)
    told = Categorical() if family == "categorical" else family
    way = _way(runner, draws, inputs, told, keep)
    total = draws.chains * draws.draws
    identified = "" if folder is None else _identity(runner, draws, inputs, told, batch, keep)
    done, shards = 0, list[list[str]]()
    if folder is not None:
        if (folder / RECORD).exists():
            return _finished(folder, identified, way, total)
        done, shards = _resumed(folder, identified, way)

    points = islice(draws.points(), done, None)
    checkpointed = done
    while group := [prepare(runner, point) for point in islice(points, way.together)]:
        kept = _add_group(runner, way, group, inputs, batch, done, draws.chains, keep == "draws")
        done += len(group)
        if folder is not None and keep == "draws":
            name = f"draws-{len(shards):05d}.safetensors"
            write_tensors(folder / name, kept)
            shards.append([name, digest_file(folder / name)])
        if folder is not None and (done - checkpointed >= EVERY or done == total):
            save_checkpoint(folder / UNFINISHED, identified, {"done": done, "shards": shards, "tally": dict(way.tally)})
            checkpointed = done
        progress("predicting", done, total)

    if folder is not None:
        write_tensors(folder / SUMS, way.tally)
        record = {"run": identified, "draws": total, "shards": shards, "sums": digest_file(folder / SUMS)}
        write_json(folder / RECORD, record)
        (folder / UNFINISHED).unlink(missing_ok=True)
    return way.finish(total)


def kept_draws(folder: Path) -> Iterator[dict[str, Tensor]]:
    """What single draws predicted, shard after shard, in the order of `Chains.points`.

    "probabilities" `[draws, rows, classes]`, or "mean" and "deviation" `[draws, rows, targets]`; float32.
    Raises `InputError` when the folder's prediction is unfinished, damaged, or did not keep its draws.
    """
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} holds no finished prediction ({RECORD} is missing); predict into it first.")
    shards = read_json(folder / RECORD)["shards"]
    if not shards:
        raise InputError(f'The prediction in {folder} did not keep its draws; predict anew with keep="draws".')
    for name, digest in shards:
        _check_digest(folder / name, digest)
        yield read_tensors(folder / name)


@dataclass(frozen=True)
class _Way:
    """How outputs are added up: running sums by name, what adds to them, and what they come to.

    add: rows, outputs and the number of the draw (from 1) → what is kept of the draw. together: draws at a time.
    """

    tally: dict[str, Tensor]
    add: Callable[[slice, Tensor, int], dict[str, Tensor]]
    finish: Callable[[int], Predictive | NormalPredictive]
    together: int


def _way(
    runner: Runner,
    draws: Chains,
    inputs: Inputs,
    family: Categorical | Normal,
    keep: Literal["mean", "draws"],
) -> _Way:
    first = run(runner, prepare(runner, next(draws.points())), inputs[:1], "The first draw")
    width = first.shape[1] if isinstance(family, Categorical) else moments_of(family, first).mean.shape[1]
    numbers = len(inputs) * width
    # Three sums in float64, and the averages that are made of them.
    require_memory(6 * 8 * numbers, f"Predicting {len(inputs)} rows")
    together = TOGETHER
    if keep == "draws":
        together = max(1, min(TOGETHER, KEPT_BYTES // (4 * numbers * (1 if isinstance(family, Categorical) else 2))))
    if isinstance(family, Categorical):
        tally = empty_tally(len(inputs), width)

        def add(rows: slice, outputs: Tensor, number: int) -> dict[str, Tensor]:
            return {"probabilities": add_outputs(tally, rows, family.logits(outputs)).exp()}

        return _Way(tally.tensors(), add, lambda count: predictive_of(tally, count), together)
    targets = family.targets
    sums = empty_normal_tally(len(inputs), width)
    if targets is not None and len(targets) != len(inputs):
        raise InputError(f"There are {len(inputs)} rows and {len(targets)} targets; give one per row.")

    def add_normal(rows: slice, outputs: Tensor, number: int) -> dict[str, Tensor]:
        moments = moments_of(family, outputs)
        add_moments(sums, rows, moments, targets, number)
        return moments._asdict()

    def finish(count: int) -> NormalPredictive:
        return normal_predictive_of(sums, count, with_targets=targets is not None)

    return _Way(sums.tensors(), add_normal, finish, together)


def _add_group(
    runner: Runner, way: _Way, group: list[Parameters], inputs: Inputs, batch: int, done: int, chains: int, keep: bool
) -> dict[str, Tensor]:
    """Add some draws for all rows; returns what is kept of each, `[draws, rows, …]`, if anything is to be kept."""
    kept: dict[str, Tensor] = {}
    for start in range(0, len(inputs), batch):
        rows = slice(start, min(start + batch, len(inputs)))
        some = inputs[rows]
        for place, parameters in enumerate(group):
            draw, chain = divmod(done + place, chains)
            where = f"Draw {draw + 1} of chain {chain + 1}, in rows {rows.start} to {rows.stop - 1},"
            said_of_draw = way.add(rows, run(runner, parameters, some, where), done + place + 1)
            for name, said in said_of_draw.items() if keep else ():
                if name not in kept:
                    kept[name] = torch.empty(len(group), len(inputs), *said.shape[1:])
                kept[name][place, rows] = said.to(torch.float32)
    return kept


def _resumed(folder: Path, identified: str, way: _Way) -> tuple[int, list[list[str]]]:
    """Draws that were added before, and the shards of them; fills the running sums."""
    saved: Any = load_checkpoint(folder / UNFINISHED, identified)
    if saved is None:
        return 0, []
    for name, digest in saved["shards"]:
        _check_digest(folder / name, digest)
    for name, tensor in saved["tally"].items():
        way.tally[name].copy_(tensor)
    return saved["done"], saved["shards"]


def _finished(folder: Path, identified: str, way: _Way, total: int) -> Predictive | NormalPredictive:
    record = read_json(folder / RECORD)
    if record["run"] != identified:
        raise InputError(
            f"{folder} holds a prediction of other draws, rows or settings; predict into a folder of its own."
        )
    _check_digest(folder / SUMS, record["sums"])
    for name, tensor in read_tensors(folder / SUMS).items():
        way.tally[name].copy_(tensor)
    return way.finish(total)


def _check_digest(path: Path, digest: str) -> None:
    if not path.exists() or digest_file(path) != digest:
        raise InputError(f"{path} is not the file that was written there; predict anew into another folder.")


def _identity(
    runner: Runner,
    draws: Chains,
    inputs: Inputs,
    family: Categorical | Normal,
    batch: int,
    keep: Literal["mean", "draws"],
) -> str:
    shards = [digest_file(each) if isinstance(each, Path) else dict(each.parameters) for each in draws.shards]
    seen = digest_tensor(inputs) if isinstance(inputs, Tensor) else input_digests(inputs)
    made_of = (runner.network.module, runner.network.head, runner.fixed, runner.device)
    return identity(*made_of, shards, seen, family, batch, keep)

"""Checkpoints of tensors that lie in pieces on several processes: each writes its own, any number of them read.

    folder/step-00000040/0-of-2.safetensors     rows of every tensor that process 0 holds, and what all hold alike
    folder/step-00000040/1-of-2.safetensors
    folder/step-00000040/index.json             written last: whose run it is, what it told, where each row lies

A step without an index was never finished and counts as not there. Older steps are deleted once a newer one is whole,
so that a process that is killed at any moment leaves one to go on from. Tensors are cut along their first dimension;
whoever reads takes the rows that it holds, from as many files as they lie in. All processes need to see one folder.

Records are JSON and tensors are safetensors. `torch.distributed.checkpoint` cuts alike, but pickles what it says of the
pieces (its `.metadata`), and nothing is ever unpickled here.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.tensor import DTensor

from surefoot.errors import InputError
from surefoot.files import read_json, write_json, write_tensors
from surefoot.inference.together import Together, check_alike
from surefoot.networks.network import Parameters

__all__ = ["Shards", "local_of", "newest_shards", "read_whole", "rows_held", "save_shards"]

INDEX, FORMAT = "index.json", 1
KEPT = {"run", "step", "told", "tensors"}
PARAMETER = "parameter/"
"""What the names of a model's own tensors begin with, beside those of its optimiser."""
STEP = re.compile(r"step-(\d{8,})")
SEEN = "each wrote its part of a checkpoint; give all processes the same folder."


@dataclass(frozen=True)
class Shards:
    """A whole checkpoint. told: what was given to be kept with it; tensors: shape, and pieces of rows, by name."""

    folder: Path
    run: str
    step: int
    told: Any
    tensors: Mapping[str, Any]

    def shape(self, name: str) -> tuple[int, ...]:
        """The whole tensor's."""
        return tuple(self.tensors[name]["shape"])

    def fill(self, tensor: Tensor, name: str) -> None:
        """Put the rows that `tensor` holds on this process into it. Raises `InputError` where they are not there."""
        if name not in self.tensors or self.shape(name) != tuple(tensor.shape):
            kept = list(self.shape(name)) if name in self.tensors else "nothing"
            raise InputError(
                f"The checkpoint {self.folder} holds {kept} as {name}, and {list(tensor.shape)} is expected; delete it "
                "to start anew."
            )
        held, local = rows_held(tensor), local_of(tensor)
        for file, first, count in self.tensors[name]["pieces"]:
            with torch.no_grad(), self._opened(file) as opened:
                if held is None and count is None:
                    local.copy_(opened.get_tensor(name))
                    continue
                mine = range(tensor.shape[0]) if held is None else held
                there = range(tensor.shape[0]) if count is None else range(first, first + count)
                low, high = max(mine.start, there.start), min(mine.stop, there.stop)
                if low < high:
                    part = opened.get_slice(name)[low - there.start : high - there.start]
                    local[low - mine.start : high - mine.start] = part.to(local.device)

    def _opened(self, file: str) -> Any:
        if Path(file).name != file:
            raise InputError(f"The index of {self.folder} names the file {file}, which is not in it; do not use it.")
        try:
            return safe_open(self.folder / file, "pt")
        except (SafetensorError, OSError) as error:
            raise InputError(f"{self.folder / file} is not readable ({error}); delete {self.folder}.") from None


def save_shards(
    folder: Path, run: str, step: int, tensors: Mapping[str, Tensor], told: Any, together: Together
) -> None:
    """Write what every process holds of `tensors` as the checkpoint of `run` at this step; all of them must call it.

    told: plain values to keep with it, the same in all processes. Raises `InputError` where the folder cannot be
    written, or is not one that all processes see.
    """
    place = folder / f"step-{step:08d}"
    own: dict[str, Tensor] = {}
    pieces: dict[str, Any] = {}
    for name, tensor in tensors.items():
        held, local = rows_held(tensor), local_of(tensor)
        if held is None and together.rank == 0:
            own[name], pieces[name] = local.clone(), [None, None]
        elif held is not None and len(held):
            own[name], pieces[name] = local, [held.start, len(held)]
    said = {"run": run, "step": step, "pieces": pieces}
    write_tensors(place / _name(together.rank, together), own, {"shards": json.dumps(said)})
    _wait(together, run, step)
    if together.rank == 0:
        _write_index(place, said, tensors, told, together)
        for other in _steps(folder):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
    _wait(together, run, step)


def newest_shards(folder: Path, run: str | None = None) -> Shards | None:
    """The newest whole checkpoint in `folder`, or None.

    Raises `InputError` where it is damaged, of another format, or of another run than `run`.
    """
    whole = [place for place in _steps(folder) if (place / INDEX).is_file()]
    if not whole:
        return None
    said = read_json(whole[-1] / INDEX)
    if not isinstance(said, dict) or said.get("format") != FORMAT or not KEPT.issubset(said):
        raise InputError(f"{whole[-1] / INDEX} is no index of this version; delete {whole[-1]} to start anew.")
    if run is not None and said["run"] != run:
        raise InputError(
            f"The checkpoint {whole[-1]} belongs to a run with another objective, other settings, precision, seed, "
            "rows or start; delete it, or give this run a folder of its own."
        )
    return Shards(whole[-1], said["run"], said["step"], said["told"], said["tensors"])


def read_whole(folder: Path) -> Parameters:
    """The model's tensors in the newest checkpoint, put together, in the memory of this one process.

    Raises `InputError` where there is none.
    """
    kept = newest_shards(folder)
    if kept is None:
        raise InputError(f"There is no whole checkpoint in {folder}; check the path, or train first.")
    found: Parameters = {}
    for name, said in kept.tensors.items():
        if name.startswith(PARAMETER):
            found[name.removeprefix(PARAMETER)] = torch.empty(said["shape"], dtype=getattr(torch, said["dtype"]))
            kept.fill(found[name.removeprefix(PARAMETER)], name)
    return found


def rows_held(tensor: Tensor) -> range | None:
    """The rows of the whole tensor that lie here; None where all of it does."""
    if not isinstance(tensor, DTensor):
        return None
    mesh, rows = tensor.device_mesh, tensor.shape[0]
    most = -(-rows // mesh.size())  # as torch cuts: equal pieces, and less or nothing for the last
    first = min(mesh.get_local_rank() * most, rows)
    held = range(first, min(first + most, rows))
    assert len(held) == len(tensor.to_local()), (held, tensor.placements)
    return held


def local_of(tensor: Tensor) -> Tensor:
    """What of it lies here; not a copy."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach()


def _write_index(
    place: Path, said: Mapping[str, Any], kept: Mapping[str, Tensor], told: Any, together: Together
) -> None:
    tensors: dict[str, Any] = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."), "pieces": []}
        for name, tensor in kept.items()
    }
    for rank in range(together.processes):
        file = _name(rank, together)
        try:
            with safe_open(place / file, "pt") as opened:
                theirs = json.loads(opened.metadata()["shards"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(f"Process 0 cannot read {place / file} ({error}): {SEEN}") from None
        if (theirs["run"], theirs["step"]) != (said["run"], said["step"]):
            raise InputError(f"{place / file} is of another run; give this run a folder of its own.")
        for name, piece in theirs["pieces"].items():
            tensors[name]["pieces"].append([file, *piece])
    index = {"format": FORMAT, "run": said["run"], "step": said["step"], "told": told, "tensors": tensors}
    write_json(place / INDEX, index)


def _name(rank: int, together: Together) -> str:
    return f"{rank}-of-{together.processes}.safetensors"


def _steps(folder: Path) -> list[Path]:
    """Folders of steps, finished or not, oldest first."""
    found = [place for place in folder.glob("step-*") if STEP.fullmatch(place.name)]
    return sorted(found, key=lambda place: int(place.name.removeprefix("step-")))


def _wait(together: Together, run: str, step: int) -> None:
    if together.processes > 1:
        check_alike(together, f"{run} {step}", SEEN)

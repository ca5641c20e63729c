"""Writing chains as they are drawn: shards of bounded size, a checkpoint of the sampler, and resumption after a kill.

Draws reach the disk with the checkpoint that follows them. So a killed run resumes at its last checkpoint, with the
draws that came before it and none after, and goes on exactly as if nothing had happened.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, write_tensors
from surefoot.findings.finding import Finding
from surefoot.inference.chains.chains import RECORD, STATISTIC, Chains, Shard, seal_chains
from surefoot.inference.checkpoint import load_checkpoint, save_checkpoint
from surefoot.networks.network import Parameters

__all__ = ["ChainWriter"]

SHARD_BYTES = 64 * 2**20
UNFINISHED = "unfinished.safetensors"


class ChainWriter:
    """Draws in, chains out.

    folder: where shards go; None keeps them in memory (as shards too: joining all draws at the end would hold them
    twice). run: the run's identity (`checkpoint.identity`), so that no other run resumes this one. chains: how many
    there are. shard_bytes: at most so much is held before it becomes a shard, though never less than one draw of each
    chain.

    state: what the sampler's last checkpoint held, or None at the start. kept: draws that came before it.

    Raises `InputError` when the folder's checkpoint is another run's or damaged, or the folder is finished.
    """

    def __init__(self, folder: Path | None, run: str, *, chains: int, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.run, self.chains, self.shard_bytes = folder, run, chains, shard_bytes
        self.kept = 0
        self.state: Any = None
        self._shards: list[Path | Shard] = []
        self._held: list[tuple[Parameters, dict[str, Tensor]]] = []
        if folder is None:
            return
        if (folder / RECORD).exists():
            raise InputError(f"{folder} holds finished chains; load them, or sample into another folder.")
        saved = load_checkpoint(folder / UNFINISHED, run)
        if saved is not None:
            self._resume(folder, saved)

    def append(self, parameters: Parameters, statistics: Mapping[str, Float[Tensor, "chains"]]) -> None:
        """One draw of every chain: parameters `[chains, …]`, and what the sampler says of it `[chains]`. Copied."""
        draw = {name: tensor.detach().cpu().clone() for name, tensor in parameters.items()}
        for name, tensor in draw.items():
            if len(tensor) != self.chains:
                raise InputError(f"{name} has {len(tensor)} chains, and {self.chains} are being written.")
        self._held.append((draw, {name: value.detach().cpu().clone() for name, value in statistics.items()}))
        self.kept += 1
        if len(self._held) * _bytes(draw) >= self.shard_bytes:
            self._close_shard()

    def checkpoint(self, state: Any) -> None:
        """Make everything so far survive a kill: the draws held, then `state` (see `save_checkpoint`)."""
        if self.folder is None:
            return
        held = None if not self._held else _joined(self._held)
        save_checkpoint(
            self.folder / UNFINISHED,
            self.run,
            {
                "state": state,
                "kept": self.kept,
                "shards": [[path.name, digest_file(path)] for path in self._shards if isinstance(path, Path)],
                "held": None if held is None else _tensors(held),
            },
        )

    def finish(self, *, diagnostics: tuple[Finding, ...], seen: frozenset[str]) -> Chains:
        """The chains; in a folder, complete from now on, and its checkpoint gone."""
        if not self.kept:
            raise InputError("No draw was kept; ask for more draws, or for less burn-in.")
        if self._held:
            self._close_shard()
        chains = Chains(self.chains, self.kept, tuple(self._shards), diagnostics, seen)
        if self.folder is not None:
            seal_chains(self.folder, chains)
            (self.folder / UNFINISHED).unlink(missing_ok=True)
        return chains

    def _close_shard(self) -> None:
        shard = _joined(self._held)
        if self.folder is None:
            self._shards.append(shard)
        else:
            path = self.folder / f"shard-{len(self._shards):05d}.safetensors"
            write_tensors(path, _tensors(shard))
            self._shards.append(path)
        self._held = []

    def _resume(self, folder: Path, saved: dict[str, Any]) -> None:
        for name, digest in saved["shards"]:
            if not (folder / name).exists() or digest_file(folder / name) != digest:
                raise InputError(
                    f"{folder / name} is not the file that the checkpoint describes; start anew elsewhere."
                )
            self._shards.append(folder / name)
        self.state, self.kept = saved["state"], saved["kept"]
        if saved["held"] is not None:
            self._held = _split(saved["held"])


def _bytes(parameters: Parameters) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in parameters.values())


def _joined(held: list[tuple[Parameters, dict[str, Tensor]]]) -> Shard:
    parameters, statistics = held[0]
    return Shard(
        {name: torch.stack([draw[name] for draw, _ in held]) for name in parameters},
        {name: torch.stack([said[name] for _, said in held]) for name in statistics},
    )


def _tensors(shard: Shard) -> Parameters:
    return {**shard.parameters, **{STATISTIC + name: value for name, value in shard.statistics.items()}}


def _split(tensors: Parameters) -> list[tuple[Parameters, dict[str, Tensor]]]:
    draws = len(next(iter(tensors.values())))
    parted: list[tuple[Parameters, dict[str, Tensor]]] = []
    for draw in range(draws):
        values = {name: tensor[draw] for name, tensor in tensors.items()}
        statistics = {
            name.removeprefix(STATISTIC): value for name, value in values.items() if name.startswith(STATISTIC)
        }
        parted.append(({name: value for name, value in values.items() if not name.startswith(STATISTIC)}, statistics))
    return parted

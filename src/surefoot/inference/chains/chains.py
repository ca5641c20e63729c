"""Chains: draws of several chains, in memory or on disk, read one shard at a time.

A folder of chains holds `shard-00000.safetensors`, … (named tensors `[draws, chains, …]` and the statistics of those
draws) and `chains.json`, written last, which names every shard and its digest: a folder with it is complete.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, read_tensors, write_json
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.inference.draws import Draws
from surefoot.networks.network import Parameters

__all__ = ["Chains", "Shard", "load_chains", "read_shard", "seal_chains"]

STATISTIC = "statistic:"  # before the name of a statistic, among a shard's tensors
RECORD = "chains.json"


@dataclass(frozen=True)
class Shard:
    """Some draws that follow one another: parameters `[draws, chains, …]`, statistics `[draws, chains]`."""

    parameters: Parameters
    statistics: Mapping[str, Float[Tensor, "draws chains"]]

    @property
    def draws(self) -> int:
        return len(next(iter(self.parameters.values())))


@dataclass(frozen=True)
class Chains:
    """Draws of `chains` chains, `draws` of each, in order.

    shards: files of a folder, or shards in memory. seen: the sources of every row that shaped the draws.
    diagnostics: what is known of how they were drawn.
    """

    chains: int
    draws: int
    shards: tuple[Path | Shard, ...]
    diagnostics: tuple[Finding, ...]
    seen: frozenset[str]

    def __iter__(self) -> Iterator[Shard]:
        """Shard after shard; only one is held."""
        for shard in self.shards:
            yield shard if isinstance(shard, Shard) else read_shard(shard)

    def points(self) -> Iterator[Parameters]:
        """Every draw of every chain as a network's parameters: draw 0 of all chains, draw 1 of all chains, …"""
        for shard in self:
            for draw in range(shard.draws):
                for chain in range(self.chains):
                    yield {name: tensor[draw, chain] for name, tensor in shard.parameters.items()}

    def statistics(self) -> dict[str, Float[Tensor, "draws chains"]]:
        """What the sampler said of each draw, in float64."""
        parts = [shard.statistics for shard in self]
        if not parts:
            return {}
        return {name: torch.cat([part[name].double() for part in parts]) for name in parts[0]}

    def as_draws(self) -> Draws:
        """All draws of all chains in memory with one leading axis, in the order of `points`."""
        parts = [shard.parameters for shard in self]
        joined = {name: torch.cat([part[name].flatten(0, 1) for part in parts]) for name in parts[0]}
        return Draws(joined, self.diagnostics, self.seen)


def seal_chains(folder: Path, chains: Chains) -> None:
    """Write the record that makes a folder of shards complete."""
    shards = [shard for shard in chains.shards if isinstance(shard, Path)]
    if len(shards) < len(chains.shards) or any(shard.parent != folder for shard in shards):
        raise InputError(f"Some shards of these chains are not in {folder}; write them with a ChainWriter there.")
    write_json(
        folder / RECORD,
        {
            "chains": chains.chains,
            "draws": chains.draws,
            "shards": {shard.name: digest_file(shard) for shard in shards},
            "diagnostics": [finding_to_json(finding) for finding in chains.diagnostics],
            "seen": sorted(chains.seen),
        },
    )


def load_chains(folder: Path) -> Chains:
    """The chains that a folder holds; raises `InputError` when they are unfinished, damaged or incomplete."""
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} holds no finished chains ({RECORD} is missing); finish sampling into it first.")
    record = read_json(folder / RECORD)
    try:
        if not (type(record["chains"]) is int and type(record["draws"]) is int):
            raise TypeError("chains and draws are no whole numbers")
        if not all(isinstance(each, str) for each in record["seen"]):
            raise TypeError("names are no texts")
        for name, digest in record["shards"].items():
            if Path(name).name != name or not (folder / name).is_file() or digest_file(folder / name) != digest:
                raise InputError(f"{folder / name} is not the file that {RECORD} describes; sample these chains anew.")
        return Chains(
            chains=record["chains"],
            draws=record["draws"],
            shards=tuple(folder / name for name in record["shards"]),
            diagnostics=tuple(finding_from_json(finding) for finding in record["diagnostics"]),
            seen=frozenset(record["seen"]),
        )
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{folder / RECORD} is no record of chains ({error}); sample these chains anew.") from None


def read_shard(path: Path) -> Shard:
    """One shard's file."""
    tensors = read_tensors(path)
    return Shard(
        {name: tensor for name, tensor in tensors.items() if not name.startswith(STATISTIC)},
        {name.removeprefix(STATISTIC): tensor for name, tensor in tensors.items() if name.startswith(STATISTIC)},
    )

"""How cells hand values to one another: rows, heads and small records as files in a folder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import Groups, Rows

__all__ = ["load_head", "load_rows", "load_seen", "save_head", "save_rows", "save_seen"]


def save_rows(rows: Rows, folder: Path) -> None:
    """Write rows into `folder`; inputs that were still unread are read here."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "inputs.safetensors", {"inputs": rows.inputs[:]})
    write_tensors(
        folder / "table.safetensors",
        {
            "targets": rows.targets,
            "members": rows.groups.members,
            "weights": rows.weights,
            "clusters": rows.clusters,
        },
    )
    write_json(
        folder / "names.json",
        {
            "classes": list(rows.classes),
            "groups": list(rows.groups.names),
            "ids": rows.ids.tolist(),
            "sources": rows.sources.tolist(),
        },
    )


def load_rows(folder: Path, *, inputs: bool = True) -> Rows:
    """The rows that `save_rows` wrote; without `inputs` they are `[rows, 0]`."""
    table = read_tensors(folder / "table.safetensors")
    names: Any = read_json(folder / "names.json")
    count = len(names["ids"])
    seen: Tensor = read_tensors(folder / "inputs.safetensors")["inputs"] if inputs else torch.zeros(count, 0)
    ways = len(names["sources"][0]) if count else 1
    return Rows(
        inputs=seen,
        targets=table["targets"],
        classes=tuple(names["classes"]),
        groups=Groups(tuple(names["groups"]), table["members"]),
        weights=table["weights"],
        ids=np.array(names["ids"], dtype=np.str_),
        sources=np.array(names["sources"], dtype=np.str_).reshape(count, ways),
        clusters=table["clusters"],
    )


def save_head(head: LinearHead, folder: Path) -> None:
    """Write a linear head into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "head.safetensors", {"weight": head.weight, "bias": head.bias})


def load_head(folder: Path) -> LinearHead:
    """The head that `save_head` wrote."""
    tensors = read_tensors(folder / "head.safetensors")
    return LinearHead(tensors["weight"], tensors["bias"])


def save_seen(seen: frozenset[str], folder: Path) -> None:
    """Write the names of the sources that shaped what lies in `folder`."""
    write_json(folder / "seen.json", sorted(seen))


def load_seen(folder: Path) -> frozenset[str]:
    """The sources that `save_seen` wrote."""
    return frozenset(read_json(folder / "seen.json"))

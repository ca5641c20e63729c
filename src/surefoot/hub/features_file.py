"""Rows with their features as one file that every other command reads."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import write_tensors
from surefoot.rows.reading import UNLABELLED
from surefoot.rows.rows import Rows

__all__ = ["write_features"]


def write_features(path: Path, rows: Rows, split: Sequence[str] | None, told: Sequence[str] = ()) -> None:
    """Write inputs, targets, classes, groups, split, ids, sources and clusters, whole or not at all.

    `read_rows` gives back equal rows. told: sentences on where the features come from, kept in the header.
    Raises `InputError` for a name that does not end in .safetensors.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"{path} is to hold features; let its name end in .safetensors.")
    tensors: dict[str, Tensor] = {"inputs": rows.inputs[:].to(torch.float32)}
    lists: dict[str, list[str] | list[list[str]]] = {"ids": [str(name) for name in rows.ids]}
    if rows.classes != (UNLABELLED,):
        tensors["targets"] = rows.targets
        lists["classes"] = list(rows.classes)
    if rows.groups.names:
        tensors["groups"] = rows.groups.members.to(torch.uint8)
        lists["group_names"] = list(rows.groups.names)
    if not np.array_equal(rows.sources, rows.ids[:, None]):
        lists["sources"] = [[str(name) for name in descent] for descent in rows.sources]
    tensors["clusters"] = rows.clusters
    if split is not None:
        lists["split"] = list(split)
    header = {name: json.dumps(values, ensure_ascii=False) for name, values in lists.items()}
    write_tensors(path, tensors, {**header, "features": json.dumps(list(told), ensure_ascii=False)})

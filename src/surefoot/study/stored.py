"""How cells hand values to one another: rows, heads and what was seen, as files in a folder."""

from pathlib import Path
from typing import cast

from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.robust.head import LinearHead
from surefoot.rows.encoding import Encoder, encoder_from_json
from surefoot.rows.roles import Role
from surefoot.rows.rows import Rows
from surefoot.rows.store import load_roles, save_roles
from surefoot.study.seen import SeenInputs, write_seen_inputs

__all__ = [
    "COLUMNS", "GROUPS", "load_encoder", "load_head", "load_rows", "load_seen", "save_encoder", "save_head",
    "save_rows", "save_seen",
]  # fmt: skip

COLUMNS = "columns"
"""Where a model's record, and a folder of rows, say how the columns of a table became features."""

GROUPS = "groups"
"""Where a model's record names the groups of the rows that it was made and judged with."""


def save_rows(rows: Rows, role: Role, folder: Path) -> None:
    """Write the rows of one role into `folder`."""
    save_roles(folder / "rows.safetensors", {role: rows})


def load_rows(folder: Path) -> Rows:
    """The rows that `save_rows` wrote.

    Tensors are copied out of the file: the last bits of a product depend on where in memory its factors begin.
    """
    path = folder / "rows.safetensors"
    roles = load_roles(path)
    if len(roles) != 1:
        raise InputError(f"{path} holds the roles {', '.join(roles)}; expected one.")
    rows = next(iter(roles.values()))
    return rows.with_inputs(rows.inputs.clone()) if isinstance(rows.inputs, Tensor) else rows


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write how columns became the features of the rows in `folder`."""
    write_json(folder / f"{COLUMNS}.json", encoder.to_json())


def load_encoder(folder: Path) -> Encoder | None:
    """The encoder that `save_encoder` wrote, if there is one."""
    path = folder / f"{COLUMNS}.json"
    return encoder_from_json(read_json(path)) if path.is_file() else None


def save_head(head: LinearHead, folder: Path) -> None:
    """Write a linear head into `folder`."""
    write_tensors(folder / "head.safetensors", {"weight": head.weight, "bias": head.bias})


def load_head(folder: Path) -> LinearHead:
    """The head that `save_head` wrote."""
    tensors = read_tensors(folder / "head.safetensors")
    if not {"weight", "bias"} <= set(tensors):
        raise InputError(f"{folder / 'head.safetensors'} lacks weight or bias of a head; save it again.")
    return LinearHead(tensors["weight"].clone(), tensors["bias"].clone())


def save_seen(seen: frozenset[str], folder: Path, inputs: SeenInputs | None = None) -> None:
    """Write the names of the sources that shaped what lies in `folder`; of a model that leaves it, the inputs too."""
    write_json(folder / "seen.json", sorted(seen))
    if inputs is not None:
        write_seen_inputs(inputs, folder)


def load_seen(folder: Path) -> frozenset[str]:
    """The sources that `save_seen` wrote."""
    said = read_json(folder / "seen.json")
    if not isinstance(said, list) or not all(isinstance(each, str) for each in cast("list[object]", said)):
        raise InputError(f"{folder / 'seen.json'} is no list of names; save what lies in {folder} again.")
    return frozenset(cast("list[str]", said))

"""Rows with roles as one safetensors file, so that another process gets exactly the same rows.

Strings are kept as their code points, `[rows, …, width]` int32; names of classes and groups stand in the
header as JSON. Image files are kept as their paths, not their pixels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import canonical_json, parse_json, read_tensors, write_tensors
from surefoot.rows.images import ImageFiles
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Groups, Inputs, Names, Rows

__all__ = ["load_roles", "save_roles"]

FORMAT = "surefoot.roles.1"


def save_roles(path: Path, roles: Roles) -> None:
    """Write rows with roles, whole or not at all; `load_roles` gives back equal ones.

    Raises `InputError` for inputs that are neither a tensor nor image files.
    """
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {}
    for role, rows in roles.items():
        header[role] = {"classes": rows.classes, "groups": rows.groups.names}
        parts = {
            "targets": rows.targets,
            "members": rows.groups.members,
            "weights": rows.weights,
            "ids": _code_points(rows.ids),
            "sources": _code_points(rows.sources),
            "clusters": rows.clusters,
        }
        if isinstance(rows.inputs, Tensor):
            parts["inputs"] = rows.inputs
        elif isinstance(rows.inputs, ImageFiles):
            files = rows.inputs
            parts["paths"] = _code_points(np.array([str(file.absolute()) for file in files.paths], dtype=np.str_))
            header[role]["images"] = {"size": files.size, "colour": files.colour, "resize": files.resize}
        else:
            raise InputError(
                f"The inputs of {role} are a {type(rows.inputs).__name__}, which cannot be stored; "
                "store rows whose inputs are a tensor or image files."
            )
        tensors.update({f"{role}.{name}": part for name, part in parts.items()})
    write_tensors(path, tensors, {"format": FORMAT, "roles": canonical_json(header)})


def load_roles(path: Path) -> dict[Role, Rows]:
    """Read what `save_roles` wrote; raises `InputError` when the file is missing, damaged or something else."""
    tensors = read_tensors(path)
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); it may be cut short.") from None
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} does not hold rows with roles ({FORMAT}); write it with save_roles.")
    try:
        header = parse_json(metadata["roles"])
        return {role: _rows(_of_role(tensors, role), header[role]) for role in ROLES if role in header}
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(f"{path} does not hold rows as save_roles writes them ({error}); write it again.") from None


def _of_role(tensors: Mapping[str, Tensor], role: Role) -> dict[str, Tensor]:
    return {name.removeprefix(f"{role}."): part for name, part in tensors.items() if name.startswith(f"{role}.")}


def _rows(part: Mapping[str, Tensor], header: dict[str, Any]) -> Rows:
    inputs: Inputs
    if "images" in header:
        images = header["images"]
        paths = tuple(Path(name) for name in _strings(part["paths"]).tolist())
        inputs = ImageFiles(paths, tuple(images["size"]), images["colour"], images["resize"])
    else:
        inputs = part["inputs"]
    return Rows(
        inputs=inputs,
        targets=part["targets"],
        classes=tuple(header["classes"]),
        groups=Groups(tuple(header["groups"]), part["members"]),
        weights=part["weights"],
        ids=_strings(part["ids"]),
        sources=_strings(part["sources"]),
        clusters=part["clusters"],
    )


def _code_points(names: Names) -> Int[Tensor, "*shape width"]:
    letters = np.ascontiguousarray(names.astype(np.str_))
    width = letters.dtype.itemsize // 4
    return torch.from_numpy(letters.view(np.int32).reshape(*letters.shape, width).copy())


def _strings(points: Int[Tensor, "*shape width"]) -> Names:
    letters = np.ascontiguousarray(points.numpy())
    return letters.view(f"<U{letters.shape[-1]}").reshape(letters.shape[:-1])

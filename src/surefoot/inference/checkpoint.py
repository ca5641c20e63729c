"""Checkpoints: the state of an unfinished run in one file, whole or absent, that only its own run may resume.

The file is safetensors: tensors under slashed names, everything else as JSON in its header. Nothing is unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_json, digest_tensor, write_atomically

__all__ = ["identity", "load_checkpoint", "save_checkpoint"]


def identity(*parts: Any) -> str:
    """A digest of what a run is made of: settings, tensors, modules, functions by name.

    >>> identity({"rate": 0.1}, torch.ones(2)) == identity({"rate": 0.1}, torch.ones(2))
    True
    """
    return digest_json([_spelled(part) for part in parts])


def save_checkpoint(path: Path, run: str, state: Any) -> None:
    """Write `state` (nested dictionaries and lists of tensors and plain values) as the checkpoint of `run`."""
    tensors: dict[str, Tensor] = {}
    layout = json.dumps({"run": run, "state": _packed(state, "state", tensors)})
    write_atomically(path, lambda temporary: save_file(tensors, temporary, {"checkpoint": layout}))


def load_checkpoint(path: Path, run: str) -> Any:
    """What `save_checkpoint` wrote, or None when there is no file.

    Raises `InputError` when the file is damaged or belongs to a run of another making.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as opened:
            layout = json.loads((opened.metadata() or {})["checkpoint"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not a readable checkpoint ({error}); delete it to start anew.") from None
    if layout["run"] != run:
        raise InputError(
            f"The checkpoint {path} belongs to a run with another objective, other settings, stopping, seed, rows or "
            "start; delete it, or give this run a checkpoint of its own."
        )
    return _unpacked(layout["state"], tensors)


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        # A copy: two names may share memory (L-BFGS), which safetensors refuses.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {"items": [[key, _packed(item, f"{name}/{key}", tensors)] for key, item in items]}
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return {"list": [_packed(item, f"{name}/{place}", tensors) for place, item in enumerate(items)]}
    return {"value": value}


def _unpacked(packed: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    if "tensor" in packed:
        # A copy is aligned in memory, a view of the file may not be; products differ in the last bits between them.
        return tensors[packed["tensor"]].clone()
    if "items" in packed:
        return {key: _unpacked(item, tensors) for key, item in packed["items"]}
    if "list" in packed:
        return [_unpacked(item, tensors) for item in packed["list"]]
    return packed["value"]


def _spelled(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Tensor):
        return digest_tensor(part)
    if isinstance(part, nn.Module):
        return str(part)
    if isinstance(part, Mapping):
        items = cast("Mapping[Any, Any]", part).items()
        return {str(key): _spelled(item) for key, item in items}
    if isinstance(part, frozenset | set):
        return sorted(str(item) for item in cast("frozenset[Any]", part))
    if isinstance(part, list | tuple):
        return [_spelled(item) for item in cast("list[Any]", part)]
    if is_dataclass(part) and not isinstance(part, type):
        return [type(part).__qualname__, {field.name: _spelled(getattr(part, field.name)) for field in fields(part)}]
    if isinstance(part, partial):
        return ["partial", *map(_spelled, (part.func, part.args, part.keywords))]
    owner = getattr(part, "__self__", None)  # a bound method is its owner and its name
    name = getattr(part, "__qualname__", type(part).__qualname__)
    return [_spelled(owner), name] if owner is not None else name

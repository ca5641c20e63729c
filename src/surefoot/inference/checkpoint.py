"""Checkpoints: the state of an unfinished run in one file, whole or absent, that only its own run may resume.

The file is safetensors: tensors under slashed names, everything else as JSON in its header. Nothing is unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from math import isfinite
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import canonical_json, digest_bytes, digest_json, digest_tensor, parse_json, write_atomically

__all__ = ["identity", "load_checkpoint", "save_checkpoint"]

LIBRARIES = ("surefoot", "torch")


def identity(*parts: Any) -> str:
    """A digest of what a run is made of: whoever has the same one goes on with the same run.

    A module counts by its layers and its state. A dataclass counts by its fields but for those with `compare=False`, a
    plain object by its attributes; one that has `identity_parts()` counts by what that gives, so that what changes
    while a run goes on (a count of calls, a cache) can be left out. A function of this package or of torch counts by
    its name, another one by its code, its defaults and what it closes over, but not by the globals that it reads.

    >>> identity({"rate": 0.1}, torch.ones(2)) == identity({"rate": 0.1}, torch.ones(2))
    True
    """
    known: dict[int, tuple[Any, Any]] = {}
    return digest_json([_spelled(part, known) for part in parts])


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
            layout = parse_json((opened.metadata() or {})["checkpoint"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a readable checkpoint ({error}); delete it to start anew.") from None
    if not isinstance(layout, dict) or not {"run", "state"} <= set(layout):
        raise InputError(f"{path} is not a checkpoint as surefoot writes it; delete it to start anew.")
    if layout["run"] != run:
        raise InputError(
            f"The checkpoint {path} belongs to a run with another objective, other settings, stopping, seed, rows or "
            "start; delete it, or give this run a checkpoint of its own."
        )
    try:
        return _unpacked(layout["state"], tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a checkpoint as surefoot writes it ({error}); delete it.") from None


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


def _spelled(part: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """JSON of what a part is. known: objects that were met, by their place in memory, and what they are spelled as."""
    if part is None or isinstance(part, bool | int | str):
        return part
    if isinstance(part, float):
        return part if isfinite(part) else ["float", repr(part)]
    if isinstance(part, Tensor):
        return [str(part.dtype), list(part.shape)] if part.is_meta else digest_tensor(part)
    if isinstance(part, nn.Module):
        return [str(part), _spelled(part.state_dict(), known)]
    if isinstance(part, Mapping):
        items = cast("Mapping[Any, Any]", part).items()
        return {str(key): _spelled(item, known) for key, item in items}
    if isinstance(part, frozenset | set):
        return sorted((_spelled(item, known) for item in cast("frozenset[Any]", part)), key=canonical_json)
    if isinstance(part, list | tuple):
        return [_spelled(item, known) for item in cast("list[Any]", part)]
    if isinstance(part, Enum | PurePath | torch.dtype | torch.device):
        return str(part)
    if isinstance(part, bytes):
        return digest_bytes(part)
    if isinstance(part, np.ndarray | np.generic):
        return ["numpy", str(part.dtype), _spelled(cast("Any", part).tolist(), known)]
    if isinstance(part, type | ModuleType):
        return getattr(part, "__qualname__", type(part).__qualname__)
    return _met(part, known)


def _met(part: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """What may hold itself: spelled once, and within itself by when it was met."""
    if id(part) not in known:
        known[id(part)] = (part, ["within", len(known)])  # the part too, so that its place is not given to another
        known[id(part)] = (part, _object(part, known))
    return known[id(part)][1]


def _object(part: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    name = type(part).__qualname__
    if callable(told := getattr(type(part), "identity_parts", None)):
        return [name, _spelled(told(part), known)]
    if is_dataclass(part):
        told = {each.name: _spelled(getattr(part, each.name), known) for each in fields(part) if each.compare}
        return [name, told]
    if isinstance(part, partial):
        return ["partial", *(_spelled(each, known) for each in (part.func, part.args, part.keywords))]
    if isinstance(part, FunctionType):
        return _function(part, known)
    if isinstance(part, CodeType):
        return _code(part, known)
    if isinstance(part, torch.Generator):
        return [name, digest_tensor(part.get_state())]
    owner = getattr(part, "__self__", None)  # a bound method is its owner and its name
    if owner is not None or hasattr(part, "__qualname__"):
        called = getattr(part, "__qualname__", name)
        return called if owner is None else [_spelled(owner, known), called]
    held = _held(part)
    return [name, digest_json(_spelled(held, known))] if held else name


def _function(part: FunctionType, known: dict[int, tuple[Any, Any]]) -> Any:
    """A function of a library by its name, for its library has a version; all others by what they do and hold."""
    name = part.__qualname__
    if (part.__module__ or "").partition(".")[0] in LIBRARIES and "<" not in name:
        return name
    held = (part.__defaults__, part.__kwdefaults__, [_content(cell) for cell in part.__closure__ or ()])
    return [name, digest_json([_code(part.__code__, known), _spelled(held, known)])]


def _code(code: CodeType, known: dict[int, tuple[Any, Any]]) -> list[Any]:
    return [digest_bytes(code.co_code), _spelled(code.co_consts, known), list(code.co_names)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that was never given a value
        return None


def _held(part: Any) -> dict[str, Any]:
    """The attributes of a plain object, in its dictionary and in its slots."""
    slots = [getattr(kind, "__slots__", ()) for kind in type(part).__mro__]
    names = [name for each in slots for name in ((each,) if isinstance(each, str) else each)]
    found = {name: getattr(part, name) for name in names if name[:2] != "__" and hasattr(part, name)}
    return found | cast("dict[str, Any]", getattr(part, "__dict__", {}))

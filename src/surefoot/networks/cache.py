"""Features of rows, computed once: addressed by content, written in chunks, resumable, mapped into memory.

Each address is a folder of chunks (`surefoot.networks.chunks`), so a killed extraction goes on where it was.
The address is made from everything that shapes the numbers: the weights, the code and settings of every layer,
the inputs, what was done to them, the size of a chunk, the device, the product path, and the versions.
"""

import inspect
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, CodeType
from typing import Any, cast

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.memory import require_memory
from surefoot.networks.chunks import CHUNK_FORMAT, fill_chunks, finished_dtype
from surefoot.networks.layout import lay_out, layout_of
from surefoot.networks.network import Network, Parameters, check_head_is_last, digest_parameters, embed
from surefoot.networks.product import product_in_use
from surefoot.networks.tensor_file import DTYPE_CODES
from surefoot.networks.user import USER_MODULE
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Rows

__all__ = ["extract", "extraction_key", "layer_identity", "refuse_not_finite"]

CHECKED = 8
"""Rows that are run first to see that the head is the last step."""


def extract(
    network: Network,
    parameters: Parameters,
    rows: Rows,
    *,
    folder: Path,
    batch: int = 512,
    device: str = "cpu",
    transform: str = "none",
    progress: Progress = silent,
) -> Rows:
    """The rows with features as inputs: what enters the head, mapped from a file under `folder`.

    Reading the features takes no memory until they are used; changing them in place changes no file.

    Inputs with a fraction are brought to the model's precision. batch: rows in one pass and in one chunk.
    transform: what `rows.inputs` does to what it reads, in words; part of the address. progress: told of
    "features", or of "damaged features, computed again", in rows.

    Raises `InputError` when memory or disk would not suffice, when the head is not the last step of the model,
    and when features are NaN or infinite (naming the rows; nothing of their chunk is kept).
    """
    if batch < 1:
        raise InputError(f"A batch of {batch} rows was asked for; give at least 1.")
    key = extraction_key(network, parameters, rows, batch=batch, device=device, transform=transform)
    width = parameters[f"{network.head}.weight"].shape[1]
    there = folder / key
    if not len(rows):
        return rows.with_inputs(torch.zeros(0, width))
    moved = _copied(parameters, device)
    dtype = finished_dtype(there) or _try_first(network, moved, rows, batch)
    layout = layout_of(network.module, _part(rows, slice(0, 1), moved[f"{network.head}.weight"]))
    lay_out(moved, layout)

    def compute(chunk: slice) -> Tensor:
        with torch.no_grad():
            inputs = _part(rows, chunk, moved[f"{network.head}.weight"])
            features = embed(network, moved, inputs.contiguous(memory_format=layout))
        refuse_not_finite(features, rows, chunk)
        return features

    return rows.with_inputs(fill_chunks(there, (len(rows), width), dtype, batch, compute, progress))


def extraction_key(
    network: Network,
    parameters: Parameters,
    rows: Rows,
    *,
    batch: int = 512,
    device: str = "cpu",
    transform: str = "none",
) -> str:
    """The address of these features: sha256 over all that shapes their numbers, and nothing that does not."""
    return digest_json(
        {
            "format": CHUNK_FORMAT,
            "versions": [version("surefoot"), torch.__version__],
            "parameters": digest_parameters(parameters),
            "head": network.head,
            "layers": [layer_identity(name, part) for name, part in network.module.named_modules()],
            "inputs": digest_json(input_digests(rows.inputs)),
            "transform": transform,
            "batch": batch,
            "device": device,
            "product": product_in_use(),
        }
    )


def _try_first(network: Network, parameters: Parameters, rows: Rows, batch: int) -> torch.dtype:
    """Run a few rows: does the model take them, is the head the last step, and what type are features?"""
    first = _part(rows, slice(0, min(CHECKED, len(rows))), parameters[f"{network.head}.weight"])
    width = parameters[f"{network.head}.weight"].shape[1]
    at_once = min(batch, len(rows))
    require_memory(at_once * (first[0].nbytes + 8 * width), f"Extracting features of {at_once} rows at a time")
    try:
        dtype = check_head_is_last(network, parameters, first).dtype
    except InputError:
        raise
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise InputError(
            f"The model cannot take rows of shape {tuple(first.shape[1:])} and type {first.dtype} "
            f"({str(error).splitlines()[0]}); give inputs of the shape it was made for."
        ) from error
    if dtype not in DTYPE_CODES:
        raise InputError(f'What enters the head "{network.head}" is {dtype}; features must be floating-point numbers.')
    return dtype


def _copied(parameters: Parameters, device: str) -> Parameters:
    try:
        return {name: tensor.to(device, copy=True) for name, tensor in parameters.items()}
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f'The device "{device}" cannot be used ({str(error).splitlines()[0]}); choose "cpu", or a device torch has.'
        ) from error


def _part(rows: Rows, chunk: slice, like: Tensor) -> Tensor:
    """Some inputs where the model is; numbers with a fraction in the model's precision.

    Always a copy, as the parameters are: the last bits of a product depend on where in memory its factors begin,
    and features must not depend on whether the inputs are a slice of something larger.
    """
    part = rows.inputs[chunk]
    return part.to(like, copy=True) if part.is_floating_point() else part.to(like.device, copy=True)


def refuse_not_finite(features: Tensor, rows: Rows, chunk: slice) -> None:
    bad = (~torch.isfinite(features).all(dim=1)).nonzero().squeeze(1).tolist()
    if bad:
        names = [str(rows.ids[chunk.start + row]) for row in bad]
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise InputError(
            f"The features of {len(bad)} rows are NaN or infinite ({shown}); mend these inputs or the model's weights."
        )


def layer_identity(name: str, part: nn.Module) -> list[Any]:
    """One layer's name, class, settings, and (unless it is torch's own) the digest of its source file.

    Settings are plain values, types, functions, and tuples of these. Lists and mappings are not: a model may keep
    its memory in them, and they would then change while it runs.
    """
    kind = type(part)
    module = "user" if kind.__module__.startswith(USER_MODULE) else kind.__module__
    settings = {key: _spelled(value) for key, value in sorted(vars(part).items()) if key != "training"}
    return [name, f"{module}.{kind.__qualname__}", {key: told for key, told in settings.items() if told}, _source(kind)]


def _spelled(value: object) -> Any:
    """A setting in plain JSON; "" for what is none."""
    if isinstance(value, tuple):
        return [_spelled(part) for part in cast("tuple[object, ...]", value)]
    if isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(code := getattr(value, "__code__", None), CodeType):
        return _code(code)
    if isinstance(value, BuiltinFunctionType | type):
        return value.__qualname__
    return ""


def _code(code: CodeType) -> list[Any]:
    """What a function does, without where it was written: its instructions, names and constants."""
    return [code.co_name, code.co_code.hex(), list(code.co_names), [_constant(each) for each in code.co_consts]]


def _constant(value: object) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    # A set is spelled in another order in every process.
    return sorted(map(repr, cast("frozenset[object]", value))) if isinstance(value, frozenset) else repr(value)


def _source(kind: type) -> str:
    if kind.__module__.split(".")[0] == "torch":
        return "torch"
    try:
        path = inspect.getsourcefile(kind)
    except TypeError:
        path = None
    if path is not None and Path(path).is_file():
        return digest_file(Path(path))
    return digest_json({name: _spelled(own) for name, own in vars(kind).items() if callable(own)})

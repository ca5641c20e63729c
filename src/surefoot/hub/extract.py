"""Features of every row, from any encoder: cached by content, resumable, several layers in one pass.

    encoder = open_encoder("minilm")
    extracted = extract_layers(encoder, rows, folder=Path("cache"))
    extracted.rows["output"].inputs      # [rows, 384], mapped from a file

The address of a cache holds everything that shapes its numbers: the weights, the code and settings of every layer,
the tokenizer or the pixels' preparation, the content of the rows, the layers, the way the model is run, the device
and the versions. Another model, another text or another setting has another address, so a wrong cache cannot be read.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, read_json, write_json
from surefoot.hub.encoder import Encoder
from surefoot.hub.layers import check_layers, layer_features, own_layer
from surefoot.hub.readers import TextReader
from surefoot.hub.ways import Choice, Precision, choose_way, running
from surefoot.networks.cache import layer_identity, refuse_not_finite
from surefoot.networks.chunks import CHUNK_FORMAT, fill_chunks
from surefoot.networks.network import digest_parameters
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import Inputs, Rows
from surefoot.study.numerics import require_device

__all__ = ["Extracted", "encoder_identity", "extract_layers"]

LAYOUT = "layout.json"
FIRST = 16
"""Rows on which ways are compared."""


@dataclass(frozen=True)
class Extracted:
    """The rows as each layer sees them, the way that was taken, and what a reader must know.

    how: by which model, layer and way, as a sentence for a record.
    """

    rows: Mapping[str, Rows]
    choice: Choice
    key: str
    how: str
    notes: tuple[str, ...]


def extract_layers(
    encoder: Encoder,
    rows: Rows,
    layers: Sequence[str] = (),
    *,
    folder: Path,
    precision: Precision = "float32",
    device: str = "cpu",
    progress: Progress = silent,
) -> Extracted:
    """The features of each of `layers` (none: the encoder's own) for every row, from one pass over the rows.

    folder: of the cache; what was computed before, also by a run that was killed, is not computed again.
    Raises `InputError` for a layer that is not there, inputs the model cannot read, and features that are not finite.
    """
    names = tuple(layers) or (own_layer(encoder),)
    check_layers(encoder, names)
    if not len(rows):
        raise InputError("There are no rows to take features of; give at least one.")
    place = require_device(device)
    identity = encoder_identity(encoder)
    first = next(iter(encoder.reader.batches(rows.inputs, slice(0, min(FIRST, len(rows))))))
    found = _try(encoder, {name: tensor[:2] for name, tensor in first.given.items()}, names)
    encoder.module.to(place)
    choice = choose_way(
        encoder, first.given, names, precision=precision, kept=folder / "ways", identity=f"{identity} {place}"
    )
    key = digest_json(
        {
            "format": CHUNK_FORMAT,
            "encoder": identity,
            "inputs": _content_digest(rows.inputs),
            "layers": list(names),
            "way": asdict(choice.way),
            "device": str(place),
            "chunk": encoder.reader.chunk,
        }
    )
    there = folder / key
    with ExitStack() as stack:
        ready: list[nn.Module] = []

        def module() -> nn.Module:
            if not ready:  # nothing is made ready when every chunk is there
                ready.append(stack.enter_context(running(encoder, choice.way, _on(first.given, place))))
            return ready[0]

        widths = _layout(there, names)
        if not widths:
            widths = [found[name].shape[1] for name in names]
            write_json(there / LAYOUT, {"layers": list(names), "widths": widths})
        total = sum(widths)

        def features(chunk: slice) -> Tensor:
            block = torch.empty(chunk.stop - chunk.start, total)
            for batch in encoder.reader.batches(rows.inputs, chunk):
                found = layer_features(encoder, module(), _on(batch.given, place), names)
                block[batch.places] = torch.cat([found[name].cpu() for name in names], dim=1)
            refuse_not_finite(block, rows, chunk)
            return block

        matrix = fill_chunks(there, (len(rows), total), torch.float32, encoder.reader.chunk, features, progress)
    cut = encoder.reader.count_cut_off(rows.inputs) if isinstance(encoder.reader, TextReader) else 0
    parts = matrix.split(widths, dim=1) if len(names) > 1 else (matrix,)
    how = f"Features by {encoder.name}, layer {', '.join(names)}: {choice.told()}."
    notes = (f"{cut:,} of {len(rows):,} texts reach the longest the model reads; what lies beyond was cut off.",)
    return Extracted(
        {name: rows.with_inputs(part) for name, part in zip(names, parts, strict=True)},
        choice,
        key,
        how,
        notes if cut else (),
    )


def encoder_identity(encoder: Encoder) -> str:
    """sha256 over weights, code and settings of an encoder and of what prepares its inputs."""
    module = encoder.module
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    config: Any = getattr(module, "config", None)
    told = cast("dict[str, Any]", config.to_dict()) if config is not None and hasattr(config, "to_dict") else {}
    plain = {name: repr(value) for name, value in told.items() if name not in {"_name_or_path", "transformers_version"}}
    return digest_json(
        {
            "versions": [version("surefoot"), torch.__version__, _version("transformers"), _version("pillow")],
            "parameters": digest_parameters({name: tensor.detach() for name, tensor in tensors.items()}),
            "layers": [layer_identity(name, part) for name, part in module.named_modules()],
            "config": plain,
            "reader": [type(encoder.reader).__name__, encoder.reader.settings, getattr(encoder.reader, "budget", 0)],
            "head": encoder.head,
            "pooling": [encoder.pooling, encoder.normalise],
        }
    )


def _content_digest(inputs: Inputs) -> str:
    """Of everything that a model could read from the inputs; of image files, of their bytes."""
    if isinstance(inputs, ImageFiles):
        return digest_json([digest_file(path) for path in inputs.paths])
    return digest_json(input_digests(inputs))


def _try(encoder: Encoder, given: Mapping[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """A few rows first: does the model take them at all?"""
    try:
        return layer_features(encoder, encoder.module, given, layers)
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in given.values())
        raise InputError(
            f"{encoder.name} cannot take rows of shape {shapes} ({str(error).splitlines()[0]}); give inputs of the "
            "kind it was made for."
        ) from error


def _on(given: Mapping[str, Tensor], place: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(place) for name, tensor in given.items()}


def _layout(folder: Path, names: Sequence[str]) -> list[int]:
    """The width of each layer, as an earlier run found it; nothing when none did."""
    try:
        told = read_json(folder / LAYOUT)
    except InputError:
        return []
    match told:
        case {"layers": list(layers), "widths": list(widths)} if layers == list(names):
            return [int(width) for width in cast("list[Any]", widths)]
        case _:
            return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

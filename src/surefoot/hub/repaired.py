"""A repaired head put back into its model: a folder that `from_pretrained` loads, every other weight untouched.

The folder is a copy in which only the bytes of the head's weight and bias differ. It is made beside its place and
renamed into it, so it is whole or absent.
"""

import json
import os
import secrets
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.hub.layers import layer_features
from surefoot.hub.pretrained import open_folder, quiet_transformers
from surefoot.hub.tuning.headed import is_headed
from surefoot.hub.tuning.keep import HEAD
from surefoot.memory import require_disk
from surefoot.networks.tensor_file import DTYPE_CODES
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import Rows

__all__ = ["Written", "check_can_write", "write_repaired"]

CHECKED = 64
"""Rows on which the written model is compared with the head it was given: the first."""
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".index.json")


@dataclass(frozen=True)
class Written:
    """The folder, and how the model loaded from it compares with the head on features, on some rows.

    difference: the largest |difference| of a logit. same: of `rows`, those on which both say the same class.
    """

    folder: Path
    difference: float
    rows: int
    same: int


class _Place(NamedTuple):
    file: Path
    name: str
    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]


def check_can_write(encoder: Encoder, classes: int) -> str | None:
    """None when a repaired head of so many classes can be put back into the model; else why not, as a sentence."""
    if encoder.folder is None:
        return f"{encoder.name} is no Hugging Face folder, so the repaired head is left as a surefoot model alone."
    if encoder.head is None:
        return (
            f"{encoder.name} has no classification head to put the repaired one into; it is left as a surefoot model "
            "that reads the encoder's features."
        )
    if is_headed(encoder.folder):
        return (
            f"{encoder.name} keeps its head beside its body, in {HEAD}; the repaired one is left as a surefoot model "
            "that reads the encoder's features."
        )
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    if layer.out_features != classes:
        return (
            f"{encoder.name} has {layer.out_features} logits and the data {classes} classes, so the repaired head does "
            "not fit; it is left as a surefoot model that reads the encoder's features."
        )
    return None


def write_repaired(encoder: Encoder, head: LinearHead, rows: Rows, out: Path) -> Written:
    """Write the model of `encoder` with `head` in place of its own, and load it again to compare logits on `rows`.

    Files with weights in other formats are not copied, for they would hold the old head. A head stored in 16 bits
    is rounded to them, which the difference shows.
    Raises `InputError` when the folder exists, when the head has a bias and the model's no place for it, and when the
    model loaded again does not say what the head says.
    """
    assert encoder.folder is not None
    assert encoder.head is not None
    if (reason := check_can_write(encoder, len(head.bias))) is not None:
        raise InputError(reason)
    if out.exists():
        raise InputError(f"{out} exists already; choose another folder, or remove it.")
    own = _own_tensors(encoder)
    if "bias" not in own and bool(head.bias.any()):
        raise InputError(f"The head of {encoder.name} has no bias and the repaired one does; it cannot be put back.")
    source = encoder.folder
    require_disk(sum(path.stat().st_size for path in _files(source)), out.parent, f"A copy of {source.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.parent / f".{out.name}.{secrets.token_hex(6)}"
    try:
        _copy(source, beside, encoder)
        for part, tensor in own.items():
            _overwrite(_find(beside, f"{encoder.head}.{part}", tensor), head.weight if part == "weight" else head.bias)
        difference, same, count = _compare(encoder, head, rows, beside)
        for path in _files(beside):
            with path.open("rb") as opened:
                os.fsync(opened.fileno())
        beside.replace(out)
    except OSError as error:
        raise InputError(
            f"Could not write {out} ({error.strerror}); free space or choose another folder. Nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Written(out, difference, count, same)


def _own_tensors(encoder: Encoder) -> dict[str, Tensor]:
    """The head's weight, and its bias if it has one."""
    assert encoder.head is not None
    return {name: tensor.detach() for name, tensor in encoder.module.get_submodule(encoder.head).named_parameters()}


def _copy(source: Path, beside: Path, encoder: Encoder) -> None:
    """Everything but pickled and foreign weights; safetensors byte for byte, made here where there are none."""
    has_safe = any(path.suffix == ".safetensors" for path in _files(source))
    for path in _files(source):
        kept = path.name.endswith((".safetensors", "safetensors.index.json")) or not path.name.endswith(WEIGHTS)
        if kept:
            target = beside / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    if not has_safe:
        module: Any = encoder.module
        with quiet_transformers():
            module.save_pretrained(str(beside))
        shutil.copyfile(source / "config.json", beside / "config.json")


def _find(folder: Path, name: str, own: Tensor) -> _Place:
    """Where the tensor lies: by its name, or by a name ending in it, and by holding what the model holds."""
    found: list[_Place] = []
    for path in sorted(folder.glob("*.safetensors")):
        for each in _places(path):
            if each.name == name or each.name.endswith(f".{name}") or name.endswith(f".{each.name}"):
                with safe_open(path, framework="pt") as opened:
                    stored = opened.get_tensor(each.name)
                if stored.shape == own.shape and torch.equal(stored.to(own), own):
                    found.append(each)
    if len(found) != 1:
        raise InputError(
            f"The weights in the model's folder hold {len(found)} tensors that could be {name}; the repaired head "
            "cannot be put back: use the surefoot model beside the card."
        )
    return found[0]


def _places(path: Path) -> Iterator[_Place]:
    """Every tensor of a safetensors file and where its bytes begin, read from the header alone."""
    types = {code: dtype for dtype, code in DTYPE_CODES.items()}
    try:
        with path.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(length))
    except (struct.error, ValueError, SafetensorError) as error:
        raise InputError(f"{path.name} is not a readable safetensors file ({error}); it may be cut short.") from None
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in types:
            start = 8 + length + entry["data_offsets"][0]
            yield _Place(path, name, start, types[entry["dtype"]], tuple(entry["shape"]))


def _overwrite(place: _Place, value: Tensor) -> None:
    content = value.detach().cpu().to(place.dtype).contiguous().view(torch.uint8).numpy().tobytes()
    with place.file.open("r+b") as opened:
        opened.seek(place.offset)
        opened.write(content)


class _Compared(NamedTuple):
    difference: float
    same: int
    rows: int


def _compare(encoder: Encoder, head: LinearHead, rows: Rows, folder: Path) -> _Compared:
    """Load what was written and compare its logits with the head on the old model's features."""
    again = open_folder(folder)
    assert encoder.head is not None
    device = next(encoder.module.parameters()).device
    module: Any = again.module
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    for batch in encoder.reader.batches(rows.inputs, slice(0, min(CHECKED, len(rows)))):
        given = {name: tensor.to(device) for name, tensor in batch.given.items()}
        features = layer_features(encoder, encoder.module, given, [encoder.head])[encoder.head].cpu()
        wanted.append(head.logits(features))
        with torch.no_grad():
            found.append(module(**batch.given).logits)
    ours, theirs = torch.cat(wanted), torch.cat(found)
    difference = float((theirs - ours).abs().max())
    greatest = float(ours.abs().max())
    allowed = 1e-3 * max(1.0, greatest) if _is_single(again) else 0.1 * greatest
    if not difference <= allowed:
        raise InputError(
            f"The repaired model, loaded again, differs by {difference:.1e} in its logits from the repaired head; "
            "nothing was written: use the surefoot model beside the card."
        )
    return _Compared(difference, int((ours.argmax(dim=1) == theirs.argmax(dim=1)).sum()), len(ours))


def _is_single(encoder: Encoder) -> bool:
    """Whether the folder keeps its head in 32 bits."""
    assert encoder.folder is not None
    places = [place for path in encoder.folder.glob("*.safetensors") for place in _places(path)]
    name = f"{encoder.head}.weight"
    return all(
        place.dtype == torch.float32 for place in places if name.endswith(place.name) or place.name.endswith(name)
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != ".git")

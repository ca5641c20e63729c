"""A saved model, or a user's own, as a file for another runtime: what `surefoot export` does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from surefoot.errors import InputError
from surefoot.export.heads import write_head
from surefoot.export.onnx_files import write_head_onnx, write_network_onnx
from surefoot.export.plain import write_plain_folder, write_plain_onnx
from surefoot.files import write_tensors
from surefoot.networks.flexible import FlexibleViT, grid_of
from surefoot.networks.network import head_of
from surefoot.networks.patches import Size
from surefoot.networks.weights import RECORD, OpenedModel, open_model
from surefoot.robust.head import LinearHead

__all__ = ["SUFFIXES", "Format", "export_model", "patch_of"]

Format: TypeAlias = Literal["onnx", "safetensors", "plain"]
SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".safetensors": "safetensors"}


def export_model(
    named: str,
    out: Path,
    *,
    to: str | None = None,
    input_shape: Sequence[int] | None = None,
    trust_code: bool = False,
    weights: Path | None = None,
    head: str | None = None,
    patch: int | None = None,
) -> str:
    """Write the model that `named` leads to (see `open_model`) to `out`; returns a sentence on what was written.

    to: "onnx" or "safetensors"; without it, what the name of `out` ends in. A head that reads features becomes two
    tensors `weight` and `bias`, or an ONNX graph of a few nodes; any other network all its tensors, or what torch makes
    of it, for which `input_shape` must be known: a model of the user's own does not say. A vision transformer is
    written at one patch size, its own or `patch` × `patch`: as ONNX, or by "plain" as a folder that timm opens; the
    file of "safetensors" holds what it was trained to, at all sizes.
    Raises `InputError` for another format, for a Hugging Face folder, and what `open_model` raises.
    """
    wanted = to or SUFFIXES.get(out.suffix)
    if wanted not in {*SUFFIXES.values(), "plain"}:
        raise InputError(
            f"{'The format ' + repr(to) if to else out} is none that surefoot writes; give --to onnx, --to "
            "safetensors, or of a vision transformer --to plain or --to huggingface, or a file that ends in .onnx or "
            ".safetensors."
        )
    if (Path(named) / "config.json").is_file() and not (Path(named) / RECORD).is_file():
        raise InputError(
            f"{named} is a Hugging Face model folder, which other tools export whole (`optimum-cli export onnx`); "
            "surefoot exports the head that it repaired: give model/ of the run in its place."
        )
    opened = open_model(named, trust_code=trust_code, weights=weights, head=head)
    last = LinearHead(*head_of(opened.network, opened.parameters))
    classes = tuple(map(str, range(len(last.weight)))) if opened.record is None else opened.record.classes
    told = f"{len(classes)} classes ({', '.join(classes[:10])}{', …' if len(classes) > 10 else ''})"
    module = opened.network.module
    if isinstance(module, FlexibleViT):
        size = patch_of(module, patch)
        if wanted != "safetensors":
            images = torch.rand(4, *module.shape.image, generator=torch.Generator().manual_seed(0))
            write = write_plain_onnx if wanted == "onnx" else write_plain_folder
            write(opened.network, opened.parameters, size, classes, images, out)
            return f"{out}: a plain transformer of patch {size[0]} × {size[1]}, {told}."
        if patch is not None:
            raise InputError(
                f"The tensors of a flexible transformer are of every patch size, and --patch {patch} was given; leave "
                "it out, or write --to plain."
            )
    elif patch is not None or wanted == "plain":
        raise InputError(
            f"{named} is no vision transformer, and a patch size is of one; leave out --patch and --to plain."
        )
    if _is_head(opened):
        what = f"a head on {last.weight.shape[1]} features, {told}"
        if wanted == "onnx":
            write_head_onnx(last, classes, out)
        else:
            write_head(last, classes, out)
    elif wanted == "onnx":
        shape = input_shape if opened.record is None else opened.record.input_shape
        if shape is None:
            raise InputError(
                f"What one input of {named} looks like is not recorded, and ONNX needs it; give its shape, such as "
                "--shape 3,224,224."
            )
        what = f"a network on inputs of shape {tuple(shape)}, {told}"
        write_network_onnx(opened.network, opened.parameters, classes, shape, out)
    else:
        what = f"the {len(opened.parameters)} tensors of a network, {told}"
        write_tensors(out, opened.parameters, {"classes": json.dumps(list(classes), ensure_ascii=False)})
    return f"{out}: {what}."


def patch_of(module: FlexibleViT, named: int | None) -> Size:
    """The patch size that was named, or the network's own; raises `InputError` for one that does not divide."""
    size = module.patch if named is None else (named, named)
    grid_of((module.shape.image[1], module.shape.image[2]), size)
    return size


def _is_head(opened: OpenedModel) -> bool:
    record = opened.record
    return record is not None and set(record.spec) == {"linear"} and len(record.input_shape) == 1

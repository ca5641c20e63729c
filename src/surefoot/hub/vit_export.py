"""One call for every form that a flexible network at one patch size is exported in."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.export.plain import Says, beside, check_same, write_plain_folder, write_plain_onnx
from surefoot.hub.vit_folder import read_vit_folder, write_vit_folder
from surefoot.networks.network import Network, Parameters, forward
from surefoot.networks.patches import Size

__all__ = ["Form", "export_at"]

Form: TypeAlias = Literal["safetensors", "hugging_face", "onnx"]


def export_at(
    network: Network,
    parameters: Parameters,
    patch: Size,
    classes: Sequence[str],
    images: Tensor,
    out: Path,
    form: Form,
) -> str:
    """Write the network at one patch size as a plain transformer; returns a sentence on what was written.

    form: "safetensors", a folder of tensors under timm's names (`write_plain_folder`); "hugging_face", a folder that
    `ViTForImageClassification.from_pretrained` opens (`write_vit_folder`); "onnx", a file. images: `[rows, channels,
    height, width]`; what was written is opened again and compared with the network on them, Hugging Face's folder by
    transformers where it is installed.

    Raises `InputError` for a network without patch sizes, a patch that does not divide, what the form cannot hold, and
    for predictions that differ; then nothing is left.
    """
    if form == "safetensors":
        write_plain_folder(network, parameters, patch, classes, images, out)
    elif form == "onnx":
        write_plain_onnx(network, parameters, patch, classes, images, out)
    else:
        _write_hugging_face(network, parameters, patch, classes, images, out)
    return (
        f"{out}: a plain transformer at {patch[0]} × {patch[1]}, {len(classes)} classes; on {len(images)} images it "
        "says what the flexible one says."
    )


def _write_hugging_face(
    network: Network, parameters: Parameters, patch: Size, classes: Sequence[str], images: Tensor, folder: Path
) -> None:
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another folder, or remove it.")
    single = {name: tensor.detach().cpu().float() for name, tensor in parameters.items()}
    with beside(folder) as place:
        try:
            write_vit_folder(network, single, patch, classes, place)
        except InputError as error:
            raise InputError(str(error).replace(str(place), str(folder))) from None
        check_same(network, parameters, patch, images, _opened(place), folder)
        place.replace(folder)


def _opened(folder: Path) -> Says:
    if find_spec("transformers") is None:
        read = read_vit_folder(folder)
        return lambda images: forward(read.network, read.parameters, images)
    from transformers import ViTForImageClassification

    model: Any = ViTForImageClassification.from_pretrained(folder).eval()

    @torch.no_grad()
    def says(images: Tensor) -> Tensor:
        return model(pixel_values=images).logits

    return says

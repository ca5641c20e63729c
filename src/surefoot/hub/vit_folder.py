"""A flexible transformer as a Hugging Face ViT folder of one patch size, and such folders as flexible transformers.

    config.json         sizes, classes, the patch
    model.safetensors   vit.embeddings.…, vit.encoder.layer.<i>.…, vit.layernorm, classifier

What is written has nothing flexible in it: `ViTForImageClassification.from_pretrained` opens it. Its class token has a
position, which ours has not: it is zero there, and read back it is added to the token, which is the same network.

Source of names and shapes: files that transformers 5.24 writes (`tests/hub/test_hub_vit_folder.py` compares with them).
"""

import math
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.flex.fixed import fixed_at
from surefoot.flex.published import Read
from surefoot.networks.flexible import Approximation, FlexibleViT, Shape, at_patch, build_vit, grid_of
from surefoot.networks.network import Network, Parameters, forward
from surefoot.networks.patches import Size
from surefoot.networks.spec import vit_spec
from surefoot.networks.weights import ModelRecord, OpenedModel

__all__ = ["open_vit_folder", "read_vit_folder", "write_vit_folder"]

ACTS: dict[Approximation, str] = {"none": "gelu", "tanh": "gelu_pytorch_tanh"}
CLOSE = 1e-4
WIDEST = 100_000
"""Pixels of a side of an image, at most."""
LARGEST = 1e30
"""What a mean or a spread of pixels is below."""
LAYER = {
    "norm1": "layernorm_before",
    "project": "attention.output.dense",
    "norm2": "layernorm_after",
    "expand": "intermediate.dense",
    "contract": "output.dense",
}
WORDS = ("query", "key", "value")
SIZES = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def write_vit_folder(
    network: Network, parameters: Parameters, patch: Size, classes: Sequence[str], folder: Path
) -> None:
    """Write the network at one patch size as a plain ViT; then open it again, and refuse it if it says anything else.

    Raises `InputError` for a network that is no transformer of `build_vit`, means in place of a class token, sides that
    differ (the layout has one number for both), names of classes that do not fit, a folder that is there already, and
    logits of random images that differ from the network's by more than 1e-4 of their largest; then nothing is left.
    """
    module = network.module
    if not isinstance(module, FlexibleViT) or module.token is None:
        what = "takes means over tokens" if isinstance(module, FlexibleViT) else "is no transformer of build_vit"
        raise InputError(
            f"Hugging Face's ViT has a class token, and this {type(module).__name__} {what}; write it as ONNX or "
            "safetensors, or train one with a token (pool: token)."
        )
    channels, height, width = module.shape.image
    if height != width or patch[0] != patch[1]:
        raise InputError(
            f"Hugging Face's ViT has square images and patches; these are {height} × {width} and {patch[0]} × "
            f"{patch[1]}. Write it as ONNX or safetensors."
        )
    if len(classes) != module.head.out_features:
        raise InputError(f"{len(classes)} names were given for {module.head.out_features} classes; give one for each.")
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another folder, or remove it.")
    shape = module.shape
    config = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.expansion * shape.width,
        "hidden_act": ACTS[shape.gelu],
        "layer_norm_eps": shape.eps,
        "image_size": height,
        "patch_size": patch[0],
        "num_channels": channels,
        "qkv_bias": True,
        "id2label": {str(number): name for number, name in enumerate(classes)},
        "label2id": {name: number for number, name in enumerate(classes)},
    }
    images = torch.randn(2, *shape.image, generator=torch.Generator().manual_seed(0))
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    beside.mkdir(parents=True)
    try:
        plain = fixed_at(network, parameters, patch)
        write_tensors(beside / "model.safetensors", _theirs(plain.parameters, shape.depth))
        write_json(beside / "config.json", config)
        again = read_vit_folder(beside)
        with torch.no_grad():
            ours = forward(at_patch(network, patch), parameters, images)
            difference = (ours - forward(again.network, again.parameters, images)).abs().max()
        if not difference <= CLOSE * ours.abs().max():
            raise InputError(
                f"{folder} would say something else than the network, by {float(difference):.3g} in a logit; nothing "
                "was written. Check that all its tensors are finite."
            )
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def open_vit_folder(folder: Path) -> OpenedModel:
    """The transformer in a Hugging Face ViT folder as a model of surefoot: images in [0, 1], classes by their names.

    Where `preprocessor_config.json` asks for it, (x − mean) / spread of each channel becomes part of the kernel and
    its bias: exactly at the folder's own patch, and at others as nearly as the kernel itself is resized.

    Raises `InputError` as `read_vit_folder` does.
    """
    found = read_vit_folder(folder)
    module = found.network.module
    assert isinstance(module, FlexibleViT)
    parameters = dict(found.parameters)
    reading = folder / "preprocessor_config.json"
    said = _object(reading) if reading.is_file() else {}
    if said.get("do_normalize", bool(said)) and "image_mean" in said and "image_std" in said:
        channels = parameters["kernel"].shape[1]
        kernel = parameters["kernel"].double() / _each(said, "image_std", channels, reading)[None, :, None, None]
        centre = _each(said, "image_mean", channels, reading)[None, :, None, None]
        parameters["bias"] = (parameters["bias"].double() - (kernel * centre).sum(dim=(1, 2, 3))).float()
        parameters["kernel"] = kernel.float()
    count = module.head.out_features
    names: Any = _object(folder / "config.json").get("id2label") or {}
    if not isinstance(names, dict):
        raise InputError(f"{folder / 'config.json'} has {names!r} for id2label; give a name for each number.")
    classes = tuple(str(names.get(str(number), number)) for number in range(count))
    record = ModelRecord(
        vit_spec(module.shape, count, module.patch), "head", classes, module.shape.image, {"from": folder.name}
    )
    return OpenedModel(found.network, parameters, record)


def read_vit_folder(folder: Path) -> Read:
    """The transformer in a Hugging Face ViT folder, flexible, at its own patch size.

    Raises `InputError` for a folder of another kind of model, for tensors that are missing, unknown or of other shapes
    (naming them), and for a patch that does not divide the images, which transformers would crop.
    """
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise InputError(f"{folder} has no config.json and model.safetensors; give a Hugging Face folder of a ViT.")
    config = _object(folder / "config.json")
    said = config.get("hidden_act", "gelu")
    act: Approximation | None = next((ours for ours, name in ACTS.items() if name == said), None)
    if config.get("model_type") != "vit" or act is None or not config.get("qkv_bias", True):
        raise InputError(
            f"{folder} is a {config.get('model_type')} with {said}; give a ViT with gelu and "
            "biases, or open it with transformers and `flexify` it."
        )
    image, patch, width, depth, heads, hidden = (_number(config, name, folder) for name in SIZES)
    if hidden % width:
        raise InputError(
            f"{folder} has MLPs of {hidden} in a width of {width}; open it with transformers and `flexify` it."
        )
    channels = _number({"num_channels": 3, **config}, "num_channels", folder)
    theirs = read_tensors(folder / "model.safetensors")
    most = sum(tensor.numel() for tensor in theirs.values())
    if (
        image > WIDEST
        or channels > most
        or depth > len(theirs)
        or (patch <= image and width * patch * patch * min(1, depth) > most)
        or hidden > most
    ):
        raise InputError(
            f"{folder} says {depth} layers of width {width} and {hidden} units, for {channels} channels of {image} "
            f"pixels, in its config.json, and its tensors have {most:,} numbers in all; give a whole folder of a ViT."
        )
    classes = theirs["classifier.bias"].shape[0] if "classifier.bias" in theirs else 1
    shape = Shape(
        (channels, image, image),
        width,
        depth,
        heads,
        expansion=hidden // width,
        buffer=(patch, patch),
        grid=grid_of((image, image), (patch, patch)),
        gelu=act,
        eps=_eps(config, folder),
    )
    network = build_vit(shape, classes, patch, seed=0)
    named = _ours(theirs, shape, classes, folder)
    network.module.load_state_dict(named)
    return Read(network, named)


def _theirs(parameters: Parameters, depth: int) -> Parameters:
    width = len(parameters["bias"])
    rows = parameters["positions"].flatten(0, 1)
    place = "vit.embeddings"
    named: Parameters = {
        f"{place}.cls_token": parameters["token"].reshape(1, 1, width),
        f"{place}.position_embeddings": torch.cat([torch.zeros(1, width).to(rows), rows])[None],
        f"{place}.patch_embeddings.projection.weight": parameters["kernel"],
        f"{place}.patch_embeddings.projection.bias": parameters["bias"],
    }
    for kind in ("weight", "bias"):
        named[f"vit.layernorm.{kind}"] = parameters[f"norm.{kind}"]
        named[f"classifier.{kind}"] = parameters[f"head.{kind}"]
        for number in range(depth):
            ours, layer = f"blocks.{number}", f"vit.encoder.layer.{number}"
            for word, part in zip(WORDS, parameters[f"{ours}.attend.{kind}"].chunk(3), strict=True):
                named[f"{layer}.attention.attention.{word}.{kind}"] = part
            for inside, name in LAYER.items():
                named[f"{layer}.{name}.{kind}"] = parameters[f"{ours}.{inside}.{kind}"]
    return {name: tensor.detach().contiguous() for name, tensor in named.items()}


def _number(config: dict[str, Any], name: str, folder: Path) -> int:
    value = config.get(name)
    if not isinstance(value, int) or value < 1:
        raise InputError(
            f"{folder} says {name} {value!r} in its config.json; give a ViT's folder, with a whole number there."
        )
    return value


def _eps(config: dict[str, Any], folder: Path) -> float:
    value = config.get("layer_norm_eps", 1e-12)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"{folder} says layer_norm_eps {value!r} in its config.json; give a small number there.")
    return float(value)


def _object(path: Path) -> dict[str, Any]:
    """The names and values of a JSON file."""
    said = read_json(path)
    if not isinstance(said, dict):
        raise InputError(f"{path} holds a {type(said).__name__}; expected names and values, as Hugging Face has them.")
    return cast("dict[str, Any]", said)


def _each(said: dict[str, Any], name: str, channels: int, path: Path) -> Float64[Tensor, "channels"]:
    """A number for each channel, of which none is zero where it is a spread."""
    value: Any = said[name]
    numbers = cast("list[Any]", value) if isinstance(value, list) else []
    real = [each for each in numbers if isinstance(each, int | float) and abs(each) < LARGEST]
    if len(real) != channels or len(numbers) != channels or (name == "image_std" and 0 in real):
        raise InputError(f"{path} has {value!r} for {name}; give a number for each of {channels} channels.")
    return torch.tensor(real, dtype=torch.float64)


def _ours(theirs: Parameters, shape: Shape, classes: int, folder: Path) -> Parameters:
    lacking: list[str] = []
    wrong: list[str] = []
    taken: set[str] = set()

    def take(name: str, *size: int) -> Tensor:
        taken.add(name)
        if name not in theirs:
            lacking.append(name)
        elif theirs[name].shape != size:
            wrong.append(f"{name} {tuple(theirs[name].shape)} in place of {size}")
        else:
            return theirs[name].float()
        return torch.zeros(size)

    place, width, inside = "vit.embeddings", shape.width, shape.expansion * shape.width
    table = take(f"{place}.position_embeddings", 1, 1 + math.prod(shape.grid), width)[0]
    named: Parameters = {
        "token": take(f"{place}.cls_token", 1, 1, width).flatten() + table[0],
        "positions": table[1:].unflatten(0, shape.grid),
        "kernel": take(f"{place}.patch_embeddings.projection.weight", width, shape.image[0], *shape.buffer),
        "bias": take(f"{place}.patch_embeddings.projection.bias", width),
    }
    sizes = {"expand": (inside, width), "contract": (width, inside), "project": (width, width)}
    for kind in ("weight", "bias"):
        named[f"norm.{kind}"] = take(f"vit.layernorm.{kind}", width)
        named[f"head.{kind}"] = take(f"classifier.{kind}", *(classes, width)[: 2 if kind == "weight" else 1])
        for number in range(shape.depth):
            ours, layer = f"blocks.{number}", f"vit.encoder.layer.{number}"
            square = (width, width)[: 2 if kind == "weight" else 1]
            parts = [take(f"{layer}.attention.attention.{word}.{kind}", *square) for word in WORDS]
            named[f"{ours}.attend.{kind}"] = torch.cat(parts)
            for part, name in LAYER.items():
                size = sizes.get(part, (width,))
                named[f"{ours}.{part}.{kind}"] = take(f"{layer}.{name}.{kind}", *size[: 2 if kind == "weight" else 1])
    unknown = sorted(name for name in theirs.keys() - taken if not name.startswith("vit.pooler."))
    said = [f"lacks {', '.join(lacking[:4])}"] if lacking else []
    said += [f"has {'; '.join(wrong[:4])}"] if wrong else []
    said += [f"has {', '.join(unknown[:4])}, which such a ViT has not"] if unknown else []
    if said:
        raise InputError(
            f"{folder} {', and '.join(said)}; give a whole folder of a ViT that tells classes apart, whose config.json "
            "is that of its tensors."
        )
    return {name: tensor.clone() for name, tensor in named.items()}

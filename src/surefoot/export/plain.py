"""A flexible network at one patch size as a plain transformer: a folder of tensors, or ONNX. What differs is refused.

    <folder>/model.safetensors    patch_embed.proj, cls_token, pos_embed, blocks.<i>.{norm1, attn.qkv, …}, norm, head
    <folder>/config.json          sizes, classes and how it is pooled

The names are those that plain vision transformers have in timm, which opens the folder as it is
(`timm.create_model("local-dir:FOLDER", pretrained=True)`; its normalisations have an eps of 1e-6, as ours unless told
otherwise). A flexified module keeps the names of its own class.

What was written is run on the caller's images before it gets its name, by code that knows nothing of patch sizes, and
compared with the flexible network at that size: logits may differ by 1e-4 of the largest. Tensors are written in single
precision.

Source of names and shapes: timm 1.0, `models/vision_transformer.py`.
"""

import secrets
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.export.onnx_files import write_network_onnx
from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.flex.fixed import fixed_at
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch
from surefoot.networks.network import Network, Parameters, forward
from surefoot.networks.patches import Size

__all__ = ["CLOSE", "Says", "beside", "check_same", "open_plain_folder", "write_plain_folder", "write_plain_onnx"]

Says: TypeAlias = Callable[[Tensor], Tensor]
"""Images `[rows, channels, height, width]` → logits `[rows, classes]`: a model that was written, opened again."""

CLOSE = 1e-4
ACTS = {"none": "gelu", "tanh": "gelu_tanh"}
NAMES = {
    "norm1": "norm1",
    "attend": "attn.qkv",
    "project": "attn.proj",
    "norm2": "norm2",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
}


def write_plain_folder(
    network: Network, parameters: Parameters, patch: Size, classes: Sequence[str], images: Tensor, folder: Path
) -> None:
    """The network at one patch size as `model.safetensors` and `config.json`; both are there, or neither.

    images: `[rows, channels, height, width]`, which it is compared on.

    Raises `InputError` for a network without patch sizes, a patch that does not divide its images, names that do not
    fit the classes, no images, a folder that is there already, and one that would say something else than the network.
    """
    single = _single(parameters)
    plain = fixed_at(network, single, patch)
    _check_classes(network, parameters, classes)
    _check_images(images, folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another folder, or remove it.")
    module = plain.network.module
    with beside(folder) as place:
        place.mkdir(parents=True)
        if isinstance(module, FlexibleViT):
            write_tensors(place / "model.safetensors", _theirs(plain.parameters, module.shape))
            write_json(place / "config.json", _config(module.shape, patch, classes))
            said = open_plain_folder(place)
        else:
            write_tensors(place / "model.safetensors", plain.parameters)
            write_json(
                place / "config.json",
                {"architecture": type(module).__name__, "patch_size": list(patch), "classes": list(classes)},
            )
            again = read_tensors(place / "model.safetensors")
            said: Says = lambda given: forward(plain.network, again, given)  # noqa: E731 - one of two ways
        check_same(network, parameters, patch, images, said, folder)
        place.replace(folder)


def write_plain_onnx(
    network: Network, parameters: Parameters, patch: Size, classes: Sequence[str], images: Tensor, path: Path
) -> None:
    """The network at one patch size as an ONNX file, compared on `images`; see `write_network_onnx` for what it holds.

    Raises `InputError` for what `write_plain_folder` refuses, but that a file that is there is replaced; when onnx is
    not installed; and for a network that torch cannot write.
    """
    plain = fixed_at(network, _single(parameters), patch)
    _check_classes(network, parameters, classes)
    _check_images(images, path)
    with beside(path) as place:
        write_network_onnx(plain.network, plain.parameters, classes, tuple(images.shape[1:]), place)
        check_same(network, parameters, patch, images, _in_onnx(place), path)
        place.replace(path)


def open_plain_folder(folder: Path) -> Says:
    """The plain transformer in a folder that `write_plain_folder` wrote, in a few lines of torch.

    Raises `InputError` for another folder.
    """
    config: dict[str, Any] = read_json(folder / "config.json")
    tensors = read_tensors(folder / "model.safetensors")
    if not isinstance(config, dict) or "model_args" not in config or "patch_embed.proj.weight" not in tensors:
        raise InputError(f"{folder} is no plain transformer that surefoot wrote; give such a folder.")
    kernel = tensors["patch_embed.proj.weight"]
    try:
        told: dict[str, Any] = config["model_args"]
        heads, eps = int(told["num_heads"]), float(config["layer_norm_eps"])
        stride = (kernel.shape[2], kernel.shape[3])
        rough = "tanh" if told["act_layer"] == "gelu_tanh" else "none"
        depth = int(told["depth"])
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise InputError(
            f"{folder} is no plain transformer that surefoot wrote ({error}); give such a folder."
        ) from None

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (x.shape[2],), tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)

    @torch.no_grad()
    def says(images: Tensor) -> Tensor:
        patches = functional.conv2d(images, kernel, tensors["patch_embed.proj.bias"], stride=stride)
        x = patches.flatten(2).transpose(1, 2) + tensors["pos_embed"]
        if "cls_token" in tensors:
            x = torch.cat([tensors["cls_token"].expand(len(x), 1, -1), x], dim=1)
        for number in range(depth):
            block = f"blocks.{number}"
            query, key, value = (
                part.unflatten(2, (heads, -1)).transpose(1, 2)
                for part in linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=2)
            )
            seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            x = x + linear(seen, f"{block}.attn.proj")
            inside = functional.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"), approximate=rough)
            x = x + linear(inside, f"{block}.mlp.fc2")
        x = norm(x, "norm")
        return linear(x[:, 0] if "cls_token" in tensors else x.mean(dim=1), "head")

    return says


def check_same(network: Network, parameters: Parameters, patch: Size, images: Tensor, said: Says, called: Path) -> None:
    """Refuse what was written where its logits of these images are not those of the network at this patch size.

    Raises `InputError` with how far they are apart, and how many images are of another class.
    """
    _check_images(images, called)
    like = next(iter(parameters.values()))
    with torch.no_grad():
        ours = forward(at_patch(network, patch), parameters, images.to(like)).double()
        theirs = said(images.float()).double()
    difference = float((ours - theirs).abs().max())
    if not difference <= CLOSE * float(ours.abs().max()):
        other = int((ours.argmax(dim=1) != theirs.argmax(dim=1)).sum())
        raise InputError(
            f"{called} would say something else than the network at {patch[0]} × {patch[1]}: {other} of {len(images)} "
            f"images are of another class, and a logit differs by {difference:.3g}. Nothing was written; check that "
            "all its tensors are finite."
        )


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A name beside `path` for what is not finished; whatever is left there afterwards is removed."""
    place = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        yield place
    except OSError as error:
        raise InputError(
            f"Could not write {path} ({error.strerror}); free space or choose another place. Nothing was left behind."
        ) from error
    finally:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        place.unlink(missing_ok=True)


def _check_classes(network: Network, parameters: Parameters, classes: Sequence[str]) -> None:
    count = len(parameters[f"{network.head}.weight"])
    if len(classes) != count or len(set(classes)) != count:
        raise InputError(f"{len(set(classes))} names were given for {count} classes; give one for each.")


def _check_images(images: Tensor, called: Path) -> None:
    if not len(images):
        raise InputError(f"{called} cannot be compared with the network on no images; give a few.")


def _single(parameters: Parameters) -> Parameters:
    """In single precision, on the CPU; whole numbers as they are."""
    return {
        name: tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in parameters.items()
    }


def _theirs(parameters: Parameters, shape: Shape) -> dict[str, Float[Tensor, "..."]]:
    named = {
        "patch_embed.proj.weight": parameters["kernel"],
        "patch_embed.proj.bias": parameters["bias"],
        "pos_embed": parameters["positions"].flatten(0, 1)[None],
    }
    if "token" in parameters:
        named["cls_token"] = parameters["token"][None, None]
    for kind in ("weight", "bias"):
        named |= {f"{name}.{kind}": parameters[f"{name}.{kind}"] for name in ("norm", "head")}
        for number in range(shape.depth):
            block = f"blocks.{number}"
            named |= {
                f"{block}.{theirs}.{kind}": parameters[f"{block}.{ours}.{kind}"] for ours, theirs in NAMES.items()
            }
    return named


def _config(shape: Shape, patch: Size, classes: Sequence[str]) -> dict[str, Any]:
    pool = "token" if shape.pool == "token" else "avg"
    arguments = {
        "img_size": list(shape.image[1:]),
        "patch_size": list(patch),
        "in_chans": shape.image[0],
        "num_classes": len(classes),
        "global_pool": pool,
        "embed_dim": shape.width,
        "depth": shape.depth,
        "num_heads": shape.heads,
        "mlp_ratio": float(shape.expansion),
        "class_token": shape.pool == "token",
        "no_embed_class": True,
        "fc_norm": False,
        "act_layer": ACTS[shape.gelu],
    }
    return {
        "architecture": "vit_base_patch16_224",  # what timm calls any such transformer; its sizes are below
        "num_classes": len(classes),
        "num_features": shape.width,
        "global_pool": pool,
        "model_args": arguments,
        "layer_norm_eps": shape.eps,
        "label_names": list(classes),
        "pretrained_cfg": {
            "input_size": list(shape.image),
            "fixed_input_size": True,
            "num_classes": len(classes),
            "mean": [0.0] * shape.image[0],
            "std": [1.0] * shape.image[0],
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "label_names": list(classes),
        },
    }


def _in_onnx(path: Path) -> Says:
    """The file run by onnxruntime where it is installed, and else by onnx's own slow evaluator."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        runs: Any = ReferenceEvaluator(str(path))
    else:
        runs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def says(images: Tensor) -> Tensor:
        # The first alone: a graph may have become one for a fixed number of images.
        parts = [part.numpy() for part in (images[:1], images[1:]) if len(part)]
        try:
            return torch.cat([torch.from_numpy(runs.run(["logits"], {"inputs": part})[0]) for part in parts])
        except Exception as error:  # a runtime may refuse a graph in any way
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"The ONNX file does not run ({reason}); export it as safetensors.") from error

    return says

"""A linear head on its own: as a torch layer, as two tensors in a file, as a model that the commands open."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from torch import nn

from surefoot.errors import InputError
from surefoot.files import parse_json, read_tensors, write_tensors
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.robust.head import LinearHead

__all__ = ["NamedHead", "as_linear", "check_classes", "read_head", "save_head_model", "write_head"]


class NamedHead(NamedTuple):
    """A head and the names of its classes, in the order of its logits."""

    head: LinearHead
    classes: tuple[str, ...]


def as_linear(head: LinearHead) -> nn.Linear:
    """The head as a torch layer in its own precision, to take the place of a network's last layer.

    >>> import torch
    >>> layer = as_linear(LinearHead(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([0.5, 0.0])))
    >>> layer(torch.tensor([[1.0, 1.0]])).tolist()
    [[3.5, 7.0]]
    """
    classes, width = head.weight.shape
    layer = nn.Linear(width, classes, device="meta", dtype=head.weight.dtype).to_empty(device="cpu")
    layer.load_state_dict({"weight": head.weight, "bias": head.bias.to(head.weight.dtype)})
    return layer


def write_head(head: LinearHead, classes: Sequence[str], path: Path) -> None:
    """Write `weight` and `bias` as safetensors, whole or not at all; the names of the classes are its metadata.

    `nn.Linear(features, classes).load_state_dict(safetensors.torch.load_file(path))` reads it anywhere.
    """
    check_classes(head, classes)
    write_tensors(path, {"weight": head.weight, "bias": head.bias}, {"classes": json.dumps(list(classes))})


def read_head(path: Path) -> NamedHead:
    """The head that `write_head` wrote, bit for bit; raises `InputError` for any other file."""
    tensors = read_tensors(path)
    with safe_open(path, "pt") as opened:
        metadata: Mapping[str, str] = opened.metadata() or {}
    if set(tensors) != {"weight", "bias"} or "classes" not in metadata:
        raise InputError(
            f"{path} holds {', '.join(sorted(tensors))} and is no head that surefoot wrote: that has weight, bias and "
            "the names of the classes; give such a file."
        )
    try:
        said = parse_json(metadata["classes"])
    except ValueError as error:
        raise InputError(f"The names of the classes in {path} are not readable ({error}); write it again.") from None
    if (
        not isinstance(said, list)
        or tensors["weight"].ndim != 2
        or tensors["bias"].shape != tensors["weight"].shape[:1]
    ):
        raise InputError(f"{path} has no matrix of weights with a bias and a name for each class; write it again.")
    classes = tuple(str(name) for name in said)
    head = LinearHead(tensors["weight"].clone(), tensors["bias"].clone())
    check_classes(head, classes)
    return NamedHead(head, classes)


def save_head_model(
    head: LinearHead, classes: Sequence[str], folder: Path, provenance: Mapping[str, Any] | None = None
) -> None:
    """A folder that `surefoot look`, `predict` and `export` open: the head as a model that reads features.

    Rounded to single precision, as every network is. provenance: plain JSON on where the head comes from.
    """
    check_classes(head, classes)
    count, width = head.weight.shape
    record = ModelRecord(
        spec={"linear": {"inputs": width, "classes": count}},
        head="head",
        classes=tuple(classes),
        input_shape=(width,),
        provenance=provenance or {},
    )
    save_model(folder, {"head.weight": head.weight.float(), "head.bias": head.bias.float()}, record)


def check_classes(head: LinearHead, classes: Sequence[str]) -> None:
    """Raise `InputError` unless there is one name per logit, each its own."""
    if len(classes) != len(head.weight) or len(set(classes)) != len(classes):
        raise InputError(
            f"The head has {len(head.weight)} logits and the classes are {tuple(classes)}; give each logit a name of "
            "its own."
        )

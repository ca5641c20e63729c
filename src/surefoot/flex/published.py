"""Published transformers in big_vision's layout: an .npz of named arrays, FlexiViT's and plain ones'.

    embedding/kernel [p, q, channels, width], /bias; pos_embedding [1, tokens, width]; cls [1, 1, width]
    Transformer/encoderblock_<i>/LayerNorm_0 and _1/{scale, bias}
        /MultiHeadDotProductAttention_0/{query, key, value}/{kernel [width, heads, each], bias [heads, each]}, /out
        /MlpBlock_0/{Dense_0, Dense_1}/{kernel [in, out], bias}
    Transformer/encoder_norm/{scale, bias}; head/{kernel [width, classes], bias}

all of them after nothing, `params/` or `opt/target/`. Blocks may be stacked, as Transformer/encoderblock/… with the
block as first axis. Older files have positions under Transformer/, or under Transformer/posembed_input/, and one more
of them, for the class token, to which it is added: the network is the same. Their GELU is the one that tanh
approximates.

Kernel and positions stay at the size of the file. Nothing is unpickled.

Source: the code of Beyer et al. (2023), github.com/google-research/big_vision, models/vit.py and
models/proj/flexi/vit.py.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.networks.flexible import FlexibleViT, Shape
from surefoot.networks.network import Network, Parameters
from surefoot.networks.patches import Size
from surefoot.rows.features import read_npz

__all__ = ["Read", "read_published"]

PREFIXES = ("", "params/", "opt/target/")
BLOCK, ATTENTION = "Transformer/encoderblock", "MultiHeadDotProductAttention_0"


class Read(NamedTuple):
    """A network at the size of its kernel, or at the largest patch that divides the image, and the file's tensors."""

    network: Network
    parameters: Parameters


def read_published(path: Path, image: Size, patch: Size) -> Read:
    """The transformer in a file of big_vision's layout, for images of this size, at this patch size.

    Raises `InputError` for a file that is no .npz of arrays, names of the layout that it lacks, names that the layout
    does not have, shapes that do not fit each other (naming them), and a patch that does not divide the image.
    """
    arrays = _arrays(path)
    try:
        named = _translated(arrays, path)
        width, channels, *buffer = named["kernel"].shape
        heads = _heads(arrays, path)
        depth = 1 + max(int(name.split(".")[1]) for name in named if name.startswith("blocks."))
        rows, columns = named["positions"].shape[:2]
        expansion = len(named["blocks.0.expand.bias"]) // width
    except InputError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"The arrays of {path} do not fit each other ({reason}); give a whole file of big_vision's layout."
        ) from None
    shape = Shape(
        (channels, *image),
        width,
        depth,
        heads,
        expansion=expansion,
        buffer=(buffer[0], buffer[1]),
        grid=(rows, columns),
        pool="token" if "token" in named else "mean",
        gelu="tanh",
    )
    with torch.device("meta"):
        module = FlexibleViT(shape, len(named["head.bias"]), patch)
    wrong = [
        f"{name} {tuple(named[name].shape)} in place of {tuple(tensor.shape)}"
        for name, tensor in module.state_dict().items()
        if name in named and named[name].shape != tensor.shape
    ]
    lacking = sorted(module.state_dict().keys() - named.keys())
    if wrong or lacking:
        raise InputError(
            f"{path} is no transformer of {depth} blocks of width {width}: {'; '.join([*wrong[:4], *lacking[:4]])}. "
            "Give a whole file of big_vision's layout."
        )
    module.load_state_dict(named, assign=True)
    return Read(Network(module.eval(), "head"), {name: tensor.clone() for name, tensor in named.items()})


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """By the layout's names, without a prefix."""
    found = read_npz(path)
    for prefix in PREFIXES:
        if f"{prefix}embedding/kernel" in found:
            return {name.removeprefix(prefix): array for name, array in found.items() if name.startswith(prefix)}
    raise InputError(
        f"{path} has no embedding/kernel, alone or after {PREFIXES[1]} or {PREFIXES[2]}; it has "
        f"{', '.join(sorted(found)[:4])}, …. Give a file of big_vision's layout."
    )


def _translated(arrays: Mapping[str, np.ndarray], path: Path) -> Parameters:
    """The file's arrays under our names and in our layouts; names that are missing or unknown are refused."""
    left = dict(_unstacked(arrays))
    lacking: list[str] = []

    def take(name: str) -> Tensor:
        if name not in left:
            lacking.append(name)
            return torch.zeros(1)
        return torch.from_numpy(np.array(left.pop(name), dtype=np.float32))

    def linear(name: str) -> dict[str, Tensor]:
        kernel, bias = take(f"{name}/kernel"), take(f"{name}/bias")
        inputs = kernel.numel() // bias.numel()
        return {"weight": kernel.reshape(inputs, -1).T.contiguous(), "bias": bias.flatten()}

    def norm(name: str) -> dict[str, Tensor]:
        return {"weight": take(f"{name}/scale"), "bias": take(f"{name}/bias")}

    named: Parameters = {}
    kernel = take("embedding/kernel")
    if kernel.ndim != 4:
        raise InputError(
            f"{path} has an embedding/kernel of {tuple(kernel.shape)}; give one of [p, q, channels, width]."
        )
    named["kernel"] = kernel.permute(3, 2, 0, 1).contiguous()
    named["bias"] = take("embedding/bias")
    tables = [f"{place}pos_embedding" for place in ("", "Transformer/posembed_input/", "Transformer/")]
    table = next((name for name in tables if name in left), tables[0])
    if "cls" in left:
        named["token"] = take("cls").flatten()
    named["positions"] = _positions(take(table), named, path)
    for number in range(_depth(left)):
        place, ours = f"{BLOCK}_{number}", f"blocks.{number}"
        parts = [linear(f"{place}/{ATTENTION}/{word}") for word in ("query", "key", "value")]
        attend = {key: torch.cat([part[key] for part in parts]) for key in ("weight", "bias")}
        for inside, tensors in (
            ("norm1", norm(f"{place}/LayerNorm_0")),
            ("attend", attend),
            ("project", linear(f"{place}/{ATTENTION}/out")),
            ("norm2", norm(f"{place}/LayerNorm_1")),
            ("expand", linear(f"{place}/MlpBlock_0/Dense_0")),
            ("contract", linear(f"{place}/MlpBlock_0/Dense_1")),
        ):
            named |= {f"{ours}.{inside}.{key}": tensor for key, tensor in tensors.items()}
    named |= {f"norm.{key}": tensor for key, tensor in norm("Transformer/encoder_norm").items()}
    named |= {f"head.{key}": tensor for key, tensor in linear("head").items()}
    if lacking or left:
        said = [f"it lacks {', '.join(lacking[:4])}"] if lacking else []
        said += [f"it has {', '.join(sorted(left)[:4])}, which such a transformer has not"] if left else []
        raise InputError(f"{path} is no transformer of big_vision's layout that can be read: {'; '.join(said)}.")
    return named


def _positions(table: Tensor, named: Parameters, path: Path) -> Float[Tensor, "rows columns width"]:
    """A square grid; one position more is the class token's, and is added to it."""
    rows = table.reshape(-1, table.shape[-1])
    side = math.isqrt(len(rows))
    if side * side + 1 == len(rows) and "token" in named:
        named["token"] = named["token"] + rows[0]
        rows = rows[1:]
    elif side * side != len(rows):
        raise InputError(
            f"{path} has {len(rows)} positions, which are no square grid, with a class token or without one."
        )
    return rows.unflatten(0, (side, side)).clone()


def _unstacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Blocks under one name are told apart by their first axis."""
    single: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name.startswith(f"{BLOCK}/"):
            single |= {f"{BLOCK}_{number}{name.removeprefix(BLOCK)}": each for number, each in enumerate(array)}
        else:
            single[name] = array
    return single


def _depth(arrays: Mapping[str, np.ndarray]) -> int:
    numbers = [int(name.removeprefix(f"{BLOCK}_").split("/")[0]) for name in arrays if name.startswith(f"{BLOCK}_")]
    depth = 1 + max(numbers, default=0)
    if depth > len(arrays):
        raise InputError(f"It names {depth:,} blocks and has {len(arrays)} arrays; give a file of big_vision's layout.")
    return depth


def _heads(arrays: Mapping[str, np.ndarray], path: Path) -> int:
    query = _unstacked(arrays)[f"{BLOCK}_0/{ATTENTION}/query/kernel"]
    if query.ndim != 3:
        raise InputError(f"{path} has queries of {query.shape}; give a file with [width, heads, each].")
    return query.shape[1]

"""A network named in plain JSON: one architecture and its sizes, so that it can be built again anywhere.

{"linear": {"inputs": 784, "classes": 10}}
{"mlp":    {"inputs": 784, "hidden": [256, 256], "classes": 10}}
{"cnn":    {"shape": [1, 28, 14], "channels": [16, 32], "hidden": 64, "classes": 2}}
{"resnet": {"shape": [3, 32, 32], "width": 16, "blocks": 3, "classes": 10}}
{"vit":    {"shape": [1, 48, 48], "patch": [8, 8], "width": 64, "depth": 4, "heads": 2, …, "classes": 10}}  (`vit_spec`)
{"file":   "net.py:Net", "head": "fc"}        (a user's own code; "head" may be left out)
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import pairwise
from math import prod
from typing import Any, NoReturn, cast

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.networks.build import build_cnn, build_linear, build_mlp, build_resnet
from surefoot.networks.flexible import Shape, build_vit, grid_of
from surefoot.networks.network import Network
from surefoot.networks.patches import Resampling, Size
from surefoot.networks.split import split
from surefoot.networks.user import load_user_module

__all__ = ["network_from_spec", "seeded_user_module", "sized_vit", "vit_spec"]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "linear": ("inputs", "classes"),
    "mlp": ("inputs", "hidden", "classes"),
    "cnn": ("shape", "channels", "hidden", "classes"),
    "resnet": ("shape", "width", "blocks", "classes"),
    "vit": (
        "shape", "patch", "width", "depth", "heads", "expansion", "buffer", "grid", "pool", "positions", "gelu", "eps",
        "spread", "patches", "places", "classes",
    ),
}  # fmt: skip
LARGEST = 1e30
"""What a number that is no size is below."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "pool": ("token", "mean"), "positions": ("learned", "sincos"), "gelu": ("none", "tanh"),
}  # fmt: skip


def network_from_spec(spec: Mapping[str, Any], seed: int, *, trust_code: bool = False) -> Network:
    """Build the network a spec names, its starting weights drawn from `seed`.

    A user's file draws from torch's global generator, which is set for it and put back afterwards.

    Raises `InputError` when the architecture or a size is unknown (with the nearest that is known), missing or of
    the wrong type, and when a file's code is not trusted.

    >>> network_from_spec({"mlp": {"inputs": 4, "hidden": [8], "classes": 2}}, seed=0).head
    'head'
    """
    if "file" in spec:
        return _from_file(spec, seed, trust_code)
    if len(spec) != 1:
        raise InputError(f"A network names one architecture, and this names {len(spec)}: {', '.join(spec) or 'none'}.")
    architecture, fields = next(iter(spec.items()))
    if architecture not in FIELDS:
        _refuse_unknown("architecture", architecture, [*FIELDS, "file"])
    if not isinstance(fields, Mapping):
        raise InputError(
            f'The architecture "{architecture}" needs its sizes by name ({", ".join(FIELDS[architecture])}); '
            f"{fields!r} was given."
        )
    sizes = _Sizes(architecture, cast("Mapping[str, Any]", fields))
    require_memory(4 * _least(sizes), f'A network "{architecture}" of these sizes')
    match architecture:
        case "linear":
            return build_linear(sizes.number("inputs"), sizes.number("classes"), seed)
        case "mlp":
            return build_mlp(sizes.number("inputs"), sizes.numbers("hidden"), sizes.number("classes"), seed)
        case "cnn":
            shape, channels = sizes.numbers("shape"), sizes.numbers("channels")
            return build_cnn(shape, channels, sizes.number("hidden"), sizes.number("classes"), seed)
        case "vit":
            return build_vit(_shape(sizes), sizes.number("classes"), sizes.pair("patch"), seed)
        case _:
            shape, width, blocks = sizes.numbers("shape"), sizes.number("width"), sizes.number("blocks")
            return build_resnet(shape, width, blocks, sizes.number("classes"), seed)


def sized_vit(told: Mapping[str, Any], image: tuple[int, ...], classes: int) -> dict[str, Any]:
    """The same of a transformer whose images are known: told are square `patch`, `buffer` and `grid`, and the widths.

    Raises `InputError` for rows that are no images, and a patch that does not divide them.
    """
    if len(image) != 3:
        raise InputError(
            f"A row has the shape {'×'.join(map(str, image))}, and a vision transformer reads images of channels, "
            "height and width; give it images, or name another network."
        )
    patch = (told["patch"], told["patch"])
    buffer, grid = told.get("buffer"), told.get("grid")
    shape = Shape(
        (image[0], image[1], image[2]),
        width=told["width"],
        depth=told["depth"],
        heads=told["heads"],
        expansion=told["expansion"],
        buffer=patch if buffer is None else (buffer, buffer),
        grid=grid_of((image[1], image[2]), patch) if grid is None else (grid, grid),
        pool=told["pool"],
        positions=told["positions"],
        spread=told["spread"],
    )
    return vit_spec(shape, classes, patch)


def vit_spec(shape: Shape, classes: int, patch: Size) -> dict[str, Any]:
    """A transformer of `build_vit` as plain JSON, everything written out.

    >>> spec = vit_spec(Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2)), 3, (8, 8))
    >>> network_from_spec(spec, seed=0).module.shape.grid
    (2, 2)
    """
    told = {name: list(each) if isinstance(each, tuple) else each for name, each in asdict(shape).items()}
    return {"vit": {"shape": told.pop("image"), "patch": list(patch), **told, "classes": classes}}


def seeded_user_module(named: str, seed: int, trust_code: bool) -> nn.Module:
    """The module "file.py:Net" names, its starting weights drawn from `seed`; torch's generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return load_user_module(named, trust_code)


@dataclass(frozen=True)
class _Sizes:
    """The sizes of one architecture, read with errors that name it."""

    architecture: str
    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        known = FIELDS[self.architecture]
        for name in self.fields:
            if name not in known:
                _refuse_unknown(f'size of "{self.architecture}"', name, known)
        for name in known:
            if name not in self.fields:
                raise InputError(f'The architecture "{self.architecture}" needs "{name}"; it was not given.')

    def number(self, name: str) -> int:
        value = self.fields[name]
        if not _whole(value):
            self._refuse(name, "a whole number", value)
        return value

    def real(self, name: str) -> float:
        value = self.fields[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
            self._refuse(name, "a number", value)
        return float(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        value = self.fields[name]
        if _whole(value):
            return (value,)
        if not isinstance(value, list | tuple) or not all(map(_whole, cast("list[Any]", value))):
            self._refuse(name, "a list of whole numbers", value)
        return tuple(cast("list[int]", value))

    def pair(self, name: str) -> Size:
        value = self.numbers(name)
        if len(value) != 2:
            self._refuse(name, "a height and a width", list(value))
        return (value[0], value[1])

    def word(self, name: str) -> Any:
        value = self.fields[name]
        if value not in WORDS[name]:
            self._refuse(name, f"one of {', '.join(WORDS[name])}", value)
        return value

    def resampling(self, name: str) -> Resampling:
        value = self.fields[name]
        try:
            return Resampling(**value)
        except TypeError:
            self._refuse(name, "a resize: form, antialias, sharpness", value)

    def _refuse(self, name: str, expected: str, value: object) -> NoReturn:
        raise InputError(f'"{name}" of "{self.architecture}" is {value!r}; it must be {expected}.')


def _least(sizes: _Sizes) -> int:
    """How many numbers the network has, at least: before it is built, for sizes are whatever a file says."""
    match sizes.architecture:
        case "linear" | "mlp":
            hidden = sizes.numbers("hidden") if sizes.architecture == "mlp" else ()
            widths = (sizes.number("inputs"), *hidden, sizes.number("classes"))
            return sum(one * two for one, two in pairwise(widths))
        case "cnn":
            entering, *sides = sizes.numbers("shape") or (0,)
            channels, hidden = sizes.numbers("channels"), sizes.number("hidden")
            pixels = prod(side >> min(len(channels), 64) for side in sides)
            leaving = (entering, *channels)
            kernels = 9 * sum(one * two for one, two in pairwise(leaving))
            return kernels + leaving[-1] * pixels * hidden + hidden * sizes.number("classes")
        case "resnet":
            return (9 * 42 * sizes.number("blocks") + 4) * sizes.number("width") ** 2
        case _:
            width = sizes.number("width")
            block = (4 + 2 * sizes.number("expansion")) * width**2
            tokens = prod(sizes.numbers("grid")) + prod(sizes.numbers("buffer")) * (sizes.numbers("shape") or (0,))[0]
            return sizes.number("depth") * block + (tokens + sizes.number("classes")) * width


def _shape(sizes: _Sizes) -> Shape:
    image = sizes.numbers("shape")
    if len(image) != 3:
        raise InputError(f'"shape" of "vit" is {list(image)}; it must be channels, height and width.')
    return Shape(
        (image[0], image[1], image[2]),
        width=sizes.number("width"),
        depth=sizes.number("depth"),
        heads=sizes.number("heads"),
        expansion=sizes.number("expansion"),
        buffer=sizes.pair("buffer"),
        grid=sizes.pair("grid"),
        pool=sizes.word("pool"),
        positions=sizes.word("positions"),
        gelu=sizes.word("gelu"),
        eps=sizes.real("eps"),
        spread=None if sizes.fields["spread"] is None else sizes.real("spread"),
        patches=sizes.resampling("patches"),
        places=sizes.resampling("places"),
    )


def _from_file(spec: Mapping[str, Any], seed: int, trust_code: bool) -> Network:
    for name in spec:
        if name not in {"file", "head"}:
            _refuse_unknown("setting of a model from a file", name, ["file", "head"])
    module = seeded_user_module(str(spec["file"]), seed, trust_code)
    return split(module, None if spec.get("head") is None else str(spec["head"]))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_unknown(what: str, name: str, known: Collection[str]) -> NoReturn:
    close = get_close_matches(name, known, n=1, cutoff=0)[0]
    raise InputError(f'"{name}" is no {what}; did you mean "{close}"? Known: {", ".join(known)}.')

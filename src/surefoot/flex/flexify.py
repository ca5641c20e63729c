"""Make any module with a patch embedding flexible: its kernel and positions resized at each call, the rest as it is.

What depends on the patch size in a vision transformer is one convolution whose stride is its kernel, and one table of
positions with a row a token (and rows before them for class tokens and the like). `flexify` finds both, and `at_patch`
then runs the module with

    kernel  Ŵ(p, q)      `networks.patches.resize_patches`
    table   [the first rows as they are; the grid's, resized to that of p × q]

put in their places for the length of a call. The module's own tensors stay what they are, at the size they were made
in, and are what is trained and saved.

Tested on Hugging Face's ViT, DeiT, DINOv2, and the towers of CLIP and SigLIP (tests/flex/test_flexify.py); nothing in
here knows them.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.flexible import grid_of
from surefoot.networks.patches import BILINEAR, BILINEAR_SMOOTH, Resampling, Size, resize_patches, resize_positions

__all__ = ["Flexified", "Parts", "find_parts", "flexify"]

MOST_FIRST = 8  # rows of a table that may stand before the grid's


@dataclass(frozen=True)
class Parts:
    """Where a module keeps what depends on its patch size.

    convolution: its dotted name. positions: the dotted name of the table. first: rows of it before the grid's. image
    and patch: the sizes that the module was made for.
    """

    convolution: str
    positions: str
    first: int
    image: Size
    patch: Size


def flexify(
    module: nn.Module,
    image: Size | int,
    *,
    convolution: str | None = None,
    positions: str | None = None,
    patches: Resampling = BILINEAR,
    places: Resampling = BILINEAR_SMOOTH,
) -> "Flexified":
    """The module with a patch size that can be chosen, at first its own; its tensors are shared, not copied.

    image: the height and width it was made for. convolution, positions: the dotted names of the patch embedding and of
    the table of positions, where they cannot be told.

    Raises `InputError` where there is no such convolution or table, or several.

    >>> class Tower(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.patch = nn.Conv2d(3, 8, kernel_size=16, stride=16)
    ...         self.positions = nn.Parameter(torch.zeros(1, 9, 8))
    ...     def forward(self, images):
    ...         return self.patch(images).flatten(2).transpose(1, 2) + self.positions
    >>> flexible = flexify(Tower(), 48)
    >>> [tuple(flexible.at((p, p))(torch.zeros(1, 3, 48, 48)).shape) for p in (24, 16, 8)]
    [(1, 4, 8), (1, 9, 8), (1, 36, 8)]
    """
    size = (image, image) if isinstance(image, int) else image
    parts = find_parts(module, size, convolution=convolution, positions=positions)
    return Flexified(module, parts, patches, places)


class Flexified(nn.Module):
    """A module and the patch size it is run at. The size is no tensor: `at` gives another one with the same tensors."""

    def __init__(self, module: nn.Module, parts: Parts, patches: Resampling, places: Resampling) -> None:
        super().__init__()
        self.module, self.parts = module, parts
        self.patches, self.places = patches, places
        self.patch = parts.patch

    def extra_repr(self) -> str:
        """What tensors do not show."""
        return f"{self.parts}, {self.patches}, {self.places}, patch={self.patch}"

    def at(self, patch: Size) -> "Flexified":
        """This module at another patch size: its tensors, not copies of them."""
        grid_of(self.parts.image, patch)
        other = copy.copy(self)
        other.patch = patch
        return other

    def forward(self, images: Tensor) -> Any:
        """What the module returns. Raises `InputError` for images that the patch does not divide."""
        grid_of((images.shape[2], images.shape[3]), self.patch)
        return self.resized((images.shape[2], images.shape[3]))(images)

    def resized(self, image: Size) -> nn.Module:
        """The plain module of this patch size for images of this size; gradients of its tensors flow to ours.

        Raises `InputError` where it would have another size of images than it was made for: such modules check that.
        """
        parts = self.parts
        if image != parts.image:
            raise InputError(
                f"Images of {image[0]} × {image[1]} pixels were given to a module for {parts.image[0]} × "
                f"{parts.image[1]}; resize the images."
            )
        grid, patch = grid_of(image, self.patch), self.patch
        if patch == parts.patch:
            return self.module
        kernel = _tensor(self.module, f"{parts.convolution}.weight")
        table = _tensor(self.module, parts.positions)
        rows = table.reshape(-1, table.shape[-1])
        old = grid_of(parts.image, parts.patch)
        places = resize_positions(rows[parts.first :].unflatten(0, old), grid, self.places).flatten(0, 1)
        tensors = {
            f"{parts.convolution}.weight": resize_patches(kernel, patch, self.patches),
            parts.positions: torch.cat([rows[: parts.first], places]).reshape(*table.shape[:-2], -1, table.shape[-1]),
        }
        for name, numbers in self.module.named_buffers():
            # Some look their positions up by numbers that they keep.
            if torch.equal(numbers.flatten(), torch.arange(len(rows)).to(numbers)):
                new = parts.first + math.prod(grid)
                tensors[name] = torch.arange(new).to(numbers).reshape(*numbers.shape[:-1], new)
        attributes: dict[str, dict[str, Any]] = {parts.convolution: {"kernel_size": patch, "stride": patch}}
        for name in _above(parts.convolution):
            part = self.module.get_submodule(name)
            said = {key: _alike(getattr(part, key), patch) for key in ("patch_size",) if hasattr(part, key)}
            if hasattr(part, "num_patches"):
                said["num_patches"] = math.prod(grid)
            attributes[name] = said
        return _changed(self.module, tensors, attributes)


def find_parts(
    module: nn.Module, image: Size, *, convolution: str | None = None, positions: str | None = None
) -> Parts:
    """The patch embedding and the positions of a module; see `flexify`."""
    layers = {name: part for name, part in module.named_modules() if isinstance(part, nn.Conv2d)}
    found = [name for name, part in layers.items() if _embeds(part)] if convolution is None else [convolution]
    if len(found) != 1 or found[0] not in layers or not _embeds(layers[found[0]]):
        there = f"it has {', '.join(found)}" if found else "it has none"
        raise InputError(
            f"{type(module).__name__} needs one convolution whose stride is its kernel, without padding, dilation or "
            f"groups, as a patch embedding; {there}. Name it, or give a vision transformer."
        )
    part = layers[found[0]]
    patch = (part.kernel_size[0], part.kernel_size[1])
    count = math.prod(grid_of(image, patch))
    tables = {
        name: tensor.numel() // part.out_channels - count
        for name, tensor in module.named_parameters()
        if tensor.shape[-1] == part.out_channels and tensor.ndim in {2, 3}
        and "pos" in name.lower() and 0 <= tensor.numel() // part.out_channels - count <= MOST_FIRST
    }  # fmt: skip
    if positions is not None:
        tables = {name: first for name, first in tables.items() if name == positions}
    if len(tables) != 1:
        there = f"it has {', '.join(tables)}" if tables else "it has none"
        raise InputError(
            f"{type(module).__name__} needs one table of positions with a row of {part.out_channels} numbers for each "
            f"of {count} patches and for up to {MOST_FIRST} tokens before them; {there}. Give the size of image that "
            "it was made for, or name the table."
        )
    ((name, first),) = tables.items()
    return Parts(found[0], name, first, image, patch)


def _embeds(part: nn.Conv2d) -> bool:
    padded = part.padding not in {(0, 0), "valid"}
    return (
        part.kernel_size == part.stride
        and math.prod(part.kernel_size) > 1
        and not padded
        and (part.dilation == (1, 1) and part.groups == 1)
    )


def _tensor(module: nn.Module, name: str) -> Tensor:
    """By its dotted name; while a network runs, what stands there is lent and no `nn.Parameter`."""
    owner, _, key = name.rpartition(".")
    return getattr(module.get_submodule(owner), key)


def _above(name: str) -> list[str]:
    """The modules that hold the one of this dotted name, from the outermost but one."""
    words = name.split(".")
    return [".".join(words[:end]) for end in range(1, len(words))]


def _alike(old: Any, patch: Size) -> Any:
    return patch[0] if isinstance(old, int) else type(old)(patch)


def _changed(
    module: nn.Module, tensors: Mapping[str, Tensor], attributes: Mapping[str, Mapping[str, Any]]
) -> nn.Module:
    """A module with other tensors and attributes in some places, that shares all else with this one."""
    other = copy.copy(module)
    held = vars(other)
    for kind in ("_parameters", "_buffers", "_modules"):
        held[kind] = dict(held[kind])
    inside: dict[str, tuple[dict[str, Tensor], dict[str, Mapping[str, Any]]]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            inside.setdefault(first, ({}, {}))[0][rest] = tensor
        else:
            held["_parameters" if first in held["_parameters"] else "_buffers"][first] = tensor
    for name, said in attributes.items():
        first, _, rest = name.partition(".")
        if name:
            inside.setdefault(first, ({}, {}))[1][rest] = said
        else:
            held.update(said)
    for name, (own, said) in inside.items():
        held["_modules"][name] = _changed(held["_modules"][name], own, said)
    return other

"""A vision transformer of every patch size: one set of weights, resized as it is called.

With a patch of p × q pixels an image is a grid of h/p × w/q tokens, each the patch's kernel and its place,

    t_ij = Ŵ(p, q) * x_ij + b + pos_ij,    x₀ = [cls, t] (pooling "token") or t ("mean")
    x ← x + Attention(LN(x)),   x ← x + W₂ GELU(W₁ LN(x)),   logits = head(pool(LN(x)))

where Ŵ is the PI-resized kernel (`patches.resize_patches`) and pos the resized positions. Kernel and positions are kept
at the size they were made in, `buffer` and `grid`, and resized from there at each call: 32 → 8 → 32 would lose what is
fine in a kernel. At patch size = buffer and the grid of the positions it is the plain transformer, bit for bit.

A network has one patch size at a time; `at_patch` gives the same weights at another, without a copy.

Source: Beyer et al. (2023), "FlexiViT: One model for all patch sizes"; the transformer: Dosovitskiy et al. (2021), "An
image is worth 16x16 words", §3.1; positions by sines and cosines: Beyer, Zhai and Kolesnikov (2022), "Better plain ViT
baselines for ImageNet-1k". The class token has no position of its own, as in FlexiViT's code.
"""

import copy
import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from surefoot.errors import InputError
from surefoot.networks.network import Network
from surefoot.networks.patches import BILINEAR, BILINEAR_SMOOTH, Resampling, Size, resize_patches, resize_positions

__all__ = [
    "SIZES",
    "Approximation",
    "Flexible",
    "FlexibleViT",
    "Shape",
    "at_patch",
    "build_vit",
    "grid_of",
    "sizes_of",
]


Approximation: TypeAlias = Literal["none", "tanh"]
"""Of GELU."""


@runtime_checkable
class Flexible(Protocol):
    """A module that has a patch size."""

    patch: Size

    def at(self, patch: Size) -> "Flexible":
        """The same tensors at another patch size. Raises `InputError` where it does not divide the images."""
        ...


@dataclass(frozen=True)
class Shape:
    """A transformer's sizes. heads: of attention. expansion: of the width, inside an MLP. depth: its blocks.

    image: channels, height and width of its images. buffer: the size that its kernel is kept at; grid: that of its
    positions, in tokens. gelu: how it is approximated; the published models have "tanh". eps: of
    the normalisations. spread: the deviation that learned positions are drawn with (.02 if None, as is usual), or what
    sines and cosines are multiplied by (1 if None). Small positions leave fine patches of a flexible model untrained:
    see docs/flex-digits.md.
    """

    image: tuple[int, int, int]
    width: int
    depth: int
    heads: int
    expansion: int = 4
    buffer: Size = (32, 32)
    grid: Size = (7, 7)
    pool: Literal["token", "mean"] = "token"
    positions: Literal["learned", "sincos"] = "learned"
    gelu: Approximation = "none"
    eps: float = 1e-6
    spread: float | None = None
    patches: Resampling = BILINEAR
    places: Resampling = BILINEAR_SMOOTH

    def __post_init__(self) -> None:
        sizes = {
            "channels, height and width": self.image,
            "width": (self.width,),
            "depth": (self.depth,),
            "heads": (self.heads,),
            "expansion": (self.expansion,),
            "buffer": self.buffer,
            "grid": self.grid,
        }
        for name, given in sizes.items():
            if min(given) < 1:
                raise InputError(f"{name} of a transformer is {'×'.join(map(str, given))}; give at least 1.")
        if self.spread is not None and not (math.isfinite(self.spread) and self.spread > 0):
            raise InputError(f"The spread of positions is {self.spread}; give a positive number.")
        if self.width % self.heads:
            raise InputError(f"A width of {self.width} cannot be shared by {self.heads} heads; give a multiple.")
        if self.positions == "sincos" and self.width % 4:
            raise InputError(
                f"Sines and cosines of two directions need a width that 4 divides; {self.width} was given."
            )


SIZES = {"Ti": (192, 12, 3), "S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16)}
"""Width, depth and heads of the published models."""


def build_vit(shape: Shape, classes: int, patch: Size | int, seed: int) -> Network:
    """A flexible transformer from a seed, at one patch size; its head is a linear layer on the pooled vector.

    Linear layers and the kernel are drawn as Glorot and LeCun do (uniform by fan-in and fan-out; normal by fan-in),
    positions from N(0, .02²); the head and the class token start at zero.

    Raises `InputError` for a patch that does not divide the image, and for no class.

    >>> shape = Shape((1, 48, 48), width=16, depth=1, heads=2, buffer=(16, 16), grid=(6, 6))
    >>> network = build_vit(shape, classes=10, patch=8, seed=0)
    >>> [tuple(at_patch(network, p).module(torch.zeros(2, 1, 48, 48)).shape) for p in (8, 24)]
    [(2, 10), (2, 10)]
    """
    if classes < 1:
        raise InputError(f"A transformer of {classes} classes was asked for; give at least 1.")
    module = FlexibleViT(shape, classes, _pair(patch))
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Linear) and part is not module.head:
            # Queries, keys and values are three layers that share a tensor.
            outputs = part.out_features // 3 if part.out_features == 3 * part.in_features else part.out_features
            bound = math.sqrt(6 / (part.in_features + outputs))
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.zeros_(part.bias)
    nn.init.normal_(module.kernel, std=math.prod(module.kernel.shape[1:]) ** -0.5, generator=generator)
    if isinstance(module.positions, nn.Parameter):
        nn.init.normal_(module.positions, std=0.02 if shape.spread is None else shape.spread, generator=generator)
    return Network(module.eval(), "head")


def at_patch(network: Network, patch: Size | int) -> Network:
    """The same network, and the same tensors, at another patch size.

    Raises `InputError` for a network that has no patch size, and for one that does not divide its images.
    """
    module = network.module
    if not isinstance(module, Flexible):
        raise InputError(
            f"{type(module).__name__} has no patch size to change; build one with `build_vit`, or `flexify` a "
            "transformer."
        )
    viewed = module.at(_pair(patch))
    assert isinstance(viewed, nn.Module)
    return replace(network, module=viewed)


def grid_of(image: Size, patch: Size) -> Size:
    """Tokens in a column and in a row. Raises `InputError` for a patch that is larger or does not divide.

    >>> grid_of((240, 240), (24, 16))
    (10, 15)
    """
    (height, width), (p, q) = image, patch
    if p < 1 or q < 1 or p > height or q > width:
        raise InputError(
            f"A patch of {p} × {q} pixels was asked for of images of {height} × {width}; give one between a pixel and "
            "the image."
        )
    if height % p or width % q:
        rest = f"{height % p} rows and {width % q} columns would be left over"
        raise InputError(
            f"A patch of {p} × {q} pixels does not divide images of {height} × {width} ({rest}); give one of "
            f"{_listed(sizes_of(image))}, or pad the images."
        )
    return height // p, width // q


def sizes_of(image: Size, least: int = 1) -> list[int]:
    """The square patches that divide an image, from the largest, that leave at least `least` tokens a side.

    >>> sizes_of((240, 240), least=5)[:4]
    [48, 40, 30, 24]
    """
    common = math.gcd(*image)
    return [p for p in range(common, 0, -1) if common % p == 0 and min(image) // p >= least]


class FlexibleViT(nn.Module):
    """See the module's head. The patch size is no tensor: `at` gives another one with the same tensors."""

    def __init__(self, shape: Shape, classes: int, patch: Size) -> None:
        super().__init__()
        self.shape, self.patch = shape, patch
        grid_of(shape.image[1:], patch)
        width = shape.width
        self.kernel = nn.Parameter(torch.empty(width, shape.image[0], *shape.buffer))
        self.bias = nn.Parameter(torch.zeros(width))
        if shape.positions == "learned":
            self.positions = nn.Parameter(torch.empty(*shape.grid, width))
        else:
            self.register_buffer(
                "positions", sines(shape.grid, width) * (1.0 if shape.spread is None else shape.spread)
            )
        self.token = nn.Parameter(torch.zeros(width)) if shape.pool == "token" else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(width, eps=shape.eps)
        head = skip_init(nn.Linear, width, classes)
        assert isinstance(head, nn.Linear)
        self.head = head
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def extra_repr(self) -> str:
        """What tensors do not show."""
        return f"{self.shape}, patch={self.patch}"

    def at(self, patch: Size) -> "FlexibleViT":
        """This module at another patch size: its tensors, not copies of them."""
        grid_of(self.shape.image[1:], patch)
        other = copy.copy(self)
        other.patch = patch
        return other

    def forward(self, images: Float[Tensor, "rows channels height width"]) -> Float[Tensor, "rows classes"]:
        tokens = self.norm(self.encode(self.tokens(images)))
        return self.head(tokens[:, 0] if self.token is not None else tokens.mean(dim=1))

    def tokens(self, images: Float[Tensor, "rows channels height width"]) -> Float[Tensor, "rows tokens features"]:
        """Patches with their places, and the class token before them where there is one."""
        grid = grid_of((images.shape[2], images.shape[3]), self.patch)
        kernel = resize_patches(self.kernel, self.patch, self.shape.patches)
        places = resize_positions(self.positions, grid, self.shape.places)
        patches = functional.conv2d(images, kernel, self.bias, stride=self.patch)
        tokens = patches.flatten(2).transpose(1, 2) + places.flatten(0, 1)
        if self.token is None:
            return tokens
        # `len` would be a constant of an exported graph.
        return torch.cat([self.token.expand(tokens.shape[0], 1, -1), tokens], dim=1)

    def encode(self, tokens: Float[Tensor, "rows tokens features"]) -> Float[Tensor, "rows tokens features"]:
        """The blocks alone, before the last normalisation."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class Block(nn.Module):
    """Attention and an MLP, each added to what it reads normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.gelu = shape.heads, shape.gelu
        width, hidden = shape.width, shape.expansion * shape.width
        self.norm1 = nn.LayerNorm(width, eps=shape.eps)
        self.attend = skip_init(nn.Linear, width, 3 * width)
        self.project = skip_init(nn.Linear, width, width)
        self.norm2 = nn.LayerNorm(width, eps=shape.eps)
        self.expand = skip_init(nn.Linear, width, hidden)
        self.contract = skip_init(nn.Linear, hidden, width)

    def forward(self, tokens: Float[Tensor, "rows tokens features"]) -> Float[Tensor, "rows tokens features"]:
        rows, count, width = tokens.shape
        asked = self.attend(self.norm1(tokens)).view(rows, count, 3, self.heads, width // self.heads)
        query, key, value = asked.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.project(seen.transpose(1, 2).reshape(rows, count, width))
        return tokens + self.contract(functional.gelu(self.expand(self.norm2(tokens)), approximate=self.gelu))


def sines(grid: Size, width: int, longest: float = 10_000.0) -> Float[Tensor, "rows columns width"]:
    """sin and cos of column and row at width/4 frequencies from 1 to 1/longest: [sin x, cos x, sin y, cos y]."""
    rates = longest ** -(torch.arange(width // 4, dtype=torch.float64) / max(width // 4 - 1, 1))
    down, across = (torch.arange(side, dtype=torch.float64)[:, None] * rates for side in grid)
    y, x = down[:, None].expand(*grid, -1), across[None].expand(*grid, -1)
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=2).float()


def _pair(patch: Size | int) -> Size:
    return (patch, patch) if isinstance(patch, int) else patch


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes))

"""Light heads on a flexible transformer, of which one serves every patch size.

A token of patch size p says what is in its patch as a small picture of k × k cells, whatever p is; the pictures of all
tokens side by side are a map of (h/p)k × (w/p)k cells, which is resized to one common resolution. From there on nothing
knows the patch size:

    z = LN(encode(tokens))                      [rows, h/p, w/p, width], of `FlexibleViT`
    m = resize(side by side(W z), cells)        [rows, h/2, w/2, channels]; W: width → channels · k²
    shared = GELU(linear of GELU(m))
    classes, centres, offsets = linear of shared, cell by cell
    boxes, vectors = linear of GELU(linear of 2 × 2 cells of shared)        [rows, h/4 · w/4, 4 or text width]
    image = W' mean(z)                          [rows, joint width], beside W'' text

A token's picture is in units of its patch, so that W need not know how large a patch was; the transformer does, by its
positions. The resize is bilinear, with antialiasing where it shrinks.

Source: Beyer et al. (2023), "FlexiViT", §5 (detection, segmentation, retrieval with flexible backbones). Strudel et al.
(2021), "Segmenter", have one cell a token and a linear layer; k² cells are ours, so that nine tokens can say where a
stroke is.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.networks.flexible import FlexibleViT, Shape, build_vit, grid_of
from surefoot.networks.patches import BILINEAR_SMOOTH, Size, resampling_matrix, resize_patches

__all__ = ["ANCHOR", "CELL", "DenseViT", "Heads", "Outputs", "build_dense", "features", "smooth_start"]

CELL, ANCHOR = 2, 4
"""Sides in pixels of a cell of the maps, and of what answers for one box."""
SCALE, SHIFT = 10.0, -4.0
"""Where the scores of boxes start: sure that there is none."""


@dataclass(frozen=True)
class Heads:
    """classes: of pixels, background among them. text: width of the locked text embeddings. joint: of the space in
    which images and captions meet. channels: of the maps. picture: k, the side of a token's picture in cells.
    middle, spread: what is taken off a grey in [0, 1], and what is left is divided by."""

    classes: int
    text: int
    joint: int = 64
    channels: int = 24
    picture: int = 8
    middle: float = 0.1
    spread: float = 0.25

    def __post_init__(self) -> None:
        least = min(self.classes, self.text, self.joint, self.channels, self.picture)
        if least < 1 or not self.spread > 0:
            raise InputError(f"Heads of {self} were asked for; give sizes of at least 1 and a positive spread.")


class Outputs(NamedTuple):
    """What all heads say of some images.

    classes: logits. centres: their heat. offsets: to them, in pixels, down first. boxes: of each anchor, as left, top,
    right and bottom in pixels. vectors: of each anchor, of any length. image: of length one.
    """

    classes: Float[Tensor, "rows classes cells_down cells_across"]
    centres: Float[Tensor, "rows cells_down cells_across"]
    offsets: Float[Tensor, "rows 2 cells_down cells_across"]
    boxes: Float[Tensor, "rows anchors 4"]
    vectors: Float[Tensor, "rows anchors text"]
    image: Float[Tensor, "rows joint"]


def features(
    backbone: FlexibleViT, images: Float[Tensor, "rows channels height width"], patch: Size
) -> Float[Tensor, "rows down across features"]:
    """The tokens of each patch after the last normalisation, on their grid; a class token is left out.

    Raises `InputError` for a patch that does not divide the images.

    >>> shape = Shape((1, 48, 48), width=16, depth=1, heads=2, pool="mean")
    >>> backbone = build_vit(shape, classes=1, patch=8, seed=0).module
    >>> tuple(features(backbone, torch.zeros(2, 1, 48, 48), (16, 12)).shape)
    (2, 3, 4, 16)
    """
    grid = grid_of((images.shape[2], images.shape[3]), patch)
    at = backbone.at(patch)
    tokens = at.norm(at.encode(at.tokens(images)))
    return tokens[:, tokens.shape[1] - grid[0] * grid[1] :].unflatten(1, grid)


class DenseViT(nn.Module):
    """See the module's head. It has no patch size: one is given with the images."""

    def __init__(self, backbone: FlexibleViT, heads: Heads) -> None:
        super().__init__()
        height, width = backbone.shape.image[1:]
        if height % ANCHOR or width % ANCHOR:
            raise InputError(f"Images of {height} × {width} were given; give sides that {ANCHOR} divides.")
        self.backbone, self.heads = backbone, heads
        self.cells = (height // CELL, width // CELL)
        channels = heads.channels
        self.pictures = nn.Linear(backbone.shape.width, channels * heads.picture**2)
        self.mix = nn.Linear(channels, channels)
        self.maps = nn.Linear(channels, heads.classes + 3)
        self.gather = nn.Linear(channels * (ANCHOR // CELL) ** 2, 3 * channels)
        self.box = nn.Linear(3 * channels, 4)
        self.vector = nn.Linear(3 * channels, heads.text)
        self.scale, self.shift = nn.Parameter(torch.tensor(SCALE)), nn.Parameter(torch.tensor(SHIFT))
        self.image = nn.Linear(backbone.shape.width, heads.joint)
        self.text = nn.Linear(heads.text, heads.joint)
        self.warmth = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, images: Float[Tensor, "rows channels height width"], patch: Size) -> Outputs:
        tokens = features(self.backbone, (images - self.heads.middle) / self.heads.spread, patch)
        shared = functional.gelu(self.mix(functional.gelu(self._maps(tokens))))
        said = self.maps(shared).permute(0, 3, 1, 2)
        gathered = functional.gelu(self.gather(self._by_anchor(shared)))
        return Outputs(
            said[:, :-3],
            said[:, -3],
            said[:, -2:] * (4 * ANCHOR),
            _boxes(self.box(gathered)),
            self.vector(gathered).flatten(1, 2),
            functional.normalize(self.image(tokens.mean(dim=(1, 2))), dim=1),
        )

    def captions(self, texts: Float[Tensor, "rows text"]) -> Float[Tensor, "rows joint"]:
        """Where captions lie beside images, of length one; their embeddings are locked, one linear map is not."""
        return functional.normalize(self.text(texts), dim=1)

    def scores(
        self, vectors: Float[Tensor, "rows anchors text"], names: Float[Tensor, "names text"]
    ) -> Float[Tensor, "rows anchors names"]:
        """Logits: is there a box here, and is it a `name`? Any names, as text embeddings; each is asked by itself."""
        along = vectors @ functional.normalize(names, dim=1).T
        return self.scale * along / vectors.norm(dim=2, keepdim=True).clamp_min(1e-6) + self.shift

    def _maps(self, tokens: Float[Tensor, "rows down across features"]) -> Float[Tensor, "rows cells cells2 channels"]:
        k, channels = self.heads.picture, self.heads.channels
        rows, down, across, _ = tokens.shape
        pictures = self.pictures(tokens).view(rows, down, across, k, k, channels).transpose(2, 3)
        side_by_side = pictures.reshape(rows, down * k, across * k * channels)
        taller, wider = (
            resampling_matrix((down, across)[side] * k, self.cells[side], BILINEAR_SMOOTH) for side in (0, 1)
        )
        lines = (taller.to(tokens) @ side_by_side).unflatten(2, (across * k, channels))
        return wider.to(tokens) @ lines

    def _by_anchor(
        self, cells: Float[Tensor, "rows cells cells2 channels"]
    ) -> Float[Tensor, "rows down across inputs"]:
        """The cells of each anchor, one after another."""
        each = ANCHOR // CELL
        rows, down, across, channels = cells.shape
        blocks = cells.view(rows, down // each, each, across // each, each, channels).transpose(2, 3)
        return blocks.reshape(rows, down // each, across // each, each * each * channels)


def resized(maps: Float[Tensor, "rows channels height width"], size: Size) -> Float[Tensor, "rows channels h w"]:
    """Maps at another resolution, bilinear, with antialiasing where they shrink.

    >>> resized(torch.tensor([[[[0.0, 1.0]]]]), (1, 4)).tolist()
    [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    down, across = (
        resampling_matrix(maps.shape[2 + side], size[side], BILINEAR_SMOOTH).to(maps) for side in (0, 1)
    )  # fmt: skip
    return down @ (maps @ across.T)


def build_dense(shape: Shape, heads: Heads, seed: int) -> DenseViT:
    """A flexible transformer with all heads, from a seed; its own head for classes is left out of use.

    The patch kernel starts as a smooth one (`smooth_start`); other layers as `build_vit` and torch draw them.
    """
    patch = math.gcd(*shape.image[1:])
    with torch.random.fork_rng(devices=[]):
        backbone = build_vit(shape, classes=1, patch=patch, seed=seed).module
        assert isinstance(backbone, FlexibleViT)
        smooth_start(backbone, seed)
        for tensor in backbone.head.parameters():
            tensor.requires_grad_(False)
        torch.manual_seed(seed)
        return DenseViT(backbone, heads)


def smooth_start(backbone: FlexibleViT, seed: int, side: int = 6) -> None:
    """Draw the patch kernel anew as one of side × side numbers, N(0, 1/(channels · side²)), resized to its buffer.

    A kernel of white noise has most of its energy where coarse and fine patches do not see the same. What this one says
    of a smooth patch differs little between the sizes that its buffer is resized to.
    """
    width, channels = backbone.kernel.shape[:2]
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(width, channels, side, side, generator=generator) / math.sqrt(channels * side * side)
    backbone.kernel.data.copy_(resize_patches(small, backbone.shape.buffer, backbone.shape.patches))


def _boxes(said: Float[Tensor, "rows down across 4"]) -> Float[Tensor, "rows anchors 4"]:
    """From (x, y) of the centre beside the anchor's, in anchors, and log width and height in units of four of them."""
    down, across = said.shape[1:3]
    y, x = torch.meshgrid(
        torch.arange(down, device=said.device) + 0.5, torch.arange(across, device=said.device) + 0.5, indexing="ij"
    )
    middle = (said[..., :2] + torch.stack([x, y], dim=2)) * ANCHOR
    half = 2 * ANCHOR * said[..., 2:].clamp(-4, 4).exp()
    return torch.cat([middle - half, middle + half], dim=3).flatten(1, 2)

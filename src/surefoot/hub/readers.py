"""From rows to a model's arguments: tokens in batches of like lengths, pixels as the model was trained on, numbers.

Texts of a chunk are sorted by their number of tokens and cut into batches of about equal *padded* size, so that short
texts go many at a time, long ones few, and little is padded. Sorting never leaves a chunk: a killed extraction loses
one chunk at most, and texts need not all be in memory as tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.encoder import Batch
from surefoot.rows.images import UNREADABLE, ImageFiles, open_image
from surefoot.rows.rows import Inputs
from surefoot.rows.texts import Texts

__all__ = ["BATCH_TOKENS", "ImageReader", "NumberReader", "Pixels", "TextReader", "cut_by_tokens", "square_pixels"]

BATCH_TOKENS = 1024
"""Tokens of a batch, padding included: small enough for activations to stay near the processor."""
TEXT_CHUNK = 2048
IMAGE_CHUNK = 256
IMAGE_BATCH = 4
"""Few: activations of many images leave the processor's cache, and each image then takes longer."""
NUMBER_CHUNK = 512
BATCH_NUMBERS = IMAGE_BATCH * 3 * 224 * 224
"""Numbers of a batch that a module of the user's own gets at once."""

Pixels = Callable[[Sequence[Image.Image]], Tensor]
"""RGB images of any size to `[images, channels, height, width]`, resized and normalised."""


@dataclass(frozen=True)
class TextReader:
    """Texts as tokens. longest: tokens kept of a text; what lies beyond is cut off (`count_cut_off`)."""

    tokenizer: Any
    longest: int
    names: tuple[str, ...]
    settings: Mapping[str, Any]
    budget: int = BATCH_TOKENS
    chunk: int = TEXT_CHUNK

    def batches(self, inputs: Inputs, chunk: slice) -> Iterator[Batch]:
        """The chunk's texts, the shortest first."""
        if not isinstance(inputs, Texts):
            raise InputError("This model reads texts; name the column that holds them (--text COLUMN).")
        columns = [list(column[chunk]) for column in inputs.columns]
        if len(columns) > 2:
            raise InputError(f"A model reads one text a row, or a pair; {len(columns)} columns of text were named.")
        coded = self.tokenizer(*columns, truncation=True, max_length=self.longest, verbose=False)
        lengths = [len(ids) for ids in coded["input_ids"]]
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        for places in cut_by_tokens(order, lengths, self.budget):
            width = lengths[places[-1]]
            yield Batch(places, {name: self._padded(coded[name], name, places, width) for name in self.names})

    def count_cut_off(self, inputs: Inputs) -> int:
        """How many texts are longer than the model reads. Texts of fewer letters than that cannot be."""
        if not isinstance(inputs, Texts):
            return 0
        long = [texts for texts in zip(*inputs.columns, strict=True) if sum(map(len, texts)) > self.longest - 4]
        if not long:
            return 0
        columns = [list(column) for column in zip(*long, strict=True)]
        coded = self.tokenizer(*columns, truncation=False, verbose=False)
        return sum(len(ids) > self.longest for ids in coded["input_ids"])

    def _padded(self, values: Sequence[Sequence[int]], name: str, places: Sequence[int], width: int) -> Tensor:
        filler = self.tokenizer.pad_token_id if name == "input_ids" else 0
        padded = np.full((len(places), width), filler, dtype=np.int64)
        for row, place in enumerate(places):
            padded[row, : len(values[place])] = values[place]
        return torch.from_numpy(padded)


def cut_by_tokens(order: Sequence[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cut rows, sorted by length, into batches whose padded size stays within the budget (one row always fits).

    >>> list(cut_by_tokens([2, 0, 1], [3, 8, 2], budget=6))
    [[2, 0], [1]]
    """
    places: list[int] = []
    for place in order:
        if places and lengths[place] * (len(places) + 1) > budget:
            yield places
            places = []
        places.append(place)
    if places:
        yield places


@dataclass(frozen=True)
class ImageReader:
    """Image files, or tensors of images with values in [0, 1], as pixels; decoded a batch at a time."""

    pixels: Pixels
    settings: Mapping[str, Any]
    name: str = "pixel_values"
    batch: int = IMAGE_BATCH
    chunk: int = IMAGE_CHUNK

    def batches(self, inputs: Inputs, chunk: slice) -> Iterator[Batch]:
        """The chunk's images, in order."""
        count = chunk.stop - chunk.start
        for start in range(0, count, self.batch):
            places = list(range(start, min(start + self.batch, count)))
            images = _pictures(inputs, slice(chunk.start + start, chunk.start + places[-1] + 1))
            yield Batch(places, {self.name: self.pixels(images)})


@dataclass(frozen=True)
class NumberReader:
    """Tensors as they are, for a model of the user's own."""

    settings: Mapping[str, Any]
    budget: int = BATCH_NUMBERS
    chunk: int = NUMBER_CHUNK

    def batches(self, inputs: Inputs, chunk: slice) -> Iterator[Batch]:
        """The chunk's rows, in order."""
        part = inputs[chunk].clone()
        step = max(1, self.budget * len(part) // max(1, part.numel()))
        for start in range(0, len(part), step):
            rows = part[start : start + step]
            yield Batch(list(range(start, start + len(rows))), {"": rows})


def square_pixels(
    size: int, shorter: int, mean: float, scale: float
) -> Callable[[Sequence[Image.Image]], Float[Tensor, "images 3 size size"]]:
    """Resize the shorter side to `shorter` (bicubic), keep `size` × `size` pixels in the middle, (x − mean) / scale.

    mean, scale: in units of a pixel's 0 to 255.
    """

    def pixels(images: Sequence[Image.Image]) -> Tensor:
        made = torch.empty(len(images), 3, size, size)
        for place, image in enumerate(images):
            ratio = shorter / min(image.size)
            width, height = (max(shorter, round(side * ratio)) for side in image.size)
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BICUBIC)
            left, top = (width - size) // 2, (height - size) // 2
            values = np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.float32)
            made[place] = torch.from_numpy((values - mean) / scale).permute(2, 0, 1)
        return made

    return pixels


def _pictures(inputs: Inputs, part: slice) -> list[Image.Image]:
    if isinstance(inputs, ImageFiles):
        return [_picture(path) for path in inputs.paths[part]]
    if isinstance(inputs, Texts):
        raise InputError("This model reads images; give a table with a column of file names, or a folder of images.")
    values = inputs[part]
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise InputError(
            f"This model reads images and the rows have shape {tuple(values.shape[1:])}; give image files, or tensors "
            "[rows, 1 or 3 channels, height, width] with values from 0 to 1."
        )
    if values.is_floating_point():
        if float(values.min()) < 0 or float(values.max()) > 1:
            raise InputError(
                f"The images have values from {float(values.min()):g} to {float(values.max()):g}; give them from 0 to "
                "1, before any normalisation: the model's own follows."
            )
        values = (values * 255).round()
    bytes_ = values.to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(each) for each in bytes_]


def _picture(path: Any) -> Image.Image:
    try:
        with open_image(path) as image:
            return image.convert("RGB")
    except UNREADABLE as error:
        raise InputError(
            f"{path} is not a readable image ({type(error).__name__}); it may be cut short: replace it or leave it out."
        ) from None

"""Scenes composed of real digits: several on one dark canvas, with boxes, masks and a caption that are known exactly.

A scene has 1 to 3 digits, each cut to its own pixels, scaled to a small or a large height, and put where the boxes of
two do not touch. A digit's mask is its strokes and the pixels next to them: strokes of small digits are a pixel or two
wide, and a measure of overlap would then say little but how well an edge was hit.

    caption    "a large three"; "a large three above a small seven" or "… left of …" (whichever way they are further
               apart); "a small nine, a large two and a small one, from left to right"

Which digits a scene may have is given, so that roles share none of them (`digits_apart`). The same seed gives the same
scenes. Where an arrangement finds no room its sizes and places are drawn again, so that three digits are small more
often than one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from surefoot.errors import InputError
from surefoot.rows.digits import Digits

__all__ = ["NAMES", "Scenes", "digits_apart", "make_scenes", "take_scenes"]

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SMALL, LARGE = (14, 16), (21, 24)
"""Heights in pixels, both ends included."""
INK = 40
"""Grey above which a pixel is a digit's, out of 255."""
TRIES = 60


@dataclass(frozen=True)
class Scenes:
    """Composed images and what is on them; where a scene has fewer digits than `most`, labels and sources are −1.

    images: grey, 0 to 255. boxes: left, top, right and bottom in pixels, the last two exclusive. instances: 0 is
    background, k + 1 the digit in column k. sources: its place among the 5,000.
    """

    images: UInt8[Tensor, "scenes height width"]
    labels: Int[Tensor, "scenes most"]
    boxes: Float[Tensor, "scenes most 4"]
    instances: UInt8[Tensor, "scenes height width"]
    sources: Int[Tensor, "scenes most"]
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> Int[Tensor, "scenes height width"]:
        """Of each pixel: 0 for background, otherwise one more than the digit."""
        none = torch.full((len(self), 1), -1)
        return torch.cat([none, self.labels], dim=1).gather(1, self.instances.flatten(1).long()).reshape(
            self.instances.shape
        ) + 1  # fmt: skip

    def inputs(self) -> Float[Tensor, "scenes 1 height width"]:
        """As a network reads them, in [0, 1]."""
        return self.images[:, None].float() / 255


def digits_apart(digits: Digits, counts: Sequence[int], seed: int) -> list[Int[Tensor, "places"]]:
    """For each count, that many digits of every class, as places among the 5,000; none comes twice.

    Raises `InputError` where a class has too few.

    >>> from surefoot.rows.digits import load_digits
    >>> [len(part) for part in digits_apart(load_digits(), [300, 200], seed=0)]
    [3000, 2000]
    """
    least = int(torch.bincount(digits.labels, minlength=10).min())
    if sum(counts) > least or min(counts, default=0) < 1:
        raise InputError(f"Parts of {list(counts)} digits a class were asked for; give at least 1, {least} in all.")
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in counts]
    for digit in range(len(NAMES)):
        mine = (digits.labels == digit).nonzero()[:, 0]
        mine = mine[torch.randperm(len(mine), generator=generator)]
        for part, piece in zip(parts, mine[: sum(counts)].split(list(counts)), strict=True):
            part.append(piece)
    return [torch.cat(part) for part in parts]


def make_scenes(
    digits: Digits,
    places: Int[Tensor, "places"],
    count: int,
    seed: int,
    *,
    side: int = 48,
    most: int = 3,
    noise: float = 0.1,
) -> Scenes:
    """`count` scenes of the digits at `places`: 1 to `most` on each, each number as often as every other.

    noise: the standard deviation that is added to every pixel, of a grey of 1.

    Raises `InputError` for no scene, no digit, a canvas that a large digit does not fit on, and more digits than there
    is room for.
    """
    room = (side // (SMALL[1] + 1)) ** 2
    if count < 1 or not len(places) or side < LARGE[1] + 2 or not 1 <= most <= room:
        raise InputError(
            f"{count} scenes of up to {most} of {len(places)} digits on {side} pixels were asked for; give at least "
            f"one scene and digit, a side of {LARGE[1] + 2} or more, and at most {room} digits on this one."
        )
    generator = np.random.default_rng(seed)
    cut = _Cut(digits)
    canvas = np.zeros((count, side, side), dtype=np.float32)
    instances = np.zeros((count, side, side), dtype=np.uint8)
    labels, sources = np.full((count, most), -1), np.full((count, most), -1)
    boxes = np.zeros((count, most, 4), dtype=np.float32)
    captions: list[str] = []
    for scene in range(count):
        chosen = generator.choice(places.numpy(), int(generator.integers(1, most + 1)))
        placed = _arranged(chosen, cut, side, generator)
        said: list[_Told] = []
        for column, (source, large, height, left, top) in enumerate(placed):
            image, mask = cut(source, height)
            down, across = slice(top, top + image.shape[0]), slice(left, left + image.shape[1])
            canvas[scene, down, across] = image * generator.uniform(0.6, 1.0)
            instances[scene, down, across][mask] = column + 1
            label = int(digits.labels[source])
            labels[scene, column], sources[scene, column] = label, source
            box = (left, top, left + image.shape[1], top + image.shape[0])
            boxes[scene, column] = box
            said.append(_Told((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, f"a {_size(large)} {NAMES[label]}"))
        captions.append(_caption(said))
    canvas += noise * generator.standard_normal(canvas.shape, dtype=np.float32)
    images = (255 * canvas).round().clip(0, 255).astype(np.uint8)
    return Scenes(
        torch.from_numpy(images),
        torch.from_numpy(labels),
        torch.from_numpy(boxes),
        torch.from_numpy(instances),
        torch.from_numpy(sources),
        tuple(captions),
    )


def take_scenes(scenes: Scenes, index: Int[Tensor, "chosen"]) -> Scenes:
    """The scenes at `index`, in its order."""
    return Scenes(
        scenes.images[index],
        scenes.labels[index],
        scenes.boxes[index],
        scenes.instances[index],
        scenes.sources[index],
        tuple(scenes.captions[each] for each in index.tolist()),
    )


class _Told(NamedTuple):
    across: float
    down: float
    words: str


class _Placed(NamedTuple):
    source: int
    large: bool
    height: int
    left: int
    top: int


class _Cut:
    """Digits cut to their ink, with a rim for the mask, at a height; each is made once."""

    def __init__(self, digits: Digits) -> None:
        self.digits = digits
        self.made = lru_cache(maxsize=None)(self._make)

    def __call__(self, source: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return self.made(source, height)

    def _make(self, source: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        image = self.digits.images[source].float() / 255
        ink = image > INK / 255
        rows, columns = ink.any(dim=1).nonzero()[:, 0], ink.any(dim=0).nonzero()[:, 0]
        tight = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inner = height - 2
        width = max(2, round(inner * tight.shape[1] / tight.shape[0]))
        small = interpolate(tight[None, None], (inner, width), mode="bilinear", antialias=True, align_corners=False)
        image = torch.nn.functional.pad(small, (1, 1, 1, 1)).clamp(0, 1)
        mask = max_pool2d((image > INK / 255).float(), 3, 1, 1) > 0
        return image[0, 0].numpy(), mask[0, 0].numpy()


def _arranged(chosen: NDArray[np.int64], cut: _Cut, side: int, generator: np.random.Generator) -> list[_Placed]:
    while True:
        placed: list[_Placed] = []
        taken = np.zeros((side, side), dtype=bool)
        for source in chosen.tolist():
            large = bool(generator.random() < 0.5)
            height = int(generator.integers(*(LARGE if large else SMALL), endpoint=True))
            tall, wide = cut(source, height)[0].shape
            if wide > side:
                break
            for _ in range(TRIES):
                top, left = int(generator.integers(side - tall + 1)), int(generator.integers(side - wide + 1))
                if not taken[top : top + tall, left : left + wide].any():
                    taken[top : top + tall, left : left + wide] = True
                    placed.append(_Placed(source, large, height, left, top))
                    break
            else:
                break
        if len(placed) == len(chosen):
            return placed


def _caption(said: Sequence[_Told]) -> str:
    if len(said) == 1:
        return said[0].words
    if len(said) == 2:
        one, two = said
        if abs(one.down - two.down) >= abs(one.across - two.across):
            above, below = sorted(said, key=lambda each: each.down)
            return f"{above.words} above {below.words}"
        left, right = sorted(said, key=lambda each: each.across)
        return f"{left.words} left of {right.words}"
    *first, last = [each.words for each in sorted(said, key=lambda each: each.across)]
    return f"{', '.join(first)} and {last}, from left to right"


def _size(large: bool) -> str:
    return "large" if large else "small"

"""Image files as inputs: read when asked for, all brought to one size, never all in memory at once."""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from surefoot.errors import InputError
from surefoot.memory import require_memory

__all__ = ["UNREADABLE", "Colour", "ImageFiles", "find_images", "open_image"]

Colour: TypeAlias = Literal["grey", "rgb"]
MODES: dict[Colour, str] = {"grey": "L", "rgb": "RGB"}
GREY_MODES = {"1", "L", "LA"}
FORMATS = (
    "PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "TGA", "ICO", "AVIF",
)  # fmt: skip
"""What is opened, whatever a file is called; Pillow would start a program of another's for a PostScript file."""
UNREADABLE = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError, TypeError, KeyError,
    IndexError,
    AttributeError, EOFError, OverflowError, MemoryError, RuntimeError, NotImplementedError, zlib.error, struct.error,
)  # fmt: skip
"""What Pillow's readers raise for files that are damaged, or are made to damage."""
DEEP_MODES = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


@dataclass(frozen=True)
class ImageFiles:
    """Files that hold one image each; indexing reads them as `[rows, channels, height, width]` in [0, 1].

    size: height and width in pixels. With `resize` every image is brought to it (bilinear, both sides alike,
    so the aspect may change); without, an image of another size is an error. Transparency and rotation tags
    are ignored; images of more than 8 bits a channel are refused.

    known: digests of pixels by those of the files they were read from and how; shared by all that were picked from one
    another, so that no file is decoded twice to be compared.
    """

    paths: tuple[Path, ...]
    size: tuple[int, int]
    colour: Colour
    resize: bool = False
    known: dict[bytes, str] = field(default_factory=dict[bytes, str], compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any, /) -> Tensor:
        """One image `[channels, height, width]` for a number, else a stack of them."""
        if isinstance(index, int):
            return self._read(self.paths[index])
        chosen = self._chosen(index)
        height, width = self.size
        channels = 3 if self.colour == "rgb" else 1
        require_memory(4 * len(chosen) * channels * height * width, f"Reading {len(chosen)} images at once")
        images = torch.empty(len(chosen), channels, height, width)
        for place, path in enumerate(chosen):
            images[place] = self._read(path)
        return images

    def pick(self, index: Tensor) -> "ImageFiles":
        """The files at `index` (numbers or a mask), still unread."""
        return replace(self, paths=self._chosen(index))

    def digests(self) -> list[str]:
        """One digest per file, equal exactly when indexing gives the same numbers, in whatever format the files are.

        Every file is read each time, and decoded once for each content. One that indexing would refuse is equal to
        files of the same bytes alone.
        """
        with ThreadPoolExecutor(_threads()) as pool:
            return list(pool.map(self._digest, self.paths))

    def _chosen(self, index: Any) -> tuple[Path, ...]:
        return tuple(self.paths[place] for place in torch.arange(len(self.paths))[index].tolist())

    def _digest(self, path: Path) -> str:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
        file = hashlib.blake2b(f"{self.size}{self.colour}{self.resize}".encode(), digest_size=16)
        file.update(content)
        if (known := self.known.get(file.digest())) is not None:
            return known
        try:
            pixels = self._pixels(path, BytesIO(content))
        except InputError:
            return file.hexdigest()
        found = hashlib.blake2b(f"{pixels.shape}".encode() + pixels.tobytes(), digest_size=16).hexdigest()
        return self.known.setdefault(file.digest(), found)

    def _read(self, path: Path) -> Float[Tensor, "channels height width"]:
        return torch.from_numpy(self._pixels(path)).permute(2, 0, 1).to(torch.float32) / 255

    def _pixels(self, path: Path, content: BytesIO | None = None) -> NDArray[np.uint8]:
        """`[height, width, channels]` of a file, or of its content where that was read already."""
        with _opened(path, content) as image:
            height, width = self.size
            if not self.resize and image.size != (width, height):
                raise InputError(
                    f"The image {path} is {image.size[1]}×{image.size[0]} pixels and the first is {height}×{width}; "
                    "give the size to which all images are to be brought."
                )
            if image.mode in DEEP_MODES:
                raise InputError(f"The image {path} has more than 8 bits a channel; convert it to 8 bits.")
            if self.colour == "grey" and image.mode not in GREY_MODES:
                raise InputError(f"The image {path} has colours and the first has none; make all of one kind.")
            try:
                pixels = image.convert(MODES[self.colour])
            except UNREADABLE as error:
                raise _unreadable(path, error) from None
        if pixels.size != (width, height):
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(pixels, dtype=np.uint8).reshape(height, width, -1)


def open_image(of: Path | BytesIO) -> Image.Image:
    """An image, not decoded yet; raises what Pillow does (`UNREADABLE`), and starts no program of another's."""
    return Image.open(of, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(each for each in FORMATS if each in Image.OPEN)


def find_images(names: Iterable[str], folder: Path, size: tuple[int, int] | None = None) -> ImageFiles:
    """The images `names` in `folder`; without a size, all must have the size of the first.

    Colour is that of the first image. Raises `InputError` when a file is missing, when a name or a link leads out of
    the folder (pictures are shown on cards, and a table of a stranger is not to choose which), and when the first is no
    image.
    """
    paths = tuple(folder / name for name in names)
    if not paths:
        raise InputError(f"No images are named for the folder {folder}; give at least one row.")
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} images are missing from {folder} (first: {missing[0].name}); "
            "check the folder and the column of file names."
        )
    _refuse_outside(paths, folder)
    with _opened(paths[0]) as first:
        colour: Colour = "grey" if first.mode in GREY_MODES | DEEP_MODES else "rgb"
        own = (first.size[1], first.size[0])
    return ImageFiles(paths, own if size is None else _checked(size), colour, resize=size is not None)


def _refuse_outside(paths: Sequence[Path], folder: Path) -> None:
    """Raise `InputError` for files that are not in the folder, or in the cache of the hub that it belongs to."""
    root = folder.resolve()
    # A snapshot of the Hugging Face hub is links to ../../blobs.
    inside = [root, *(each.parent / "blobs" for each in (root, *root.parents) if each.name == "snapshots")]
    parents: dict[Path, Path] = {}
    for path in paths:
        parent = path.parent
        if parent not in parents:
            parents[parent] = parent.resolve()
        real = parents[parent] / path.name
        if real.is_symlink() or path.name == "..":
            real = real.resolve()
        if not any(real.is_relative_to(each) for each in inside):
            raise InputError(
                f"The image {path} is not in the folder {folder} (it leads to {real}); name the folder that all images "
                "lie in, or copy them into this one."
            )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _checked(size: Sequence[int]) -> tuple[int, int]:
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"The image size {height}×{width} is empty; give height and width of at least one pixel.")
    return height, width


def _opened(path: Path, content: BytesIO | None = None) -> Image.Image:
    try:
        return open_image(path if content is None else content)
    except FileNotFoundError:
        raise _missing(path) from None
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _threads() -> int:
    """Cores that may decode at once; pixels do not depend on how many do."""
    try:
        return min(8, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every system
        return min(8, os.cpu_count() or 1)


def _missing(path: Path) -> InputError:
    return InputError(f"There is no image {path}; check the folder and the column of file names.")


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is not a readable image ({type(error).__name__}); it may be cut short: replace it or leave it out."
    )

"""What image files say of themselves before anything is decoded: sizes, colours, and which cannot be read.

45 µs a file (small PNG, one core): every file can be asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from surefoot.errors import InputError
from surefoot.rows.images import DEEP_MODES, GREY_MODES, UNREADABLE, ImageFiles, open_image
from surefoot.rows.rows import Rows

__all__ = ["Headers", "alike", "read_headers", "refuse_unreadable", "with_any_pictures"]

COMPARED = 224
"""The longest side, in pixels, at which pictures of different sizes are compared."""


@dataclass(frozen=True)
class Headers:
    """What `count` files say.

    least, most: height and width in pixels, the least and the greatest of each. grey, colour: how many are.
    deep: those of more than 8 bits a channel. unreadable: those that are no image, or not whole.
    """

    count: int
    least: tuple[int, int]
    most: tuple[int, int]
    grey: int
    colour: int
    deep: tuple[Path, ...]
    unreadable: tuple[Path, ...]

    def told(self) -> str:
        """Kinds and sizes.

        >>> Headers(2, (32, 40), (36, 56), 1, 1, (), ()).told()
        'colour and grey, 32×40 to 36×56 pixels'
        """
        kinds = [*(["colour"] if self.colour else []), *(["grey"] if self.grey else [])]
        least, most = (f"{height}×{width}" for height, width in (self.least, self.most))
        sizes = f"{least} pixels" if least == most else f"{least} to {most} pixels"
        return f"{' and '.join(kinds)}, {sizes}" if kinds else "none of which can be read"

    def faults(self) -> list[str]:
        """A sentence for each thing that is wrong with some files: how many, and the first.

        >>> Headers(1080, (32, 32), (32, 32), 0, 1079, (), (Path("pics/500.png"),)).faults()
        ['1 of 1,080 pictures cannot be read (first: pics/500.png); replace or leave out such files.']
        """
        told = (
            (self.unreadable, "cannot be read", "replace or leave out such files"),
            (self.deep, "with more than 8 bits a channel cannot be used", "convert such files to 8 bits"),
        )
        return [
            f"{len(files):,} of {self.count:,} pictures {what} (first: {files[0]}); {todo}."
            for files, what, todo in told
            if files
        ]


def read_headers(paths: Sequence[Path]) -> Headers:
    """Read the header of every file; of a PNG also whether all of it is there."""
    sizes: list[tuple[int, int]] = []
    grey = 0
    deep: list[Path] = []
    unreadable: list[Path] = []
    for path in paths:
        try:
            with open_image(path) as image:
                mode, size = image.mode, (image.size[1], image.size[0])
                if image.format == "PNG":
                    image.verify()
        except UNREADABLE:
            unreadable.append(path)
            continue
        sizes.append(size)
        deep += [path] if mode in DEEP_MODES else []
        grey += mode in GREY_MODES | DEEP_MODES
    heights, widths = [size[0] for size in sizes] or [0], [size[1] for size in sizes] or [0]
    least, most = (min(heights), min(widths)), (max(heights), max(widths))
    return Headers(len(paths), least, most, grey, len(sizes) - grey, tuple(deep), tuple(unreadable))


def refuse_unreadable(headers: Headers) -> None:
    """Raise `InputError` with all that is wrong with these files."""
    if faults := headers.faults():
        raise InputError(" ".join(faults))


def with_any_pictures(rows: Rows) -> Rows:
    """Rows whose image files may differ in size and kind, so that they can be compared; other rows as they are.

    Raises `InputError` with the number of files that cannot be read.
    """
    if not isinstance(rows.inputs, ImageFiles):
        return rows
    headers = read_headers(rows.inputs.paths)
    refuse_unreadable(headers)
    return rows.with_inputs(alike(rows.inputs, headers))


def alike(images: ImageFiles, headers: Headers) -> ImageFiles:
    """The same files, read at one size and in one kind where they differ, so that they can be compared and shown."""
    colour = "rgb" if headers.colour else "grey"
    if headers.least == headers.most and (images.resize or images.size == headers.most):
        return images if colour == images.colour else replace(images, colour=colour)
    height, width = (min(side, COMPARED) for side in headers.most)
    return replace(images, size=(height, width), colour=colour, resize=True)

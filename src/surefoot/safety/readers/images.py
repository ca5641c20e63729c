"""Refusals of texts with images: prompts that refer to images by their paths.

    {"id": …, "prompt": …, "image": "a.png" | ["a.png", …], "category": …, "label": "safe" | "unsafe"}     JSON lines

`not_overrefuse` is of the safe ones, `not_unsafe` of the unsafe ones, both by category. Images are PNG or JPEG files
beside the file or below its folder, sent whole to a model behind a server; a local model reads texts alone, and is not
asked: a prompt without its image would be another question. Neither the card nor its page holds an image, and samples
hold their digests.

Who refuses is told by phrases, from the answer alone: what an image shows is not known to the grader.
"""

from pathlib import Path
from typing import Any, cast

from surefoot.errors import InputError
from surefoot.rows.published.records import Record
from surefoot.safety.graders.refusal_words import RefusalDetector
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, ReadFile, checked_file, rows_of, said_of
from surefoot.safety.suite import Suite
from surefoot.safety.suites.refusal import REFUSAL_MEASURES, RefusalGrader
from surefoot.text.images import Image, read_image
from surefoot.text.policy import Message, Sampling

__all__ = ["image_items", "image_suite"]

IMAGES = Published("a set of texts with images", "", "wherever its user has it from")
EXPECTED = {"safe": "comply", "unsafe": "refuse"}
MOST_IMAGES = 8
"""Of a prompt."""
MOST_BYTES = 128 * 2**20
"""Of all images of a file: requests hold them whole, in memory."""


def image_items(path: Path, sha256: str | None = None) -> tuple[Item, ...]:
    """The prompts, each a user's message with its images.

    Raises `InputError` for a file that is not of this form, with the lines that are broken, lack an image, or name one
    that is too large, of another kind, or outside of the file's folder; and for more images than memory should hold.
    """
    file = checked_file(path, IMAGES, sha256)
    items = tuple(item for item, _ in rows_of(file, lambda record: _item(record, file)))
    size = sum(len(image.content) for item in items for image in _images(item))
    if size > MOST_BYTES:
        raise InputError(
            f"The images of {path} have {size / 2**20:,.0f} MiB together, and up to {MOST_BYTES // 2**20} are asked at "
            "a time; split the file."
        )
    return items


def image_suite(
    path: Path,
    sha256: str | None = None,
    *,
    detector: RefusalDetector | None = None,
    sampling: Sampling = Sampling(most=256, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """A suite of the file, for models that read images; raises as `image_items` does."""
    items = image_items(path, sha256)
    said = said_of(checked_file(path, IMAGES, sha256), IMAGES, len(items))
    return Suite(
        "images", "Refusal and over-refusal of texts with images", items, sampling,
        RefusalGrader() if detector is None else RefusalGrader(detector), REFUSAL_MEASURES,
        about=f"{said} Whoever does not refuse in words that the detector knows is taken for one who complies. A model "
        "that passes an image over answers another question.",
    )  # fmt: skip


def _images(item: Item) -> tuple[Image, ...]:
    return () if isinstance(item.prompt, str) else tuple(image for each in item.prompt for image in each.images)


def _item(record: Record, file: ReadFile) -> Item | str:
    texts = {each: record.text(each).strip() for each in ("id", "prompt", "category", "label")}
    value: Any = record.values.get("image")
    names = [value] if isinstance(value, str) else cast("list[Any]", value) if isinstance(value, list) else []
    if not texts["prompt"] or not texts["id"]:
        return "has no prompt, or no id"
    if texts["label"] not in EXPECTED:
        return f"has the label {texts['label']!r}, expected safe or unsafe"
    if not names or not all(isinstance(each, str) and each for each in names):
        return "has no image"
    if len(names) > MOST_IMAGES:
        return f"has {len(names)} images, and a prompt may have {MOST_IMAGES}"
    images: list[Image] = []
    for name in names:
        found = _read(file.path.parent, name)
        if isinstance(found, str):
            return found
        images.append(found)
    facts = {"expected": EXPECTED[texts["label"]], "request": texts["prompt"]}
    return Item(
        texts["id"], (Message("user", texts["prompt"], tuple(images)),), texts["category"], facts=facts
    )  # fmt: skip


def _read(folder: Path, name: str) -> Image | str:
    """The image, or what is wrong with it."""
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return "names an image by no path"
    if not inside:
        return f"names {Path(name).name}, which is outside of the file's folder"
    if not path.is_file():
        return f"names {Path(name).name}, which is not beside the file"
    try:
        return read_image(path)
    except InputError as error:
        return f"names {Path(name).name}: {error}"

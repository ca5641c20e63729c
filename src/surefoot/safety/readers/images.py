"""Refusals of texts with images: prompts that refer to images by their paths.

    {"id": …, "prompt": …, "image": "a.png" | ["a.png", …], "category": …, "label": "safe" | "unsafe"}     JSON lines

No policy here reads images, so a prompt without its image would be another question: `image_suite` refuses to make a
suite of such a file, and `image_items` gives its items to whoever has a policy that can. A prompt says where its images
belong: "[image: a.png]" before its text.
"""

from pathlib import Path
from typing import Any, cast

from surefoot.rows.published.records import Record
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, ReadFile, checked_file, rows_of
from surefoot.safety.suite import Suite
from surefoot.text.policy import Unaskable

__all__ = ["image_items", "image_suite"]

IMAGES = Published("a set of texts with images", "", "wherever its user has it from")
EXPECTED = {"safe": "comply", "unsafe": "refuse"}


def image_items(path: Path, sha256: str | None = None) -> tuple[Item, ...]:
    """The prompts; their images, by paths that are there, as the fact `images`.

    Raises `InputError` for a file that is not of this form, and names the lines that are broken or lack their image.
    """
    file = checked_file(path, IMAGES, sha256)
    return tuple(item for item, _ in rows_of(file, lambda record: _item(record, file)))


def image_suite(path: Path, sha256: str | None = None) -> Suite:
    """Raises `Unaskable`, for policies here read texts alone; after whatever is wrong with the file was told."""
    items = image_items(path, sha256)
    raise Unaskable(
        f"{path} asks {len(items)} prompts with images, and policies here read texts alone; ask them of a model that "
        "reads images, or leave this set out and say so.",
        range(len(items)),
    )


def _item(record: Record, file: ReadFile) -> Item | str:
    texts = {each: record.text(each).strip() for each in ("id", "prompt", "category", "label")}
    value: Any = record.values.get("image")
    names = [value] if isinstance(value, str) else cast("list[Any]", value) if isinstance(value, list) else []
    if not texts["prompt"] or not texts["id"]:
        return "has no prompt, or no id"
    if texts["label"] not in EXPECTED:
        return f"has the label {texts['label']!r}, expected safe or unsafe"
    if not names or not all(isinstance(each, str) for each in names):
        return "has no image"
    paths = [file.path.parent / each for each in names]
    if missing := [each for each in paths if not each.is_file()]:
        return f"names {missing[0].name}, which is not beside the file"
    shown = " ".join(f"[image: {each}]" for each in names)
    facts = {"expected": EXPECTED[texts["label"]], "request": texts["prompt"], "images": tuple(map(str, paths))}
    return Item(texts["id"], f"{shown}\n{texts['prompt']}", texts["category"], facts=facts)

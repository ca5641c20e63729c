"""ImageNet-9 (backgrounds challenge) as published: folders of images, one per variant, split and class.

Source: Xiao et al. (2021), "Noise or signal: the role of image backgrounds in object recognition", ICLR.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.rows.published.rows import Published, crossed
from surefoot.rows.rows import no_groups

__all__ = ["read_imagenet9"]

CLASS_FOLDER = re.compile(r"^0?(\d)_(\w+)$")
ORIGINAL = re.compile(r"n\d+_\d+")
"""The name of the ImageNet picture that a file shows, or whose object it shows."""
PICTURES = {".jpeg", ".jpg", ".png"}
TRAIN_ROWS, VAL_ROWS = 45405, 4050


def read_imagenet9(folder: Path) -> Published:
    """`<variant>/{train,val}/0x_name/…`, or one variant's `{train,val}` alone.

    With several variants (original, mixed_rand, only_fg, …) groups are class × variant. A row's source is the ImageNet
    picture that its file is named for first, so that a picture and its variants never play two roles.
    """
    variants = {folder.name: folder} if _splits(folder) else {}
    if not variants and folder.is_dir():
        variants = {place.name: place for place in sorted(folder.iterdir()) if _splits(place)}
    if not variants:
        raise InputError(
            f"{folder} holds neither train nor val, nor variants with these; give the folder of ImageNet-9, or of one "
            "variant of it, such as original/."
        )
    names: dict[int, str] = {}
    files: list[Path] = []
    labels: list[int] = []
    of_variant: list[str] = []
    split: list[str] = []
    for variant, place in variants.items():
        for part in _splits(place):
            for number, name, home in _class_folders(place / part):
                if names.setdefault(number, name) != name:
                    raise InputError(f"{home} and another folder give class {number} two names, {name!r} and "
                                     f"{names[number]!r}; give folders of one release.")  # fmt: skip
                found = sorted(path for path in home.iterdir() if path.suffix.lower() in PICTURES)
                files += found
                labels += [number] * len(found)
                of_variant += [variant] * len(found)
                split += [part] * len(found)
    if not files:
        raise InputError(f"{folder} has folders of classes but no pictures in them; unpack the images there.")
    if sorted(names) != list(range(len(names))):
        raise InputError(f"{folder} has the classes {sorted(names)}; expected folders numbered from 0 without a gap.")
    classes = tuple(names[number] for number in range(len(names)))
    targets = torch.tensor(labels, dtype=torch.int64)
    relative = [path.relative_to(folder).as_posix() for path in files]
    several = len(variants) > 1
    groups = crossed(targets, classes, "variant", of_variant, tuple(variants)) if several else no_groups(len(files))
    return Published(
        layout="imagenet9",
        folder=folder,
        inputs={"filename": tuple(relative)},
        ids=np.array([f"imagenet9:{variant}/{name}" if not several else f"imagenet9:{name}"
                      for variant, name in zip(of_variant, relative, strict=True)], dtype=np.str_),
        sources=np.array([[_source(name)] for name in relative], dtype=np.str_),
        targets=targets,
        classes=classes,
        attributes={"variant": tuple(of_variant)},
        groups=groups,
        split=tuple(split),
        notes=_notes(of_variant, split),
    )  # fmt: skip


def _splits(folder: Path) -> tuple[str, ...]:
    return tuple(name for name in ("train", "val") if (folder / name).is_dir())


def _class_folders(folder: Path) -> list[tuple[int, str, Path]]:
    """Number, name and place of every class, in order of their numbers."""
    found: list[tuple[int, str, Path]] = []
    for place in sorted(folder.iterdir()):
        match = CLASS_FOLDER.match(place.name)
        if place.is_dir() and match is None:
            raise InputError(f"{place} is no folder of a class; expected names such as 00_dog.")
        if match is not None:
            found.append((int(match[1]), match[2].replace("_", " "), place))
    return found


def _source(name: str) -> str:
    match = ORIGINAL.search(Path(name).name)
    return f"imagenet:{match[0]}" if match else f"imagenet9:{name}"


def _notes(variants: Sequence[str], split: Sequence[str]) -> tuple[str, ...]:
    counts: dict[tuple[str, str], int] = {}
    for key in zip(variants, split, strict=True):
        counts[key] = counts.get(key, 0) + 1
    expected = {"train": TRAIN_ROWS, "val": VAL_ROWS}
    differ = [f"{variant}/{part} {count:,}" for (variant, part), count in counts.items() if count != expected[part]]
    if not differ:
        return ()
    return (f"This folder has {', '.join(differ)} rows; the published variants have {TRAIN_ROWS:,} train and "
            f"{VAL_ROWS:,} val.",)  # fmt: skip

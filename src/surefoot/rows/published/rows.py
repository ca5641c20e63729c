"""What a published data set says of its rows, before any network has looked at them.

One column of image file names, or one or two of texts; classes, attributes and groups; the split as published. All
groups that a layout defines are there, also those without rows, in the field's order g = y · S + s.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Groups, Names, cross_groups

__all__ = [
    "Layout", "Published", "check_ids", "count_notes", "counted_notes", "crossed", "find_file", "numbered_classes",
    "split_names",
]  # fmt: skip

Layout: TypeAlias = Literal[
    "waterbirds",
    "celeba",
    "multinli",
    "civilcomments",
    "civilcomments-coarse",
    "fmow",
    "fmow-with-other",
    "imagenet9",
    "sciq",
    "sciq_with_support",
    "boolq",
    "amazon_polarity",
    "cosmos_qa",
    "anthropic_hh",
    "sst2",
    "cola",
    "paws",
    "wic",
    "openbookqa",
    "piqa",
    "hellaswag",
    "social_i_qa",
    "quartz",
]

SPLITS = {"0": "train", "1": "val", "2": "test"}
"""The numbers that the published tables give to splits."""


@dataclass(frozen=True)
class Published:
    """A data set as it was published, one entry per row.

    inputs: `filename` (relative to `folder`), or `text`, or `text` and `text_pair`; nothing where the folder holds no
    texts. attributes: one value per row, "" where unknown. notes: sentences that a reader of any result must know.
    """

    layout: Layout
    folder: Path
    inputs: Mapping[str, tuple[str, ...]]
    ids: Names
    targets: Int[Tensor, "rows"]
    classes: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    groups: Groups
    split: tuple[str, ...]
    notes: tuple[str, ...] = ()
    sources: Names = field(default_factory=lambda: np.zeros((0, 1), dtype=np.str_))

    def __post_init__(self) -> None:
        if not len(self.sources):
            object.__setattr__(self, "sources", self.ids[:, None])

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Int[Tensor, "taken"]) -> "Published":
        """The rows at `index`, in that order."""
        places: list[int] = index.tolist()
        return replace(
            self,
            inputs={name: tuple(values[row] for row in places) for name, values in self.inputs.items()},
            ids=self.ids[index.numpy()],
            sources=self.sources[index.numpy()],
            targets=self.targets[index],
            attributes={name: tuple(values[row] for row in places) for name, values in self.attributes.items()},
            groups=self.groups.take(index),
            split=tuple(self.split[row] for row in places),
        )

    def only(self, splits: Sequence[str]) -> "Published":
        """The rows of these splits; all rows where none is named. Raises `InputError` for a split that has no row."""
        present = dict.fromkeys(self.split)
        for name in splits:
            if name not in present:
                raise InputError(
                    f"{self.layout} in {self.folder} has no split {name!r}; its splits are {', '.join(present)}."
                )
        if not splits:
            return self
        kept = [row for row, name in enumerate(self.split) if name in splits]
        return self.take(torch.tensor(kept, dtype=torch.int64))

    def paths(self) -> tuple[Path, ...]:
        """The image files. Raises `InputError` where rows are texts, and where files are missing."""
        if "filename" not in self.inputs:
            raise InputError(f"The rows of {self.layout} are texts; give a model that reads texts.")
        paths = tuple(self.folder / name for name in self.inputs["filename"])
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise InputError(
                f"{len(missing):,} of {len(paths):,} images are missing from {self.folder} (first: "
                f"{missing[0].relative_to(self.folder)}); unpack the images of {self.layout} there."
            )
        return paths

    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The texts, one tuple per column: one, or two for pairs. Raises `InputError` where there are none."""
        found = tuple(self.inputs[name] for name in ("text", "text_pair") if name in self.inputs)
        if not found:
            what = "are images" if "filename" in self.inputs else "come without their texts here"
            told = " ".join(note for note in self.notes if "texts" in note)
            raise InputError(f"The rows of {self.layout} {what}; {told or 'give a model that reads images.'}")
        return found


def crossed(
    targets: Int[Tensor, "rows"], classes: Sequence[str], name: str, values: Sequence[str], order: Sequence[str]
) -> Groups:
    """Groups "class, name=value" for every class and every value in `order`; another value is unknown.

    >>> crossed(torch.tensor([1, 0]), ["a", "b"], "place", ["land", ""], ["land", "water"]).counts().tolist()
    [0, 0, 1, 0]
    """
    place = {value: number for number, value in enumerate(order)}
    numbers = torch.tensor([place.get(value, -1) for value in values], dtype=torch.int64)
    return cross_groups(targets, classes, numbers, [f"{name}={value}" for value in order])


def numbered_classes(labels: Sequence[str], classes: Sequence[str], where: str) -> Int[Tensor, "rows"]:
    """Labels "0", "1", … (or "0.0", …) as class numbers; raises `InputError` naming the first that is none."""
    known = {str(number): number for number in range(len(classes))}
    found: list[int] = []
    for row, label in enumerate(labels):
        number = known.get(label.removesuffix(".0"))
        if number is None:
            raise InputError(
                f"Row {row + 1} of {where} has the label {label!r}; expected 0 to {len(classes) - 1} "
                f"({', '.join(classes)})."
            )
        found.append(number)
    return torch.tensor(found, dtype=torch.int64)


def split_names(values: Sequence[str], where: str) -> tuple[str, ...]:
    """The published 0, 1, 2 (or the names themselves) as train, val, test."""
    names = {**SPLITS, **{f"{number}.0": name for number, name in SPLITS.items()}}
    names |= {name: name for name in SPLITS.values()}
    for row, value in enumerate(values):
        if value not in names:
            raise InputError(f"Row {row + 1} of {where} has the split {value!r}; expected 0, 1, 2 (train, val, test).")
    return tuple(names[value] for value in values)


def check_ids(ids: Sequence[str], where: str) -> Names:
    """Ids as an array; raises `InputError` when one is empty or repeats."""
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if not name or name in seen:
            said = f"the id {name!r} again" if name else "no id"
            raise InputError(f"Row {row + 1} of {where} has {said}; every row needs one of its own.")
        seen.add(name)
    return np.array(ids, dtype=np.str_)


def count_notes(split: Sequence[str], published: Mapping[str, int]) -> tuple[str, ...]:
    """A note where the folder holds other numbers of rows than the published set, which is no error.

    >>> count_notes(["train", "train"], {"train": 4795})
    ('This folder has 2 train rows; the published set has 4,795.',)
    """
    return counted_notes(Counter(split), published)


def counted_notes(here: Mapping[str, int], published: Mapping[str, int]) -> tuple[str, ...]:
    """The same of numbers of rows that were counted before."""
    counts = {name: here.get(name, 0) for name in published}
    differ = [name for name in published if counts[name] != published[name]]
    if not differ:
        return ()
    found = ", ".join(f"{counts[name]:,} {name}" for name in differ)
    there = ", ".join(f"{published[name]:,}" for name in differ)
    return (f"This folder has {found} rows; the published set has {there}.",)


def find_file(folder: Path, names: Sequence[str], called: str) -> Path:
    """The first of `names` in the folder or its `data`; raises `InputError` naming what was looked for."""
    for place in (folder, folder / "data"):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise InputError(f"{folder} holds no {' and no '.join(names)}; give the folder of {called} that does.")

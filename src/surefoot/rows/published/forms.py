"""Published sets of questions and texts: their files, the form of these, and what a record means."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from surefoot.errors import InputError
from surefoot.rows.published.items import Item
from surefoot.rows.published.records import Record, read_records
from surefoot.rows.published.rows import Layout

__all__ = ["Form", "Found", "Parse", "TextSet", "find_texts"]

Parse: TypeAlias = Callable[[Record], Item]
HUB = {"train": "train", "val": "validation", "test": "test"}
"""What the Hugging Face Hub calls the splits."""
USUAL = ("data", "default", "plain_text")
"""Folders in which the Hub has the files of a set."""


class Form(NamedTuple):
    """Files as their authors published them: for each split the names that its file may have.

    columns: of text tables without a header. labels: in files of their own, such as `train-labels.lst`.
    """

    files: Mapping[str, tuple[str, ...]]
    parse: Parse
    columns: tuple[str, ...] | None = None
    labels: bool = False


@dataclass(frozen=True)
class TextSet:
    """A published set; counts: the rows of each split that has labels.

    hub: what a record of the Hub's Parquet files means. told: what a reader must know. places: folders below the one
    given in which files may lie. hidden: the published test has no labels, so that the rows of validation are the split
    test. subsets: the files lie in several folders that are read together.
    """

    layout: Layout
    classes: tuple[str, str]
    counts: Mapping[str, int]
    forms: tuple[Form, ...]
    hub: Parse | None
    told: tuple[str, ...]
    places: tuple[str, ...] = ()
    hidden: bool = False
    subsets: bool = False


class Found(NamedTuple):
    """The files of each split, and how they are read."""

    files: Mapping[str, tuple[Path, ...]]
    form: Form

    def records(self, path: Path) -> Iterator[Record]:
        """The records of one of the files."""
        labels = path.with_name(f"{path.name.partition('.')[0]}-labels.lst") if self.form.labels else None
        return read_records(path, self.form.columns, labels)


def find_texts(folder: Path, published: TextSet) -> Found:
    """The files of the first form and the first folder in which there are any.

    Raises `InputError` with the names that were looked for.
    """
    places = [folder, *(folder / place for place in (*USUAL, *published.places))]
    if published.subsets:
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for form in published.forms:
        each = {place: _files(place, form) for place in places}
        found = [files for files in each.values() if any(files.values())]
        if found:
            chosen = found if published.subsets else found[:1]
            return Found(
                {split: tuple(path for files in chosen for path in files[split]) for split in form.files}, form
            )
    if published.hub is not None:
        splits = {"train": "train", "test": "validation"} if published.hidden else HUB
        splits = {split: splits[split] for split in published.counts}
        for place in places:
            files = {split: _shards(place, name) for split, name in splits.items()}
            if any(files.values()):
                return Found(files, Form({}, published.hub))
    names = [" or ".join(names) for form in published.forms[:1] for names in form.files.values()]
    hub = " and none of the Hub's Parquet files" if published.hub is not None else ""
    raise InputError(
        f"{folder} holds no {' and no '.join(names)}{hub}; give the folder of {published.layout} that does."
    )


def _files(place: Path, form: Form) -> dict[str, tuple[Path, ...]]:
    return {
        split: tuple(place / name for name in names if (place / name).is_file())[:1]
        for split, names in form.files.items()
    }


def _shards(place: Path, split: str) -> tuple[Path, ...]:
    """`train-00000-of-00002.parquet`, …, or `train/0000.parquet`, …, or `train.parquet`, as the Hub has them."""
    for pattern in (f"{split}-*.parquet", f"{split}/*.parquet", f"{split}.parquet", f"*-{split}.parquet"):
        if found := sorted(place.glob(pattern)):
            return tuple(found)
    return ()

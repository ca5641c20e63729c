"""Waterbirds and CelebA as published: a table of image files, one attribute beside the class.

Sources: Sagawa et al. (2020), "Distributionally robust neural networks for group shifts", ICLR (both layouts);
Liu et al. (2015), "Deep learning face attributes in the wild", ICCV (CelebA).
"""

from collections.abc import Sequence
from pathlib import Path

from surefoot.errors import InputError
from surefoot.rows.published.rows import (
    Published,
    check_ids,
    count_notes,
    crossed,
    find_file,
    numbered_classes,
    split_names,
)
from surefoot.rows.tables import Table, column, read_csv, texts

__all__ = ["read_celeba", "read_waterbirds"]

BIRDS = ("landbird", "waterbird")
PLACES = ("land", "water")
HAIR = ("not blond", "blond")
MALE = ("no", "yes")
MISMARKED = ("Eastern_Towhee", "Western_Meadowlark", "Western_Wood_Pewee")
"""Species of land birds that the published labels call waterbirds, says the README of the data set."""

WATERBIRDS_ROWS = {"train": 4795, "val": 1199, "test": 5794}
CELEBA_ROWS = {"train": 162770, "val": 19867, "test": 19962}
ALIGNED = "img_align_celeba"


def read_waterbirds(folder: Path) -> Published:
    """`metadata.csv` with img_id, img_filename, y, split, place, place_filename; images beside it.

    Groups: bird × place, 0 land and 1 water. Three species that are marked wrongly are counted in a note; labels stay
    as published.
    """
    path = find_file(folder, ("metadata.csv",), "Waterbirds")
    table = read_csv(path)
    names = texts(table, "img_filename")
    targets = numbered_classes(texts(table, "y"), BIRDS, str(path))
    places = _named(table, "place", PLACES)
    split = split_names(texts(table, "split"), str(path))
    wrong = sum(
        label == 1 and any(species in name for species in MISMARKED)
        for name, label in zip(names, targets.tolist(), strict=True)
    )
    notes = count_notes(split, WATERBIRDS_ROWS)
    if wrong:
        notes += (
            f"{wrong:,} rows are of {', '.join(name.replace('_', ' ') for name in MISMARKED)}, land birds that the "
            "published labels call waterbirds; the labels were left as published.",
        )
    return Published(
        layout="waterbirds",
        folder=path.parent,
        inputs={"filename": tuple(names)},
        ids=check_ids(names, str(path)),
        targets=targets,
        classes=BIRDS,
        attributes={"place": places},
        groups=crossed(targets, BIRDS, "place", places, PLACES),
        split=split,
        notes=notes,
    )


def read_celeba(folder: Path) -> Published:
    """`list_attr_celeba.csv` with `list_eval_partition.csv`, or a ready `metadata.csv` (img_filename, y, split, place).

    Groups: Blond_Hair × Male, no before yes. Images lie in `img_align_celeba`, wherever that is below the folder's top.
    """
    path = find_file(folder, ("list_attr_celeba.csv", "celeba_metadata.csv", "metadata.csv"), "CelebA")
    table = read_csv(path)
    if path.name == "list_attr_celeba.csv":
        names = texts(table, "image_id")
        blond, male = (_signs(table, name) for name in ("Blond_Hair", "Male"))
        partition = read_csv(find_file(path.parent, ("list_eval_partition.csv",), "CelebA"))
        parts = dict(zip(texts(partition, "image_id"), texts(partition, "partition"), strict=True))
        missing = [name for name in names if name not in parts]
        if missing:
            raise InputError(
                f"{len(missing):,} images of {path.name} are not in list_eval_partition.csv (first: {missing[0]}); "
                "both files must be of the same release."
            )
        split = split_names([parts[name] for name in names], "list_eval_partition.csv")
    else:
        names = texts(table, "img_filename")
        blond, male = texts(table, "y"), texts(table, "place")
        split = split_names(texts(table, "split"), str(path))
    targets = numbered_classes(blond, HAIR, str(path))
    sexes = tuple(MALE[number] for number in numbered_classes(male, MALE, str(path)).tolist())
    images = _images(path.parent, names[0])
    return Published(
        layout="celeba",
        folder=path.parent,
        inputs={"filename": tuple(f"{images}{name}" for name in names)},
        ids=check_ids(names, str(path)),
        targets=targets,
        classes=HAIR,
        attributes={"Male": sexes},
        groups=crossed(targets, HAIR, "Male", sexes, MALE),
        split=split,
        notes=count_notes(split, CELEBA_ROWS),
    )


def _named(table: Table, name: str, values: Sequence[str]) -> tuple[str, ...]:
    """A column of 0, 1, … by the names of its values; an empty cell stays unknown."""
    known = {"": "", **{str(number): value for number, value in enumerate(values)}}
    found = [known.get(value.removesuffix(".0")) for value in texts(table, name)]
    if None in found:
        row = found.index(None)
        raise InputError(
            f"Row {row + 1} of {table.name} has {name} {texts(table, name)[row]!r}; expected 0 to {len(values) - 1} "
            f"({', '.join(values)})."
        )
    return tuple(value for value in found if value is not None)


def _signs(table: Table, name: str) -> list[str]:
    """CelebA's −1 and 1 as "0" and "1"; anything else is left for the check of labels to name."""
    column(table, name)
    return [{"-1": "0", "1": "1"}.get(value.strip(), value) for value in texts(table, name)]


def _images(folder: Path, first: str) -> str:
    """Where the images lie, relative to the folder: in one of the two places that the archives unpack to, or beside."""
    for place in ("", f"{ALIGNED}/", f"{ALIGNED}/{ALIGNED}/"):
        if (folder / f"{place}{first}").is_file():
            return place
    return f"{ALIGNED}/"

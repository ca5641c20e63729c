"""FMoW as WILDS publishes it: satellite images of 62 kinds of land use, grouped by the region of the world.

Source: Koh et al. (2021), "WILDS", ICML; Christie et al. (2018), "Functional Map of the World", CVPR.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.rows.published.rows import Published, count_notes, find_file
from surefoot.rows.rows import Groups
from surefoot.rows.tables import read_csv, texts

__all__ = ["read_fmow"]

REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania")
OTHER = "Other"
VAL_FROM, TEST_FROM = 2013, 2016
"""The first years of the out-of-distribution validation and test splits."""
KINDS = 62

FMOW_ROWS = {"train": 76863, "id_val": 11483, "val": 19915, "id_test": 11327, "test": 22108}


def read_fmow(folder: Path, *, with_other: bool = False) -> Published:
    """`rgb_metadata.csv` (split, category, country_code, timestamp) with `country_code_mapping.csv` (alpha-3, region).

    Splits are the official ones: train, id_val and id_test before 2013; `val` 2013 to 2015 and `test` from 2016 are
    those after a shift in time. Rows that no official split holds (later rows of train, sequestered ones) are left out.

    Groups are regions alone, as the official metric has them. Countries without a region are "Other", which has four
    rows in `val` and four in `test`: by default these are in no group (they count for the mean), because a balanced
    draw down to four rows leaves 24 for 62 classes. `with_other` makes them a group.
    """
    path = find_file(folder, ("rgb_metadata.csv",), "FMoW")
    table, mapping = read_csv(path), read_csv(find_file(path.parent, ("country_code_mapping.csv",), "FMoW"))
    region_of = dict(zip(texts(mapping, "alpha-3"), texts(mapping, "region"), strict=True))
    given, kinds, stamps = texts(table, "split"), texts(table, "category"), texts(table, "timestamp")
    split = [_official(row, *parts, path) for row, parts in enumerate(zip(given, stamps, strict=True))]
    kept = [row for row, name in enumerate(split) if name is not None]
    if not kept:
        raise InputError(f"{path} has no row of an official split; expected the table of WILDS, with timestamps.")
    classes = tuple(sorted(set(kinds)))
    place = {name: number for number, name in enumerate(classes)}
    countries = texts(table, "country_code")
    regions = tuple(region_of.get(countries[row], "") or OTHER for row in kept)
    strange = sorted(set(regions) - {*REGIONS, OTHER})
    if strange:
        raise InputError(
            f"country_code_mapping.csv names the region {strange[0]!r}; expected {', '.join(REGIONS)} or nothing."
        )
    order = (*REGIONS, OTHER) if with_other else REGIONS
    members = torch.tensor([[region == name for name in order] for region in regions])
    splits = tuple(name for name in split if name is not None)
    return Published(
        layout="fmow-with-other" if with_other else "fmow",
        folder=path.parent,
        inputs={"filename": tuple(f"images/rgb_img_{row}.png" for row in kept)},
        ids=np.array([f"rgb_img_{row}" for row in kept], dtype=np.str_),
        targets=torch.tensor([place[kinds[row]] for row in kept], dtype=torch.int64),
        classes=classes,
        attributes={"region": regions, "year": tuple(stamps[row][:4] for row in kept)},
        groups=Groups(tuple(f"region={name}" for name in order), members),
        split=splits,
        notes=_notes(regions, splits, len(given) - len(kept), len(classes), with_other),
    )


def _official(row: int, split: str, stamp: str, path: Path) -> str | None:
    """The official split of a row; None where it is in none."""
    year = stamp[:4]
    if not year.isdecimal():
        raise InputError(f"Row {row + 1} of {path} has the timestamp {stamp!r}; expected one such as 2014-07-01T00:00.")
    era = "test" if int(year) >= TEST_FROM else "val" if int(year) >= VAL_FROM else "train"
    if era == "train":
        return {"train": "train", "val": "id_val", "test": "id_test"}.get(split)
    return era if split == era else None


def _notes(
    regions: tuple[str, ...], splits: tuple[str, ...], left_out: int, classes: int, with_other: bool
) -> tuple[str, ...]:
    notes = list(count_notes(splits, FMOW_ROWS))
    if left_out:
        notes.append(f"{left_out:,} rows of the table are in no official split and were left out.")
    if classes != KINDS:
        notes.append(f"The table names {classes} kinds of land use; the published set has {KINDS}.")
    others = Counter(name for name, region in zip(splits, regions, strict=True) if region == OTHER)
    if others:
        told = ", ".join(f"{count:,} in {name}" for name, count in others.items())
        if with_other:
            notes.append(f"The region Other is a group here ({told} rows); the official metric ignores it.")
        else:
            notes.append(f"Rows of no region (Other: {told}) are in no group; they count for the mean alone.")
    return tuple(notes)

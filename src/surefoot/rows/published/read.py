"""Data sets in the layouts they were published in, read offline from a folder on this machine.

published = read_published(Path("waterbird_complete95_forest2water2"), "waterbirds")
published.only(["val"]).paths()

questions = read_published(Path("SciQ"), "sciq", Composition(seed=1, rows=5000))
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from surefoot.errors import InputError
from surefoot.files import write_text
from surefoot.rows.grouping import MEMBER
from surefoot.rows.images import ImageFiles, find_images
from surefoot.rows.published.backgrounds import read_imagenet9
from surefoot.rows.published.compose import AS_PUBLISHED, Composition, compose
from surefoot.rows.published.fmow import read_fmow
from surefoot.rows.published.images import read_celeba, read_waterbirds
from surefoot.rows.published.rows import Layout, Published
from surefoot.rows.published.text_sets import TEXT_SETS
from surefoot.rows.published.texts import read_civilcomments, read_multinli
from surefoot.rows.rows import Rows, make_rows, rooted
from surefoot.rows.texts import Texts

__all__ = [
    "LAYOUTS", "Composition", "Layout", "Published", "describe_published", "image_rows", "read_published", "text_rows",
    "write_table",
]  # fmt: skip

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def read_published(folder: Path, layout: Layout, composition: Composition = AS_PUBLISHED) -> Published:
    """The data set in `folder`; nothing is downloaded, and no image is opened.

    composition: of sets of questions and texts (`TEXT_SETS`) what is drawn and which rows are kept.

    Raises `InputError` when the folder lacks a file of the layout, or a file is not what the layout says; and for a
    composition of a set that is read as it stands.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the folder that {layout} was unpacked in.")
    if layout in TEXT_SETS:
        return compose(folder, TEXT_SETS[layout], composition)
    if composition != AS_PUBLISHED:
        raise InputError(f"{layout} is read as it stands; what is drawn can be said of {', '.join(TEXT_SETS)}.")
    match layout:
        case "waterbirds":
            return read_waterbirds(folder)
        case "celeba":
            return read_celeba(folder)
        case "multinli":
            return read_multinli(folder)
        case "civilcomments" | "civilcomments-coarse":
            return read_civilcomments(folder, coarse=layout == "civilcomments-coarse")
        case "fmow" | "fmow-with-other":
            return read_fmow(folder, with_other=layout == "fmow-with-other")
        case "imagenet9":
            return read_imagenet9(folder)
        case _:
            raise AssertionError(layout)


def image_rows(published: Published, size: tuple[int, int] | None = None) -> Rows:
    """Rows whose inputs are the image files, read when asked for; `size` (height, width) resizes them."""
    published.paths()
    images: ImageFiles = find_images(published.inputs["filename"], published.folder, size)
    return make_rows(
        images,
        published.targets,
        classes=published.classes,
        groups=published.groups,
        ids=published.ids,
        sources=published.sources,
    )


def text_rows(published: Published) -> Rows:
    """Rows whose inputs are the texts, or pairs of texts."""
    return make_rows(
        Texts(published.texts()),
        published.targets,
        classes=published.classes,
        groups=published.groups,
        ids=published.ids,
        sources=published.sources,
    )


def write_table(published: Published, path: Path) -> None:
    """The rows as a CSV file: id, filename or texts, split, y, the attributes, the source, and the groups.

    The source is left out where each row is its own. Rows that hang together by several sources get the name of one.
    Groups are one column `group`, or a column `group:NAME` each where they overlap. Classes are numbers, as published
    models give them out.
    """
    members = published.groups.members
    overlap = bool((members.sum(dim=1) > 1).any())
    groups = [f"{MEMBER}{name}" for name in published.groups.names] if overlap else ["group"]
    groups = groups if published.groups.names else []
    sources = _one_source(published)
    source = ["source"] if any(sources[row] != name for row, name in enumerate(published.ids.tolist())) else []
    head = ["id", *published.inputs, "split", "y", *published.attributes, *source, *groups]
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(head)
    for row, name in enumerate(published.ids):
        place: list[int] = members[row].nonzero().ravel().tolist()
        one = [published.groups.names[place[0]] if place else ""]
        table.writerow(
            [
                name,
                *(values[row] for values in published.inputs.values()),
                published.split[row],
                int(published.targets[row]),
                *(values[row] for values in published.attributes.values()),
                *(sources[row] for _ in source),
                *([int(at in place) for at in range(len(groups))] if overlap else one[: len(groups)]),
            ]
        )
    write_text(path, written.getvalue())


def describe_published(published: Published) -> list[str]:
    """What was found, in a few lines: rows, classes, groups per split, what to know about them."""
    count = len(published)
    kind = " and ".join(published.inputs) or "no texts"
    lines = [f"{published.layout}: {count:,} rows ({kind}) in {published.folder}"]
    classes = published.targets.bincount(minlength=len(published.classes)).tolist()
    if len(classes) <= 12:
        shown = (f"{name} ({number:,})" for name, number in zip(published.classes, classes, strict=True))
        lines.append(f"classes: {', '.join(shown)}")
    else:
        lines.append(f"classes: {len(classes)}, from {published.classes[0]} to {published.classes[-1]}")
    splits = tuple(dict.fromkeys(published.split))
    lines += _aligned(
        [["splits", *splits], ["  all rows", *(f"{published.split.count(name):,}" for name in splits)]]
        + [
            [f"  {group}", *(f"{number:,}" for number in _counted(published, place, splits))]
            for place, group in enumerate(published.groups.names)
        ]
    )
    times = published.groups.members.sum(dim=1)
    if published.groups.names:
        if several := int((times > 1).sum()):
            lines.append(f"in several groups: {several:,} rows; in none (unknown): {int((times == 0).sum()):,}")
        elif unknown := int((times == 0).sum()):
            lines.append(f"in no group (unknown): {unknown:,} rows")
    return [*lines, *(f"note: {note}" for note in published.notes)]


def _one_source(published: Published) -> list[str]:
    """One name per row, the same for rows that share a source, and for those that share one with such a row, …"""
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while (higher := above.setdefault(name, name)) != name:
            above[name] = name = above[higher]
        return name

    every: list[list[str]] = rooted(published.ids, published.sources).tolist()
    for first, *others in every:
        for other in filter(None, others):
            above[root(other)] = root(first)
    return [root(names[0]) for names in every]


def _counted(published: Published, group: int, splits: Sequence[str]) -> list[int]:
    members: list[bool] = published.groups.members[:, group].tolist()
    inside = [name for name, member in zip(published.split, members, strict=True) if member]
    return [inside.count(name) for name in splits]


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "   ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in table
    ]

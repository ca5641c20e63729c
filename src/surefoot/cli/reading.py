"""`surefoot rows`: what is in a data set, and is anything wrong with it?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import print_json
from surefoot.cli.options import (
    AsOption,
    ClusterOption,
    ComposeOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    SourceOption,
    SplitOption,
    SplitsOption,
    TargetOption,
    columns_of,
    published_of,
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.rows.published.read import Published
    from surefoot.rows.rows import Rows

__all__ = ["rows"]


def rows(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A CSV or Parquet table, .npz or .safetensors, or a folder of images."),
    ],
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    published: AsOption = None,
    splits: SplitsOption = None,
    compose: ComposeOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="With --as: write its rows as a CSV table here.")
    ] = None,
    as_json: JSONOption = False,
) -> int:
    """Describe a data set: rows, classes, groups, splits; refuse it when a row crosses splits."""
    if published is not None:
        if target or groups or split or cluster or source or id_column or images:
            raise InputError("--as says what every column is; leave the options that name columns out.")
        return _published(published_of(data, published, splits, compose), to, as_json)
    if splits or compose or to is not None:
        raise InputError(
            "--splits, --compose and --to speak of a published layout; name it with --as, such as --as waterbirds."
        )
    from surefoot.rows.assign import roles_from_split
    from surefoot.rows.headers import with_any_pictures
    from surefoot.rows.reading import SPLIT_MEANING, describe

    columns = columns_of(target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images)
    reading = columns.read(data)
    reading = replace(reading, rows=with_any_pictures(reading.rows))
    known = reading.split is not None and set(reading.split) <= set(SPLIT_MEANING)
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING) if reading.split is not None and known else {}
    told = [*reading.described.splitlines(), *describe(reading.rows)]
    if reading.split is not None:
        told += _splits(reading.rows, reading.split, SPLIT_MEANING if known else {})
        if not known:
            told.append("what these splits are for is not known: say so in the study (meaning:)")
    if as_json:
        print_json(
            {
                "rows": len(reading.rows),
                "classes": list(reading.rows.classes),
                "groups": dict(zip(reading.rows.groups.names, reading.rows.groups.counts().tolist(), strict=True)),
                "roles": {role: len(part) for role, part in roles.items()},
                "described": told,
            }
        )
    else:
        print("\n".join(told))
    if not len(reading.rows):
        raise InputError(f"{data} holds no rows; give at least one row per class.")
    return 0


def _published(read: "Published", to: Path | None, as_json: bool) -> int:
    """Describe a folder in a published layout, and write its table where that was asked for."""
    from surefoot.rows.published.read import describe_published, write_table

    told = describe_published(read)
    if to is not None:
        write_table(read, to)
        told.append(f"written: {to}")
    if as_json:
        names = tuple(dict.fromkeys(read.split))
        print_json(
            {
                "rows": len(read),
                "classes": list(read.classes),
                "groups": dict(zip(read.groups.names, read.groups.counts().tolist(), strict=True)),
                "splits": {name: read.split.count(name) for name in names},
                "notes": list(read.notes),
                "described": told,
            }
        )
    else:
        print("\n".join(told))
    return 0


def _splits(rows: "Rows", split: Sequence[str], meaning: Mapping[str, str]) -> list[str]:
    """How many rows of each group are in each split, as an aligned table: an empty corner is what stops a repair."""
    order = ("fit", "repair", "choose", "judge")
    names = sorted(dict.fromkeys(split), key=lambda name: (order.index(meaning[name]) if name in meaning else 9, name))
    heads = [f"{name} ({meaning[name]})" if meaning.get(name, name) != name else name for name in names]
    masks = {name: [value == name for value in split] for name in names}
    lines = [["splits", *heads], ["  all rows", *(f"{sum(masks[name]):,}" for name in names)]]
    for place, group in enumerate(rows.groups.names):
        members = rows.groups.members[:, place].tolist()
        counts = [sum(map(min, members, masks[name])) for name in names]
        lines.append([f"  {group}", *(f"{count:,}" for count in counts)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(names) + 1)]
    return [
        "   ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]

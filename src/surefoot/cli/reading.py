"""`surefoot rows`: what is in a data set, and is anything wrong with it?"""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import print_json
from surefoot.cli.options import (
    ClusterOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    SourceOption,
    SplitOption,
    TargetOption,
    columns_of,
)
from surefoot.errors import InputError

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
    as_json: JSONOption = False,
) -> int:
    """Describe a data set: rows, classes, groups, splits; refuse it when a row crosses splits."""
    from surefoot.rows.assign import roles_from_split
    from surefoot.rows.reading import describe
    from surefoot.study.work_rows import MEANING

    columns = columns_of(target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images)
    reading = columns.read(data)
    known = reading.split is not None and set(reading.split) <= set(MEANING)
    roles = roles_from_split(reading.rows, reading.split, MEANING) if reading.split is not None and known else {}
    told = [*reading.described.splitlines(), *describe(reading.rows)]
    if reading.split is not None:
        counts = {value: reading.split.count(value) for value in dict.fromkeys(reading.split)}
        told.append("splits: " + ", ".join(f"{value} {count:,}" for value, count in sorted(counts.items())))
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

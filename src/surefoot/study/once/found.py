"""What a discovery found, and the file that its groups are written to."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.files import write_text
from surefoot.robust.slices.clusters import ClusterDiscovery
from surefoot.robust.slices.discover import Discovery
from surefoot.rows.grouping import GROUPS, MEMBER
from surefoot.rows.rows import Groups
from surefoot.rows.tables import Table, texts

__all__ = ["Found", "write_found"]


@dataclass(frozen=True)
class Found:
    """What was discovered, where it was looked for in words, what was read as what, and what `write_found` needs.

    told: lines on the columns of predictions, and target that of their labels; nothing of features.
    rows: of the table, those that are written; groups: of these rows; extra: columns to add or replace.
    """

    slices: Discovery | None
    clusters: ClusterDiscovery | None
    origins: tuple[str, ...]
    told: tuple[str, ...]
    target: str | None
    table: Table
    rows: NDArray[np.int64]
    groups: Groups | None
    extra: Mapping[str, list[str]]

    @property
    def discoveries(self) -> tuple[Discovery, ...]:
        """One or two searches."""
        clusters = () if self.clusters is None else (self.clusters.discovery,)
        return (*(() if self.slices is None else (self.slices,)), *clusters)


def write_found(found: Found, path: Path) -> None:
    """The rows with their discovered groups: a CSV table with columns `group:NAME`, or an .npz with a matrix.

    Raises `InputError` when nothing was confirmed, and when the file's ending does not fit what was read.
    """
    if found.groups is None:
        raise InputError(f"Nothing was confirmed, so there are no groups to write to {path}.")
    arrays = any(not isinstance(values, list) and values.ndim > 1 for values in found.table.columns.values())
    wanted = ".npz" if arrays else ".csv"
    if path.suffix.lower() != wanted:
        raise InputError(f"{path} ends in {path.suffix or 'nothing'}; {found.table.name} is written as {wanted}.")
    if arrays:
        _write_arrays(found, path)
        return
    kept = [name for name in found.table.columns if name not in found.extra and not name.startswith(MEMBER)]
    columns = {name: texts(found.table, name) for name in kept}
    head = [*kept, *found.extra, *(f"{MEMBER}{name}" for name in found.groups.names)]
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(head)
    for row, members in zip(found.rows.tolist(), found.groups.members.tolist(), strict=True):
        own = [values[row] for values in columns.values()]
        lines.writerow(
            [*own, *(values[row] for values in found.extra.values()), *("yes" if m else "no" for m in members)]
        )
    write_text(path, written.getvalue())


def _write_arrays(found: Found, path: Path) -> None:
    assert found.groups is not None
    arrays: dict[str, Any] = {
        name: np.array(values, dtype=np.str_) if isinstance(values, list) else values
        for name, values in found.table.columns.items()
        if name not in GROUPS
    }
    arrays |= {name: np.array(values, dtype=np.str_) for name, values in found.extra.items()}
    lists = {name: np.array(values, dtype=np.str_) for name, values in found.table.lists.items()}
    arrays |= {
        **lists,
        "groups": found.groups.members.numpy(),
        "group_names": np.array(found.groups.names, dtype=np.str_),
    }
    partial = path.with_name(f".{path.stem}.partial.npz")
    try:
        np.savez(partial, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

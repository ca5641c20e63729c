"""The cells of students: labels, the student itself, and its ceiling.

    rows ─┬─ train (supervisor, on one half) ── labels (of the other) ── train (student)
          └─ train (ceiling: the student's network, on the truth of the rows that the student is taught)

A student is given `labels` and no rows, so that no true label can reach it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.files import digest_file
from surefoot.study.cells import Cell
from surefoot.study.content import found_in
from surefoot.study.shape import Base, RowsSpec, Study
from surefoot.study.taught.shape import Taught

__all__ = ["HALF", "ceiling_rows", "labels_cell", "taught_inputs"]

HALF = "half"
"""The key of a cell's spec that says which half of the fit rows it is trained on: the "supervisor" or "student" one."""


def labels_cell(
    study: Study,
    base: str,
    seed: int,
    rows: Cell,
    train: Mapping[tuple[str, int], Cell],
    labels: Mapping[tuple[str, int], Cell],
    folder: Path,
    numerics: Mapping[str, Any],
    device: str,
) -> Cell:
    """What a supervisor says of the rows that its student is taught."""
    taught = study.base[base].taught
    assert taught is not None
    if taught.by is None:
        return _table_cell(taught, study.rows, rows, folder, numerics)
    spec: dict[str, Any] = {"by": taught.by, "device": device}
    given = f"{rows.address}/fit"
    if (taught.by, seed) in labels:  # a link of a chain labels the rows that it was taught itself
        spec["own"], given = True, f"{labels[taught.by, seed].address}/taught"
    elif study.base[taught.by].model is None:
        spec[HALF] = seed
    return Cell(
        kind="labels",
        title=f"labels of {taught.by}, seed {seed}",
        spec=spec,
        inputs={"rows": given, "supervisor": train[taught.by, seed].address},
        numerics=numerics,
    )


def _table_cell(taught: Taught, rows_spec: RowsSpec, rows: Cell, folder: Path, numerics: Mapping[str, Any]) -> Cell:
    """Labels from a file: the same for every seed. It is given all rows, for it must know the names of them all."""
    assert taught.labels is not None
    named = {"labels": taught.labels, **({} if taught.seen is None else {"seen": taught.seen})}
    places = {name: found_in(folder, path) for name, path in named.items()}
    files = {name: place / "seen.json" if place.is_dir() else place for name, place in places.items()}
    given = next((each for each in (rows_spec.table, rows_spec.features, rows_spec.images) if each is not None), None)
    return Cell(
        kind="labels",
        title=f"labels in {taught.labels}",
        spec={
            "by": Path(taught.labels).name,
            "id": None if given is None else given.id,
            "probabilities": list(taught.probabilities),
            "prediction": taught.prediction,
        },
        inputs={"rows": rows.address},
        numerics=numerics,
        digests={name: digest_file(file) for name, file in files.items() if file.is_file()},
        places={name: str(place) for name, place in places.items()},
    )


def taught_inputs(settings: Base, labels: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """What a student's cell says, and is given, besides network and training."""
    assert settings.taught is not None
    return {"taught": {"loss": settings.taught.loss}}, {"taught": f"{labels.address}/taught"}


def ceiling_rows(study: Study, base: str, labels: Cell, rows: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """The same of its ceiling's, which is trained on the truth of the student's rows.

    Of the half that a supervisor of this study labels, whichever and however trained, it is one and the same cell.
    """
    root = study.base[base].taught
    while root is not None and root.by is not None:
        before = study.base[root.by]
        if before.taught is None:
            return {} if before.model is not None else {HALF: "student"}, {"fit": f"{rows.address}/fit"}
        root = before.taught
    return {}, {"fit": f"{rows.address}/fit", "named": f"{labels.address}/taught"}

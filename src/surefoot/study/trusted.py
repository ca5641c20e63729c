"""Whose code finished cells would run: a folder of runs may be somebody else's, and a saved model names its code."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from surefoot.study.cells import Cell
from surefoot.study.store import Store
from surefoot.study.trainings import code_of

__all__ = ["damage_of"]


def damage_of(
    cells: Iterable[Cell], store: Store, *, checksums: bool, models: Iterable[Path] = ()
) -> Mapping[str, str | None]:
    """`Store.damage` of each cell by address; a model of code that neither these cells nor `models` name is damage too.

    Whether code that is named may run is asked before. Checksums lie beside what they are of, so whoever can write one
    can write the other: they do not tell whose a model is.
    """
    every = tuple(cells)
    named = {code for model in models if (code := code_of(model)) is not None}
    for cell in every:
        file = cell.spec["network"].get("file") if isinstance(cell.spec.get("network"), Mapping) else None
        named |= set() if file is None else {Path(str(file).rpartition(":")[0])}
    found: dict[str, str | None] = {}
    for cell in every:
        found[cell.address] = store.damage(cell.address, checksums=checksums)
        code = code_of(store.path(cell.address) / "model") if found[cell.address] is None else None
        if code is not None and code not in named:
            found[cell.address] = f"its model is built by {code}, which nothing here names"
    return found

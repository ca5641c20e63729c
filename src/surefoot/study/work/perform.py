"""Performing one cell: the same few lines in every engine.

One thread a cell: sums split over threads differ in the last bits, so a cell that ran beside seven others would
otherwise disagree with one that ran alone.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.study.cells import Cell
from surefoot.study.numerics import one_thread
from surefoot.study.store import Store

__all__ = ["perform"]

LASTING = ("sample", "candidate")
"""Kinds of cells that may run for days and go on where they were killed."""


def perform(cell: Cell, store: Store, *, estimate: float = 0.0, progress: Progress = silent) -> float:
    """Compute `cell` into the store with one thread; seconds that it took.

    Raises whatever the work raises; nothing is left behind then, but for what a later run can go on from.
    """
    # Work is imported here, not above: a worker that waits, and `surefoot plan`, need none of it.
    from surefoot.networks.product import product_in_use, use_product
    from surefoot.study.work.kinds import work_of

    began = time.perf_counter()
    inputs: Mapping[str, Path] = {
        **{name: store.path(reference) for name, reference in cell.inputs.items()},
        **{name: Path(place) for name, place in cell.places.items()},
    }
    product = product_in_use()
    temporary = store.begin(cell.address, lasting=cell.kind in LASTING)
    try:
        use_product(str(cell.numerics["product"]))
        with one_thread():
            work_of(cell)(cell.spec, inputs, temporary, progress)
        seconds = time.perf_counter() - began
        store.finish(cell, temporary, seconds, estimate)
    except InputError as error:
        if error.__cause__ is None:  # neither a full disk nor a closed folder: input that was wrong stays wrong
            rmtree(temporary, ignore_errors=True)
        raise
    finally:
        use_product(product)
        store.leave(temporary)
    return seconds

"""Performing one cell: the same few lines in every engine.

One thread a cell: sums split over threads differ in the last bits, so a cell that ran beside seven others would
otherwise disagree with one that ran alone.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

from surefoot.progress import Progress, silent
from surefoot.study.cells import Cell
from surefoot.study.numerics import one_thread
from surefoot.study.store import Store

__all__ = ["perform"]


def perform(cell: Cell, store: Store, *, estimate: float = 0.0, progress: Progress = silent) -> float:
    """Compute `cell` into the store with one thread; seconds that it took.

    Raises whatever the work raises; nothing is left behind then.
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
    temporary = store.begin(cell.address)
    try:
        use_product(str(cell.numerics["product"]))
        with one_thread():
            work_of(cell)(cell.spec, inputs, temporary, progress)
        seconds = time.perf_counter() - began
        store.finish(cell, temporary, seconds, estimate)
    finally:
        use_product(product)
        rmtree(temporary, ignore_errors=True)
    return seconds

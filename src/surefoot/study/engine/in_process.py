"""The engine without any processes: one cell after the other, here."""

from collections.abc import Sequence

from surefoot.progress import Progress, silent
from surefoot.study.engine.meter import Meter
from surefoot.study.engine.tasks import Report, Task, failure_of, raise_failure
from surefoot.study.store import Store
from surefoot.study.work.perform import perform

__all__ = ["run_cells"]


def run_cells(tasks: Sequence[Task], store: Store, *, workers: int = 1, progress: Progress = silent) -> Report:
    """Compute the tasks in their order, which puts every cell after those it needs; `workers` is not used.

    Raises `InputError` for wrong input and `StudyFault` for a fault. Finished cells stay.
    """
    del workers
    seconds: dict[str, float] = {}
    meter = Meter(tasks, progress)
    for task in tasks:
        address = task.cell.address
        meter.begin(task.cell)
        try:
            seconds[address] = perform(task.cell, store, estimate=task.estimate, progress=meter.within(address))
        except Exception as error:
            raise_failure(failure_of(error), task.cell, store)
        meter.finish(address)
    return Report(seconds)

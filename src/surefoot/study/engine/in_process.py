"""The engine without any processes: one cell after the other, here."""

from collections.abc import Sequence

from surefoot.progress import Progress, silent
from surefoot.study.engine.tasks import Report, Task, failure_of, raise_failure
from surefoot.study.perform import perform
from surefoot.study.store import Store

__all__ = ["run_cells"]


def run_cells(tasks: Sequence[Task], store: Store, *, workers: int = 1, progress: Progress = silent) -> Report:
    """Compute the tasks in their order, which puts every cell after those it needs; `workers` is not used.

    Raises `InputError` for wrong input and `StudyFault` for a fault. Finished cells stay.
    """
    del workers
    seconds: dict[str, float] = {}
    for number, task in enumerate(tasks):
        progress("cells", number, len(tasks))
        title = task.cell.title

        def within(stage: str, done: int, total: int, title: str = title) -> None:
            progress(f"{title}: {stage}", done, total)

        try:
            seconds[task.cell.address] = perform(task.cell, store, estimate=task.estimate, progress=within)
        except Exception as error:
            raise_failure(failure_of(error), task.cell, store)
    progress("cells", len(tasks), len(tasks))
    return Report(seconds)

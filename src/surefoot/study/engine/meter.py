"""One bar for a whole run: cells weigh what the plan expects them to take."""

from collections.abc import Sequence

from surefoot.progress import Progress
from surefoot.study.cells import Cell
from surefoot.study.engine.tasks import Task

__all__ = ["Meter"]

WHOLE = 100


class Meter:
    """Turns what running cells report into one count, in hundredths of the work, and says what is being computed."""

    def __init__(self, tasks: Sequence[Task], progress: Progress) -> None:
        self._weights = {task.cell.address: max(task.seconds, 0.01) for task in tasks}
        self._shares = dict.fromkeys(self._weights, 0.0)
        self._all = sum(self._weights.values())
        self._done = 0.0  # kept, not summed anew: a study may have thousands of cells
        self._finished = 0
        self._running: dict[str, str] = {}
        self._progress = progress
        self._tell()

    def begin(self, cell: Cell) -> None:
        """A cell is being computed."""
        self._running[cell.address] = cell.title
        self._tell()

    def within(self, address: str) -> Progress:
        """The progress of one cell; a cell with several stages counts the last one heard of."""

        def report(stage: str, done: int, total: int) -> None:
            self._raise(address, 0.95 * min(done / max(total, 1), 1.0))
            self._tell()

        return report

    def finish(self, address: str) -> None:
        """A cell is finished."""
        self._finished += self._shares[address] < 1.0
        self._raise(address, 1.0)
        self._running.pop(address, None)
        self._tell()

    def _raise(self, address: str, share: float) -> None:
        before = self._shares[address]
        self._shares[address] = max(before, share)
        self._done += self._weights[address] * (self._shares[address] - before)

    def _tell(self) -> None:
        finished = self._finished
        hundredths = WHOLE if finished == len(self._shares) else int(WHOLE * self._done / self._all)
        current = "; ".join(self._running.values())
        stage = f"study: {finished} of {len(self._shares)} cells{f', now {current}' if current else ''}"
        self._progress(stage, min(hundredths, WHOLE), WHOLE)

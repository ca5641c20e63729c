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
            self._shares[address] = max(self._shares[address], 0.95 * done / max(total, 1))
            self._tell()

        return report

    def finish(self, address: str) -> None:
        """A cell is finished."""
        self._shares[address] = 1.0
        self._running.pop(address, None)
        self._tell()

    def _tell(self) -> None:
        finished = sum(share == 1.0 for share in self._shares.values())
        done = sum(self._weights[address] * share for address, share in self._shares.items())
        hundredths = WHOLE if finished == len(self._shares) else int(WHOLE * done / sum(self._weights.values()))
        current = "; ".join(self._running.values())
        stage = f"study: {finished} of {len(self._shares)} cells{f', now {current}' if current else ''}"
        self._progress(stage, min(hundredths, WHOLE), WHOLE)

"""One bar for a whole run: cells weigh what the plan expects them to take."""

from collections.abc import Sequence

from surefoot.progress import Progress
from surefoot.study.engine.tasks import Task

__all__ = ["Meter"]

STAGE = "study (seconds of work)"


class Meter:
    """Turns what running cells report into one count of expected seconds, done and in all."""

    def __init__(self, tasks: Sequence[Task], progress: Progress) -> None:
        self._weights = {task.cell.address: max(task.seconds, 0.01) for task in tasks}
        self._shares = dict.fromkeys(self._weights, 0.0)
        self._progress = progress
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
        self._tell()

    def _tell(self) -> None:
        whole = max(1, round(sum(self._weights.values())))
        finished = all(share == 1.0 for share in self._shares.values())
        done = sum(self._weights[address] * share for address, share in self._shares.items())
        self._progress(STAGE, whole if finished else min(int(done), whole), whole)

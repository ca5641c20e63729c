"""The engine of local worker processes: each computes one cell at a time with one thread.

Workers are plain child processes that speak JSON lines, not forks: nothing is pickled, the script that called us is
not run again in them, and they are what a remote worker will be. A worker that dies gets its cell tried once more in
a new process, and so does one whose cell takes longer than it may. Whatever ends the run, the workers end with it, and
finished cells stay.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from signal import Signals
from threading import Thread
from typing import Any, NamedTuple

from surefoot.errors import InputError
from surefoot.memory import available_memory
from surefoot.progress import Progress, silent
from surefoot.study.cells import Cell, cell_to_json, needs
from surefoot.study.engine.meter import Meter
from surefoot.study.engine.tasks import Failure, Report, StudyFault, Task, raise_failure
from surefoot.study.store import Store

__all__ = ["run_cells", "urgency_of"]

TRIES = 2
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}


@dataclass(eq=False)
class _Worker:
    process: "subprocess.Popen[str]"
    listener: Thread | None = None
    task: Task | None = None
    since: float = 0.0
    overdue: bool = False

    def end(self) -> None:
        """Kill the process, if it lives, and let go of all that belongs to it."""
        self.process.kill()
        self.process.wait()
        if self.listener is not None:
            self.listener.join()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


class _Answer(NamedTuple):
    """What a worker said; None when it has ended."""

    worker: _Worker
    said: dict[str, Any] | None


@dataclass
class _Pool:
    """The workers of one run."""

    store: Store
    answers: "SimpleQueue[_Answer]" = field(default_factory=SimpleQueue)
    workers: list[_Worker] = field(default_factory=list[_Worker])

    def start(self) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "surefoot.study.engine.worker", str(self.store.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
            text=True,
            encoding="utf-8",
        )
        worker = _Worker(process)
        self.workers.append(worker)
        worker.listener = Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()

    def give(self, worker: _Worker, task: Task) -> None:
        worker.task, worker.since = task, time.monotonic()
        order = json.dumps({"cell": cell_to_json(task.cell), "estimate": task.estimate})
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):  # if it has just died, its listener says so
            worker.process.stdin.write(order + "\n")
            worker.process.stdin.flush()

    def end(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.end()
        self.store.sweep()

    def next_answer(self, limit: float | None) -> _Answer:
        """What a worker says next; meanwhile those whose cell has taken more than `limit` seconds are killed."""
        while True:
            busy = [worker for worker in self.workers if worker.task is not None and not worker.overdue]
            if limit is None or not busy:
                return self.answers.get()
            left = min(worker.since for worker in busy) + limit - time.monotonic()
            with suppress(Empty):
                return self.answers.get(timeout=max(left, 0.0))
            for worker in busy:
                if time.monotonic() - worker.since >= limit:
                    worker.overdue = True
                    worker.process.kill()  # its listener then says that it has ended

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with worker.process.stdout as lines:
            for line in lines:
                self.answers.put(_Answer(worker, json.loads(line)))
        worker.process.wait()
        self.answers.put(_Answer(worker, None))


def run_cells(
    tasks: Sequence[Task],
    store: Store,
    *,
    workers: int,
    cell_timeout: float | None = None,
    progress: Progress = silent,
) -> Report:
    """Compute the tasks on up to `workers` processes, longest chain first, within the memory that is free.

    cell_timeout: seconds that a cell may take, from when a worker was given it; none by default.

    Raises `InputError` for wrong input and for a cell that took too long twice, and `StudyFault` for a fault, after
    ending the workers. Finished cells stay.
    """
    waiting = {task.cell.address: task for task in tasks}
    urgency = urgency_of(tasks)
    budget = available_memory()
    tries: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    notes: list[str] = []
    pool = _Pool(store)
    meter = Meter(tasks, progress)
    try:
        for _ in range(min(workers, len(tasks))):
            pool.start()
        while len(seconds) < len(tasks):
            for cell in _hand_out(pool, waiting, urgency, budget):
                meter.begin(cell)
            worker, said = pool.next_answer(cell_timeout)
            task = worker.task
            if said is None:
                pool.workers.remove(worker)
                worker.end()
                if not (worker.overdue and task is None):  # else it answered as its time ran out
                    notes.append(_bury(worker, tries, cell_timeout))
                if task is not None:
                    waiting[task.cell.address] = task
                pool.start()
            elif task is None:
                continue
            elif "stage" in said:
                meter.within(task.cell.address)(said["stage"], said["done"], said["total"])
            elif "failure" in said:
                raise_failure(Failure(said["failure"], said["told"]), task.cell, store)
            else:
                worker.task = None
                seconds[task.cell.address] = said["seconds"]
                meter.finish(task.cell.address)
    finally:
        pool.end()
    return Report(seconds, tuple(notes))


def _hand_out(pool: _Pool, waiting: dict[str, Task], urgency: dict[str, float], budget: int) -> list[Cell]:
    """Give every idle worker the most urgent task whose inputs are finished and whose memory is free; their cells."""
    running = {worker.task.cell.address: worker.task for worker in pool.workers if worker.task is not None}
    unfinished = waiting.keys() | running.keys()
    ready = [task for task in waiting.values() if not needs(task.cell) & unfinished]
    ready.sort(key=lambda task: -urgency[task.cell.address])
    used = sum(task.memory for task in running.values())
    idle = [worker for worker in pool.workers if worker.task is None and not worker.overdue]
    given: list[Cell] = []
    for task in ready:
        if not idle:
            break
        if used and used + task.memory > budget:
            continue
        used += task.memory
        pool.give(idle.pop(), waiting.pop(task.cell.address))
        given.append(task.cell)
    return given


def urgency_of(tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds from the start of each task to the end of the longest chain that begins with it."""
    urgency: dict[str, float] = {}
    after: dict[str, float] = {}
    for task in reversed(tasks):
        address = task.cell.address
        urgency[address] = task.seconds + after.get(address, 0.0)
        for needed in needs(task.cell):
            after[needed] = max(after.get(needed, 0.0), urgency[address])
    return urgency


def _bury(worker: _Worker, tries: Counter[str], limit: float | None) -> str:
    """Count the death of a worker; raises when its work has been tried often enough."""
    code = worker.process.returncode
    how = f"signal {Signals(-code).name}" if code < 0 else f"exit code {code}"
    title = "before its first cell" if worker.task is None else f"while computing {worker.task.cell.title}"
    key = "" if worker.task is None else worker.task.cell.address
    tries[key] += 1
    if worker.overdue and worker.task is not None and limit is not None:
        if tries[key] < TRIES:
            return f"{worker.task.cell.title} took longer than {limit:g} seconds; it was tried again in a new process."
        raise InputError(
            f"{worker.task.cell.title} took longer than {limit:g} seconds, {TRIES} times; give it more time "
            "(--cell-timeout), or see why it hangs. What was finished is kept."
        )
    if tries[key] < TRIES:
        return f"A worker process died {title} ({how}); it was tried again in a new one."
    if code == -Signals.SIGKILL:
        raise InputError(
            f"A worker process was killed {TRIES} times {title}, probably because the machine ran out of memory; "
            "run with fewer workers, fewer rows or smaller batches. What was finished is kept."
        )
    raise StudyFault(f"A worker process died {TRIES} times {title} ({how}); run with the in-process engine to see why.")

"""The engine of a Ray cluster: every cell is a Ray task, wherever a processor and its memory are free.

A cell travels as JSON and its results lie in the store under its address, so the store's folder must be one that all
nodes share; before anything runs, each node is asked to read a file there and to write one. A node that would compute
other bits than this machine is refused. A worker or node that dies gets its cell tried once more elsewhere, as with
local workers. Without an address a cluster of this machine alone is started, which ends with the run; with one we join
and leave, and end no process but our own tasks.

Ray itself serialises the two functions of `ray_worker` by their names, and strings; it uses cloudpickle for that.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surefoot.card.words import show_count
from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.study.cells import Cell, cell_to_json, needs
from surefoot.study.engine.meter import Meter
from surefoot.study.engine.ray_connection import connected
from surefoot.study.engine.ray_log import CellLog
from surefoot.study.engine.ray_nodes import cards_of, look_at_nodes, on_node, require_room
from surefoot.study.engine.ray_worker import serve
from surefoot.study.engine.tasks import Failure, Report, StudyFault, Task, failure_of, raise_failure
from surefoot.study.engine.workers import ONE_THREAD, TRIES, urgency_of
from surefoot.study.store import Store
from surefoot.study.work.perform import LASTING, perform

__all__ = ["LOG", "run_cells"]

LOG = "cells.log"
APPEARS = 60.0  # seconds until what one node wrote is seen on another; NFS may remember for so long that it was absent
ENDING = 10.0  # seconds for tasks to end that are cancelled
TICK = 1.0


@dataclass(eq=False)
class _Flight:
    """A task that Ray has. stream: what it says. node, host, process: where it runs, once it has said so."""

    task: Task
    stream: Any
    node: str = ""
    host: str = ""
    process: int = 0
    since: float | None = None
    overdue: bool = False

    @property
    def place(self) -> str:
        return (
            f"{self.host} (node {self.node[:8]}, process {self.process})"
            if self.node
            else "a node that had not answered yet"
        )


@dataclass
class _Run:
    """One run on one cluster.

    work: the function that Ray runs. options: of its every task. again_on: address → where a cell goes on that left a
    part of its work on one host.
    """

    ray: Any
    work: Any
    options: Mapping[str, Any]
    store: Store
    log: CellLog
    meter: Meter
    waiting: dict[str, Task]
    limit: float | None
    flights: list[_Flight] = field(default_factory=list[_Flight])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    tries: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    again_on: dict[str, Any] = field(default_factory=dict[str, Any])


def run_cells(
    tasks: Sequence[Task],
    store: Store,
    *,
    workers: int | None = None,
    address: str | None = None,
    log: Path | None = None,
    cell_timeout: float | None = None,
    progress: Progress = silent,
) -> Report:
    """Compute the tasks on a Ray cluster, longest chain first, with at most `workers` of them given to Ray at a time.

    workers: by default as many as the cluster has processors. address: "host:port" of a cluster to join; without it one
    of this machine is started and ended. log: a file for a line per beginning and end of a cell, by default beside the
    store. cell_timeout: seconds that a cell may take from when it has begun; none by default.

    Raises `InputError` where Ray is missing, no cluster answers, a node does not see the store or would compute other
    bits, no node has the memory that a cell needs, and for wrong input; `StudyFault` for a fault. Finished cells stay.
    """
    if not tasks:
        return Report({})
    store = Store(store.folder.resolve())
    meter = Meter(tasks, progress)
    wanted = max(task.memory for task in tasks)
    with (
        CellLog(log or store.folder.parent / LOG) as told,
        connected(address, workers, wanted, ONE_THREAD) as cluster,
    ):
        require_room(tasks, cluster.nodes)
        look_at_nodes(cluster, tasks, store)
        processors = sum(node.processors for node in cluster.nodes)
        most = min(workers or processors, len(tasks))
        cells, nodes = show_count(len(tasks), "cell"), show_count(len(cluster.nodes), "node")
        told.write(f"{cells} for {nodes} of Ray at {cluster.address}, {most} at a time")
        urgency = urgency_of(tasks)
        waiting = {task.cell.address: task for task in sorted(tasks, key=lambda task: -urgency[task.cell.address])}
        work = cluster.ray.remote(serve)
        run = _Run(cluster.ray, work, cluster.tasks, store, told, meter, waiting, cell_timeout)
        try:
            while run.waiting or run.flights:
                _hand_out(run, most)
                _hear(run)
        finally:
            _end(run)
    return Report(run.seconds, (*run.notes, f"Which cell was computed on which node is in {told.path}."))


def _hand_out(run: _Run, most: int) -> None:
    """Give Ray the most urgent tasks whose inputs are finished, until it has as many as it may have."""
    if len(run.flights) >= most:
        return
    unfinished = run.waiting.keys() | {flight.task.cell.address for flight in run.flights}
    ready = (task for task in run.waiting.values() if unfinished.isdisjoint(needs(task.cell)))
    given = [task for task, _ in zip(ready, range(most - len(run.flights)), strict=False)]
    for task in given:
        del run.waiting[task.cell.address]
        if "machine" in task.cell.numerics:  # it measures this machine, and is planned when nothing else runs
            _perform_here(run, task)
            continue
        order = json.dumps({"cell": cell_to_json(task.cell), "estimate": task.estimate})
        work = run.work.options(
            num_returns="streaming",
            num_cpus=1,
            num_gpus=cards_of(task.cell),
            memory=task.memory,
            max_retries=0,
            name=task.cell.title,
            **run.options,
            scheduling_strategy=run.again_on.get(task.cell.address, "DEFAULT"),
        )
        run.flights.append(_Flight(task, work.remote(order, str(run.store.folder))))


def _perform_here(run: _Run, task: Task) -> None:
    address = task.cell.address
    run.meter.begin(task.cell)
    run.log.write(f"began     {task.cell.title} ({address[:12]}) in the driver")
    try:
        run.seconds[address] = perform(task.cell, run.store, estimate=task.estimate, progress=run.meter.within(address))
    except Exception as error:
        raise_failure(failure_of(error), task.cell, run.store)
    run.log.write(f"finished  {task.cell.title} ({address[:12]}) in the driver, {run.seconds[address]:.2f} s")
    run.meter.finish(address)


def _hear(run: _Run) -> None:
    """Take what running tasks say next, and end those whose time is over."""
    if not run.flights:
        return
    streams = {flight.stream: flight for flight in run.flights}
    ready, _ = run.ray.wait(list(streams), num_returns=1, timeout=TICK)
    for stream in ready:
        flight = streams[stream]
        try:
            said = json.loads(run.ray.get(next(stream)))
        except StopIteration:
            run.flights.remove(flight)
        except run.ray.exceptions.RayError as error:
            run.flights.remove(flight)
            _bury(run, flight, error)
        else:
            _take(run, flight, said)
    now = time.monotonic()
    for flight in run.flights:
        late = run.limit is not None and flight.since is not None and now - flight.since > run.limit
        if late and not flight.overdue:
            flight.overdue = True
            run.ray.cancel(flight.stream, force=True)


def _take(run: _Run, flight: _Flight, said: Mapping[str, Any]) -> None:
    cell = flight.task.cell
    named = f"{cell.title} ({cell.address[:12]})"
    if "host" in said:
        flight.node, flight.host, flight.process = said["node"], said["host"], said["process"]
        flight.since = time.monotonic()
        run.log.write(f"began     {named} on {flight.place}")
        run.meter.begin(cell)
    elif "stage" in said:
        run.meter.within(cell.address)(said["stage"], said["done"], said["total"])
    elif "failure" in said:
        run.flights.remove(flight)
        run.log.write(f"failed    {named} on {flight.place}: {said['failure']}", said["printed"])
        raise_failure(Failure(said["failure"], said["told"]), cell, run.store)
    else:
        _await(run.store, cell, flight.place)
        run.seconds[cell.address] = said["seconds"]
        run.log.write(f"finished  {named} on {flight.place}, {said['seconds']:.2f} s", said["printed"])
        run.meter.finish(cell.address)
        run.flights.remove(flight)


def _await(store: Store, cell: Cell, place: str) -> None:
    """Wait until a finished cell is seen here."""
    until = time.monotonic() + APPEARS
    while not store.has(cell.address):
        if time.monotonic() > until:
            raise InputError(
                f"{cell.title} was finished on {place} and is not seen in {store.folder} here; every node and this "
                "machine must share that folder."
            )
        time.sleep(0.05)


def _bury(run: _Run, flight: _Flight, error: Exception) -> None:
    """Count the death of a task's process or node, and let it wait again; raises when it was tried often enough."""
    cell = flight.task.cell
    how = f"it took longer than {run.limit:g} seconds" if flight.overdue else _words_of(run.ray, error)
    run.log.write(f"died      {cell.title} ({cell.address[:12]}) on {flight.place}: {how}")
    run.tries[cell.address] += 1
    if run.tries[cell.address] < TRIES:
        run.waiting = {cell.address: flight.task, **run.waiting}
        crashed = isinstance(error, run.ray.exceptions.WorkerCrashedError)
        if cell.kind in LASTING and flight.node and crashed:
            run.again_on[cell.address] = on_node(run.ray, flight.node, soft=True)  # it goes on from what is left
        if flight.overdue:
            run.notes.append(f"{cell.title} took longer than {run.limit:g} seconds; it was tried again.")
        else:
            run.notes.append(f"While computing {cell.title} on {flight.place}, {how}; it was tried again.")
        return
    if flight.overdue:
        raise InputError(
            f"{cell.title} took longer than {run.limit:g} seconds, {TRIES} times; give it more time "
            "(--cell-timeout), or see why it hangs. What was finished is kept."
        )
    if isinstance(error, run.ray.exceptions.OutOfMemoryError):
        raise InputError(
            f"{TRIES} times, while computing {cell.title}, {how}; run with fewer workers, fewer rows or smaller "
            "batches. What was finished is kept."
        )
    raise StudyFault(
        f"{TRIES} times, while computing {cell.title}, {how}; if the memory was not full there, run with "
        "--engine in_process to see why."
    )


def _words_of(ray: Any, error: Exception) -> str:
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "Ray ended the worker because the memory of its node was full"
    if isinstance(error, ray.exceptions.NodeDiedError):
        return "the node was lost"
    if isinstance(error, ray.exceptions.WorkerCrashedError):
        return "the worker process died or was killed"
    said = (str(error).strip().splitlines() or [""])[0]
    return f"Ray lost the task ({type(error).__name__}{': ' if said else ''}{said})"


def _end(run: _Run) -> None:
    """Cancel what still runs, and wait for it a moment: nobody else's tasks, and no process of the cluster itself."""
    for flight in run.flights:
        run.ray.cancel(flight.stream, force=True)
    until = time.monotonic() + ENDING
    left = {flight.stream for flight in run.flights}
    while left and time.monotonic() < until:
        ready, _ = run.ray.wait(list(left), num_returns=1, timeout=TICK)
        for stream in ready:
            try:
                run.ray.get(next(stream))
            except (StopIteration, run.ray.exceptions.RayError):
                left.discard(stream)
    run.store.sweep()

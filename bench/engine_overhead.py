"""What an engine costs beside the work: milliseconds a cell, of many cells that do next to nothing; a line of JSON.

    .venv/bin/python bench/engine_overhead.py [--cells 1000] [--workers 2] [--engines in_process,workers,ray]

A cell is a choice (`choose`) of one base among itself by eight rows, each with another seed: the least work that a
study has, `work_ms`, timed alone. `ms_a_cell` is the wall time of all of it: hand out, begin, work, checksums, flush,
rename, record. The start of processes, imports and a cluster is taken off: it is the time of a run of eight cells.
`load` is that of the machine, of the last minute, before each engine's run.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from surefoot.progress import silent
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import make_rows
from surefoot.study.cells import Cell
from surefoot.study.engine import in_process, ray_cluster, workers
from surefoot.study.engine.tasks import Task
from surefoot.study.numerics import numerics_of
from surefoot.study.store import Store, open_store
from surefoot.study.stored import save_head, save_rows
from surefoot.study.work.kinds import work_of

FEW = 8


def main(count: int, processes: int, engines: Sequence[str]) -> None:
    torch.set_num_threads(1)
    found: dict[str, object] = {"cells": count, "workers": processes}
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "work")
        found["work_ms"] = round(1000 * seconds_of_work(store, tasks(store, 200)) / 200, 2)
        for engine in engines:
            load = os.getloadavg()[0]
            took = [seconds_of(engine, each, processes, Path(folder) / f"{engine}-{each}") for each in (FEW, count)]
            ms = 1000 * (took[1] - took[0]) / (count - FEW)
            found[engine] = {"ms_a_cell": round(ms, 2), "start_s": round(took[0], 2), "load": round(load, 1)}
    print(json.dumps(found))


def seconds_of(engine: str, count: int, processes: int, out: Path) -> float:
    store = open_store(out)
    given = tasks(store, count)
    began = time.perf_counter()
    if engine == "in_process":
        in_process.run_cells(given, store)
    elif engine == "workers":
        workers.run_cells(given, store, workers=processes)
    else:
        ray_cluster.run_cells(given, store, workers=processes)
    assert all(store.has(task.cell.address) for task in given)
    return time.perf_counter() - began


def seconds_of_work(store: Store, given: Sequence[Task]) -> float:
    """The work alone, into folders that are there."""
    folders = [store.folder.parent / f"{number}" for number in range(len(given))]
    for folder in folders:
        folder.mkdir()
    began = time.perf_counter()
    for task, folder in zip(given, folders, strict=True):
        inputs = {name: store.path(reference) for name, reference in task.cell.inputs.items()}
        work_of(task.cell)(task.cell.spec, inputs, folder, silent)
    return time.perf_counter() - began


def tasks(store: Store, count: int) -> list[Task]:
    """Choices that need one finished cell, of eight rows and a head."""
    numerics = numerics_of("default")
    given = Cell("features", "eight rows", {"role": "choose"}, numerics=numerics)
    if not store.has(given.address):
        folder = store.begin(given.address)
        generator = torch.Generator().manual_seed(0)
        rows = make_rows(torch.randn(8, 4, generator=generator), torch.arange(8) % 2)
        save_rows(rows, "choose", folder)
        save_head(LinearHead(torch.randn(2, 4, generator=generator), torch.zeros(2)), folder)
        store.finish(given, folder, 0.0, 0.0)
    return [Task(choice(given, seed), 0.001, 0.001, 2**20) for seed in range(count)]


def choice(given: Cell, seed: int) -> Cell:
    return Cell(
        kind="choose",
        title=f"choose, seed {seed}",
        spec={"subjects": ["one"], "bases": ["one"], "mitigations": [], "seeds": [seed]},
        inputs={f"rows one {seed}": given.address, f"head one {seed}": given.address},
        numerics=given.numerics,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engines", default="in_process,workers,ray")
    asked = parser.parse_args()
    main(asked.cells, asked.workers, asked.engines.split(","))

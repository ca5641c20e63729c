"""Ray with one worker and with two on a study of equal cells that compute all the time; a line of JSON.

    .venv/bin/python bench/ray_scaling.py [--cells 32] [--epochs 20]

The cells are trainings of one small network from as many seeds, on finished rows: nothing sleeps, each has one thread.
`seconds` run from the first line "began" of the log to the last "finished": a cluster's start is no part of it. It has
a meaning on a machine of two cores that does nothing else; `load` is that of the machine before each run.
"""

import argparse
import json
import os
import tempfile
from datetime import datetime
from pathlib import Path

from surefoot.study.engine import in_process, ray_cluster
from surefoot.study.plan import plan_study
from surefoot.study.schema import load_study
from surefoot.study.store import open_store

STUDY = """\
study: scaling
question: How much faster are two workers than one?
rows:
  dominoes: {{sizes: {{fit: 2000, repair: 100, choose: 100, judge: 100}}}}
network:
  cnn: {{channels: [8, 16], hidden: 32}}
base:
  plain: {{epochs: {epochs}, rate: 0.003}}
seeds: {seeds}
claims:
  - {{finding: worst_group_accuracy, of: chosen, at_least: 0.5}}
"""


def main(count: int, epochs: int) -> None:
    found: dict[str, object] = {"cells": count, "epochs": epochs, "cores": len(os.sched_getaffinity(0))}
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            load = os.getloadavg()[0]
            seconds[workers] = seconds_with(workers, count, epochs, Path(folder) / f"{workers}")
            found[f"workers_{workers}"] = {"seconds": round(seconds[workers], 2), "load": round(load, 1)}
    print(json.dumps({**found, "times_as_fast": round(seconds[1] / seconds[2], 2)}))


def seconds_with(workers: int, count: int, epochs: int, folder: Path) -> float:
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY.format(epochs=epochs, seeds=list(range(count))), encoding="utf-8")
    study = load_study(folder / "study.yaml")
    store = open_store(folder / "runs")
    plan = plan_study(study, folder, out=folder / "runs", product="default")
    in_process.run_cells([task for task in plan.tasks if task.cell.kind == "rows"], store)
    trainings = [task for task in plan.tasks if task.cell.kind == "train"]
    assert len(trainings) == count
    log = folder / "cells.log"
    ray_cluster.run_cells(trainings, store, workers=workers, log=log)
    lines = [line.split(maxsplit=2) for line in log.read_text(encoding="utf-8").splitlines()]
    began = [datetime.fromisoformat(line[0]) for line in lines if line[1] == "began"]
    finished = [datetime.fromisoformat(line[0]) for line in lines if line[1] == "finished"]
    return (max(finished) - min(began)).total_seconds()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    asked = parser.parse_args()
    main(asked.cells, asked.epochs)

"""Worker processes: they finish the work, they may die, and what goes wrong in them is told here."""

import os
import signal
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from surefoot.errors import InputError
from surefoot.study.cells import Cell
from surefoot.study.engine import in_process, workers
from surefoot.study.engine.tasks import Failure, StudyFault, Task, failure_of
from surefoot.study.plan import plan_study
from surefoot.study.schema import load_study
from surefoot.study.store import Store, open_store

NETWORK = """\
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {line}
        self.head = nn.Linear(392, 2)

    def forward(self, x):
        return self.head(x.flatten(1))
"""


def planned(text: str, line: str, folder: Path) -> tuple[list[Task], Store]:
    """The rows cell and one training with a network of the user's own that does `line` when it is built."""
    (folder / "net.py").write_text(NETWORK.format(line=line), encoding="utf-8")
    text = text.replace("cnn: {channels: [4], hidden: 8}", "file: net.py:Net").replace("seeds: [0, 1]", "seeds: [0]")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    study = load_study(folder / "study.yaml")
    plan = plan_study(study, folder, out=folder / "runs", product="default", trust_code=True)
    return [task for task in plan.tasks if task.cell.kind in ("rows", "train")], open_store(folder / "runs")


def children() -> list[int]:
    """Processes whose parent is this one."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_a_worker_that_dies_once_is_replaced(tiny_text: str, tmp_path: Path) -> None:
    """And what a user's code prints before does not disturb the answers."""
    flag = tmp_path / "died"
    line = f"os.path.exists({str(flag)!r}) or (open({str(flag)!r}, 'w'), print('{{no json', flush=True), os._exit(7))"
    tasks, store = planned(tiny_text, line, tmp_path)
    report = workers.run_cells(tasks, store, workers=1)
    assert report.notes == (
        "A worker process died while computing train stopped, seed 0 (exit code 7); it was tried again in a new one.",
    )
    assert all(store.has(task.cell.address) for task in tasks)
    assert {path.name for path in store.folder.iterdir()} == {task.cell.address for task in tasks}


def test_a_cell_that_kills_its_worker_twice_ends_the_run(tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, "os.kill(os.getpid(), 9)", tmp_path)
    with pytest.raises(InputError) as caught:
        workers.run_cells(tasks, store, workers=1)
    assert str(caught.value) == (
        "A worker process was killed 2 times while computing train stopped, seed 0, probably because the machine ran "
        "out of memory; run with fewer workers, fewer rows or smaller batches. What was finished is kept."
    )
    assert store.has(tasks[0].cell.address)
    assert children() == []


@pytest.mark.slow
def test_a_cell_that_hangs_once_is_tried_again(tiny_text: str, tmp_path: Path) -> None:
    flag = tmp_path / "hung"
    line = f"os.path.exists({str(flag)!r}) or (open({str(flag)!r}, 'w'), time.sleep(600))"
    tasks, store = planned(tiny_text, line, tmp_path)
    report = workers.run_cells(tasks, store, workers=1, cell_timeout=20.0)
    assert report.notes == ("train stopped, seed 0 took longer than 20 seconds; it was tried again in a new process.",)
    assert {path.name for path in store.folder.iterdir()} == {task.cell.address for task in tasks}


@pytest.mark.slow
def test_a_cell_that_hangs_twice_ends_the_run(tiny_text: str, tmp_path: Path) -> None:
    """Stopped by a signal, it could not end itself either."""
    tasks, store = planned(tiny_text, "os.kill(os.getpid(), 19)", tmp_path)
    with pytest.raises(InputError) as caught:
        workers.run_cells(tasks, store, workers=1, cell_timeout=15.0)
    assert str(caught.value) == (
        "train stopped, seed 0 took longer than 15 seconds, 2 times; give it more time (--cell-timeout), or see why it "
        "hangs. What was finished is kept."
    )
    assert [path.name for path in store.folder.iterdir()] == [tasks[0].cell.address]
    assert children() == []


def test_a_fault_in_a_worker_brings_its_traceback(tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, "self.forward = lambda x: 1 // 0", tmp_path)
    with pytest.raises(
        StudyFault, match=r"^train stopped, seed 0 failed \(ZeroDivisionError: .*\); the traceback is in "
    ):
        workers.run_cells(tasks, store, workers=1)
    (told,) = (tmp_path / "runs" / "faults").iterdir()
    assert "1 // 0" in told.read_text()
    assert children() == []


def test_wrong_input_is_told_from_faults() -> None:
    assert failure_of(InputError("Give more rows.")) == Failure("Give more rows.", "")
    full = "The memory is full; use fewer workers, fewer rows or smaller batches."
    assert failure_of(MemoryError()) == Failure(full, "")
    try:
        1 // 0  # noqa: B018
    except ZeroDivisionError as error:
        failure = failure_of(error)
    assert failure.message == "ZeroDivisionError: integer division or modulo by zero"
    assert "1 // 0" in failure.told


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, "time.sleep(60)", tmp_path)
    rows = tasks[0].cell.address

    def interrupt() -> None:
        while not store.has(rows):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        workers.run_cells(tasks, store, workers=1)
    assert children() == []
    assert [path.name for path in store.folder.iterdir()] == [rows]


def test_the_longest_chain_is_the_most_urgent() -> None:
    short = Task(Cell("rows", "short", {}), 1.0, 1.0, 10)
    long = Task(Cell("rows", "long", {"n": 1}), 1.0, 1.0, 10)
    after = Task(Cell("train", "after", {}, {"fit": long.cell.address}), 5.0, 5.0, 10)
    assert workers.urgency_of([short, long, after]) == {
        short.cell.address: 1.0, long.cell.address: 6.0, after.cell.address: 5.0,
    }  # fmt: skip


@pytest.mark.parametrize("engine", [workers, in_process], ids=["workers", "in_process"])
def test_progress_counts_up_and_names_what_runs(engine: ModuleType, tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, "pass", tmp_path)
    told: list[tuple[str, int, int]] = []
    engine.run_cells(tasks, store, workers=1, progress=lambda *each: told.append(each))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[0] == (f"study: 0 of {len(tasks)} cells", 0, 100)
    assert told[-1] == (f"study: {len(tasks)} of {len(tasks)} cells", 100, 100)
    stages = {stage for stage, _, _ in told}
    for finished, task in enumerate(tasks):
        assert f"study: {finished} of {len(tasks)} cells, now {task.cell.title}" in stages

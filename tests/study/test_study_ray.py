"""Cells on a Ray cluster of two nodes: the very bytes of one process, whatever dies, and sentences where it cannot be.

The cluster listens on 127.0.0.1 alone. Its nodes have one processor each, so two cells at once are on two nodes.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import surefoot.study.store
from surefoot.card.serialise import card_digest
from surefoot.cli import main
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.study.cells import Cell
from surefoot.study.engine import ray_cluster, ray_connection, ray_nodes, ray_worker
from surefoot.study.engine.tasks import StudyFault, Task
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import load_study
from surefoot.study.store import Store, open_store

os.environ.update({**ray_connection.QUIET, **ray_connection.HERE_ALONE})  # read when Ray is imported
pytest.importorskip("ray")

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20, "memory": 8 * 2**30}
NETWORK = """\
import os, sys, time
from torch import nn
from surefoot.errors import InputError

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {line}
        self.head = nn.Linear(392, 2)

    def forward(self, x):
        return self.head(x.flatten(1))
"""


@pytest.fixture(scope="module")
def cluster() -> Generator[Any]:
    started = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    started.add_node(**NODE)
    yield started
    started.shutdown()


def planned(text: str, line: str, folder: Path) -> tuple[list[Task], Store]:
    """The rows cell and one training with a network of the user's own that does `line` when it is built."""
    (folder / "net.py").write_text(NETWORK.format(line=line), encoding="utf-8")
    text = text.replace("cnn: {channels: [4], hidden: 8}", "file: net.py:Net").replace("seeds: [0, 1]", "seeds: [0]")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    study = load_study(folder / "study.yaml")
    plan = plan_study(study, folder, out=folder / "runs", product="default", trust_code=True)
    return [task for task in plan.tasks if task.cell.kind in ("rows", "train")], open_store(folder / "runs")


def run(text: str, out: Path, **settings: Any) -> Outcome:
    out.parent.mkdir(exist_ok=True)
    (out.parent / "study.yaml").write_text(text, encoding="utf-8")
    return run_study(load_study(out.parent / "study.yaml"), out.parent, out=out, product="default", **settings)


def contents(out: Path) -> dict[str, tuple[Any, bytes]]:
    """Every file of every finished cell, but for the records, which hold times.

    The header of a file of tensors is read, since the library that writes it puts its remarks in any order.
    """
    found: dict[str, tuple[Any, bytes]] = {}
    for file in sorted((out / "cells").rglob("*")):
        if not file.is_file() or file.name == "record.json":
            continue
        content, header = file.read_bytes(), None
        if file.suffix == ".safetensors":
            end = 8 + int.from_bytes(content[:8], "little")
            header, content = json.loads(content[8:end]), content[end:]
        found[file.relative_to(out / "cells").as_posix()] = (header, content)
    return found


def once(flag: Path, act: str) -> str:
    """A line that does something the first time that it is run anywhere."""
    return f"os.path.exists({str(flag)!r}) or (open({str(flag)!r}, 'w').close(), {act})"


def test_two_nodes_leave_the_very_bytes_of_one_process(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    there = run(tiny_text, tmp_path / "there" / "runs", engine="ray", address=cluster.address)
    here = run(tiny_text, tmp_path / "here" / "runs", engine="in_process")
    assert card_digest(there.card) == card_digest(here.card)
    assert contents(tmp_path / "there" / "runs") == contents(tmp_path / "here" / "runs")
    assert set(there.computed) == set(here.computed)
    log = (there.folder / "cells.log").read_text()
    assert len(set(re.findall(r"finished .*\(node (\w+), process \d+\)", log))) == 2, "both nodes took part"
    assert len(re.findall("  finished  ", log)) == len(there.computed) == len(re.findall("  began  ", log))
    assert there.notes == (f"Which cell was computed on which node is in {there.folder / 'cells.log'}.",)
    assert run(tiny_text, tmp_path / "there" / "runs", engine="ray", address="nowhere:1").computed == (), "none is left"


def test_a_killed_worker_is_replaced_and_what_it_left_is_removed(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    line = once(tmp_path / "died", "os.kill(os.getpid(), 9)")
    tasks, store = planned(tiny_text, line, tmp_path)
    report = ray_cluster.run_cells(tasks, store, address=cluster.address)
    assert len(report.notes) == 2
    assert re.fullmatch(
        r"While computing train stopped, seed 0 on \S+ \(node \w+, process \d+\), the worker process died or was "
        r"killed; it was tried again\.",
        report.notes[0],
    )
    assert {path.name for path in store.folder.iterdir()} == {task.cell.address for task in tasks}
    assert "  died      train stopped, seed 0" in (tmp_path / "runs" / "cells.log").read_text()


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_twice_ends_the_run(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, "os.kill(os.getpid(), 9)", tmp_path)
    with pytest.raises(StudyFault) as caught:
        ray_cluster.run_cells(tasks, store, address=cluster.address)
    assert str(caught.value) == (
        "2 times, while computing train stopped, seed 0, the worker process died or was killed; if the memory was not "
        "full there, run with --engine in_process to see why."
    )
    assert [path.name for path in store.folder.iterdir()] == [tasks[0].cell.address]


def test_wrong_input_is_one_sentence_and_a_fault_brings_its_traceback_and_what_was_printed(
    cluster: Any, tiny_text: str, tmp_path: Path
) -> None:
    tasks, store = planned(tiny_text, "raise InputError('Give more rows.')", tmp_path)
    with pytest.raises(InputError, match=r"^Give more rows\.$"):
        ray_cluster.run_cells(tasks, store, address=cluster.address)
    for line, said in {
        "print('I was here'); self.forward = lambda x: 1 // 0": "ZeroDivisionError: integer division or modulo by zero",
        "self.forward = lambda x: sys.exit(3)": r"SystemExit\(3\)",
    }.items():
        tasks, store = planned(tiny_text, line, tmp_path)
        with pytest.raises(StudyFault, match=rf"^train stopped, seed 0 failed \({said}\); the traceback is in "):
            ray_cluster.run_cells(tasks, store, address=cluster.address)
    told = [file.read_text() for file in (tmp_path / "runs" / "faults").iterdir()]
    assert sum("1 // 0" in each for each in told) == 1
    assert "    | I was here\n" in (tmp_path / "runs" / "cells.log").read_text()


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_tried_once_more(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    tasks, store = planned(tiny_text, once(tmp_path / "slept", "time.sleep(600)"), tmp_path)
    report = ray_cluster.run_cells(tasks, store, address=cluster.address, cell_timeout=15.0)
    assert report.notes[0] == "train stopped, seed 0 took longer than 15 seconds; it was tried again."


def test_ray_is_given_no_more_cells_than_it_may_have(
    cluster: Any, tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one at a time although both nodes are free; by default as many as there are processors."""
    (tmp_path / "study.yaml").write_text(tiny_text, encoding="utf-8")
    study = load_study(tmp_path / "study.yaml")
    held: list[int] = []
    hear: Callable[[Any], None] = ray_cluster._hear

    def watched(flying: Any) -> None:
        held.append(len(flying.flights))
        hear(flying)

    monkeypatch.setattr(ray_cluster, "_hear", watched)
    for workers, most in ((1, 1), (None, 2)):
        held.clear()
        out = tmp_path / f"runs-{most}"
        plan = plan_study(study, tmp_path, out=out, product="default")
        tasks = [task for task in plan.tasks if task.cell.kind in ("rows", "train")]
        ray_cluster.run_cells(tasks, open_store(out), workers=workers, address=cluster.address)
        assert max(held) == most


@pytest.mark.slow
def test_what_measures_this_machine_runs_on_it(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    text = tiny_text.replace("seeds: [0, 1]", "seeds: [0]") + "compute: {rows: 8, rounds: 6}\n"
    outcome = run(text, tmp_path / "runs", engine="ray", address=cluster.address)
    log = (outcome.folder / "cells.log").read_text()
    assert re.search(r"  finished  what a pass costs \(\w+\) in the driver, ", log)


@pytest.mark.slow
def test_a_lost_node_gives_its_cell_to_another(tiny_text: str, tmp_path: Path) -> None:
    own = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    try:
        nodes = {each.node_id[:8]: each for each in (own.add_node(**NODE), own.add_node(**NODE))}
        tasks, store = planned(tiny_text, once(tmp_path / "slept", "time.sleep(600)"), tmp_path)

        def lose() -> None:
            while not (tmp_path / "slept").exists():
                time.sleep(0.1)
            log = (tmp_path / "runs" / "cells.log").read_text()
            own.remove_node(nodes[re.findall(r"began     train .*\(node (\w+),", log)[-1]], allow_graceful=False)

        losing = threading.Thread(target=lose)
        losing.start()
        report = ray_cluster.run_cells(tasks, store, address=own.address)
        losing.join()
    finally:
        own.shutdown()
    assert "the node was lost; it was tried again." in report.notes[0]
    assert all(store.has(task.cell.address) for task in tasks)


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_is_taken_up_again(cluster: Any, tiny_text: str, tmp_path: Path) -> None:
    """The driver that is killed had started a cluster of its own, without an address."""
    store = planned(tiny_text, once(tmp_path / "slept", "time.sleep(600)"), tmp_path)[1]
    command = [sys.executable, "-m", "surefoot", "run", str(tmp_path / "study.yaml"), "--engine", "ray"]
    driver = subprocess.Popen(
        [*command, "--out", str(tmp_path / "runs"), "--trust-code", "--workers", "1", "--quiet"],
        env={**os.environ, "MARK_OF_THIS_TEST": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "slept").exists() and time.monotonic() < until:
        time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    while (left := marked(str(tmp_path))) and time.monotonic() < until + 30:
        time.sleep(0.2)
    assert left == []
    rows = [path.name for path in store.folder.iterdir() if store.has(path.name)]
    assert len(rows) == 1
    assert read_json(store.folder / rows[0] / "record.json")["cell"]["kind"] == "rows"
    text = (tmp_path / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text)
    again = run_study(
        load_study(tmp_path / "study.yaml"), tmp_path, out=tmp_path / "runs", engine="ray", address=cluster.address,
        trust_code=True,
    )  # fmt: skip
    assert again.reused == tuple(rows)
    assert all(re.fullmatch("[0-9a-f]{64}", path.name) for path in store.folder.iterdir() if path.is_dir())


def marked(mark: str) -> list[int]:
    """Processes with the mark in their environment, but for Ray's agents, which end about a minute after their node."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                marked_so = mark.encode() in (entry / "environ").read_bytes()
                if marked_so and b"Agent" not in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def one_cell(**changes: Any) -> list[Task]:
    spec = {"dominoes": {"sizes": {"fit": 8, "judge": 8}}}
    numerics = {"product": "default", "surefoot": "0"}
    return [replace(Task(Cell("rows", "rows", spec, numerics=numerics), 1.0, 1.0, 2**20), **changes)]


def test_a_node_that_is_not_fit_is_named_before_anything_runs(
    cluster: Any, tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "runs")
    with pytest.raises(InputError) as other:
        ray_cluster.run_cells(one_cell(), store, address=cluster.address)
    assert re.fullmatch(
        r"The node \S+ of the Ray cluster computes by another version of surefoot than this machine, so its numbers "
        r"could differ in the last digits; use nodes of one kind with one installation\.",
        str(other.value),
    )
    with pytest.raises(InputError) as large:
        ray_cluster.run_cells(one_cell(memory=2**60), store, address=cluster.address)
    assert str(large.value) == (
        "The cell 'rows' needs about 1024.0 PiB of memory and the largest node of the Ray cluster offers 8.0 GiB; use "
        "fewer rows or smaller inputs, or a larger node."
    )
    look = ray_worker.look_round
    monkeypatch.setattr(ray_nodes, "look_round", lambda order, folder, name: look(order, "/nowhere", name))
    with pytest.raises(InputError) as apart:
        ray_cluster.run_cells(one_cell(), store, address=cluster.address)
    assert re.fullmatch(
        rf"The node \S+ of the Ray cluster does not share {store.folder} \(No such file or directory\); give --out a "
        r"folder that every node reads and writes, such as one on NFS\.",
        str(apart.value),
    )
    assert list(store.folder.iterdir()) == []


def test_a_node_without_the_files_of_a_study_is_named(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    assert ray_worker._other_files({str(data): "0"}) == f"cannot see {data}"
    data.write_text("x,y\n")
    assert ray_worker._other_files({str(data): "0"}) == f"has another file under {data}"
    assert ray_worker._other_files({str(data): None}) == ""


def test_what_a_killed_run_left_of_a_long_cell_is_gone_on_with_on_another_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the node itself can tell that the process is gone; it says so when it is asked to look round."""
    store = open_store(tmp_path / "runs")
    address = one_cell()[0].cell.address
    script = f"from surefoot.study.store import *; print(Store({store.folder!r}).begin({address!r}, lasting=True).name)"
    script = f"from pathlib import *; {script}"
    name = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    (store.folder / name / "chains").write_text("half")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(surefoot.study.store, "_host", lambda: "another")
        assert not (store.begin(address, lasting=True) / "chains").exists(), "it might be at work"
    probe = store.begin("probe")
    (probe / ray_worker.TOKEN).write_text("token")
    order = {"token": "token", "node": "one", "outside": {}, "numerics": {"product": "default"}}
    said = json.loads(ray_worker.look_round(json.dumps(order), str(store.folder), probe.name))
    assert (said["trouble"], said["files"], said["differs"]) == ("", "", "another version of surefoot")
    assert (probe / "one").read_text() == "token"
    monkeypatch.setattr(surefoot.study.store, "_host", lambda: "another")
    assert (store.begin(address, lasting=True) / "chains").read_text() == "half"


def test_where_ray_is_missing_its_extra_is_named(
    tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "study.yaml").write_text(tiny_text, encoding="utf-8")
    command = ["run", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "runs")]
    assert main([*command, "--engine", "ray"]) == 2
    assert capsys.readouterr().err == (
        'surefoot: The engine "ray" needs the package ray, which is not installed; install it with: '
        'pip install "surefoot[ray]"\n'
    )
    assert main([*command, "--address", "127.0.0.1:6379"]) == 2
    assert capsys.readouterr().err == (
        "surefoot: An address of a cluster was given; it needs the engine ray (--engine ray).\n"
    )


def test_an_address_where_no_cluster_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for five minutes and then exit."""
    store = open_store(tmp_path / "runs")
    began = time.monotonic()
    for address in ("auto", "ray://head:10001", "head:"):
        with pytest.raises(InputError, match=f'^"{address}" is no address of a Ray cluster; give host:port, as `ray '):
            ray_cluster.run_cells(one_cell(), store, address=address)
    with pytest.raises(InputError, match=r"^Nothing answers at 127\.0\.0\.1:1 \(Connection refused\); check the "):
        ray_cluster.run_cells(one_cell(), store, address="127.0.0.1:1")
    monkeypatch.setattr(ray_connection, "HEALTHY", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InputError, match=f"^What answers at {address} is no Ray cluster that lets us in; check "):
            ray_cluster.run_cells(one_cell(), store, address=address)
    assert time.monotonic() - began < 20

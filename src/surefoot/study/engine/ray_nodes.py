"""What is asked of the nodes of a Ray cluster before anything runs on them: room, the shared folder, the same bits."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.memory import human_bytes
from surefoot.study.cells import Cell
from surefoot.study.engine.ray_connection import Cluster, Node
from surefoot.study.engine.ray_worker import TOKEN, look_round
from surefoot.study.engine.tasks import Task
from surefoot.study.store import Store

__all__ = ["cards_of", "look_at_nodes", "on_node", "require_room"]

LOOK = 180.0  # seconds for all nodes to answer; a first import of torch from a slow disk takes a while
WRITTEN = 10.0  # seconds until what a node wrote is seen here


def require_room(tasks: Sequence[Task], nodes: Sequence[Node]) -> None:
    """Raise `InputError` for a task that no node could ever take: Ray would wait for ever."""
    for task in tasks:
        if "machine" in task.cell.numerics:
            continue
        able = [node for node in nodes if node.cards >= cards_of(task.cell)]
        if not able:
            raise InputError(
                f"The cell '{task.cell.title}' is to run on {task.cell.spec['device']} and no node of the Ray cluster "
                "offers a GPU; start its nodes with --num-gpus, or use --device cpu."
            )
        most = max(node.memory for node in able)
        if task.memory > most:
            raise InputError(
                f"The cell '{task.cell.title}' needs about {human_bytes(task.memory)} of memory and the largest node "
                f"of the Ray cluster offers {human_bytes(most)}; use fewer rows or smaller inputs, or a larger node."
            )


def on_node(ray: Any, node: str, *, soft: bool) -> Any:
    """Ray's way to say that a task is for one node; soft: or for another where that is lost."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=soft)


def cards_of(cell: Cell) -> int:
    """GPUs that a cell needs."""
    return 1 if str(cell.spec.get("device", "cpu")).startswith("cuda") else 0


def look_at_nodes(cluster: Cluster, tasks: Sequence[Task], store: Store) -> None:
    """Have every node read a file in the store's folder and write one, and compare itself with this machine.

    Raises `InputError` for the first that does not share the folder or what else is read, or would compute other bits.
    """
    ray, _, nodes, options = cluster
    numerics: dict[str, Any] = {}
    outside: dict[str, str | None] = {}
    for task in tasks:
        numerics |= {name: value for name, value in task.cell.numerics.items() if name != "machine"}
        for place in _outside(task.cell):
            outside[str(place)] = digest_file(place) if place.is_file() else None
    token = secrets.token_hex(16)
    probe = store.begin("probe")
    try:
        (probe / TOKEN).write_text(token, encoding="utf-8")
        asked = {"token": token, "numerics": numerics, "outside": outside}
        look = ray.remote(look_round)
        answers = {
            look.options(
                num_cpus=0,
                max_retries=1,
                **options,
                scheduling_strategy=on_node(ray, node.name, soft=False),
            ).remote(json.dumps({**asked, "node": node.name}), str(store.folder), probe.name): node
            for node in nodes
        }
        ready, silent_ones = ray.wait(list(answers), num_returns=len(answers), timeout=LOOK)
        for answer in silent_ones:
            raise InputError(
                f"The node {answers[answer].host} of the Ray cluster did not answer in {LOOK:.0f} seconds."
            )
        for answer in ready:
            _check_answer(ray, answer, answers[answer], store, probe, token)
    finally:
        store.leave(probe)


def _check_answer(ray: Any, answer: Any, node: Node, store: Store, probe: Path, token: str) -> None:
    try:
        said = json.loads(ray.get(answer))
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputError(
            f"The node {node.host} of the Ray cluster cannot run surefoot ({last}); install the same version of it, "
            "in the same environment, on every node."
        ) from None
    if not said["trouble"] and not _holds(probe / node.name, token):
        said["trouble"] = "what it writes there is not seen here"
    if said["trouble"]:
        raise InputError(
            f"The node {node.host} of the Ray cluster does not share {store.folder} ({said['trouble']}); give --out a "
            "folder that every node reads and writes, such as one on NFS."
        )
    if said["files"]:
        raise InputError(
            f"The node {node.host} of the Ray cluster {said['files']}; data and code of a study must lie in a folder "
            "that every node shares."
        )
    if said["differs"]:
        raise InputError(
            f"The node {node.host} of the Ray cluster computes by {said['differs']} than this machine, so its numbers "
            "could differ in the last digits; use nodes of one kind with one installation."
        )


def _holds(path: Path, token: str) -> bool:
    until = time.monotonic() + WRITTEN
    while time.monotonic() < until:
        try:
            return path.read_text(encoding="utf-8") == token
        except FileNotFoundError:
            time.sleep(0.1)
        except OSError:
            break
    return False


def _outside(cell: Cell) -> list[Path]:
    """The files and folders from outside the store that a cell reads."""
    network = cell.spec.get("network")
    file = network.get("file") if isinstance(network, Mapping) else None
    return [*map(Path, cell.places.values()), *([] if file is None else [Path(str(file).rpartition(":")[0])])]

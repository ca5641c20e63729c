"""Joining a Ray cluster, or starting one of this machine, and leaving it as it was found.

A cluster that is started here listens on this machine alone (127.0.0.1), reports nothing to anybody, and ends with the
run. One that is joined is only left: its processes, and other people's work on it, go on. Ray is never told to stop.
"""

import importlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from surefoot.errors import InputError
from surefoot.memory import available_memory
from surefoot.study.plan import cores

__all__ = ["Cluster", "Node", "connected"]

ANSWER = 10.0  # seconds for a host to take a connection
HEALTHY = 30.0  # seconds for Ray to answer there
OBJECTS = 100 * 2**20  # bytes of shared memory for Ray's objects; ours are short strings
LOOPBACK = ("127.0.0.1", "localhost")
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray reports its use to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of a change to come
}
HERE_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Read when Ray is imported: addresses of this machine are then 127.0.0.1 and not those that others see."""


class Node(NamedTuple):
    """A node that takes tasks. name: Ray's. memory: bytes that tasks may ask for in all."""

    name: str
    host: str
    processors: int
    memory: int
    cards: int


class Cluster(NamedTuple):
    """Ray, and the nodes that it has for us. tasks: options that every task is to have."""

    ray: Any
    address: str
    nodes: tuple[Node, ...]
    tasks: Mapping[str, Any]


@contextmanager
def connected(
    address: str | None, workers: int | None, memory: int, environment: Mapping[str, str]
) -> Generator[Cluster]:
    """Ray, joined at `address` or started here for `workers` processes; inside a program that uses Ray, that one.

    memory: bytes that a single task needs at most. environment: variables that the processes of tasks are to have; in a
    cluster that is started all processes have them from the beginning, which saves the start of others.

    Raises `InputError` where Ray is missing, nothing answers at the address, or the cluster has no processors.
    """
    host, _, port = (address or "").rpartition(":")
    if address is not None and not (host and port.isdigit() and "/" not in host):
        raise InputError(
            f'"{address}" is no address of a Ray cluster; give host:port, as `ray start --head` printed it, on a '
            "machine that shares the output folder with the nodes."
        )
    alone = address is None or host in LOOPBACK
    with _environment({**QUIET, **(HERE_ALONE if alone else {})}, {} if address else environment):
        ray = _ray()
        joined: bool = ray.is_initialized()
        if joined and address is not None:
            raise InputError("This process is connected to a Ray cluster already; leave the address out to use it.")
        if address is not None:
            _require_answer(address, host, int(port))
        if not joined:
            _join(ray, address, workers, memory)
        try:
            nodes = _nodes(ray)
            if not nodes:
                raise InputError("The Ray cluster has no node with a processor to give; start one with `ray start`.")
            own = address is None and not joined
            tasks = {} if own else {"runtime_env": {"env_vars": dict(environment)}}
            yield Cluster(ray, address or ("this machine" if own else "this program's address"), nodes, tasks)
        finally:
            if not joined:
                ray.shutdown()  # ends what we started, and only leaves what we joined


def _ray() -> Any:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError:
        raise InputError(
            'The engine "ray" needs the package ray, which is not installed; install it with: '
            'pip install "surefoot[ray]"'
        ) from None
    return ray


def _join(ray: Any, address: str | None, workers: int | None, memory: int) -> None:
    own = {
        "num_cpus": workers or cores(),
        "include_dashboard": False,
        "object_store_memory": OBJECTS,
        "_memory": max(available_memory(), memory),
    }
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,  # what workers print would stand among our results
            logging_level=logging.ERROR,
            **(own if address is None else {}),
        )
    except (Exception, SystemExit) as error:  # it exits where a cluster does not answer
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = "be started here" if address is None else f"be joined at {address}"
        raise InputError(f"A Ray cluster could not {where} ({reason}).") from error


def _require_answer(address: str, host: str, port: int) -> None:
    """Raise `InputError` within seconds where no cluster answers; Ray itself tries for minutes and then exits."""
    advice = "check the address that `ray start --head` printed, and that the cluster runs"
    try:
        socket.create_connection((host, port), timeout=ANSWER).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"Nothing answers at {address} ({reason}); {advice}.") from None
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        healthy = subprocess.run(command, capture_output=True, timeout=HEALTHY, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        healthy = False
    if not healthy:
        raise InputError(f"What answers at {address} is no Ray cluster that lets us in; {advice}.")


def _nodes(ray: Any) -> tuple[Node, ...]:
    found: list[Node] = []
    for each in ray.nodes():
        offered: Mapping[str, float] = each["Resources"]
        if each["Alive"] and offered.get("CPU", 0) >= 1:
            found.append(
                Node(
                    each["NodeID"],
                    each["NodeManagerHostname"],
                    int(offered["CPU"]),
                    int(offered.get("memory", 0)),
                    int(offered.get("GPU", 0)),
                )
            )
    return tuple(found)


@contextmanager
def _environment(usual: Mapping[str, str], settled: Mapping[str, str]) -> Generator[None]:
    """Inside, `usual` variables are set where they were not, `settled` ones anyway; Ray's processes inherit them."""
    before = {name: os.environ.get(name) for name in (*usual, *settled)}
    os.environ.update({**usual, **{name: value for name, value in before.items() if value is not None}, **settled})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

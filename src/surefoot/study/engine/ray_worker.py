"""What runs on the nodes of a Ray cluster: a look round each of them, and the work of one cell.

Strings of JSON come in and go out, the same records that `surefoot.study.engine.worker` speaks: of our objects nothing
is pickled, and inputs and results go by address through the store's folder, which every node sees.
"""

import importlib
import io
import json
import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, no_type_check

from surefoot.files import digest_file
from surefoot.study.again import ways_that_differ
from surefoot.study.cells import cell_from_json
from surefoot.study.engine.tasks import Failure, failure_of
from surefoot.study.numerics import compiler_of_trajectories, numerics_of
from surefoot.study.store import Store

__all__ = ["TOKEN", "look_round", "serve"]

TOKEN = "token"
PAUSE = 0.5  # seconds between two reports of progress
PRINTED = 20_000  # characters of what user's code prints that are kept of a cell


@no_type_check  # Ray looks whether a function is a generator, which one that checks its types in tests is not
def serve(order: str, folder: str) -> Iterator[str]:
    """Compute the cell of `order` into the store in `folder`: first says where, then how far, at last how it ended."""
    ray: Any = importlib.import_module("ray")
    given = json.loads(order)
    node: str = ray.get_runtime_context().get_node_id()
    yield json.dumps({"node": node, "host": socket.gethostname(), "process": os.getpid()})
    answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    Thread(target=_perform, args=(given, Store(Path(folder)), answers), daemon=True).start()
    while (answer := answers.get()) is not None:
        yield json.dumps(answer)


def look_round(order: str, folder: str, name: str) -> str:
    """What a node sees: reads the driver's file, writes its own beside it, compares files and ways of computing.

    folder: the store's. name: of the probe's folder there, which the driver made. Answers with "" where all is well,
    and otherwise with what the matter is.
    """
    asked = json.loads(order)
    place = Path(folder) / name
    try:
        seen = (place / TOKEN).read_text(encoding="utf-8") == asked["token"]
        trouble = "" if seen else "another file lies there"
        (place / asked["node"]).write_text(asked["token"], encoding="utf-8")
        Store(Path(folder)).sweep()  # what cells left here that were killed in an earlier run
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    return json.dumps(
        {
            "host": socket.gethostname(),
            "trouble": trouble,
            "files": _other_files(asked["outside"]),
            "differs": _other_ways(asked["numerics"]),
        }
    )


def _perform(given: Mapping[str, Any], store: Store, answers: "SimpleQueue[dict[str, Any] | None]") -> None:
    last = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > PAUSE:
            last = now
            answers.put({"stage": stage, "done": done, "total": total})

    printed = io.StringIO()
    try:
        from surefoot.study.work.perform import perform

        cell = cell_from_json(given["cell"])
        with redirect_stdout(printed), redirect_stderr(printed):
            if differs := _other_ways(dict(cell.numerics)):  # a node that came later was not looked at
                failed = Failure(f"A node of the Ray cluster ({socket.gethostname()}) computes by {differs}.", "")
                ended = {"failure": failed.message, "told": failed.told}
            else:
                ended = {"seconds": perform(cell, store, estimate=given["estimate"], progress=progress)}
    except Exception as error:
        failed = failure_of(error)
        ended = {"failure": failed.message, "told": failed.told}
    except BaseException as error:  # a user's own code may call sys.exit
        ended = {"failure": repr(error), "told": "".join(traceback.format_exception(error))}
    answers.put({**ended, "printed": printed.getvalue()[-PRINTED:]})
    answers.put(None)


def _other_ways(wanted: Mapping[str, Any]) -> str:
    """In words, what decides the last bits and is another here than the study was planned with."""
    here = _numerics(str(wanted["product"]))
    known = {name: value for name, value in wanted.items() if name in here}
    words = ways_that_differ(known, here)
    return words or ("another compiler of trajectories" if any(known[name] != here[name] for name in known) else "")


@cache
def _numerics(product: str) -> dict[str, Any]:
    return {**numerics_of(product), "compiler": compiler_of_trajectories()}


def _other_files(outside: Mapping[str, str | None]) -> str:
    """The first of the files from outside that is not here, or is another one here, in words; "" where all are."""
    for name, sha256 in outside.items():
        path = Path(name)
        if not path.exists():
            return f"cannot see {name}"
        if sha256 is not None and digest_file(path) != sha256:
            return f"has another file under {name}"
    return ""

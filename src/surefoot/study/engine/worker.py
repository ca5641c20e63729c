"""One worker process: cells come in as lines of JSON, results go out as lines of JSON.

Started by `surefoot.study.engine.workers` with `python -m`; it knows nothing but the store's folder and the
records it is sent. It ends at once when its standard input closes, that is, when whoever started it is gone.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from surefoot.study.cells import cell_from_json
from surefoot.study.engine.tasks import failure_of
from surefoot.study.store import Store

__all__ = ["main"]

PAUSE = 0.1  # seconds between two reports of progress


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends us
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a user's own code prints must not end up among the answers
    store = Store(Path(sys.argv[1]))
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    Thread(target=_listen, args=(orders,), daemon=True).start()

    from surefoot.study.work.perform import perform

    last = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last > PAUSE:
            last = now
            print(json.dumps({"stage": stage, "done": done, "total": total}), file=answers)

    while True:
        order = orders.get()
        cell = cell_from_json(order["cell"])
        try:
            seconds = perform(cell, store, estimate=order["estimate"], progress=progress)
        except Exception as error:
            failure = failure_of(error)
            print(json.dumps({"failure": failure.message, "told": failure.told}), file=answers)
        else:
            print(json.dumps({"seconds": seconds}), file=answers)


def _listen(orders: "SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()

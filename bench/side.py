"""One contestant of a race: prepares once, then runs its work for every line read from standard input."""

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np


def load(script: Path) -> ModuleType:
    """A contestant's module; it finds its neighbours (`work.py`)."""
    sys.path.insert(0, str(script.parent))
    spec = importlib.util.spec_from_file_location("contestant", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(script: Path, parameters: str, threads: int) -> None:
    module = load(script)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    work = module.prepare(json.loads(parameters))
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        answer = work()
        seconds = time.perf_counter() - start
        np.savez(line.strip(), **(answer() if callable(answer) else answer))
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

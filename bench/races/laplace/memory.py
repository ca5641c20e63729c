"""Peak memory and seconds of one run of one side, beyond what the process held before it.

    export OMP_NUM_THREADS=1
    .venv/bin/python bench/races/laplace/memory.py ours CASE
    bench/.venv-laplace/bin/python bench/races/laplace/memory.py peer CASE [LIMIT_GB [SECONDS]]

CASE counts from 0 in race.json, through its cases and then those `beyond`. LIMIT_GB bounds the address space, so that a
side that asks for more fails instead of taking the machine with it; SECONDS bounds the run. One JSON line: the case,
MiB before the run and at the highest, seconds, and how it ended. The race itself prepares (trains) in the same process;
the highest is counted anew once that is over.
"""

import ctypes
import json
import resource
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(side: str, number: str, limit: str = "", seconds: str = "") -> None:
    if limit:
        most = int(float(limit) * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    plan = json.loads((HERE / "race.json").read_text())
    case = [*plan["cases"], *plan["beyond"]][int(number)]
    sys.path.insert(0, str(HERE))
    race = __import__(side).prepare(case["parameters"])
    before, began, ended = afresh(), time.perf_counter(), "finished"
    if seconds:
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(int(seconds))
    try:
        race()
    except (MemoryError, RuntimeError, TimeoutError) as error:
        ended = f"{type(error).__name__}: {error}"[:300]
    told = {"side": side, "case": case["name"], "before_mib": before, "peak_mib": highest()}
    print(json.dumps(told | {"seconds": round(time.perf_counter() - began, 2), "ended": ended}, ensure_ascii=False))


def give_up(*_: object) -> None:
    raise TimeoutError("not finished")


def afresh() -> float:
    """MiB held now, from where the highest is counted anew (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what training left
    Path("/proc/self/clear_refs").write_text("5")
    return highest()


def highest() -> float:
    """MiB, the most that this process has held since."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The race in processor time, for a machine that is busy with other things: each side a process, in turn.

OMP_NUM_THREADS=1 .venv/bin/python bench/races/options/processor.py                    the cases of race.json
OMP_NUM_THREADS=1 .venv/bin/python bench/races/options/processor.py --items 1000       the first case, 1,000 items, once
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from harness import Side, interpreter, largest_difference

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    plan = json.loads((HERE / "race.json").read_text())
    for case in plan["cases"][: 1 if given.items else None]:
        parameters = case["parameters"] | ({"items": given.items} if given.items else {})
        sides = [
            Side(python, HERE / script, parameters, int(plan["threads"]))
            for python, script in ((Path(sys.executable), "ours.py"), (interpreter(HERE), "peer.py"))
        ]
        times: list[list[float]] = [[], []]
        difference = 0.0
        with tempfile.TemporaryDirectory() as folder:
            answers = [Path(folder) / f"{name}.npz" for name in ("ours", "theirs")]
            for _ in range(given.rounds):
                for side, answer, kept in zip(sides, answers, times, strict=True):
                    before = spent(side.process.pid)
                    side.run(answer)
                    kept.append(spent(side.process.pid) - before)
                difference = max(difference, largest_difference(*answers))
        for side in sides:
            side.close()
        mine, theirs = map(statistics.median, times)
        print(
            f"{case['name']} ({parameters['items']} items): {mine:.2f} and {theirs:.2f} s of processor time, "
            f"{theirs / mine:.2f} ×, largest difference {difference:.1e}", flush=True
        )  # fmt: skip


def spent(process: int) -> float:
    """Seconds of processor time of a process so far, its own and the system's for it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

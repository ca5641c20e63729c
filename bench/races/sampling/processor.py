"""The race in processor time, both sides in one process in turn: for a machine that is busy with other things.

OMP_NUM_THREADS=1 .venv/bin/python bench/races/sampling/processor.py
"""

import json
import statistics
import time
from pathlib import Path

import ours
import peer
import torch

ROUNDS = 9


def main() -> None:
    torch.set_num_threads(1)
    plan = json.loads((Path(__file__).parent / "race.json").read_text())
    for case in plan["cases"]:
        sides = [side.prepare(case["parameters"]) for side in (ours, peer)]
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS + 1):
            for work, kept in zip(sides, times, strict=True):
                start = time.process_time()
                work()
                kept.append(1e3 * (time.process_time() - start))
        mine, theirs = (statistics.median(kept[1:]) for kept in times)
        print(f"{case['name']}: {mine:.1f} and {theirs:.1f} ms, {theirs / mine:.2f} ×", flush=True)


if __name__ == "__main__":
    main()

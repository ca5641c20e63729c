"""One side of the race of features by processor time, for a machine that does other work; a line of JSON.

    .venv/bin/python bench/features_time.py ours 0 ours.npy
    bench/.venv-features/bin/python bench/features_time.py peer 0 peer.npy

The number is the case in `bench/races/features/race.json`; the file receives the features, for comparison. The least
of two runs on one thread.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

RACE = Path(__file__).parent / "races" / "features"


def main(side: str, number: int, file: str) -> None:
    torch.set_num_threads(1)
    sys.path.insert(0, str(RACE))
    case = json.loads((RACE / "race.json").read_text())["cases"][number]
    work = importlib.import_module(side).prepare(case["parameters"])
    taken: list[float] = []
    for _ in range(2):
        began = time.process_time()
        answer = work()
        taken.append(time.process_time() - began)
    np.save(file, answer["features"])
    gflops = case["flops"] / min(taken) / 1e9
    print(
        json.dumps({"case": case["name"], "side": side, "processor_s": round(min(taken), 2), "gflops": round(gflops)})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

"""Which batch size is the fastest for the peer: processor seconds of 12 items by batch size, once.

OMP_NUM_THREADS=1 bench/.venv-options/bin/python bench/races/options/peer_batches.py      (after a run of the race)
"""

import time

import torch
from peer import prepare

SIZES = (1, 2, 4, 8, 16, 32, 64, "auto")


def main() -> None:
    torch.set_num_threads(1)
    for form in ("main", "letters"):
        for size in SIZES:
            work = prepare({"seed": 1, "items": 12, "form": form, "batch": size})
            start = time.process_time()
            work()
            print(f"{form}, batch {size}: {time.process_time() - start:.2f} s", flush=True)


if __name__ == "__main__":
    main()

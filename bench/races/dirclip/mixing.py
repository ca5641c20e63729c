"""Acceptance, accuracy and R-hat of whole runs, as the paper's notebook reports them, and the time they took.

    OMP_NUM_THREADS=2 .venv/bin/python bench/races/dirclip/mixing.py ours
    OMP_NUM_THREADS=2 bench/.venv-dirclip/bin/python bench/races/dirclip/mixing.py peer [iterations]

One JSON line a case of race.json. The first 30 % of the iterations are burn-in, for all but the acceptance, which is
over all of them as in the notebook. R-hat is the plain one of whole chains, averaged over the parameters, and over the
probabilities of class A at the eighteen points. prepare_s is compiling, run_s sampling. The notebook's own output:
DirClip(0.6) accept 91.54 %, accuracy 100 %, R-hat 1.05 and 1.00; α = 1.4 accept 96.32 %, 69.88 %, 1.00 and 1.00.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from work import SIZES, WIDTHS, Work, shared

BURN_IN = 0.3

# Read when torch is imported, below: threads that wait would otherwise keep the cores from those that work.
os.environ.setdefault("GOMP_SPINCOUNT", "0")


def main(side: str, iterations: int | None) -> None:
    for case in json.loads((Path(__file__).resolve().parent / "race.json").read_text())["cases"]:
        work = shared(case["parameters"])
        if iterations is not None:
            work = work._replace(iterations=iterations)
        started = time.perf_counter()
        run = ours(work) if side == "ours" else peer(work)
        ready = time.perf_counter()
        draws, probabilities = run()
        taken = time.perf_counter() - ready
        kept = slice(int(BURN_IN * work.iterations), None)
        line = {
            "side": side,
            "case": case["name"],
            "iterations": work.iterations,
            "accept": round(float(probabilities.mean()), 4),
            **told(work, draws[:, kept].astype(np.float64)),
            "prepare_s": round(ready - started, 2),
            "run_s": round(taken, 2),
            "leapfrogs_per_s": round(work.chains * work.iterations * work.leapfrogs / taken),
        }
        print(json.dumps(line), flush=True)


def ours(work: Work) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Draws `[chains, iterations, 492]` and acceptance probabilities, once they are asked for."""
    from ours import problem, sample

    target, start = problem(work)

    def run() -> tuple[np.ndarray, np.ndarray]:
        chains = sample(work, target, start)
        parts = [np.concatenate([t.flatten(2).numpy() for t in shard.parameters.values()], axis=2) for shard in chains]
        return np.concatenate(parts).swapaxes(0, 1), chains.statistics()["accept_probability"].numpy().T

    return run


def peer(work: Work) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """The same of the peer."""
    from functools import partial

    from peer import compiled, log_density

    run = compiled(work, partial(log_density, work.inputs, work.targets, work.alpha))

    def both() -> tuple[np.ndarray, np.ndarray]:
        draws, probabilities = run()
        return np.asarray(draws), np.asarray(probabilities)

    return both


def told(work: Work, draws: np.ndarray) -> dict[str, float]:
    """Accuracy over draws and points, and R-hat in both spaces, mean and worst."""
    logits = outputs(draws, work.inputs.astype(np.float64))
    right = logits.argmax(axis=-1) == work.targets
    share = 1 / (1 + np.exp(np.clip(logits[..., 1] - logits[..., 0], -700, 700)))
    spaces = {"parameters": rhat(draws), "function": rhat(share)}
    means = {f"rhat_{name}": round(float(values.mean()), 3) for name, values in spaces.items()}
    worst = {f"rhat_{name}_worst": round(float(values.max()), 3) for name, values in spaces.items()}
    return {"accuracy": round(float(right.mean()), 4), **means, **worst}


def outputs(draws: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Logits `[chains, iterations, rows, classes]`."""
    parts = np.split(draws, np.cumsum(SIZES)[:-1], axis=2)
    passing = np.broadcast_to(inputs, (*draws.shape[:2], *inputs.shape))
    for layer, (entering, leaving) in enumerate(pairwise(WIDTHS)):
        weight = parts[2 * layer].reshape(*draws.shape[:2], leaving, entering)
        passing = passing @ weight.swapaxes(2, 3) + parts[2 * layer + 1][:, :, None]
        if layer < len(WIDTHS) - 2:
            passing = np.maximum(passing, 0)
    return passing


def rhat(values: np.ndarray) -> np.ndarray:
    """Plain R-hat of `[chains, draws, quantities]`; the notebook's 1e-12 keeps constant quantities at one."""
    draws = values.shape[1]
    between = draws * values.mean(axis=1).var(axis=0, ddof=1) + 1e-12
    within = values.var(axis=1, ddof=1).mean(axis=0) + 1e-12
    return np.sqrt(((draws - 1) / draws * within + between / draws) / within)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)

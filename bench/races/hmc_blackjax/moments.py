"""Whole runs of one side: effective draws a second, and whether two sides' posterior moments agree.

    OMP_NUM_THREADS=1 .venv/bin/python bench/races/hmc_blackjax/moments.py ours CASE ITERATIONS LEAPFROGS FILE
    OMP_NUM_THREADS=1 bench/.venv-hmc_blackjax/bin/python bench/races/hmc_blackjax/moments.py peer CASE ITERATIONS LEAPFROGS FILE
    .venv/bin/python bench/races/hmc_blackjax/moments.py compare FILE FILE

CASE counts from 0 in race.json. Functions are the class probabilities (or means) at twenty rows, in float64; the first
third of the iterations is burn-in. Both sides' effective draws are counted by the same `bulk_ess` when they are
compared, standard errors by `mean_ess`. Moments agree where no |difference| of a mean, or of the mean square around it,
is above 5 of its standard
errors: at most 400 comparisons, which equal sides fail together in about 1 of 4,000 pairs of runs.
"""  # noqa: E501

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

# Read when torch is imported, below.
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from work import Work, layers, shared

BURN_IN = 1 / 3
LARGEST = 5.0


def main(side: str, *arguments: str) -> None:
    if side == "compare":
        compare(*(Path(name) for name in arguments))
        return
    number, iterations, leapfrogs, file = arguments
    case = json.loads((Path(__file__).resolve().parent / "race.json").read_text())["cases"][int(number)]
    work = shared(case["parameters"] | {"iterations": int(iterations), "leapfrogs": int(leapfrogs)})
    draws, probabilities, seconds = ours(work) if side == "ours" else peer(work)
    kept = draws[:, int(BURN_IN * work.iterations) :]
    np.savez(file, functions=functions(work, kept), seconds=seconds * (1 - BURN_IN))
    gradients = work.chains * work.iterations * work.leapfrogs
    print(f"{side}: {case['name']}: acceptance {probabilities.mean():.3f}, {gradients / seconds:.0f} gradients/s")


def ours(work: Work) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws `[chains, iterations, size]`, acceptance probabilities, and seconds of the run."""
    import torch
    from ours import measure_product, named, problem, sample, use_product

    torch.set_num_threads(1)
    use_product(measure_product().name)
    target, network = problem(work)
    start = named(work, work.start, network)
    sample(work, target, start, 1)
    began = time.perf_counter()
    chains = sample(work, target, start, work.iterations)
    seconds = time.perf_counter() - began
    parts = [np.concatenate([t.flatten(2).numpy() for t in shard.parameters.values()], axis=2) for shard in chains]
    return np.concatenate(parts).swapaxes(0, 1), chains.statistics()["accept_probability"].numpy(), seconds


def peer(work: Work) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of blackjax."""
    import jax
    from peer import compiled, flat

    program = compiled(work, work.iterations)
    began = time.perf_counter()
    positions, infos = jax.block_until_ready(program())
    seconds = time.perf_counter() - began
    return flat(positions).swapaxes(0, 1), np.asarray(infos.acceptance_rate), seconds


def functions(work: Work, draws: np.ndarray) -> np.ndarray:
    """`[chains, draws, quantities]`, at the asked rows."""
    told = []
    for chain in draws:
        outputs = []
        for draw in chain.astype(np.float64):
            passing = work.asked.astype(np.float64)
            parts = layers(work, draw)
            for place, (weight, bias) in enumerate(parts):
                passing = passing @ weight.T + bias
                passing = np.maximum(passing, 0) if place < len(parts) - 1 else passing
            if work.noise is None:
                passing = np.exp(passing - passing.max(axis=1, keepdims=True))
                passing /= passing.sum(axis=1, keepdims=True)
            outputs.append(passing.ravel())
        told.append(outputs)
    return np.array(told)


def compare(first: Path, second: Path) -> None:
    import torch

    from surefoot.findings.mixing import bulk_ess, mean_ess

    means, errors, rates = [], [], []
    for file in (first, second):
        with np.load(file) as held:
            values, seconds = held["functions"], float(held["seconds"])
        centred = (values - values.mean(axis=(0, 1))) ** 2
        both = np.concatenate([values, centred], axis=2)
        means.append(both.mean(axis=(0, 1)))
        errors.append(both.std(axis=(0, 1)) / np.sqrt(mean_ess(torch.from_numpy(both.swapaxes(0, 1))).numpy()))
        own = bulk_ess(torch.from_numpy(values.swapaxes(0, 1))).numpy()
        rates.append(np.median(own) / seconds)
        print(f"{file.name}: effective draws {own.min():.0f} to {own.max():.0f}, median a second {rates[-1]:.3g}")
    moving = np.hypot(*errors) > 1e-12
    scores = np.abs(means[0] - means[1])[moving] / np.hypot(*errors)[moving]
    verdict = "agree" if scores.max() <= LARGEST else "DO NOT AGREE"
    print(f"moments {verdict}: largest difference {scores.max():.2f} standard errors of {len(scores)} moments")
    print(f"effective draws a second, {first.name} over {second.name}: {rates[0] / rates[1]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

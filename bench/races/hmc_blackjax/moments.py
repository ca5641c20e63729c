"""Whole runs of one side: effective draws a second, and whether two sides' posterior moments agree.

    export OMP_NUM_THREADS=1
    .venv/bin/python bench/races/hmc_blackjax/moments.py ours CASE ITERATIONS LEAPFROGS FILE [STEP]
    bench/.venv-hmc_PEER/bin/python bench/races/hmc_blackjax/moments.py PEER CASE ITERATIONS LEAPFROGS FILE [STEP]
    .venv/bin/python bench/races/hmc_blackjax/moments.py compare FILE FILE

PEER is blackjax, numpyro or xla; `make bench RACE=hmc` builds their environments. CASE counts from 0 in race.json,
which has the step unless STEP is given. Functions are the class probabilities (or means) at twenty rows, in float64;
the first third of the iterations is burn-in, in draws and in seconds. Both sides' effective draws of the functions are
counted by the same `bulk_ess` when they are compared, standard errors by `mean_ess`. Moments are of the functions, and
of the log likelihood and the parameters' mean square, in which a sampler's faults show sooner. They agree where no
|difference| of a mean, or of the mean square around it, is above 5 of its standard errors: at most 404 comparisons,
which equal sides fail together in about 1 of 4,000 pairs of runs.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

# Read when torch is imported, below.
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from work import Work, layers, shared

HERE = Path(__file__).resolve().parent
BURN_IN = 1 / 3
LARGEST = 5.0


def main(side: str, *arguments: str) -> None:
    if side == "compare":
        compare(*(Path(name) for name in arguments))
        return
    number, iterations, leapfrogs, file, *step = arguments
    case = json.loads((HERE / "race.json").read_text())["cases"][int(number)]
    asked = {"iterations": int(iterations), "leapfrogs": int(leapfrogs)} | ({"step": float(step[0])} if step else {})
    work = shared(case["parameters"] | asked)
    # Nearer to where posteriors are than the race's start, from which a long trajectory of long steps is rejected.
    work = work._replace(start=3 * work.start)
    draws, probabilities, seconds = ours(work) if side == "ours" else peer(work, side)
    first = int(BURN_IN * work.iterations)
    kept = draws[:, first:]
    np.savez(file, functions=functions(work, kept), seconds=seconds * kept.shape[1] / work.iterations)
    rate = work.chains * work.iterations * work.leapfrogs / seconds
    told = f"acceptance {probabilities[:, first:].mean():.3f}, {rate:.0f} gradients/s, {seconds:.1f} s"
    print(f"{side}: {case['name']}, run as {work.iterations} · {work.leapfrogs} of {work.step:g}: {told}")


def ours(work: Work) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws `[chains, iterations, size]`, acceptance probabilities `[chains, iterations]`, and seconds of the run."""
    import torch
    from ours import measure_product, named, problem, sample, use_product

    torch.set_num_threads(1)
    use_product(measure_product().name)
    target, network = problem(work)
    start = named(work, work.start, network)
    sample(work._replace(leapfrogs=2), target, start, 1)  # compiles, where there is something to compile
    began = time.perf_counter()
    chains = sample(work, target, start, work.iterations)
    seconds = time.perf_counter() - began
    parts = [np.concatenate([t.flatten(2).numpy() for t in shard.parameters.values()], axis=2) for shard in chains]
    return np.concatenate(parts).swapaxes(0, 1), chains.statistics()["accept_probability"].numpy().T, seconds


def peer(work: Work, name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of a peer: its race's `compiled` and `drawn`."""
    sys.path.insert(0, str(HERE.parent / f"hmc_{name}"))
    import jax
    from peer import compiled, drawn

    program = compiled(work, work.iterations)
    began = time.perf_counter()
    told = jax.block_until_ready(program())
    seconds = time.perf_counter() - began
    return *drawn(work, told), seconds


def functions(work: Work, draws: np.ndarray) -> np.ndarray:
    """`[chains, draws, quantities]`: functions at the asked rows; last, log likelihood and parameters' mean square."""
    told = []
    for chain in draws.astype(np.float64):
        told.append([])
        for draw in chain:
            asked, outputs = network(work, draw, work.asked), network(work, draw, work.inputs)
            if work.noise is None:
                asked = np.exp(asked)
                likelihood = outputs[np.arange(len(outputs)), work.targets].sum()
            else:
                likelihood = -0.5 * ((work.targets - outputs[:, 0]) ** 2).sum() / work.noise**2
            told[-1].append([*asked.ravel(), likelihood, (draw**2).mean()])
    return np.array(told)


def network(work: Work, draw: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Log probabilities of classes, or means, `[rows, out]`."""
    passing = inputs.astype(np.float64)
    for place, (weight, bias) in enumerate(layers(work, draw)):
        passing = (np.maximum(passing, 0) if place > 0 else passing) @ weight.T + bias
    if work.noise is None:
        passing = passing - passing.max(axis=1, keepdims=True)
        passing -= np.log(np.exp(passing).sum(axis=1, keepdims=True))
    return passing


def compare(first: Path, second: Path) -> None:
    import torch

    from surefoot.findings.mixing import bulk_ess, mean_ess

    means, errors, effective, took = [], [], [], []
    for file in (first, second):
        with np.load(file) as held:
            values, seconds = held["functions"], float(held["seconds"])
        centred = (values - values.mean(axis=(0, 1))) ** 2
        both = np.concatenate([values, centred], axis=2)
        means.append(both.mean(axis=(0, 1)))
        errors.append(both.std(axis=(0, 1)) / np.sqrt(mean_ess(torch.from_numpy(both.swapaxes(0, 1))).numpy()))
        effective.append(bulk_ess(torch.from_numpy(values[..., :-2].swapaxes(0, 1))).numpy())
        took.append((values.shape[0] * values.shape[1], seconds))
    # A probability that is 1, to the last bit, in every draw has no effective draws.
    told = ~np.isnan(effective).any(axis=0)
    print(f"effective draws of {told.sum()} functions; {(~told).sum()} never change on one side and are left out")
    rates = []
    for file, own, (draws, seconds) in zip((first, second), effective, took, strict=True):
        least, middle, most = np.quantile(own[told], (0, 0.5, 1))
        rates.append(middle / seconds)
        print(f"{file.name}: {least:.0f} to {most:.0f}, median {middle:.0f} of {draws} draws, a second {rates[-1]:.3g}")
    moving = np.hypot(*errors) > 1e-12
    scores = np.abs(means[0] - means[1])[moving] / np.hypot(*errors)[moving]
    verdict = "agree" if scores.max() <= LARGEST else "DO NOT AGREE"
    print(f"moments {verdict}: largest difference {scores.max():.2f} standard errors of {len(scores)} moments")
    print(f"effective draws a second, {first.name} over {second.name}: {rates[0] / rates[1]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The peer: `blackjax.sghmc` with its own gradient estimator, ten steps a batch as is its default.

Each call draws its momentum anew and keeps to one batch, so a run of the same number of gradients reads a tenth of the
batches. loop "documented": the step jitted, in a Python loop over batches, as its documentation has it; "scan": the
same calls, batches and all, as one compiled program, which its documentation leaves to the user.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

# Read when JAX starts: one thread, as the other side has.
os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"]
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import blackjax
import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
import numpy as np
from work import (
    VARIANCE_BATCH,
    VARIANCE_DECAY,
    VARIANCE_STEP,
    VARIANCE_STEPS,
    Work,
    answer,
    regression,
    shared,
    variance,
)

TOGETHER = 10
"""Integration steps of a call, the library's default."""


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    inputs = work.inputs if work.network == "mlp" else work.inputs.reshape(-1, 8, 8, 1)
    data = (inputs, work.targets)
    likelihood = log_likelihood(mlp if work.network == "mlp" else cnn)
    estimator = blackjax.sgmcmc.gradients.grad_estimator(log_prior, likelihood, len(inputs))
    density = blackjax.sgmcmc.gradients.logdensity_estimator(log_prior, likelihood, len(inputs))
    start = {name: jnp.asarray(turned(array)) for name, array in work.start.items()}
    run = compiled(work, estimator, data) if work.loop == "scan" else documented(work, estimator, data)
    batch = tuple(array[work.batch] for array in data)
    compared = jax.jit(lambda at: (density(at, batch), estimator(at, batch)))
    spread = checked()

    def race() -> dict[str, np.ndarray]:
        jax.block_until_ready(run(start))
        value, slopes = compared(start)
        return answer(
            float(value), {name: turned(np.asarray(slope), back=True) for name, slope in slopes.items()}, spread
        )

    return race


def documented(work: Work, estimator: Callable, data: tuple[np.ndarray, ...]) -> Callable:
    sampler = blackjax.sghmc(estimator, TOGETHER, alpha=(1 - work.decay) / work.step)
    step = jax.jit(sampler.step)

    def run(at: dict) -> dict:
        key = jax.random.key(work.seed)
        for _, batch in zip(range(work.steps // TOGETHER), batches(data, 128, work.seed), strict=False):
            key, own = jax.random.split(key)
            at = step(own, at, batch, work.step)
        return at

    return run


def compiled(work: Work, estimator: Callable, data: tuple[np.ndarray, ...]) -> Callable:
    sampler = blackjax.sghmc(estimator, TOGETHER, alpha=(1 - work.decay) / work.step)
    inputs, targets = (jnp.asarray(array) for array in data)

    def call(at: dict, key: jax.Array) -> tuple:
        own, for_rows = jax.random.split(key)
        rows = jax.random.randint(for_rows, (128,), 0, len(inputs))
        return sampler.step(own, at, (inputs[rows], targets[rows]), work.step), None

    keys = jax.random.split(jax.random.key(work.seed), work.steps // TOGETHER)
    return jax.jit(lambda at: jax.lax.scan(call, at, keys)[0])


def log_prior(parameters: dict) -> jax.Array:
    return sum(stats.norm.logpdf(leaf).sum() for leaf in jax.tree.leaves(parameters))


def log_likelihood(network: Callable) -> Callable:
    """Of one row, as the library's estimator wants it: it maps over the batch, takes the mean, and multiplies by N."""

    def one(parameters: dict, row: tuple) -> jax.Array:
        inputs, target = row
        return jax.nn.log_softmax(network(parameters, inputs[None])[0])[target]

    return one


def mlp(parameters: dict, inputs: jax.Array) -> jax.Array:
    passing = inputs
    for name in ("hidden1", "hidden2"):
        passing = jax.nn.relu(passing @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"])
    return passing @ parameters["head.weight"] + parameters["head.bias"]


def cnn(parameters: dict, inputs: jax.Array) -> jax.Array:
    """Images `[rows, 8, 8, 1]`, channels last."""
    passing = inputs
    for name in ("conv1", "conv2"):
        passing = jax.lax.conv_general_dilated(
            passing, parameters[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        passing = jax.nn.relu(passing + parameters[f"{name}.bias"])
        passing = jax.lax.reduce_window(passing, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    # The other side's features are channels first.
    passing = passing.transpose(0, 3, 1, 2).reshape(len(passing), -1)
    passing = jax.nn.relu(passing @ parameters["hidden.weight"] + parameters["hidden.bias"])
    return passing @ parameters["head.weight"] + parameters["head.bias"]


def turned(array: np.ndarray, *, back: bool = False) -> np.ndarray:
    """Weights `[out, in]` as `[in, out]`, filters OIHW as HWIO; or back."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1) if back else array.transpose(2, 3, 1, 0)
    return array.T


def batches(data: tuple[np.ndarray, ...], size: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Every row once an epoch, the last few left out."""
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(len(data[0]))
        for start in range(0, len(order) - size + 1, size):
            yield tuple(array[order[start : start + size]] for array in data)


def checked() -> np.ndarray:
    """The stationary variance, on a posterior that is known."""
    known = regression()

    def one(parameters: dict, row: tuple) -> jax.Array:
        inputs, target = row
        return stats.norm.logpdf(target, inputs @ parameters["weight"] + parameters["bias"][0], known.noise)

    estimator = blackjax.sgmcmc.gradients.grad_estimator(log_prior, one, len(known.inputs))
    sampler = blackjax.sghmc(estimator, TOGETHER, alpha=(1 - VARIANCE_DECAY) / VARIANCE_STEP)
    step = jax.jit(sampler.step)
    key, at = jax.random.key(0), {"weight": jnp.zeros(known.inputs.shape[1]), "bias": jnp.zeros(1)}
    draws: list[np.ndarray] = []
    for _, batch in zip(
        range(VARIANCE_STEPS // TOGETHER), batches((known.inputs, known.targets), VARIANCE_BATCH, 0), strict=False
    ):
        key, own = jax.random.split(key)
        at = step(own, at, batch, VARIANCE_STEP)
        draws.append(np.concatenate([at["weight"], at["bias"]]))
    return variance(np.stack(draws), known)

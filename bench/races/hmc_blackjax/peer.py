"""The peer: `blackjax.hmc` on a log density of pytrees, run by the inference loop of its quickstart, chains by vmap."""

import os
from collections.abc import Callable
from typing import Any

# Read when JAX starts: one thread, as the other side has.
os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"]
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import blackjax
import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
import numpy as np
from work import Work, answer, flattened, layers, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    density = log_density(work)
    program = compiled(work, work.iterations)
    points = tree(work, work.points)
    compared = jax.jit(jax.vmap(jax.value_and_grad(density)))

    def race() -> dict[str, np.ndarray]:
        _, infos = jax.block_until_ready(program())
        values, slopes = compared(points)
        return answer(np.asarray(values), flat(slopes), int(np.mean(infos.num_integration_steps)))

    return race


def log_density(work: Work) -> Callable:
    inputs, targets, classes = jnp.asarray(work.inputs), jnp.asarray(work.targets), work.widths[-1]

    def density(parameters: list) -> jax.Array:
        outputs = network(parameters, inputs)
        if work.noise is None:
            likelihood = (jax.nn.one_hot(targets, classes) * jax.nn.log_softmax(outputs)).sum()
        else:
            likelihood = stats.norm.logpdf(targets, outputs[:, 0], work.noise).sum()
        return likelihood + sum(stats.norm.logpdf(leaf).sum() for leaf in jax.tree.leaves(parameters))

    return density


def network(parameters: list, inputs: jax.Array) -> jax.Array:
    """Outputs `[rows, out]`."""
    passing = inputs
    for weight, bias in parameters[:-1]:
        passing = jax.nn.relu(passing @ weight + bias)
    weight, bias = parameters[-1]
    return passing @ weight + bias


def compiled(work: Work, iterations: int) -> Callable:
    """The whole run, compiled: states and infos, `[iterations, chains]` each."""
    size = sum(work.sizes)
    sampler = blackjax.hmc(log_density(work), work.step, jnp.ones(size), work.leapfrogs)

    @jax.jit
    def run(start: list, key: jax.Array) -> tuple:
        def one_step(states: Any, key: jax.Array) -> tuple:
            states, infos = jax.vmap(sampler.step)(jax.random.split(key, work.chains), states)
            return states, (states.position, infos)

        return jax.lax.scan(one_step, jax.vmap(sampler.init)(start), jax.random.split(key, iterations))[1]

    start, key = tree(work, work.start), jax.random.key(work.seed)
    program = run.lower(start, key).compile()
    return lambda: program(start, key)


def drawn(_: Work, told: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[chains, iterations, size]`, and acceptance probabilities, of what `compiled` returns."""
    positions, infos = told
    return flat(positions).swapaxes(0, 1), np.asarray(infos.acceptance_rate).T


def tree(work: Work, flat: np.ndarray) -> list:
    """A list of (weight `[…, in, out]`, bias) of arrays `[…, size]`."""
    return [(jnp.asarray(weight.swapaxes(-1, -2)), jnp.asarray(bias)) for weight, bias in layers(work, flat)]


def flat(parameters: list) -> np.ndarray:
    """The inverse of `tree`."""
    return flattened([(np.asarray(weight).swapaxes(-1, -2), np.asarray(bias)) for weight, bias in parameters])

"""The peer: a compiled JAX program as a JAX user would write it after the paper's notebook.

The same log density by automatic differentiation, a leapfrog of two half kicks that each take a gradient, a scan over
iterations, and all chains in one vmap.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from work import CHECKED, FLOOR, SIZES, WIDTHS, Work, shared

EDGES = np.cumsum(SIZES)[:-1]


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters, "peer_iterations")
    density = partial(log_density, jnp.asarray(work.inputs), jnp.asarray(work.targets), work.alpha)
    run = compiled(work, density)
    one = jax.jit(jax.vmap(lambda at, momentum: leapfrogs(density, at, momentum, work.step, CHECKED)[0]))

    def race() -> dict[str, np.ndarray]:
        jax.block_until_ready(run())
        return {"position": np.asarray(one(work.start, work.momentum))}

    return race


def outputs(parameters: jax.Array, inputs: jax.Array) -> jax.Array:
    """Logits `[rows, classes]`."""
    parts = jnp.split(parameters, EDGES)
    passing = inputs
    for layer, (entering, leaving) in enumerate(pairwise(WIDTHS)):
        passing = passing @ parts[2 * layer].reshape(leaving, entering).T + parts[2 * layer + 1]
        if layer < len(WIDTHS) - 2:
            passing = jax.nn.relu(passing)
    return passing


def log_density(inputs: jax.Array, targets: jax.Array, alpha: float, parameters: jax.Array) -> jax.Array:
    """Likelihood, DirClip and N(0, 1), in nats."""
    logs = jax.nn.log_softmax(outputs(parameters, inputs))
    likelihood = jnp.take_along_axis(logs, targets[:, None], axis=1).sum()
    return likelihood + (alpha - 1) * logs.clip(FLOOR).sum() - 0.5 * (parameters**2).sum()


def leapfrogs(density: Callable, at: jax.Array, momentum: jax.Array, step: float, count: int) -> tuple:
    def one(_: int, carried: tuple) -> tuple:
        at, momentum = carried
        momentum = momentum + 0.5 * step * jax.grad(density)(at)
        at = at + step * momentum
        return at, momentum + 0.5 * step * jax.grad(density)(at)

    return jax.lax.fori_loop(0, count, one, (at, momentum))


def compiled(work: Work, density: Callable) -> Callable[[], tuple[jax.Array, jax.Array]]:
    """The whole run, compiled: draws `[chains, iterations, 492]` and acceptance probabilities."""

    def iteration(at: jax.Array, key: jax.Array) -> tuple:
        for_momentum, for_test = jax.random.split(key)
        momentum = jax.random.normal(for_momentum, at.shape)
        new, ends = leapfrogs(density, at, momentum, work.step, work.leapfrogs)
        gain = density(new) - density(at) + 0.5 * ((momentum**2).sum() - (ends**2).sum())
        probability = jnp.minimum(1.0, jnp.exp(jnp.nan_to_num(gain, nan=-jnp.inf)))
        at = jnp.where(jax.random.uniform(for_test) < probability, new, at)
        return at, (at, probability)

    @jax.jit
    def run(start: jax.Array, keys: jax.Array) -> tuple:
        return jax.vmap(lambda at, own: jax.lax.scan(iteration, at, own)[1])(start, keys)

    keys = jax.random.split(jax.random.key(work.seed), (work.chains, work.iterations))
    program = run.lower(work.start, keys).compile()
    return lambda: program(work.start, keys)

"""The peer: the fastest JAX loop that we could write by hand, feature-major, one gradient a leapfrog step.

Activations are `[features, rows]`, so that XLA's products and its elementwise loops run along rows; the gradient is
XLA's own of that forward pass, carried from step to step; no density is computed on the way; chains run one after
another inside the program (`lax.map`), which was faster here than vmap (64-50-50-10 on 1,797 rows: 740 to 760 µs a
gradient against 911).
"""

import os
from collections.abc import Callable
from typing import Any

# Read when JAX starts: one thread, as the other side has.
os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"]
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
from work import Work, answer, flattened, layers, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    points = tree(work, work.points)
    compared = jax.jit(jax.vmap(jax.value_and_grad(log_density(work))))
    program = compiled(work, work.iterations)

    def race() -> dict[str, np.ndarray]:
        jax.block_until_ready(program())
        values, slopes = compared(points)
        return answer(np.asarray(values), flat(slopes), work.leapfrogs)

    return race


def log_density(work: Work) -> Callable:
    inputs, targets = jnp.asarray(work.inputs.T.copy()), jnp.asarray(work.targets)
    constant = 0.5 * sum(work.sizes) * np.log(2 * np.pi)

    def density(parameters: list) -> jax.Array:
        passing = inputs
        for weight, bias in parameters[:-1]:
            passing = jax.nn.relu(weight @ passing + bias[:, None])
        weight, bias = parameters[-1]
        outputs = weight @ passing + bias[:, None]
        if work.noise is None:
            shares = jax.nn.one_hot(targets, work.widths[-1], axis=0)
            likelihood = (shares * jax.nn.log_softmax(outputs, axis=0)).sum()
        else:
            normaliser = len(work.targets) * np.log(work.noise * np.sqrt(2 * np.pi))
            likelihood = -0.5 * ((targets[None] - outputs) ** 2).sum() / work.noise**2 - normaliser
        squares = sum((leaf**2).sum() for leaf in jax.tree.leaves(parameters))
        return likelihood - 0.5 * squares - constant

    return density


def compiled(work: Work, iterations: int) -> Callable:
    """The whole run, compiled: positions and acceptance probabilities, `[chains, iterations]` each."""
    density = log_density(work)
    slope = jax.grad(density)

    def kick(momentum: list, gradient: list, size: float) -> list:
        return jax.tree.map(lambda m, g: m + size * g, momentum, gradient)

    def leapfrog(_: int, carried: tuple) -> tuple:
        at, momentum, gradient = carried
        at = kick(at, momentum, work.step)
        gradient = slope(at)
        return at, kick(momentum, gradient, work.step), gradient

    def energy(at: list, momentum: list) -> jax.Array:
        return density(at) - 0.5 * sum((leaf**2).sum() for leaf in jax.tree.leaves(momentum))

    def iteration(carried: tuple, key: jax.Array) -> tuple:
        at, gradient = carried
        for_momentum, for_test = jax.random.split(key)
        leaves, shape = jax.tree.flatten(at)
        keys = jax.random.split(for_momentum, len(leaves))
        drawn = [jax.random.normal(own, leaf.shape) for own, leaf in zip(keys, leaves, strict=True)]
        momentum = jax.tree.unflatten(shape, drawn)
        before = energy(at, momentum)
        half = kick(momentum, gradient, work.step / 2)
        new, ends, new_gradient = jax.lax.fori_loop(0, work.leapfrogs, leapfrog, (at, half, gradient))
        ends = kick(ends, new_gradient, -work.step / 2)
        gain = jnp.nan_to_num(energy(new, ends) - before, nan=-jnp.inf)
        probability = jnp.minimum(1.0, jnp.exp(gain))
        accepted = jax.random.uniform(for_test) < probability
        chosen = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), (new, new_gradient), (at, gradient))
        return chosen, (chosen[0], probability)

    @jax.jit
    def run(start: list, keys: jax.Array) -> tuple:
        def chain(own: tuple) -> tuple:
            at, keys = own
            return jax.lax.scan(iteration, (at, slope(at)), keys)[1]

        return jax.lax.map(chain, (start, keys))

    start = tree(work, work.start)
    keys = jax.random.split(jax.random.key(work.seed), (work.chains, iterations))
    program = run.lower(start, keys).compile()
    return lambda: program(start, keys)


def drawn(_: Work, told: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[chains, iterations, size]`, and acceptance probabilities, of what `compiled` returns."""
    positions, probabilities = told
    return flat(positions), np.asarray(probabilities)


def tree(work: Work, flat: np.ndarray) -> list:
    """A list of (weight `[…, out, in]`, bias) of arrays `[…, size]`."""
    return [(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in layers(work, flat)]


def flat(parameters: list) -> np.ndarray:
    """The inverse of `tree`."""
    return flattened([(np.asarray(weight), np.asarray(bias)) for weight, bias in parameters])

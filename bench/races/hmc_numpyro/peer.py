"""The peer: a numpyro model like that of its Bayesian neural network example, and its `HMC` kernel of fixed steps."""

import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

# Read when JAX starts: one thread, as the other side has.
os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"]
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import HMC
from numpyro.infer.hmc import HMCState
from numpyro.infer.util import log_density
from work import Work, answer, flattened, layers, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    own, data = partial(model, work.widths, work.noise), (jnp.asarray(work.inputs), jnp.asarray(work.targets))
    points = tree(work, work.points)
    run = compiled(work, work.iterations)

    @jax.jit
    def compared(points: dict) -> tuple:
        return jax.vmap(jax.value_and_grad(lambda at: log_density(own, data, {}, at)[0]))(points)

    def race() -> dict[str, np.ndarray]:
        states = jax.block_until_ready(run())
        values, slopes = compared(points)
        return answer(np.asarray(values), flat(work, slopes), int(np.mean(states.num_steps)))

    return race


def model(widths: tuple[int, ...], noise: float | None, inputs: jax.Array, targets: jax.Array) -> None:
    passing = inputs
    for number, (entering, leaving) in enumerate(pairwise(widths)):
        shape = (entering, leaving)
        weight = numpyro.sample(f"w{number}", dist.Normal(jnp.zeros(shape), jnp.ones(shape)).to_event(2))
        bias = numpyro.sample(f"b{number}", dist.Normal(jnp.zeros(leaving), jnp.ones(leaving)).to_event(1))
        passing = passing @ weight + bias
        if number < len(widths) - 2:
            passing = jax.nn.relu(passing)
    with numpyro.plate("rows", len(inputs)):
        if noise is None:
            numpyro.sample("y", dist.Categorical(logits=passing), obs=targets)
        else:
            numpyro.sample("y", dist.Normal(passing[:, 0], noise), obs=targets)


def compiled(work: Work, iterations: int) -> Callable[[], tuple]:
    """The whole run, compiled: states `[iterations, chains]` of all chains, which move by vmap.

    `MCMC.run` does the same around the same kernel, but compiles its loop anew in every call, for seconds.
    """
    kernel = HMC(
        partial(model, work.widths, work.noise),
        step_size=work.step,
        num_steps=work.leapfrogs,
        trajectory_length=None,
        adapt_step_size=False,
        adapt_mass_matrix=False,
    )
    data = (jnp.asarray(work.inputs), jnp.asarray(work.targets))
    keys = jax.random.split(jax.random.PRNGKey(work.seed), work.chains)
    state = kernel.init(keys, 0, init_params=tree(work, work.start), model_args=data)

    @jax.jit
    def run(state: HMCState) -> HMCState:
        def one_step(state: HMCState, _: None) -> tuple:
            state = kernel.sample(state, data, {})
            return state, state

        return jax.lax.scan(one_step, state, None, iterations)[1]

    program = run.lower(state).compile()
    return lambda: program(state)


def drawn(work: Work, states: HMCState) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[chains, iterations, size]`, and acceptance probabilities, of what `compiled` returns."""
    return flat(work, states.z).swapaxes(0, 1), np.asarray(states.accept_prob).T


def tree(work: Work, flat: np.ndarray) -> dict[str, jax.Array]:
    """The model's sites, from arrays `[…, size]`."""
    sites: dict[str, jax.Array] = {}
    for number, (weight, bias) in enumerate(layers(work, flat)):
        sites |= {f"w{number}": jnp.asarray(weight.swapaxes(-1, -2)), f"b{number}": jnp.asarray(bias)}
    return sites


def flat(work: Work, sites: dict[str, jax.Array]) -> np.ndarray:
    """The inverse of `tree`."""
    count = len(work.widths) - 1
    return flattened([(np.asarray(sites[f"w{n}"]).swapaxes(-1, -2), np.asarray(sites[f"b{n}"])) for n in range(count)])

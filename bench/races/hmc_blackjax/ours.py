"""Our side: `hmc` on the target that `make_target` chooses, with the product path that studies would take."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import Work, answer, layers, shared

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.hmc import hmc
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters
from surefoot.networks.product import measure_product, use_product
from surefoot.rows.rows import make_rows


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    use_product(measure_product().name)
    work = shared(parameters)
    target, network = problem(work)
    start = named(work, work.start, network)
    points = target.position(named(work, work.points, network))
    gradients = torch.empty_like(points)
    target.gradient(points, gradients)  # compiles, where there is something to compile

    def race() -> dict[str, np.ndarray]:
        chains = sample(work, target, start, work.iterations)
        target.gradient(points, gradients)
        # Positions are the parameters themselves under N(0, 1), in the target's own order.
        slopes = target.parameters(gradients)
        flat = np.concatenate([tensor.flatten(1).numpy() for tensor in slopes.values()], axis=1)
        return answer(sum(target.terms(points)).numpy(), flat, int(chains.statistics()["leapfrogs"].mean()))

    return race


def problem(work: Work) -> tuple[Target, Network]:
    inputs, targets = torch.from_numpy(work.inputs), torch.from_numpy(work.targets)
    network = build_mlp(work.widths[0], work.widths[1:-1], work.widths[-1], seed=0)
    if work.noise is None:
        rows = make_rows(inputs, targets, classes=[str(label) for label in range(work.widths[-1])])
        likelihood = categorical
    else:
        rows, likelihood = make_rows(inputs, targets), GaussianNoise(work.noise)
    return make_target(Posterior(network, likelihood, Gaussian(precision=1.0)), rows, chains=work.chains), network


def sample(work: Work, target: Target, start: Parameters, iterations: int) -> Chains:
    settings = Hmc(
        draws=iterations,
        burn_in=0,
        chains=work.chains,
        step_size=work.step,
        adapt=False,
        trajectory=work.step * work.leapfrogs * (1 - 1e-9),
        jitter=0.0,
        max_leapfrogs=work.leapfrogs,
    )
    return hmc(target, start, work.seed, settings, seen=frozenset())


def named(work: Work, flat: np.ndarray, network: Network) -> Parameters:
    """Arrays `[chains, size]` as the network's parameters."""
    arrays = [torch.from_numpy(np.ascontiguousarray(array)) for pair in layers(work, flat) for array in pair]
    return dict(zip(dict(network.module.named_parameters()), arrays, strict=True))

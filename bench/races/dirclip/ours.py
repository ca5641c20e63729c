"""Our side: `hmc` on the compiled target; the draws are kept, and the timed work is the whole run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import CHECKED, FLOOR, SIZES, WIDTHS, Work, shared

from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.hmc import hmc
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.hamiltonian.state import leapfrog
from surefoot.inference.small.target import SmallTarget, small_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.mlp import make_mlp_target
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Parameters
from surefoot.rows.toys import dirclip_toy


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    target, start = problem(work)

    def race() -> dict[str, np.ndarray]:
        sample(work, target, start)
        return end_of_one(work, target, start)

    return race


def problem(work: Work) -> tuple[SmallTarget, torch.Tensor]:
    """The target, compiled, and the chains' starts as its positions."""
    rows, network = dirclip_toy(), build_mlp(WIDTHS[0], WIDTHS[1:-1], WIDTHS[-1], seed=0)
    form = Functional(DirClip(work.alpha, FLOOR))
    posterior = Posterior(network, categorical, Gaussian(precision=1.0), functional=form)
    layers = mlp_of(network, rows.inputs[:])
    assert layers is not None
    target = small_target(make_mlp_target(layers, make_evidence(posterior, rows, torch.float32)))
    start = target.position(named(work.start, network.module))
    target.gradient(start, torch.empty_like(start))
    return target, start


def sample(work: Work, target: SmallTarget, start: torch.Tensor) -> Chains:
    """Every iteration is a draw, so that burn-in is cut afterwards, as the notebook does."""
    settings = Hmc(
        draws=work.iterations,
        burn_in=0,
        chains=work.chains,
        step_size=work.step,
        adapt=False,
        trajectory=work.step * work.leapfrogs,
        jitter=0.0,
        max_leapfrogs=work.leapfrogs + 1,
    )
    return hmc(target, start, work.seed, settings, seen=frozenset())


def end_of_one(work: Work, target: SmallTarget, start: torch.Tensor) -> dict[str, np.ndarray]:
    """Where one trajectory from the shared start and momentum ends, in the order of the shared arrays."""
    momentum = target.position(named(work.momentum, target.base.evidence.posterior.network.module))
    position, gradient = start.clone(), torch.empty_like(start)
    target.gradient(position, gradient)
    leapfrog(target, position, momentum, gradient, work.step, CHECKED)
    ends = target.parameters(position)
    return {"position": torch.cat([ends[name].flatten(1) for name in ends], dim=1).numpy()}


def named(flat: np.ndarray, module: torch.nn.Module) -> Parameters:
    """Arrays `[chains, 492]` as the network's parameters."""
    parts = torch.from_numpy(flat).split(SIZES, dim=1)
    own = dict(module.named_parameters())
    return {name: part.reshape(-1, *tensor.shape) for (name, tensor), part in zip(own.items(), parts, strict=True)}

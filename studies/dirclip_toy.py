"""DirClip on eighteen points by Hamiltonian Monte Carlo, and where Dir(0.01) sends particles of three classes.

Called by `studies/dirclip.py`. The points, the network (2-10-10-10-10-10-2, ReLU), N(0, 1) on every number, the floor
of −50 and the step sizes are those of the paper's notebook: three chains, 500 iterations of 10,000 leapfrog steps, the
first 30 % left out. Its chains all begin at the same draw from the prior, where R̂ sees least; ours do both.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surefoot.density.functional import DirClip, Dirichlet, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.files import read_json, write_json
from surefoot.findings.mixing import rhat
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.hamiltonian.hmc import hmc
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.predict.predict import predict
from surefoot.inference.predict.values import function_values
from surefoot.inference.small.target import SmallTarget
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network
from surefoot.progress import Progress
from surefoot.rows.toys import dirclip_toy

FLOOR, CHAINS = -50.0, 3


@dataclass(frozen=True)
class Case:
    """α and the published step size; what the notebook printed: acceptance, accuracy, R̂ of parameters and functions."""

    alpha: float
    step: float
    published: tuple[float, float, float, float]


CASES = (Case(1.4, 4e-4, (0.9632, 0.6988, 1.00, 1.00)), Case(0.6, 5e-5, (0.9154, 1.0, 1.05, 1.00)))


@dataclass(frozen=True)
class Length:
    """Iterations of each chain, 30 % of them burn-in, and leapfrog steps of each."""

    iterations: int = 500
    leapfrogs: int = 10_000


def toy_network() -> Network:
    return build_mlp(2, (10,) * 5, 2, seed=0)


def toy_run(
    case: Case, length: Length, *, together: bool, seed: int, folder: Path, progress: Progress
) -> dict[str, Any]:
    """One case; `together` starts all chains at one draw of the prior, else each has its own."""
    place = folder / f"alpha-{case.alpha:g}-{'one' if together else 'own'}-{seed}"
    if not (place / "record.json").exists():
        target = _target(case)
        compiled = isinstance(target, SmallTarget)
        # Without compiled trajectories a run of this length takes an hour, so it is cut.
        iterations = length.iterations if compiled else length.iterations // 10
        burn_in = int(0.3 * iterations)
        if not (place / "chains/chains.json").exists():
            start = torch.randn(1 if together else CHAINS, target.size, generator=torch.Generator().manual_seed(seed))
            settings = Hmc(
                draws=iterations - burn_in,
                burn_in=burn_in,
                chains=CHAINS,
                step_size=case.step,
                adapt=False,
                trajectory=case.step * length.leapfrogs,
                jitter=0.0,
                max_leapfrogs=length.leapfrogs + 1,
            )
            begun = start.expand(CHAINS, -1).contiguous()
            hmc(target, begun, seed, settings, seen=frozenset(), folder=place / "chains", progress=progress)
        told = {"iterations": iterations, "compiled": compiled, **_measured(load_chains(place / "chains"))}
        write_json(place / "record.json", {"alpha": case.alpha, "together": together, "seed": seed, **told})
    return read_json(place / "record.json")


def toy_chains(case: Case, *, together: bool, seed: int, folder: Path) -> Chains:
    return load_chains(folder / f"alpha-{case.alpha:g}-{'one' if together else 'own'}-{seed}" / "chains")


def plane(chains: Chains, side: int) -> Tensor:
    """The averaged probability of class A on a grid over [0, 1] × [−0.95, 0.05], the top row first."""
    across, up = torch.linspace(0, 1, side), torch.linspace(0.05, -0.95, side)
    points = torch.cartesian_prod(up, across).flip(1)
    return predict(toy_network(), chains, points, batch=4096).probabilities[:, 0].view(side, side)


def astray(alpha: float, count: int, seed: int) -> float:
    """The share of particles of three classes that gradient ascent of the Dir(α) posterior leaves at a wrong class.

    As in the paper's notebook: uniform on the simplex, a thousand steps of 0.05 in the logits, label 0, p_0 < ½.
    """
    generator = torch.Generator().manual_seed(seed)
    # Minus logarithms of uniforms, normalised, are uniform on the simplex.
    uniform = torch.rand(count, 3, generator=generator, dtype=torch.float64).clamp(min=1e-300)
    logits = (-uniform.log()).log().log_softmax(dim=1)
    form, label = Dirichlet(alpha), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    for _ in range(1000):
        logits += 0.05 * (form.output_gradient(logits) + label - logits.softmax(dim=1))
    return float((logits.softmax(dim=1)[:, 0] < 0.5).double().mean())


def wrong_mass(alpha: float, classes: int = 3) -> float:
    """The posterior's own share: p_0 ~ Beta(1 + α, (K − 1)α) below ½, by the midpoint rule.

    >>> round(wrong_mass(1.0), 4)  # Beta(2, 2)
    0.5
    """
    one, other = 1 + alpha, (classes - 1) * alpha
    normaliser = math.lgamma(one + other) - math.lgamma(one) - math.lgamma(other)
    points = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 400_000
    logs = normaliser + (one - 1) * points.log() + (other - 1) * torch.log1p(-points)
    return float(logs.exp().mean() / 2)


def _target(case: Case) -> Target:
    posterior = Posterior(toy_network(), categorical, Gaussian(1.0), functional=Functional(DirClip(case.alpha, FLOOR)))
    return make_target(posterior, dirclip_toy(), chains=CHAINS)


def _measured(chains: Chains) -> dict[str, Any]:
    rows = dirclip_toy()
    values = function_values(toy_network(), chains, rows.inputs)[..., 0::2]
    right = (values > 0.5) == (rows.targets == 0)
    parameters = torch.cat([torch.cat([t.flatten(2) for t in each.parameters.values()], dim=2) for each in chains])
    spaces = {"parameters": rhat(parameters.double()), "functions": rhat(values)}
    told: dict[str, Any] = {
        "accept": float(chains.statistics()["accept_probability"].mean()),
        "accuracy": float(right.double().mean()),
    }
    for name, each in spaces.items():
        told[f"rhat_{name}"], told[f"rhat_{name}_worst"] = float(each.nanmean()), float(each[~each.isnan()].max())
    return told

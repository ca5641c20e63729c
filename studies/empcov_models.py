"""The networks of `empcov.py`, and what each method leaves of one: chains, kept in a folder, so a killed run goes on.

An MLP on 14×14 digits (pixels / 0.3, not centred: so a dead pixel's weight has exactly its prior as posterior), under
N(0, 1/λ) or, in the first layer, under EmpCov. Everything that samples runs in whitened coordinates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from surefoot.density.covariance import empirical_covariance
from surefoot.density.empcov import Form, empcov
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Prior
from surefoot.inference.approximate.ensemble import ensemble
from surefoot.inference.approximate.mean_field import MeanField, mean_field
from surefoot.inference.approximate.swag import Swag, swag
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import RECORD, Chains, load_chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.checkpoint import identity
from surefoot.inference.draws import Draws
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.langevin.dynamics import sghmc, sgld
from surefoot.inference.langevin.schedules import Constant
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.progress import Progress
from surefoot.rows.rows import Rows

PRECISION = 30.0
FLOOR = 1e-4 / PRECISION
"""ε: a dead weight keeps one hundredth of the Gaussian prior's deviation."""
FIRST = "hidden1.weight"
UNIT = PRECISION**-0.5
STEP = 0.011
"""Where the leapfrog step begins to adapt, in whitened units: 0.002 of the parameters."""


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    rows: learnt from; as many judge. hidden: widths. draws, burn_in: of each of two HMC chains. epochs: of an ascent.
    members: of the ensemble. steps: of the samplers that see batches of 100.
    """

    rows: int = 1000
    hidden: tuple[int, ...] = (100, 100)
    draws: int = 40
    burn_in: int = 20
    epochs: int = 60
    members: int = 10
    steps: int = 10_000


QUICK = Scale(rows=100, hidden=(20, 20), draws=4, burn_in=10, epochs=5, members=2, steps=200)
CHAINS = 2
BATCH = 100


def mlp(scale: Scale, seed: int) -> Network:
    return build_mlp(196, scale.hidden, 10, seed)


def starts(build: Callable[[int], Network], count: int, seed: int) -> list[Parameters]:
    """Fresh weights, no two alike over all data seeds."""
    return [parameters_of(build(1000 * seed + member)) for member in range(count)]


def stacked(points: list[Parameters]) -> Parameters:
    return {name: torch.stack([point[name] for point in points]) for name in points[0]}


def empcov_prior(covariance: Tensor, form: Form) -> Prior:
    """EmpCov in the first layer, N(0, 1/λ) elsewhere.

    The reference code's form with its own κ = λ is "saturating": ν/(κ + λν) = ν/(λ(1 + ν)).
    """
    first = empcov(covariance, name=FIRST, floor=FLOOR, form=form, precision=PRECISION)
    return Layered({FIRST: first}, rest=Gaussian(PRECISION))


@dataclass(frozen=True)
class Setting:
    """What a method is given. folder: its own, where chains go as they come."""

    scale: Scale
    rows: Rows
    seed: int
    folder: Path
    progress: Progress


Method: TypeAlias = Callable[[Setting], Chains]


def folder_of(cache: Path, scale: Scale, seed: int, name: str) -> Path:
    """Where a method's chains are kept; another scale has other folders."""
    return cache / "empcov" / identity(scale, PRECISION, FLOOR)[:12] / str(seed) / name


def run(method: Method, setting: Setting) -> Chains:
    """The method's chains: from its folder when they are there, or else sampled into it."""
    if (setting.folder / RECORD).exists():
        return load_chains(setting.folder)
    return method(setting)


def climb(setting: Setting) -> Ascend:
    batch = min(80, setting.scale.rows)
    return Ascend(setting.scale.epochs, batch, rate=0.05, optimiser="sgd", schedule="cosine")


def gaussian(setting: Setting) -> Posterior:
    return Posterior(mlp(setting.scale, 0), categorical, Gaussian(PRECISION))


def the_map(setting: Setting) -> Chains:
    """One mode, by SGD with the prior as weight decay."""
    (start,) = starts(lambda seed: mlp(setting.scale, seed), 1, setting.seed)
    found = ascend(gaussian(setting), setting.rows, start, setting.seed, climb(setting), progress=setting.progress)
    writer = ChainWriter(setting.folder, "map", chains=1)
    writer.append(found.parameters, {})
    return writer.finish(diagnostics=found.diagnostics, seen=found.seen)


def deep_ensemble(setting: Setting) -> Chains:
    """Modes from other starts, in other orders of rows."""
    begun = starts(lambda seed: mlp(setting.scale, 500 + seed), setting.scale.members, setting.seed)
    told = climb(setting)
    return ensemble(
        gaussian(setting), setting.rows, begun, setting.seed, told, folder=setting.folder, progress=setting.progress
    )


def by_hmc(prior: Callable[[Rows], Prior]) -> Method:
    """HMC under a prior, from fresh weights."""

    def method(setting: Setting) -> Chains:
        posterior = Posterior(mlp(setting.scale, 0), categorical, prior(setting.rows))
        return sample(posterior, lambda seed: mlp(setting.scale, 900 + seed), setting)

    return method


def sample(posterior: Posterior, build: Callable[[int], Network], setting: Setting) -> Chains:
    """Two chains of HMC, trajectories of a quarter period, the step adapted to 80 % acceptance in the burn-in."""
    scale = setting.scale
    begun = stacked(starts(build, CHAINS, setting.seed))
    target = make_target(posterior, setting.rows, chains=CHAINS)
    told = Hmc(draws=scale.draws, burn_in=scale.burn_in, chains=CHAINS, step_size=STEP)
    seen = setting.rows.origins()
    return hmc(target, begun, setting.seed, told, seen=seen, folder=setting.folder, progress=setting.progress)


def under_gaussian(rows: Rows) -> Prior:
    return Gaussian(PRECISION)


def under_empcov(form: Form) -> Callable[[Rows], Prior]:
    return lambda rows: empcov_prior(empirical_covariance(rows.inputs), form)


def by_sgld(setting: Setting) -> Chains:
    """Two chains from fresh weights, a quarter of the steps burnt; the learning rate of the literature is h² = 10⁻⁴."""
    return _langevin(setting, _fresh(setting), setting.scale.steps, step=0.01, decay=None)


def by_short_sgld(setting: Setting) -> Chains:
    """From a mode, a fifth of the steps, each a third as long: too short to fill the prior where inputs are dead.

    A coordinate that only the prior holds forgets its start as exp(−h² steps): here all but 2 % of it is left.
    """
    modes = stacked([_mode(setting).point()] * CHAINS)
    return _langevin(setting, modes, setting.scale.steps // 5, step=0.003, decay=None)


def by_sghmc(setting: Setting) -> Chains:
    """As `by_sgld`, with momentum, of which a step keeps 98 %."""
    return _langevin(setting, _fresh(setting), setting.scale.steps, step=0.003, decay=0.98)


def _fresh(setting: Setting) -> Parameters:
    return stacked(starts(lambda seed: mlp(setting.scale, 700 + seed), CHAINS, setting.seed))


def _mode(setting: Setting) -> Draws:
    """What MAP found for the same data seed."""
    beside = replace(setting, folder=setting.folder.parent / "MAP")
    return run(the_map, beside).as_draws()


def _langevin(setting: Setting, begun: Parameters, steps: int, *, step: float, decay: float | None) -> Chains:
    scale = setting.scale
    target = make_target(gaussian(setting), setting.rows, chains=CHAINS)
    thin = max(1, (steps * 3 // 4) // scale.draws)
    pacing = Constant(scale.draws, step, steps // 4, thin)
    batch, seen = min(BATCH, scale.rows), setting.rows.origins()
    if decay is None:
        told = Sgld(pacing, batch)
        return sgld(target, begun, setting.seed, told, seen=seen, folder=setting.folder, progress=setting.progress)
    moved = Sghmc(pacing, decay, batch)
    return sghmc(target, begun, setting.seed, moved, seen=seen, folder=setting.folder, progress=setting.progress)


def by_mean_field(setting: Setting) -> Chains:
    """From a mode with deviations of a hundredth of the prior's, as published; Adam until the rate has died out."""
    point = _mode(setting).parameters
    target = make_target(gaussian(setting), setting.rows, chains=2)
    told = MeanField(
        setting.scale.steps * 3 // 10, draws=2 * setting.scale.draws, batch=min(BATCH, setting.scale.rows), judged=8
    )
    seen = setting.rows.origins()
    return mean_field(target, point, setting.seed, told, seen=seen, folder=setting.folder, progress=setting.progress)


def by_swag(setting: Setting) -> Chains:
    """A walk of SGD from a mode, one position an epoch."""
    point = _mode(setting).parameters
    target = make_target(gaussian(setting), setting.rows)
    batch, recorded = min(BATCH, setting.scale.rows), setting.scale.draws
    rate = 0.05 / UNIT**2  # 0.05 of the parameters, where the ascent began
    every = max(1, setting.scale.rows // batch)
    told = Swag(rate, recorded, every, every, min(20, recorded), 2 * setting.scale.draws, batch=batch)
    seen = setting.rows.origins()
    return swag(target, point, setting.seed, told, seen=seen, folder=setting.folder, progress=setting.progress)


METHODS: Mapping[str, Method] = {
    "MAP": the_map,
    "ensemble of 10": deep_ensemble,
    "HMC, Gaussian": by_hmc(under_gaussian),
    "HMC, EmpCov (trace)": by_hmc(under_empcov("trace")),
    "HMC, EmpCov (saturating)": by_hmc(under_empcov("saturating")),
    "SGLD": by_sgld,
    "SGLD, short, from MAP": by_short_sgld,
    "SGHMC": by_sghmc,
    "mean-field VI": by_mean_field,
    "SWAG": by_swag,
}
"""In the order of the tables. MAP comes first: VI, SWAG and short SGLD start from it."""

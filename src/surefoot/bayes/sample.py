"""From a posterior in plain words to chains, and to what must be doubted about them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from surefoot.bayes.posterior import posterior_of
from surefoot.bayes.settings import BayesSettings
from surefoot.bayes.told import told_of
from surefoot.density.objective import Posterior, trainable
from surefoot.density.requirements import check_start
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inference.approximate.laplace import LaplaceSettings, laplace_draws
from surefoot.inference.approximate.mean_field import MeanField, mean_field
from surefoot.inference.approximate.swag import Swag, swag
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import RECORD, Chains, load_chains
from surefoot.inference.diagnose import diagnose, mixed
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.hamiltonian.nuts import Nuts, nuts
from surefoot.inference.langevin.dynamics import sghmc, sgld
from surefoot.inference.langevin.schedules import Constant
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.targets.make import make_target
from surefoot.networks.network import Network, Parameters, forward
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["Sampled", "sample_posterior"]

APPROXIMATE = ("mean_field", "swag", "laplace")
LOOKED_AT = 200
"""Rows at which the functions of the chains are compared."""
SWAG_RANK = 20
ADAM_RATE = 0.01
ENOUGH_REACH = 3.0
SAVE_EVERY = 30.0
"""Seconds between two checkpoints of hmc and nuts; draws do not depend on it."""
TO_THE_MODE = Ascend(epochs=100, optimiser="lbfgs", rate=1.0, schedule="constant")


@dataclass(frozen=True)
class Sampled:
    """Chains, everything that was measured of them, and why claims should not rest on them (clauses; often none).

    notes: sentences a reader must know. fixed: the network's tensors that were not sampled (frozen parameters,
    buffers), as every start held them; draws predict with these.
    """

    chains: Chains
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]
    fixed: Parameters = field(default_factory=dict[str, Tensor])


def sample_posterior(
    network: Network,
    rows: Rows,
    starts: Sequence[Parameters],
    settings: BayesSettings,
    seed: int,
    *,
    folder: Path | None = None,
    resume_finished: bool = False,
    progress: Progress = silent,
) -> Sampled:
    """Sample the posterior of `network` given `rows`, one chain from each start, and diagnose the chains.

    starts: the network's named tensors, as many as there are chains. folder: where draws go as they come; a run that
    was killed goes on from there. resume_finished: take chains that are finished in `folder` as this run's own, where
    its name says that they are (a digest of everything that decides them); refused otherwise. Chains are compared by
    their predictions on up to 200 of the rows they learnt from.

    Raises `InputError` for settings that do not fit the network, a start that the posterior would lead astray, and for
    whatever the sampler refuses.

    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.worlds import gaussian_world
    >>> rows = gaussian_world(sizes={"fit": 50}).roles["fit"]
    >>> network = build_linear(rows.inputs[:].shape[1], 2, seed=0)
    >>> settings = BayesSettings(sampler="hmc", chains=2, draws=150, burn_in=50)
    >>> sampled = sample_posterior(network, rows, [parameters_of(network)] * 2, settings, 0)
    >>> sampled.chains.draws, sampled.doubts
    (150, ())
    """
    if len(starts) != settings.starts:
        raise InputError(f"{len(starts)} starts were given for {settings.starts} chains; give one for each.")
    posterior = posterior_of(network, rows, settings)
    for start in starts:
        with torch.no_grad():
            check_start(posterior, forward(network, start, rows.inputs[:]), rows.targets)
    if resume_finished and folder is not None and (folder / RECORD).is_file():
        chains = load_chains(folder)
    else:
        chains = _run(posterior, rows, starts, settings, seed, folder, progress)
    return _doubted(chains, network, rows, starts[0], settings, progress)


def _run(
    posterior: Posterior,
    rows: Rows,
    starts: Sequence[Parameters],
    settings: BayesSettings,
    seed: int,
    folder: Path | None,
    progress: Progress,
) -> Chains:
    seen, step = rows.origins(), settings.step_size
    if settings.sampler == "laplace":
        mode = ascend(posterior, rows, starts[0], seed, TO_THE_MODE, progress=progress).point()
        told = LaplaceSettings(draws=settings.draws)
        return laplace_draws(posterior, rows, mode, seed, told, folder=folder, progress=progress)
    # All tensors of the starts: the target refuses chains that would differ in what is not sampled.
    target = make_target(posterior, rows, chains=settings.starts, seed=seed, fixed=starts[0])
    begun = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
    draws, chains, thin, burn_in = settings.draws, settings.starts, settings.thin, settings.burn_in
    batch = min(settings.batch, len(rows))
    epoch = math.ceil(len(rows) / batch)
    match settings.sampler:
        case "hmc":
            told = Hmc(draws, burn_in, chains, thin, step, adapt=burn_in > 0)
            return hmc(target, begun, seed, told, seen=seen, folder=folder, save_every=SAVE_EVERY, progress=progress)
        case "nuts":
            told = Nuts(draws, burn_in, chains, thin, step, adapt=burn_in > 0)
            return nuts(target, begun, seed, told, seen=seen, folder=folder, save_every=SAVE_EVERY, progress=progress)
        case "mean_field":
            told = MeanField(max(1, burn_in * epoch), ADAM_RATE if step is None else step, draws=draws, batch=batch)
            return mean_field(target, begun, seed, told, seen=seen, folder=folder, progress=progress)
        case "swag":
            assert step is not None  # the settings have seen to it
            told = Swag(step, draws, thin * epoch, burn_in * epoch, min(SWAG_RANK, draws), draws, batch=batch)
            return swag(target, begun, seed, told, seen=seen, folder=folder, progress=progress)
        case _:
            assert step is not None
            pacing = Constant(draws, step, burn_in * epoch, thin * epoch)
            if settings.sampler == "sgld":
                return sgld(target, begun, seed, Sgld(pacing, batch), seen=seen, folder=folder, progress=progress)
            told = Sghmc(pacing, settings.decay, batch)
            return sghmc(target, begun, seed, told, seen=seen, folder=folder, progress=progress)


def _doubted(
    chains: Chains, network: Network, rows: Rows, start: Parameters, settings: BayesSettings, progress: Progress
) -> Sampled:
    """What is measured of the chains. Independent draws of an approximation have nothing to mix."""
    fixed = {name: tensor for name, tensor in start.items() if name not in trainable(network, start)}
    if settings.sampler in APPROXIMATE:
        words = settings.sampler.replace("_", " ")
        note = f"Draws of an approximation of the posterior ({words}), whose own error is not measured here."
        return Sampled(chains, chains.diagnostics, _about_adam(settings, len(rows)), (note,), fixed)
    count = len(rows)
    looked = rows.inputs[torch.linspace(0, count - 1, min(LOOKED_AT, count)).round().long()]
    findings = (*chains.diagnostics, *diagnose(chains, network, looked, fixed=fixed, progress=progress))
    verdict = mixed(findings)
    doubts = () if verdict.mixed else (f"its chains have not mixed: {'; '.join(verdict.reasons)}",)
    return Sampled(chains, findings, doubts, told_of(findings, chains.chains, chains.draws), fixed)


def _about_adam(settings: BayesSettings, rows: int) -> tuple[str, ...]:
    """Whether a mean-field fit had time to leave its start: a step of Adam moves a number by about its rate.

    The rate falls to zero along a cosine, so its mean is half. In whitened coordinates the prior's deviation is one.
    """
    if settings.sampler != "mean_field":
        return ()
    steps = max(1, settings.burn_in * math.ceil(rows / min(settings.batch, rows)))
    reach = steps * (ADAM_RATE if settings.step_size is None else settings.step_size) / 2
    if reach >= ENOUGH_REACH:
        return ()
    return (
        f"its {steps:,} steps of Adam can move a weight by {reach:.2g} prior deviations at most (at least "
        f"{ENOUGH_REACH:g} are asked: give more burn_in)",
    )

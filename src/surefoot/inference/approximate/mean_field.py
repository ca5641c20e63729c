"""Mean-field variational inference: the independent normal distribution nearest to a posterior, by Adam.

    q(u) = Π_i N(u_i; μ_i, s_i²),  s = exp ρ         maximise  ELBO = E_q[L(u)] + Σ_i ρ_i + ½ log 2πe
    u = μ ± s ⊙ ε,  ε ~ N(0, 1):  ∇_μ = E[∇L(u)],  ∇_ρ = E[± s ⊙ ε ⊙ ∇L(u)] + 1

Source: Kingma and Welling (2014), Auto-encoding variational Bayes, sec. 2.3; Blundell et al. (2015), Weight uncertainty
in neural networks, sec. 3.2; start at a trained point with s = 0.01 as Izmailov et al. (2021), their MFVI.

What is particular here: ε comes in antithetic pairs (both signs), so ∇_μ is exact for a quadratic log density. Where
the prior is normal in whitened coordinates, N(0, T) with the posterior temperature T, its part of both gradients and
of the ELBO is the closed form

    E_q[log prior] = −Σ_i (μ_i² + s_i²) / 2T + constant,     KL(q ‖ N(0, 1)) = ½ Σ_i (μ_i² + s_i² − 1 − 2ρ_i)

Whether it is normal is found from the target's prior at a few positions; any other prior is averaged over draws of q.
q is too narrow where coordinates depend on each other: of a normal with precision matrix Λ it has variances 1/Λ_ii,
not (Λ⁻¹)_ii.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.checkpoint import identity
from surefoot.inference.langevin.findings import told, work
from surefoot.inference.langevin.gradients import Gradients, make_gradients
from surefoot.inference.langevin.streams import Purpose, stream
from surefoot.inference.schedule import Schedule, rate_at
from surefoot.inference.start import check_room, fingerprint, positions_of, same_density
from surefoot.inference.targets.target import Target
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent

__all__ = ["MeanField", "mean_field", "normal_prior"]

BLOCK = 256  # steps that share one stream of noise; checkpoints fall between blocks
CHECKPOINT_SECONDS = 10.0
PROBES = 4  # positions at which a prior is asked whether it is normal


@dataclass(frozen=True)
class MeanField:
    """Settings of mean-field variational inference.

    steps: of Adam. rate: its (peak) rate, for μ and ρ alike, in whitened coordinates. schedule: see `schedule.py`;
    cosine lets the noise of the gradient die out. pairs: antithetic pairs of draws a step. batch: rows a step and draw;
    all when absent. scale: the first s. draws: of q, at the end. judged: draws of q that the ELBO is estimated from,
    on all rows.

    Raises `InputError` for numbers out of range.
    """

    steps: int
    rate: float = 0.01
    schedule: Schedule = "cosine"
    pairs: int = 1
    batch: int | None = None
    scale: float = 0.01
    draws: int = 100
    judged: int = 64

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("pairs", 1), ("draws", 1), ("judged", 2)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give at least {least}.")
        for name in ("rate", "scale"):
            value: float = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; give a positive number.")


def mean_field(
    target: Target,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: MeanField,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Fit q from one `start` (its first μ), and draw from it: one chain of independent draws.

    The diagnostics are the work done, the `elbo` with the interval of its Monte Carlo error, and `kl`, both in nats;
    where the likelihood is normalised and T is one, the ELBO is a lower bound of the log evidence. For a prior that is
    not normal there is no `kl`, and the ELBO, called `elbo_and_constant`, contains an unknown constant. A run that was
    killed goes on from `folder` and ends with the same numbers.

    Raises `InputError` for a start or settings that do not fit the target, for a folder of another run, for draws that
    would not fit into memory, and when the fit leaves the numbers.
    """
    begun = positions_of(target, start)
    if len(begun) != 1:
        raise InputError(f"{len(begun)} starts were given; one distribution is fitted from one: call once for each.")
    if folder is None:
        check_room(target, begun, settings.draws)
    gradients = make_gradients(target, 2 * settings.pairs, settings.batch, seed, False)
    run = "" if folder is None else identity("mean_field", settings, begun, seed, seen)
    writer = ChainWriter(folder, run, chains=1)
    density = None if folder is None else fingerprint(target, begun)
    temperature = normal_prior(target)

    # [2, size]: μ and ρ, in one tensor that Adam moves.
    fit = torch.cat([begun, torch.full_like(begun, math.log(settings.scale))])
    optimiser = torch.optim.Adam([fit], lr=settings.rate, maximize=True)
    step, saved = 0, time.monotonic()
    if writer.state is not None and density is not None:
        same_density(density, writer.state["density"], folder)
        step = _restore(fit, optimiser, writer.state)
    while step < settings.steps:
        step = _block(gradients, fit, optimiser, settings, seed, step, temperature)
        if density is not None and time.monotonic() - saved >= CHECKPOINT_SECONDS:
            writer.checkpoint(_record(fit, optimiser, step, density))
            saved = time.monotonic()
        progress("fitting", step, settings.steps)

    # A kill from here on costs only draws, which are quickly made again: all of them come after the last checkpoint.
    noise = stream(seed, Purpose.DRAW, 0, str(fit.device))
    for _ in range(settings.draws):
        writer.append(target.parameters(_draws(fit, 1, noise)), {})
    told_of_q = _bound(target, fit, settings, temperature, stream(seed, Purpose.DRAW, 1, str(fit.device)))
    return writer.finish(
        diagnostics=(*work("mean_field", step, 2 * settings.pairs, gradients.share), *told_of_q), seen=seen
    )


def normal_prior(target: Target) -> float | None:
    """The variance T when the target's prior is N(0, T) up to a constant, T the posterior temperature; else None.

    Found by comparing differences of the prior's log density with those of −|u|²/2T at random positions, the same ones
    in every run.
    """
    temperature = (2 * target.quarter / math.pi) ** 2
    noise = torch.Generator().manual_seed(0)
    probes = torch.randn(PROBES, target.size, generator=noise, dtype=torch.float64)
    probes[0] = 0
    given = probes.to(target.dtype)
    prior = target.terms(given).prior.cpu()
    expected = -given.double().square().sum(dim=1) / (2 * temperature)
    same = torch.allclose(prior - prior[0], expected - expected[0], rtol=1e-5, atol=1e-5)
    return temperature if same else None


def _block(
    gradients: Gradients,
    fit: Float[Tensor, "2 size"],
    optimiser: torch.optim.Optimizer,
    settings: MeanField,
    seed: int,
    first: int,
    temperature: float | None,
) -> int:
    """Steps up to the end of the block that `first` begins."""
    last = min(first + BLOCK, settings.steps)
    noise = stream(seed, Purpose.NOISE, first // BLOCK, str(fit.device))
    augmentation = stream(seed, Purpose.AUGMENTATION, first // BLOCK, str(fit.device))
    gradient = fit.new_empty(2 * settings.pairs, fit.shape[1])
    sums = fit.new_empty(last - first)
    for step in range(first, last):
        half = torch.randn(settings.pairs, fit.shape[1], dtype=fit.dtype, device=fit.device, generator=noise)
        moved = torch.cat([half, -half]).mul_(fit[1].exp())  # ± s ⊙ ε
        position = fit[0] + moved
        gradients(step, position, gradient, augmentation)
        if temperature is None:
            fit.grad = torch.stack([gradient.mean(dim=0), (gradient * moved).mean(dim=0) + 1])
        else:
            gradient.add_(position, alpha=1 / temperature)  # the likelihood's part alone
            by_mean = gradient.mean(dim=0) - fit[0] / temperature
            by_log_scale = (gradient * moved).mean(dim=0) - (2 * fit[1]).exp() / temperature + 1
            fit.grad = torch.stack([by_mean, by_log_scale])
        for group in optimiser.param_groups:
            group["lr"] = rate_at(settings.schedule, settings.rate, step, settings.steps)
        optimiser.step()
        torch.sum(fit, dim=(0, 1), out=sums[step - first])
    if len(bad := (~sums.isfinite()).nonzero()):
        raise InputError(
            f"The fit stopped being finite at step {first + int(bad[0]) + 1} of {settings.steps}; try a rate of "
            f"{settings.rate / 4:g}, start at a trained point, and check that all inputs are finite."
        )
    return last


def _draws(fit: Float[Tensor, "2 size"], count: int, noise: torch.Generator) -> Float[Tensor, "{count} size"]:
    drawn = torch.randn(count, fit.shape[1], dtype=fit.dtype, device=fit.device, generator=noise)
    return drawn.mul_(fit[1].exp()).add_(fit[0])


def _bound(
    target: Target,
    fit: Float[Tensor, "2 size"],
    settings: MeanField,
    temperature: float | None,
    noise: torch.Generator,
) -> tuple[Finding, ...]:
    """The ELBO, and the divergence from the prior where it is known."""
    mean, log_scale = fit.double()
    entropy = float(log_scale.sum()) + fit.shape[1] / 2 * math.log(2 * math.pi * math.e)
    values: list[Tensor] = []
    for _ in range(settings.judged):
        terms = target.terms(_draws(fit, 1, noise))
        values.append((terms.likelihood if temperature is not None else terms.likelihood + terms.prior).cpu())
    sampled = torch.cat(values)
    if temperature is None:
        return (_elbo("elbo_and_constant", sampled + entropy),)
    squares = float((mean.square() + (2 * log_scale).exp()).sum())
    prior = -squares / (2 * temperature) - fit.shape[1] / 2 * math.log(2 * math.pi * temperature)
    divergence = -prior - entropy
    return _elbo("elbo", sampled - divergence), told("mean_field", "kl", divergence, "nats", fit.shape[1], 1)


def _elbo(name: str, values: Float[Tensor, "draws"]) -> Finding:
    middle, half = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
    interval = Interval(middle - half, middle + half, 0.95, "normal approximation over draws of q")
    return told("mean_field", name, middle, "nats", len(values), len(values), interval)


def _record(fit: Tensor, optimiser: torch.optim.Optimizer, step: int, density: Tensor) -> dict[str, Any]:
    return {"step": step, "density": density, "fit": fit, "optimiser": optimiser.state_dict()["state"]}


def _restore(fit: Tensor, optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> int:
    fit.copy_(saved["fit"])
    optimiser.load_state_dict({"state": saved["optimiser"], "param_groups": optimiser.state_dict()["param_groups"]})
    return saved["step"]

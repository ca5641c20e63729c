"""SWAG: a normal distribution fitted to where stochastic gradient descent walks.

    v ← γ v + (η/N) ĝ(u),  u ← u + v                               SGD with momentum, constant rate η of the mean loss
    θ̄ = mean of the recorded u,   Σ_diag = mean of (u − θ̄)²,   D = last K of  u_i − (mean of the first i)
    draw = θ̄ + √½ Σ_diag^½ z₁ + D z₂ / √(2 (K − 1))                so Cov = ½ (Σ_diag + D Dᵀ/(K − 1))

Source: Maddox et al. (2019), A simple baseline for Bayesian uncertainty in deep learning, alg. 1.

Where we depart: the walk is in whitened coordinates, so its rate η is relative to the prior's scales (with one scale σ
for all, η there is η/σ² of the parameters); moments are kept in float64 and by Welford's recursion, because the mean
of squares minus the square of the mean, in float32, is rounding alone once the walk is a thousandth of the weights.
The spread depends on η and the batch, not on the posterior: it is a heuristic, and no diagnostic of mixing judges it.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.checkpoint import identity
from surefoot.inference.langevin.findings import told, work
from surefoot.inference.langevin.gradients import make_gradients
from surefoot.inference.langevin.motion import Motion, advance, rest
from surefoot.inference.langevin.schedules import Pace
from surefoot.inference.langevin.streams import Purpose, stream
from surefoot.inference.start import check_room, fingerprint, positions_of, same_density
from surefoot.inference.targets.target import MinibatchTarget
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent

__all__ = ["Moments", "Swag", "draw", "no_moments", "record", "swag"]

CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Swag:
    """Settings of SWAG.

    rate: η. recorded: how many positions the moments are of. every: steps from one to the next (an epoch is N/B).
    burn_in: steps before the first. rank: K, deviations that are kept. draws: of each chain. decay: γ. batch: rows a
    step, all when absent.

    Raises `InputError` for numbers out of range.
    """

    rate: float
    recorded: int
    every: int
    burn_in: int = 0
    rank: int = 20
    draws: int = 30
    decay: float = 0.9
    batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("recorded", "every", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1.")
        if not 2 <= self.rank <= self.recorded:
            raise InputError(
                f"rank is {self.rank} and {self.recorded} positions are recorded; give a rank from 2 to as many."
            )
        if self.burn_in < 0:
            raise InputError(f"burn_in is {self.burn_in}; give a number of steps, or 0.")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"rate is {self.rate}; give a positive learning rate of the mean loss.")
        if not 0 <= self.decay < 1:
            raise InputError(f"decay is {self.decay}; give a momentum from 0 up to, but not including, 1.")


@dataclass(frozen=True)
class Moments:
    """What is known of the positions recorded so far.

    mean: θ̄. spread: Σ (u − θ̄)². deviations: D, the last `rank` columns at most. count: positions recorded.
    """

    mean: Float64[Tensor, "chains size"]
    spread: Float64[Tensor, "chains size"]
    deviations: Float[Tensor, "chains columns size"]
    count: int

    @property
    def variance(self) -> Float64[Tensor, "chains size"]:
        """Σ_diag."""
        return self.spread / self.count


def no_moments(like: Float[Tensor, "chains size"]) -> Moments:
    """Nothing recorded yet, for positions of this shape."""
    zeros = torch.zeros_like(like, dtype=torch.float64)
    return Moments(zeros, zeros, like.new_empty(len(like), 0, like.shape[1]), 0)


def record(moments: Moments, position: Float[Tensor, "chains size"], rank: int) -> Moments:
    """The moments with one more position.

    >>> moments = no_moments(torch.zeros(1, 1))
    >>> for value in (1.0, 2.0, 6.0):
    ...     moments = record(moments, torch.tensor([[value]]), rank=2)
    >>> moments.mean.item(), round(moments.variance.item(), 4), moments.deviations.flatten().tolist()
    (3.0, 4.6667, [0.5, 3.0])
    """
    count = moments.count + 1
    change = position.double() - moments.mean
    mean = moments.mean + change / count
    deviation = position.double() - mean
    deviations = torch.cat([moments.deviations, deviation[:, None].to(position.dtype)], dim=1)
    return Moments(mean, moments.spread + change * deviation, deviations[:, -rank:], count)


def draw(moments: Moments, generator: torch.Generator) -> Float[Tensor, "chains size"]:
    """One draw of each chain's normal distribution; raises `InputError` before two deviations are recorded."""
    columns = moments.deviations.shape[1]
    if columns < 2:
        raise InputError(f"Moments of {moments.count} positions have no covariance; record at least 2.")
    like, chains = moments.deviations, len(moments.deviations)
    wide = torch.randn(chains, like.shape[2], dtype=like.dtype, device=like.device, generator=generator)
    low = torch.randn(chains, columns, dtype=like.dtype, device=like.device, generator=generator)
    drawn = moments.mean.to(like.dtype) + (moments.variance / 2).sqrt().to(like.dtype) * wide
    return drawn + torch.einsum("ck,cks->cs", low, like) / math.sqrt(2 * (columns - 1))


def swag(
    target: MinibatchTarget,
    start: Parameters | Float[Tensor, "chains size"],
    seed: int,
    settings: Swag,
    *,
    seen: frozenset[str],
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Walk from `start` (a trained point, as a rule), and draw from the normal distribution of where the walk went.

    Every chain is a walk of its own with its own distribution; several of them are MultiSWAG. A run that was killed
    goes on from `folder` and ends with the same numbers. The diagnostics are those of the walk's work, and
    `recorded`: the positions that the moments are of.

    Raises `InputError` for a start or settings that do not fit the target, for a folder of another run, for draws
    that would not fit into memory, and when the walk leaves the numbers.
    """
    begun = positions_of(target, start)
    if folder is None:
        check_room(target, begun, settings.draws + settings.rank + 6)
    gradients = make_gradients(target, len(begun), settings.batch, seed, False)
    run = "" if folder is None else identity("swag", settings, begun, seed, seen)
    writer = ChainWriter(folder, run, chains=len(begun))
    motion, moments, step = rest(begun), no_moments(begun), 0
    density = None if folder is None else fingerprint(target, begun)
    if writer.state is not None and density is not None:
        same_density(density, writer.state["density"], folder)
        moments, step = _restore(motion, writer.state)

    pace, saved = Pace(math.sqrt(settings.rate / target.rows), 0.0), time.monotonic()
    steps = settings.burn_in + settings.recorded * settings.every
    while step < steps:
        gradients(step, motion.position, motion.gradient, stream(seed, Purpose.AUGMENTATION, step, str(begun.device)))
        advance(motion, pace, settings.decay)
        step += 1
        if step > settings.burn_in and (step - settings.burn_in) % settings.every == 0:
            _require_finite(motion.position, step, settings)
            moments = record(moments, motion.position, settings.rank)
            if density is not None and time.monotonic() - saved >= CHECKPOINT_SECONDS:
                writer.checkpoint(_record(motion, moments, step, density))
                saved = time.monotonic()
            progress("walking", step, steps)
    # A kill from here on costs only draws, which are quickly made again: all of them come after the last checkpoint.
    for number in range(settings.draws):
        drawn = draw(moments, stream(seed, Purpose.DRAW, number, str(begun.device)))
        writer.append(target.parameters(drawn), {})
    kept = told("swag", "recorded", float(moments.count), "positions", moments.count, len(begun))
    return writer.finish(diagnostics=(*work("swag", step, len(begun), gradients.share), kept), seen=seen)


def _require_finite(position: Float[Tensor, "chains size"], step: int, settings: Swag) -> None:
    bad = (~position.isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise InputError(
            f"The walk of chain {int(bad[0]) + 1} stopped being finite by step {step}; try a rate of "
            f"{settings.rate / 4:g}, and check that all inputs are finite."
        )


def _record(motion: Motion, moments: Moments, step: int, density: Tensor) -> dict[str, Any]:
    return {
        "step": step,
        "density": density,
        "position": motion.position,
        "momentum": motion.momentum,
        "mean": moments.mean,
        "spread": moments.spread,
        "deviations": moments.deviations,
        "count": moments.count,
    }


def _restore(motion: Motion, saved: dict[str, Any]) -> tuple[Moments, int]:
    device = motion.position.device
    motion.position.copy_(saved["position"])
    motion.momentum.copy_(saved["momentum"])
    mean, spread, deviations = (saved[name].to(device) for name in ("mean", "spread", "deviations"))
    return Moments(mean, spread, deviations, saved["count"]), saved["step"]

"""One step of stochastic-gradient dynamics on flat buffers, in place. The equations are in `dynamics.py`."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.langevin.schedules import Pace

__all__ = ["Motion", "RmsProp", "adapt", "advance", "rest"]


@dataclass(frozen=True)
class RmsProp:
    """A diagonal preconditioner: G = √EMA(ĝ²) + floor, one number for each coordinate of each chain.

    decay: a, of the average ĝ²̄ ← a ĝ²̄ + (1 − a) ĝ², which is corrected for its start (÷ (1 − aᵗ)). floor: what is
    added to its root. freeze: stop changing G after burn-in.

    Frozen, the dynamics are exactly those of other coordinates, G^½ θ, and leave the right distribution whatever G is.
    Moving, G depends on where the chain is, and the correction term Γ of Ma et al. (2015) would be needed; like
    Li et al. (2016) and all published code we leave it out. G then falls wherever the gradient does, and draws are too
    wide: a normal's variance by a quarter where the average is shorter than the chain's memory
    (`tests/inference/langevin/test_dynamics.py`), and no diagnostic shows it.

    Source: Li et al. (2016), Preconditioned stochastic gradient Langevin dynamics, alg. 1; a = .99 and the floor 1e-7
    are those of Izmailov et al. (2021).

    Raises `InputError` for numbers out of range.
    """

    decay: float = 0.99
    floor: float = 1e-7
    freeze: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise InputError(f"The preconditioner's decay is {self.decay}; give a number from 0 up to, not with, 1.")
        if not (math.isfinite(self.floor) and self.floor > 0):
            raise InputError(f"The preconditioner's floor is {self.floor}; give a positive number.")


@dataclass(frozen=True)
class Motion:
    """Buffers `[chains, size]` that steps write to: u, p, ĝ, room for noise; EMA(ĝ²) and G^−½ when preconditioned."""

    position: Float[Tensor, "chains size"]
    momentum: Float[Tensor, "chains size"]
    gradient: Float[Tensor, "chains size"]
    noise: Float[Tensor, "chains size"]
    squares: Float[Tensor, "chains size"] | None = None
    scale: Float[Tensor, "chains size"] | None = None


def rest(position: Float[Tensor, "chains size"], *, preconditioned: bool = False) -> Motion:
    """Motion from a copy of `position`, without momentum."""
    squares = torch.zeros_like(position) if preconditioned else None
    scale = torch.ones_like(position) if preconditioned else None
    momentum, gradient, noise = torch.zeros_like(position), torch.zeros_like(position), torch.empty_like(position)
    return Motion(position.clone(), momentum, gradient, noise, squares, scale)


def adapt(motion: Motion, preconditioner: RmsProp, step: int) -> None:
    """Take the gradient of step 0, 1, … into the preconditioner."""
    if motion.squares is None or motion.scale is None:
        raise InputError("This motion has no preconditioner; begin it with rest(position, preconditioned=True).")
    kept = preconditioner.decay
    motion.squares.mul_(kept).addcmul_(motion.gradient, motion.gradient, value=1 - kept)
    torch.div(motion.squares, 1 - kept ** (step + 1), out=motion.scale)
    motion.scale.sqrt_().add_(preconditioner.floor).rsqrt_()


def advance(motion: Motion, pace: Pace, decay: float, generator: torch.Generator | None = None) -> None:
    """p ← γ p + h G^−½ ĝ + √(2(1 − γ)) ξ;  u ← u + h G^−½ p.

    Noise is drawn from `generator`, unless the pace has none.

    >>> motion = rest(torch.zeros(1, 2))
    >>> _ = motion.gradient.copy_(torch.tensor([[1.0, -2.0]]))
    >>> advance(motion, Pace(0.5, 0.0), 0.9)
    >>> motion.position.tolist()
    [[0.25, -0.5]]
    """
    if pace.noise:
        motion.noise.normal_(0.0, pace.noise * math.sqrt(2 * (1 - decay)), generator=generator)
        torch.add(motion.noise, motion.momentum, alpha=decay, out=motion.momentum)
    else:
        motion.momentum.mul_(decay)
    if motion.scale is None:
        motion.momentum.add_(motion.gradient, alpha=pace.step)
        motion.position.add_(motion.momentum, alpha=pace.step)
    else:
        motion.momentum.addcmul_(motion.gradient, motion.scale, value=pace.step)
        motion.position.addcmul_(motion.momentum, motion.scale, value=pace.step)

"""What a run of stochastic-gradient dynamics is told: how it moves, on how many rows, and for how long."""

from dataclasses import dataclass

from surefoot.errors import InputError
from surefoot.inference.langevin.motion import RmsProp
from surefoot.inference.langevin.schedules import Pacing

__all__ = ["Sghmc", "Sgld"]


@dataclass(frozen=True)
class Sghmc:
    """Settings of stochastic-gradient Hamiltonian Monte Carlo.

    pacing: step sizes, burn-in and which steps are kept (`schedules.py`). decay: γ, what momentum keeps in a step (one
    minus the friction). batch: rows a step and chain; all of them when absent. replacement: draw the rows of a batch
    independently, instead of every row once an epoch. preconditioner: see `RmsProp`; frozen by default after burn-in.

    Raises `InputError` for numbers out of range, and for a preconditioner that would freeze before it saw a step.
    """

    pacing: Pacing
    decay: float = 0.9
    batch: int | None = None
    replacement: bool = False
    preconditioner: RmsProp | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise InputError(
                f"decay is {self.decay}; give the share of momentum that a step keeps, from 0 up to, but not "
                "including, 1 (one minus the friction)."
            )
        if self.preconditioner is not None and self.preconditioner.freeze and not self.pacing.settled:
            raise InputError(
                "The preconditioner is frozen after burn-in and there is none; give the schedule a burn_in, or set "
                "freeze to False (and accept its bias)."
            )


@dataclass(frozen=True)
class Sgld:
    """Settings of stochastic-gradient Langevin dynamics: `Sghmc` without momentum, with learning rate h²."""

    pacing: Pacing
    batch: int | None = None
    replacement: bool = False
    preconditioner: RmsProp | None = None

    def as_sghmc(self) -> Sghmc:
        return Sghmc(self.pacing, 0.0, self.batch, self.replacement, self.preconditioner)

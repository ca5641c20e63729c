"""How a text model is taught: passes, batches, the rate and its course."""

import math
from dataclasses import dataclass
from typing import Literal

from surefoot.errors import InputError
from surefoot.hub.tuning.texts import Overlong
from surefoot.inference.schedule import rate_at

__all__ = ["ELEUTHER", "OPENAI", "Tune", "rate_of"]


@dataclass(frozen=True)
class Tune:
    """Settings of a tuning.

    batch: rows that a loss sees together; the last one of an epoch may be smaller, and none is left out.
    microbatch: rows that go through the model together, for memory; it changes no number but rounding. None: the batch.
    rate: the peak of Adam's; it rises in a line over `warmup` steps, and falls to zero by a cosine, or stays.
    momenta: Adam's two. decay: of weights, decoupled. dropout: whether the model's own is on.
    overlong: what becomes of texts that are longer than the model reads.

    Raises `InputError` for numbers out of range.
    """

    epochs: int = 2
    batch: int = 32
    microbatch: int | None = None
    rate: float = 5e-5
    warmup: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    momenta: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.0
    dropout: bool = False
    overlong: Overlong = "refuse"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1.")
        if self.microbatch is not None and self.microbatch < 1:
            raise InputError(f"microbatch is {self.microbatch}; give at least 1, or None for whole batches.")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"rate is {self.rate}; give a positive learning rate.")
        if self.warmup < 0 or not (math.isfinite(self.decay) and self.decay >= 0):
            raise InputError(f"warmup is {self.warmup} and decay {self.decay}; give zero or more of each.")
        if not all(0 <= each < 1 for each in self.momenta):
            raise InputError(f"momenta are {self.momenta}; give two numbers from 0 up to, but not including, 1.")


OPENAI = Tune()
"""As in the published repository: two epochs, batches of 32, Adam without decay, a cosine to zero, no warm-up, no
dropout, here with its rate for the two smallest models (larger ones have 1e-5)."""
ELEUTHER = Tune(epochs=3, rate=8e-5, warmup=40, momenta=(0.9, 0.95), decay=0.1, dropout=True)
"""As in EleutherAI's repository, for its strong model, which learns by `LowRank(rank=8)` (its weak one has 5e-4)."""


def rate_of(settings: Tune, step: int, steps: int) -> float:
    """The learning rate of step 0 ≤ `step` < `steps`.

    >>> [round(rate_of(Tune(rate=1.0, warmup=2), step, 6), 3) for step in range(6)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """
    if step < settings.warmup:
        return settings.rate * step / settings.warmup
    return rate_at(settings.schedule, settings.rate, step - settings.warmup, max(1, steps - settings.warmup))

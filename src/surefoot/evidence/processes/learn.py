"""Learn the numbers of a process by its evidence, or by its conditional evidence.

    evidence        log p(y) / n
    conditional     E_order [ log p(y_{≥m} | y_{<m}) ] / (n − m),      m = share · n

Both are means per row, so that one rate serves both. The conditional one forgives a prior that explains the first
rows badly, and is not fooled as easily by hyperparameters that have learnt rows by heart: each step asks for other
rows. It is a stochastic objective then, and wants Adam.

Source: MacKay (1992) for the evidence (type II maximum likelihood); Lotfi et al. (2022), §6 and §7, for the
conditional one. They subtract the evidence of the subset from that of the whole, with a factorisation each; both are
read from one factor of the ordered covariance here, so that subset and whole cannot differ in anything but rows.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.prefixes import orders_of
from surefoot.evidence.processes.climb import Climbed, Objective, adam, lbfgs
from surefoot.evidence.processes.free import Free, free_of, with_free
from surefoot.evidence.processes.process import Process, float64_rows, jitter_of, ordered_terms, process_evidence
from surefoot.progress import Progress, silent

__all__ = ["Learn", "Learnt", "climb", "conditioned_rows", "learn", "moving"]


@dataclass(frozen=True)
class Learn:
    """criterion: "evidence" or "conditional"; the others of the second are for it only.

    share: of the rows that are conditioned on. orders: how many a step averages over. fresh: whether each step draws
    new ones; otherwise those of the first step stay. optimiser: "lbfgs" (to convergence, at most `steps`) or "adam"
    (at `rate`). held: names of free numbers that stay, or the beginnings of their paths ("noise", "kernel.parts.0").

    Raises `InputError` for numbers out of range, and for L-BFGS on an objective that changes every step.
    """

    criterion: Literal["evidence", "conditional"] = "evidence"
    share: float = 0.9
    orders: int = 1
    fresh: bool = True
    optimiser: Literal["lbfgs", "adam"] = "lbfgs"
    steps: int = 200
    rate: float = 0.01
    held: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.orders < 1 or self.steps < 1 or not self.rate > 0:
            raise InputError(
                f"share {self.share}, orders {self.orders}, steps {self.steps}, rate {self.rate}: give a share between "
                "0 and 1, and at least one order and step, at a positive rate."
            )
        if self.criterion == "conditional" and self.fresh and self.optimiser == "lbfgs":
            raise InputError(
                "L-BFGS searches along lines of one objective and each step would draw new orders; use adam, or "
                "fresh=False with several orders."
            )


class Learnt(NamedTuple):
    """process: with what was learnt. history: the criterion before each step, nats per row. jitter: `jitter_of` the
    end."""

    process: Process
    history: Float64[Tensor, "steps"]
    jitter: float


def learn(
    process: Process,
    x: Float[Tensor, "rows d"],
    y: Float[Tensor, "targets"],
    seed: int,
    settings: Learn | None = None,
    *,
    progress: Progress = silent,
) -> Learnt:
    """The process with free numbers that maximise the criterion on these rows, from where they are.

    The evidence has several modes; where it matters, start from several places and take the best.

    seed: for the orders of the conditional criterion. settings: the evidence by L-BFGS unless given.

    Raises `InputError` for rows that do not fit, a share that leaves no row on one side, nothing to learn, and an
    objective that stops being finite (naming the step).

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import Constant
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> y = torch.tensor([1.0, -1.0, 2.0, -2.0], dtype=torch.float64)
    >>> process = Process(Constant(positive(1e-6)), ZeroMean(), positive(1.0))
    >>> learnt = learn(process, torch.zeros(4, 1).double(), y, seed=0, settings=Learn(held=("kernel",)))
    >>> round(learnt.process.noise.item(), 3)  # the mean square of y
    2.5
    """
    x, y = float64_rows(x, y)
    settings = settings or Learn()
    first = conditioned_rows(len(x), settings)
    generator = torch.Generator().manual_seed(seed)
    fixed = orders_of(len(x), settings.orders, seed)

    def objective(free: Free) -> Tensor:
        candidate = with_free(process, free)
        if settings.criterion == "evidence":
            return process_evidence(candidate, x, y) / len(x)
        orders = fixed
        if settings.fresh:
            orders = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(settings.orders)])
        return ordered_terms(candidate, x, y, orders)[:, first:].mean()

    climbed = climb(objective, moving(process, settings.held), settings, progress)
    reached = with_free(process, climbed.free)
    return Learnt(reached, climbed.history, jitter_of(reached, x))


def climb(objective: Objective, start: Free, settings: Learn, progress: Progress) -> Climbed:
    """The optimiser that the settings name."""
    if settings.optimiser == "lbfgs":
        return lbfgs(objective, start, settings.steps, progress)
    return adam(objective, start, settings.steps, settings.rate, progress)


def moving(model: object, held: tuple[str, ...]) -> Free:
    """The free numbers that are not held. Raises `InputError` when none is left, or a name that is held is unknown."""
    free = free_of(model)
    for name in held:
        if not any(_below(path, name) for path in free):
            raise InputError(f"There is no {name!r} to hold; the free numbers are {', '.join(free)}.")
    left = {path: tensor for path, tensor in free.items() if not any(_below(path, name) for name in held)}
    if not left:
        raise InputError("Every number is held, so there is nothing to learn; hold fewer.")
    return left


def conditioned_rows(rows: int, settings: Learn) -> int:
    """m, the number of rows that the conditional criterion conditions on."""
    first = round(settings.share * rows)
    if settings.criterion == "conditional" and not 0 < first < rows:
        raise InputError(
            f"A share of {settings.share} of {rows} rows leaves one side empty; give more rows, or another."
        )
    return first


def _below(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")

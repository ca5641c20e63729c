"""Hyperparameters by evidence, after training: climb log p(D | λ, σ) of one expansion.

    log λ, log σ  ←  Adam or L-BFGS on evidence_of(expansion, λ, noise=σ)

Source: MacKay (1992), whose fixed point λ = γ/d, γ = Σ h/(h + λ), is where this ends; steps on logarithms as in Immer
et al. (2021). The mode stays where it was, so what is found holds near the precisions that it was trained with: train
again with what was found, and expand again, until they agree (`train_by_evidence` does so on the way).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.progress import Progress, silent

__all__ = ["Tuned", "What", "tune"]

What: TypeAlias = Literal["precision", "precisions", "noise"]
"""One precision for all parameters, one for each tensor, or the noise of a regression."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """The best found. precisions: of each tensor. noise: σ, of a regression. evidence: in nats; course: each step's."""

    precisions: Float64[Tensor, "tensors"]
    noise: float | None
    evidence: float
    course: tuple[float, ...]


def tune(
    expansion: Expansion,
    what: tuple[What, ...] = ("precision",),
    steps: int = 100,
    *,
    rate: float = 0.1,
    optimiser: Literal["adam", "lbfgs"] = "adam",
    precisions: Float64[Tensor, "tensors"] | None = None,
    noise: float | None = None,
    progress: Progress = silent,
) -> Tuned:
    """The hyperparameters `what` that maximise the evidence; others stay where they start.

    steps: of Adam, or evaluations of L-BFGS. rate: of Adam, on logarithms. precisions, noise: where to start; the
    posterior's own when absent. One common precision starts at their geometric mean, weighted by sizes.

    A full matrix under several precisions is factorised at every step. Raises `InputError` for what cannot be tuned.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.objective import Posterior
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> rows = make_rows(torch.ones(100, 1), torch.full((100,), 2.0))
    >>> posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    >>> found = tune(expand(posterior, rows, {"0.weight": torch.tensor([[2.0]])}), optimiser="lbfgs")
    >>> round(found.precisions.item(), 3)  # γ/d = 100/(100 + λ) / 2²
    0.249
    """
    start = expansion.precisions if precisions is None else precisions
    deviation = expansion.noise if noise is None else noise
    _check(expansion, what, steps, start, deviation)
    sizes = torch.tensor(expansion.sizes, dtype=torch.float64)
    common = (start.log() * sizes).sum() / sizes.sum()
    logs = {
        "precision": common.clone(),
        "precisions": start.log(),
        "noise": torch.tensor(math.log(1.0 if deviation is None else deviation), dtype=torch.float64),
    }
    moving = [logs[name].requires_grad_() for name in what]
    course: list[float] = []
    best: list[Tensor] = []

    def loss() -> Tensor:
        own = logs["precisions" if "precision" not in what else "precision"].exp()
        value = evidence_of(expansion, own, noise=None if deviation is None else logs["noise"].exp())
        course.append(value.item())
        if course[-1] >= max(course):
            best[:] = [log.detach().clone() for log in moving]
        progress("tuning", min(len(course), steps), steps)
        return -value

    _climb(moving, loss, steps, rate, optimiser)
    for log, found in zip(moving, best, strict=True):
        log.data.copy_(found)
    own = logs["precision" if "precision" in what else "precisions"].detach().exp()
    return Tuned(
        precisions=own.expand(len(sizes)).clone(),
        noise=None if deviation is None else logs["noise"].exp().item(),
        evidence=max(course),
        course=tuple(course),
    )


def _climb(
    moving: list[Tensor], loss: Callable[[], Tensor], steps: int, rate: float, optimiser: Literal["adam", "lbfgs"]
) -> None:
    if optimiser == "adam":
        stepper = torch.optim.Adam(moving, lr=rate)
        for _ in range(steps):
            stepper.zero_grad()
            loss().backward()
            stepper.step()
        with torch.no_grad():
            loss()
        return
    searcher = torch.optim.LBFGS(
        moving,
        max_iter=steps,
        max_eval=steps,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
    )

    def closure() -> float:
        searcher.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    searcher.step(closure)


def _check(expansion: Expansion, what: tuple[What, ...], steps: int, start: Tensor, noise: float | None) -> None:
    if not what or ("precision" in what and "precisions" in what) or len(set(what)) != len(what):
        raise InputError(f'what is {what}; name "precision" or "precisions", "noise", or one of them with the noise.')
    if "noise" in what and noise is None:
        raise InputError("The likelihood has no Gaussian noise to tune; leave it out of `what`.")
    if steps < 1:
        raise InputError(f"steps is {steps}; give at least 1.")
    if start.shape != (len(expansion.sizes),):
        raise InputError(
            f"The start has precisions of shape {list(start.shape)}; give one for each of {list(expansion.names)}."
        )

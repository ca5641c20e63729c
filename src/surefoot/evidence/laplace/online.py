"""Training by evidence: a few epochs of ascent, an expansion, a few steps of the hyperparameters, and again.

    θ ← ascend log p(D|θ, σ) + log p(θ|λ) for `climb.epochs` epochs;   after `burn_in` rounds:  λ, σ ← tune(expand(θ))

The point, λ and σ with the highest evidence are returned, so no validation rows are needed.

Source: Immer et al. (2021), Scalable marginal likelihood estimation for model selection in deep learning, algorithm 1.
We depart in that each round's ascent begins with a fresh optimiser and its own course of the learning rate. They take
the last point; we keep the best by evidence. An evidence is of the network at a mode: `offset` of each round says how
far from one it was, and early rounds are usually not worth comparing; burn them in.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.layered import Layered
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.density.whitening import Whitened
from surefoot.errors import InputError
from surefoot.evidence.laplace.checks import check_posterior, check_rows, normal_prior
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Kind, Structure
from surefoot.evidence.laplace.tune import What, tune
from surefoot.inference.approximate.curvature import parts_of
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Rows

__all__ = ["EvidenceTraining", "Round", "TrainedByEvidence", "train_by_evidence", "with_hyperparameters"]


@dataclass(frozen=True)
class EvidenceTraining:
    """rounds: of `climb` (its epochs are those of one round) and, once `burn_in` of them are over, of `steps` of Adam.

    what, rate: as in `tune`. structure, kind: as in `expand`; all trainable parameters are expanded.

    Raises `InputError` for numbers out of range.
    """

    climb: Ascend
    rounds: int = 20
    burn_in: int = 0
    steps: int = 100
    rate: float = 0.1
    what: tuple[What, ...] = ("precisions",)
    structure: Structure = "kron"
    kind: Kind = "ggn"

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 <= self.burn_in < self.rounds or self.steps < 1:
            raise InputError(
                f"rounds is {self.rounds}, burn_in {self.burn_in}, steps {self.steps}; give at least one round after "
                "the burn-in, and at least one step."
            )


@dataclass(frozen=True)
class Round:
    """One round: the loss it ended with, the evidence before and after the hyperparameters moved, and how far from a
    mode it was; nothing but the loss during burn-in."""

    loss: float
    before: float | None
    after: float | None
    offset: float | None


@dataclass(frozen=True, eq=False)
class TrainedByEvidence:
    """The best by evidence: the point, and the precisions and noise it was trained with. posterior: with those two.

    evidence: of that point under them. course: every round.
    """

    point: Parameters
    posterior: Posterior
    precisions: dict[str, float]
    noise: float | None
    evidence: float
    course: tuple[Round, ...]


def train_by_evidence(
    posterior: Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    settings: EvidenceTraining,
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> TrainedByEvidence:
    """Train from `start` and let precisions (and noise) follow the evidence, beginning with the posterior's own.

    checkpoint: a file that is written after every round and resumed from. Raises `InputError` for whatever `ascend`
    and `expand` refuse.

    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0], [2.0], [-2.0]]), torch.tensor([-2.0, 2.0, 4.1, -4.1]))
    >>> posterior = Posterior(build_linear(1, 1, seed=0), GaussianNoise(1.0), Gaussian(1.0))
    >>> climb = Ascend(epochs=1, optimiser="lbfgs", rate=1.0, schedule="constant")
    >>> settings = EvidenceTraining(climb, rounds=5, what=("precision", "noise"))
    >>> found = train_by_evidence(posterior, rows, parameters_of(posterior.network), 0, settings)
    >>> found.evidence > found.course[0].before
    True
    """
    check_posterior(posterior, "all")
    check_rows(posterior, rows)
    names = parts_of(posterior, "all")
    double = {name: start[name].double() for name in names}
    own = normal_prior(posterior.prior, double, names).precisions
    likelihood = posterior.likelihood
    noise = likelihood.scale * likelihood.temperature**0.5 if isinstance(likelihood, GaussianNoise) else None
    run = "" if checkpoint is None else _run(posterior, rows, start, seed, settings)
    saved = None if checkpoint is None else load_checkpoint(checkpoint, run)
    state = _State(start, own, noise, None, ()) if saved is None else _read(saved)

    while len(state.course) < settings.rounds:
        state = _round(posterior, rows, names, seed, settings, state, progress)
        if checkpoint is not None:
            save_checkpoint(checkpoint, run, _written(state))
        progress("training by evidence", len(state.course), settings.rounds)
    best = state.best
    assert best is not None
    return TrainedByEvidence(
        point=best.point,
        posterior=with_hyperparameters(posterior, dict(zip(names, best.precisions.tolist(), strict=True)), best.noise),
        precisions=dict(zip(names, best.precisions.tolist(), strict=True)),
        noise=best.noise,
        evidence=best.evidence,
        course=state.course,
    )


def with_hyperparameters(posterior: Posterior, precisions: dict[str, float], noise: float | None) -> Posterior:
    """The posterior with a normal prior of each named tensor's own precision, centred where it was, and noise σ.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.networks.build import build_linear
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> changed = with_hyperparameters(posterior, {"head.weight": 3.0, "head.bias": 1.0}, None)
    >>> round(changed.prior.log_density({"head.weight": torch.zeros(2, 1), "head.bias": torch.zeros(2)}).item(), 4)
    -2.5771
    """
    centres = _centres(posterior, tuple(precisions))
    priors = {name: Gaussian(value, centre=centres) for name, value in precisions.items()}
    likelihood = posterior.likelihood if noise is None else GaussianNoise(scale=noise)
    return replace(posterior, prior=Layered(priors), likelihood=likelihood)


@dataclass(frozen=True)
class _Best:
    point: Parameters
    precisions: Float64[Tensor, "tensors"]
    noise: float | None
    evidence: float


@dataclass(frozen=True)
class _State:
    point: Parameters
    precisions: Float64[Tensor, "tensors"]
    noise: float | None
    best: _Best | None
    course: tuple[Round, ...]


def _round(
    posterior: Posterior,
    rows: Rows,
    names: tuple[str, ...],
    seed: int,
    settings: EvidenceTraining,
    state: _State,
    progress: Progress,
) -> _State:
    number = len(state.course)
    own = with_hyperparameters(posterior, dict(zip(names, state.precisions.tolist(), strict=True)), state.noise)
    reached = ascend(own, rows, state.point, seed + number, settings.climb, progress=progress)
    point, loss = reached.point(), reached.diagnostics[0].value
    if number < settings.burn_in:
        return replace(state, point=point, course=(*state.course, Round(loss, None, None, None)))
    expansion = expand(own, rows, point, structure=settings.structure, kind=settings.kind, progress=progress)
    found = tune(expansion, settings.what, settings.steps, rate=settings.rate)
    before = found.course[0]
    best = state.best
    if best is None or before > best.evidence:
        best = _Best(point, state.precisions, state.noise, before)
    told = Round(loss, before, found.evidence, expansion.offset)
    return _State(point, found.precisions, found.noise, best, (*state.course, told))


def _centres(posterior: Posterior, names: tuple[str, ...]) -> Parameters:
    """The means of the posterior's own prior, zeros among them."""
    own = {name: tensor.detach() for name, tensor in posterior.network.module.named_parameters() if name in names}
    known = posterior.prior.whitening(own) if isinstance(posterior.prior, Whitened) else {}
    told = {name: known[name].centre if name in known else None for name in names}
    return {name: torch.zeros_like(own[name]) if centre is None else centre for name, centre in told.items()}


def _run(posterior: Posterior, rows: Rows, start: Parameters, seed: int, settings: EvidenceTraining) -> str:
    inputs = rows.inputs if isinstance(rows.inputs, Tensor) else input_digests(rows.inputs)
    return identity(posterior, [inputs, rows.targets, rows.ids.tolist()], start, seed, settings)


def _written(state: _State) -> dict[str, Any]:
    best = state.best
    return {
        "point": state.point,
        "precisions": state.precisions,
        "noise": state.noise,
        "best": None if best is None else [best.point, best.precisions, best.noise, best.evidence],
        "course": [[told.loss, told.before, told.after, told.offset] for told in state.course],
    }


def _read(saved: dict[str, Any]) -> _State:
    best = None if saved["best"] is None else _Best(*saved["best"])
    course = tuple(Round(*told) for told in saved["course"])
    return _State(saved["point"], saved["precisions"], saved["noise"], best, course)

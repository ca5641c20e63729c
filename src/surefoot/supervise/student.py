"""Students: networks trained on weak labels, one after another where a gap is too wide for one step.

    minimise (1/n) Σ_i loss(network(θ, x_i), y_i, share of the training that is done)

Source: Burns et al. (2023), "Weak-to-strong generalization", §4.1 (training), §4.3.1 (bootstrapping).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from surefoot.density.objective import Objective, Paced
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.inference.ascend import ascend
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Ascend, Stop
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Inputs
from surefoot.supervise.labels import WeakLabels, weak_labels
from surefoot.supervise.losses import CrossEntropy, WeakLoss

__all__ = ["Learner", "Link", "bootstrap", "said_of", "teach"]

BATCH = 512


@dataclass(frozen=True)
class Learner:
    """A network before it is taught: where it starts (its own parameters if absent) and how it learns."""

    name: str
    network: Network
    settings: Ascend
    loss: WeakLoss = field(default_factory=CrossEntropy)
    start: Parameters | None = None


@dataclass(frozen=True)
class Link:
    """One taught model of a chain, and the labels that it was taught."""

    learner: Learner
    draws: Draws
    labels: WeakLabels


def teach(
    learner: Learner,
    labels: WeakLabels,
    seed: int,
    *,
    stop: Stop | None = None,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    device: str = "cpu",
) -> Draws:
    """Train a student on weak labels. What it has seen is its rows, and all that its supervisor had seen.

    stop: as in `ascend`. One that measures on true labels chooses by them, and its rows join what was seen.

    Raises `InputError` for labels with another number of classes than the network, and for whatever `ascend` refuses.

    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]))
    >>> labels = weak_labels(rows, torch.tensor([[0.9, 0.1], [0.2, 0.8]]), seen=frozenset({"a"}), by="crowd")
    >>> climb = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")
    >>> draws = teach(Learner("linear", build_linear(1, 2, seed=0), climb), labels, seed=0)
    >>> [f"{each:.2f}" for each in said_of(build_linear(1, 2, seed=0), draws.point(), rows.inputs)[:, 0]]
    ['0.90', '0.20']
    >>> "a" in draws.seen, rows.origins() < draws.seen
    (True, True)
    """
    score = Paced(partial(_score, loss=learner.loss))
    start = parameters_of(learner.network) if learner.start is None else learner.start
    objective = Objective(learner.network, score, mean)
    draws = ascend(
        objective, labels.rows, start, seed, learner.settings, stop=stop, checkpoint=checkpoint, progress=progress,
        device=device,
    )  # fmt: skip
    return replace(draws, seen=draws.seen | labels.seen)


def bootstrap(
    learners: Sequence[Learner], labels: WeakLabels, seed: int, *, progress: Progress = silent, device: str = "cpu"
) -> tuple[Link, ...]:
    """Teach the first learner, let it label the same rows, teach the second with those, and so on; the last is last.

    Each link labels rows that it was itself taught on, as published; their true labels reach nobody. Raises
    `InputError` for no learner, and whatever `teach` refuses.
    """
    if not learners:
        raise InputError("There is no learner in the chain; give at least one.")
    links: list[Link] = []
    for learner in learners:
        draws = teach(learner, labels, seed, progress=progress, device=device)
        links.append(Link(learner, draws, labels))
        said = said_of(learner.network, draws.point(), labels.rows.inputs)
        labels = weak_labels(labels.rows, said, seen=draws.seen, by=learner.name, among_own=True)
    return tuple(links)


def said_of(network: Network, parameters: Parameters, inputs: Inputs) -> Tensor:
    """Class probabilities `[rows, classes]` of a trained network."""
    with torch.no_grad():
        outputs = [
            forward(network, parameters, inputs[first : first + BATCH]) for first in range(0, len(inputs), BATCH)
        ]
    return torch.cat(outputs).float().softmax(dim=1)


def _score(outputs: Tensor, targets: Tensor, done: float, *, loss: WeakLoss) -> Tensor:
    if outputs.shape != targets.shape:
        raise InputError(
            f"The student has {outputs.shape[1]} classes and its weak labels {targets.shape[1]}; give it a head "
            "with as many outputs."
        )
    return -loss(outputs, targets, done)

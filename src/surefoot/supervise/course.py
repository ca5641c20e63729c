"""A student's course, epoch by epoch: where was it best, and who could have known?

Students overfit their supervisor's mistakes, so the last epoch is seldom the best. The best by *true* labels is what a
student with an oracle would reach, and no result of weak supervision; what stops by *weak* labels is. Both are told,
each by its name, and nothing here hands out the parameters of the best epoch by truth.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.1.1 (overfitting to weak labels) and appendix A
(early stopping on weak labels never triggers).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Stop
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.student import Learner, said_of, teach

__all__ = ["Course", "teach_watched"]


@dataclass(frozen=True)
class Course:
    """Accuracies on watched rows after each epoch: of the truth, and of agreement with the supervisor there.

    best, chosen, last: epochs from 1: the best by truth (an oracle's), the first best by weak labels, and the last.
    """

    truth: tuple[float, ...]
    agreement: tuple[float, ...]

    @property
    def best(self) -> int:
        return 1 + max(range(len(self.truth)), key=lambda at: (self.truth[at], -at))

    @property
    def chosen(self) -> int:
        return 1 + max(range(len(self.agreement)), key=lambda at: (self.agreement[at], -at))

    @property
    def last(self) -> int:
        return len(self.truth)

    @property
    def words(self) -> str:
        """What to say of it."""
        return (
            f"Best by true labels, which a student does not have: epoch {self.best} ({self.truth[self.best - 1]:.1%}); "
            f"best by weak labels: epoch {self.chosen} ({self.truth[self.chosen - 1]:.1%}); last: epoch {self.last} "
            f"({self.truth[-1]:.1%})."
        )


def teach_watched(
    learner: Learner,
    labels: WeakLabels,
    watched: Rows,
    said: Tensor,
    seed: int,
    *,
    progress: Progress = silent,
) -> tuple[Draws, Course]:
    """`teach` to the last epoch, looking at `watched` rows after each; the draws are those of the last epoch.

    watched: choose rows with true labels; said: the supervisor's classes of them. They are only looked at, and join
    what was seen all the same.

    Raises `InputError` for watched rows that share a source with the labelled ones, and other numbers of rows.
    """
    if len(said) != len(watched):
        raise InputError(f"There are {len(watched)} watched rows and {len(said)} of the supervisor; give one for each.")
    crossing = sorted(watched.origins() & labels.origins())
    if crossing:
        raise InputError(
            f"{len(crossing)} watched rows (first: {crossing[0]}) are rows that the student or its supervisor learns "
            "from; watch others."
        )
    points: list[tuple[float, float]] = []

    def look(parameters: Parameters) -> Finding:
        classes = said_of(learner.network, parameters, watched.inputs).argmax(dim=1)
        points.append((_share(classes, watched.targets), _share(classes, said)))
        # An epoch counts as better than all before it, so that ascent goes on to the last and ends there.
        return Finding("epoch", float(len(points)), None, len(watched), len(watched), "epochs", "all", "higher",
                       learner.name, "choose")  # fmt: skip

    stop = Stop(look, watched.origins(), every=1, patience=learner.settings.epochs)
    draws = teach(learner, labels, seed, stop=stop, progress=progress)
    return draws, Course(tuple(each for each, _ in points), tuple(each for _, each in points))


def _share(classes: Int[Tensor, "rows"], others: Int[Tensor, "rows"]) -> float:
    return float((classes == others).to(torch.float64).mean())

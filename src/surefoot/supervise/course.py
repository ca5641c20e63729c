"""A student's course, epoch by epoch: where was it best, and who could have known?

    truth_t        accuracy on watched rows after epoch t
    agreement_t    how often it says there what its supervisor says
    best           argmax_t truth_t          an oracle's choice
    chosen         argmax_t agreement_t      by weak labels
    stopped(p)     the first t such that agreement was not above its best so far in the p epochs up to t

Students overfit their supervisor's mistakes, so the last epoch need not be the best. The best by *true* labels is what
a student with an oracle would reach, and no result of weak supervision; what stops by *weak* labels is. Both are told,
each by its name, and nothing here hands out the parameters of the best epoch by truth.

The largest of many noisy accuracies is too high on the rows that it is the largest of. So `answers_by` chooses the
epoch on one half of the watched rows and takes the answers of the other half, both ways round (rows of one source on
one side), and `early_stopping` compares those with the last epoch's, paired, over rows and seeds.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.1.1 (overfitting to weak labels) and appendix A
(early stopping on weak labels never triggers). The halves are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Stop
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows
from surefoot.supervise.labels import WeakLabels, halve
from surefoot.supervise.student import Learner, said_of, teach

__all__ = ["Chooser", "Course", "answers_by", "early_stopping", "teach_watched"]

Chooser: TypeAlias = Literal["last epoch", "true labels", "weak labels", "patience"]
"""What an epoch is chosen by; patience: where stopping by weak labels would have ended, else the last."""

PATIENCE = 3


@dataclass(frozen=True, eq=False)
class Course:
    """The student's classes of watched rows after each epoch, beside the truth and what its supervisor says of them.

    best, chosen, last: epochs from 1: the best by truth (an oracle's), the first best by weak labels, and the last.

    Raises `InputError` where the three speak of other numbers of rows, or of no epoch.
    """

    classes: Int[Tensor, "epochs rows"]
    targets: Int[Tensor, "_"]
    said: Int[Tensor, "_"]

    def __post_init__(self) -> None:
        epochs, rows = self.classes.shape
        if not epochs or not rows or len(self.targets) != rows or len(self.said) != rows:
            raise InputError(
                f"There are {epochs} epochs of {rows} watched rows, {len(self.targets)} true and {len(self.said)} weak "
                "labels of them; give one of each for every row, and at least one epoch."
            )

    @property
    def truth(self) -> tuple[float, ...]:
        """Accuracies by epoch."""
        return tuple(_shares(self.classes == self.targets).tolist())

    @property
    def agreement(self) -> tuple[float, ...]:
        """Agreement with the supervisor by epoch."""
        return tuple(_shares(self.classes == self.said).tolist())

    @property
    def best(self) -> int:
        return 1 + _first_best(self.classes == self.targets)

    @property
    def chosen(self) -> int:
        return 1 + _first_best(self.classes == self.said)

    @property
    def last(self) -> int:
        return len(self.classes)

    @property
    def words(self) -> str:
        """What to say of it."""
        truth = self.truth
        return (
            f"Best by true labels, which a student does not have: epoch {self.best} ({truth[self.best - 1]:.1%}); "
            f"best by weak labels: epoch {self.chosen} ({truth[self.chosen - 1]:.1%}); last: epoch {self.last} "
            f"({truth[-1]:.1%})."
        )

    def stopped(self, patience: int = PATIENCE) -> int | None:
        """The epoch after which agreement has not grown for `patience` epochs; None where that never happens.

        >>> said = torch.tensor([1, 1, 1, 1])
        >>> course = Course(torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]), said, said)
        >>> course.stopped(2), course.stopped(3)
        (4, None)
        """
        return _stopped(self.classes == self.said, patience)


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
    looked: list[Tensor] = []

    def look(parameters: Parameters) -> Finding:
        looked.append(said_of(learner.network, parameters, watched.inputs).argmax(dim=1))
        # An epoch counts as better than all before it, so that ascent goes on to the last and ends there.
        return Finding("epoch", float(len(looked)), None, len(watched), len(watched), "epochs", "all", "higher",
                       learner.name, "choose")  # fmt: skip

    stop = Stop(look, watched.origins(), every=1, patience=learner.settings.epochs)
    draws = teach(learner, labels, seed, stop=stop, progress=progress)
    return draws, Course(torch.stack(looked), watched.targets, said)


def answers_by(
    courses: Sequence[Course], watched: Rows, by: Chooser, *, patience: int = PATIENCE
) -> tuple[Predictions, tuple[float, ...]]:
    """What students say of the watched rows at chosen epochs, and the mean epoch of each; one course a seed.

    The epoch of a row's answer is chosen on the half of the rows that it is not in. Raises `InputError` where the
    courses are of other rows, or there is none.
    """
    if not courses or any(len(each.said) != len(watched) for each in courses):
        raise InputError(f"There are {len(courses)} courses and {len(watched)} watched rows; give courses of those.")
    halves = _halves(watched)
    layers: list[Tensor] = []
    epochs: list[float] = []
    for course in courses:
        answers = torch.empty_like(course.said)
        taken: list[int] = []
        for half in halves:
            taken.append(_epoch(course, ~half, by, patience))
            answers[half] = course.classes[taken[-1]][half]
        layers.append(torch.nn.functional.one_hot(answers, len(watched.classes)).double())
        epochs.append(1 + sum(taken) / len(taken))
    return replace(predictions_for(watched, torch.stack(layers)), decisions=True), tuple(epochs)


def early_stopping(
    courses: Sequence[Course],
    watched: Rows,
    *,
    source: str,
    subject: str = "student",
    patience: int = PATIENCE,
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """Accuracy gained over the last epoch by an oracle, by weak labels, and by patience with weak labels.

        gained_by_true_labels     what is left to gain: nobody without the truth can have it
        gained_by_weak_labels     the epoch of the highest agreement
        gained_by_patience        the epoch where growth of agreement had ended for `patience` epochs

    Raises `InputError` where the courses are of other rows.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1]))
    >>> better_first = Course(torch.stack([rows.targets, 1 - rows.targets]), rows.targets, 1 - rows.targets)
    >>> {each.name: each.value for each in early_stopping([better_first], rows, source="choose")}
    {'gained_by_true_labels': 1.0, 'gained_by_weak_labels': 0.0, 'gained_by_patience': 0.0}
    """
    last, _ = answers_by(courses, watched, "last epoch", patience=patience)
    found: list[Finding] = []
    choosers: tuple[Chooser, ...] = ("true labels", "weak labels", "patience")
    for by in choosers:
        chosen, _ = answers_by(courses, watched, by, patience=patience)
        changed = compare(
            last, chosen, before_name="last epoch", after_name=f"{subject} by {by}", source=source,
            confidence=confidence,
        )  # fmt: skip
        gained = next(each for each in changed if (each.name, each.slice) == ("accuracy", "all"))
        found.append(replace(gained, name=f"gained_by_{by.replace(' ', '_')}"))
    return tuple(found)


def _halves(rows: Rows) -> tuple[Bool[Tensor, "rows"], Bool[Tensor, "rows"]]:
    """Copies of a row are on one side, and classes on both."""
    first = torch.from_numpy(np.isin(rows.ids, halve(rows, seed=0).weak.ids))
    return first, ~first


def _epoch(course: Course, where: Tensor, by: Chooser, patience: int) -> int:
    """From 0."""
    last = course.last - 1
    if by == "last epoch" or not bool(where.any()):
        return last
    if by == "true labels":
        return _first_best((course.classes == course.targets)[:, where])
    same = (course.classes == course.said)[:, where]
    if by == "weak labels":
        return _first_best(same)
    return last if _stopped(same, patience) is None else _first_best(same[: _stopped(same, patience)])


def _stopped(same: Bool[Tensor, "epochs rows"], patience: int) -> int | None:
    if patience < 1:
        raise InputError(f"patience is {patience}; give at least one epoch.")
    shares: list[float] = _shares(same).tolist()
    best = 0
    for at, share in enumerate(shares):
        best = at if share > shares[best] else best
        if at - best >= patience:
            return at + 1
    return None


def _first_best(right: Bool[Tensor, "epochs rows"]) -> int:
    counts = right.sum(dim=1)
    return int((counts == counts.max()).nonzero()[0])


def _shares(right: Bool[Tensor, "epochs rows"]) -> Float[Tensor, "epochs"]:
    return right.to(torch.float64).mean(dim=1)

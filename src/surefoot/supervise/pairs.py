"""A setting of weak-to-strong generalization: models of several sizes, every one a supervisor of every larger one.

For every seed, rows are parted (`halve`); every size is trained on the truth of the first half (a supervisor) and on
that of the second (a ceiling); every supervisor labels the second half; every size that is at least as large is taught
those labels by every loss. The pair of a size with itself is the control that a reader needs: self-training, whose gain
is no transfer. What is measured is on judge rows that are the same for all seeds.

What a model says is kept in a folder as it is finished, under a name made of its labels, and used again: of the judge
rows, and of a supervisor also of the rows that it labels.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 (all pairs of sizes), figures 3, 5 and 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.findings.finding import Finding
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress, silent
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows
from surefoot.supervise.disagreement import disagreement
from surefoot.supervise.equivalent import Equivalent, equivalent_size
from surefoot.supervise.gap import Recovered, recovered_gap
from surefoot.supervise.labels import Halves, WeakLabels, halve, true_labels, weak_labels
from surefoot.supervise.losses import CrossEntropy, WeakLoss

__all__ = ["Grid", "Pair", "Said", "Size", "Taught", "teach_pairs"]


class Size(NamedTuple):
    """A model of a setting: its name, and how large it is, in numbers that are trained."""

    name: str
    numbers: int


class Said(NamedTuple):
    """Class probabilities of a trained model on two sets of rows."""

    labelled: Float[Tensor, "rows classes"]
    judge: Float[Tensor, "judges classes"]


@runtime_checkable
class Taught(Protocol):
    """Train the model of this size on these labels and say what it thinks of their like and of the judge rows.

    labels: of the truth (one-hot, `by` is "truth") or of a supervisor. labelled: the rows that a supervisor labels.
    """

    def __call__(
        self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows, /
    ) -> Said: ...


@dataclass(frozen=True)
class Pair:
    """A supervisor and its student: what was recovered, how they disagree, which size is as good on the truth."""

    weak: Size
    strong: Size
    loss: str
    recovered: Recovered
    disagreement: tuple[Finding, ...]
    equivalent: Equivalent
    accuracies: tuple[float, float, float]

    @property
    def itself(self) -> bool:
        """Whether this is self-training."""
        return self.weak == self.strong


@dataclass(frozen=True)
class Grid:
    """What all models of a setting say about the judge rows, one layer a seed."""

    sizes: tuple[Size, ...]
    judge: Rows
    supervisors: Mapping[int, Predictions]
    ceilings: Mapping[int, Predictions]
    students: Mapping[tuple[int, int, str], Predictions]

    def pairs(self, *, confidence: float = 0.95) -> tuple[Pair, ...]:
        """Every pair by every loss, the smallest supervisor first."""
        scale = [_accuracy(self.ceilings[size]) for size in range(len(self.sizes))]
        found: list[Pair] = []
        for (weak, strong, loss), student in self.students.items():
            subject = f"{self.sizes[weak].name} → {self.sizes[strong].name}, {loss}"
            supervisor, ceiling = self.supervisors[weak], self.ceilings[strong]
            accuracies = (_accuracy(supervisor), _accuracy(student), _accuracy(ceiling))
            found.append(
                Pair(
                    weak=self.sizes[weak],
                    strong=self.sizes[strong],
                    loss=loss,
                    recovered=recovered_gap(
                        supervisor, student, ceiling, source="judge", subject=subject, confidence=confidence
                    ),
                    disagreement=disagreement(
                        supervisor, student, source="judge", subject=subject, confidence=confidence
                    ),
                    equivalent=equivalent_size([float(each.numbers) for each in self.sizes], scale, accuracies[1]),
                    accuracies=accuracies,
                )
            )
        return tuple(found)


def teach_pairs(
    sizes: Sequence[Size],
    rows: Rows,
    judge: Rows,
    taught: Taught,
    losses: Mapping[str, WeakLoss],
    seeds: Sequence[int],
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Grid:
    """Train all supervisors, ceilings and students of a setting; the sizes from the smallest to the largest.

    folder: where each model's answers are kept, and found again. It is the caller's to name one for each setting.

    Raises `InputError` for sizes that are not in order, judge rows that share a source with the others, and whatever
    training refuses.
    """
    numbers = [each.numbers for each in sizes]
    if len(sizes) < 2 or sorted(set(numbers)) != numbers:
        raise InputError(f"The sizes are {numbers}; give two or more, from the smallest to the largest.")
    refuse_seen(judge, rows.origins(), "the supervisors and students")
    total = len(seeds) * len(sizes) * (2 + len(losses) * (len(sizes) + 1) / 2)
    work = _Work(sizes, taught, judge, folder, progress, round(total), [])
    supervisors: dict[int, list[Tensor]] = {size: [] for size in range(len(sizes))}
    ceilings: dict[int, list[Tensor]] = {size: [] for size in range(len(sizes))}
    students: dict[tuple[int, int, str], list[Tensor]] = {
        (weak, strong, loss): [] for weak in range(len(sizes)) for strong in range(weak, len(sizes)) for loss in losses
    }
    for seed in seeds:
        parts = halve(rows, seed)
        for size in range(len(sizes)):
            called = sizes[size].name
            own, said = work.label(size, seed, parts, f"supervisor {called}")
            best = work.run(size, true_labels(parts.student), CrossEntropy(), seed, parts, f"ceiling {called}")
            supervisors[size].append(own)
            ceilings[size].append(best)
            labels = weak_labels(parts.student, said, seen=parts.weak.origins(), by=called)
            for strong in range(size, len(sizes)):
                for name, loss in losses.items():
                    told = f"{called} to {sizes[strong].name} by {name}"
                    students[size, strong, name].append(work.run(strong, labels, loss, seed, parts, told))
    return Grid(
        tuple(sizes),
        judge,
        {size: predictions_for(judge, torch.stack(each)) for size, each in supervisors.items()},
        {size: predictions_for(judge, torch.stack(each)) for size, each in ceilings.items()},
        {key: predictions_for(judge, torch.stack(each)) for key, each in students.items()},
    )


@dataclass(frozen=True)
class _Work:
    sizes: Sequence[Size]
    taught: Taught
    judge: Rows
    folder: Path | None
    progress: Progress
    total: int
    done: list[str]

    def label(self, size: int, seed: int, parts: Halves, told: str) -> tuple[Tensor, Tensor]:
        """What a supervisor says of the judge rows, and of those that it labels."""
        labels = true_labels(parts.weak)
        kept = self._kept(size, labels, CrossEntropy(), seed, parts, told, ("judge", "labelled"))
        return kept["judge"], kept["labelled"]

    def run(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, parts: Halves, told: str) -> Tensor:
        """What one model says of the judge rows."""
        return self._kept(size, labels, loss, seed, parts, told, ("judge",))["judge"]

    def _kept(
        self,
        size: int,
        labels: WeakLabels,
        loss: WeakLoss,
        seed: int,
        parts: Halves,
        told: str,
        wanted: Sequence[Literal["judge", "labelled"]],
    ) -> Mapping[str, Tensor]:
        """One model's answers, from the folder where they lie there; only those that somebody reads are kept."""
        place = None
        if self.folder is not None:
            made_of = identity(self.sizes[size], loss, seed, labels.rows.targets, labels.rows.ids.tolist())
            place = self.folder / f"{told}, seed {seed}, {made_of[:12]}.safetensors".replace("/", "-")
        if place is not None and place.exists():
            answers: Mapping[str, Tensor] = read_tensors(place)
        else:
            said = self.taught(size, labels, loss, seed, parts.student, self.judge)
            answers = {name: getattr(said, name).contiguous() for name in wanted}
            if place is not None:
                write_tensors(place, answers)
        self.done.append(told)
        self.progress("teaching", len(self.done), self.total)
        return answers


def _accuracy(predictions: Predictions) -> float:
    return float(predictions.correct().mean())

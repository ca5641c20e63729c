"""Weak labels: what a supervisor says about rows, who it learned from, and the rows that are divided with it.

    fit rows ── first half, true labels ── weak model
            └── second half, its soft labels ── student          (the ceiling: the same half, true labels)

A supervisor that was trained on the rows it labels knows their answers, so that nothing is weak about it; lineage
refuses such labels. A judge row may have been seen by neither: a student descends from all rows that shaped its labels.

Source: Burns et al. (2023), "Weak-to-strong generalization", §3. Of the two programs in their repository one trains the
ceiling on the first half; the second is meant, and taken here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.predictions import ROUNDING
from surefoot.rows.assign import assign_roles
from surefoot.rows.rows import Rows

__all__ = ["TRUTH", "Halves", "WeakLabels", "halve", "true_labels", "weak_labels"]

MOST_NAMED = 3
TRUTH = "truth"
"""Whose the true labels are."""


class Halves(NamedTuple):
    """Rows for the supervisor's truth, and rows that it labels."""

    weak: Rows
    student: Rows


def halve(rows: Rows, seed: int, share: float = 0.5) -> Halves:
    """About `share` of the rows for the supervisor, with no source or copy on both sides; classes are stratified.

    Rows are shuffled before they are parted, so that neither half is the head of a sorted file.

    >>> from surefoot.rows.rows import make_rows
    >>> weak, student = halve(make_rows(torch.arange(8.0)[:, None], torch.tensor([0, 1] * 4)), seed=0)
    >>> len(weak), len(student), sorted(weak.targets.tolist())
    (4, 4, [0, 0, 1, 1])
    """
    if not 0 < share < 1:
        raise InputError(f"share is {share}; give a part of the rows, between 0 and 1.")
    parts = assign_roles(rows, {"fit": share, "repair": 1 - share}, seed)
    return Halves(parts["fit"], parts["repair"])


@dataclass(frozen=True)
class WeakLabels:
    """Rows whose targets are a supervisor's probabilities.

    seen: the sources of every row that shaped the supervisor. by: its name. The truth is not here: nothing that trains
    a student can read it.
    """

    rows: Rows
    seen: frozenset[str]
    by: str

    def origins(self) -> frozenset[str]:
        """The sources of everything that a student of these labels descends from."""
        return self.rows.origins() | self.seen


def weak_labels(
    rows: Rows, probabilities: Float[Tensor, "_ _"], *, seen: frozenset[str], by: str, among_own: bool = False
) -> WeakLabels:
    """Put a supervisor's probabilities in the place of the rows' targets.

    seen: the sources of the rows that the supervisor was trained on (`Draws.seen`); empty where nobody knows.
    among_own: these are rows that it was trained on itself, with labels that were weak already (a link of a chain).

    Raises `InputError` for probabilities that are none, naming rows; other numbers of rows or classes; and a supervisor
    that saw the rows it labels.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(1, 1), torch.tensor([1]), classes=("no", "yes"))
    >>> weak_labels(rows, torch.tensor([[0.75, 0.25]]), seen=frozenset(), by="crowd").rows.targets.tolist()
    [[0.75, 0.25]]
    """
    if len(probabilities) != len(rows):
        raise InputError(f"{by} labels {len(probabilities)} rows and there are {len(rows)}; give labels for each row.")
    if probabilities.shape[1] != len(rows.classes):
        raise InputError(
            f"The labels of {by} have {probabilities.shape[1]} classes and the rows {len(rows.classes)} "
            f"({', '.join(rows.classes[:6])}); give a probability for each class, zero where {by} cannot say it."
        )
    sums = probabilities.double().sum(dim=1)
    wrong = ~probabilities.isfinite().all(dim=1) | (probabilities < 0).any(dim=1) | ~((sums - 1).abs() <= ROUNDING)
    if bool(wrong.any()):
        places: list[int] = wrong.nonzero()[:, 0].tolist()
        named = ", ".join(str(rows.ids[place]) for place in places[:MOST_NAMED])
        more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
        raise InputError(
            f"The labels of {by} are no probabilities in {len(places)} rows ({named}{more}): they must not be "
            "negative, and sum to one in every row."
        )
    crossing = sorted(rows.origins() & seen)
    if crossing and not among_own:
        raise InputError(
            f"{by} was trained on {len(crossing)} of the rows that it labels (first: {crossing[0]}), whose answers it "
            "knows; let it label rows that it has not seen."
        )
    soft = probabilities.double() / sums[:, None]
    return WeakLabels(rows.with_targets(soft.to(torch.float32)), seen, by)


def true_labels(rows: Rows) -> WeakLabels:
    """The truth as if it were somebody's: certain labels that nobody had to be trained for.

    >>> from surefoot.rows.rows import make_rows
    >>> labels = true_labels(make_rows(torch.zeros(2, 1), torch.tensor([1, 0])))
    >>> labels.rows.targets.tolist(), labels.by
    ([[0.0, 1.0], [1.0, 0.0]], 'truth')
    """
    certain = torch.nn.functional.one_hot(rows.targets, len(rows.classes)).float()
    return WeakLabels(rows.with_targets(certain), frozenset(), TRUTH)

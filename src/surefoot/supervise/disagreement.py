"""Does a student repeat its supervisor's mistakes, and how sure is it where it disagrees?

    supervisor_agreement                 P(ŷ_s = ŷ_w)
    agreement_with_right_labels          P(ŷ_s = ŷ_w | ŷ_w = y)      what of the supervisor's knowledge it keeps
    agreement_with_wrong_labels          P(ŷ_s = ŷ_w | ŷ_w ≠ y)      which of its mistakes it repeats
    right_in_disagreement                P(ŷ_s = y | ŷ_s ≠ ŷ_w)      whom to believe where they differ
    overconfidence_in_disagreement       E[max p_s − 1(ŷ_s = y) | ŷ_s ≠ ŷ_w]

The first needs no truth. Published students agree less with wrong labels the larger they are; the confidence loss
lowers it further.

Each is a ratio of means over rows. With one supervisor the rows of a condition are fixed; with one a seed they are not,
and the interval is of the ratio linearised at its value, Σ (a_i − r) c_i / Σ c_i.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.1.3 (agreement by whether labels are right);
overconfidence in disagreement as in the evaluation of a fork of their repository (EleutherAI, 2024).
"""

from dataclasses import replace

import numpy as np

from surefoot.errors import InputError
from surefoot.findings.clustering import influence, spread
from surefoot.findings.finding import Direction, Finding
from surefoot.findings.intervals import check_confidence, mean_interval, proportion_interval
from surefoot.findings.predictions import Predictions
from surefoot.findings.slices import Members, Reals, Slices, slices_of, to_finding, with_note

__all__ = ["disagreement", "supervisor_agreement"]


def supervisor_agreement(
    weak: Predictions, student: Predictions, *, source: str, subject: str = "student", confidence: float = 0.95
) -> Finding:
    """How often the student's class is its supervisor's; the targets are not read.

    Raises `InputError` where the two speak of other rows, classes or numbers of seeds.
    """
    check_confidence(confidence)
    _check(weak, student)
    slices = slices_of(weak)
    same = _agree(weak, student)
    of = spread(slices.design, [(1.0, influence(slices.design, slices.everything, same))])
    return to_finding(
        slices,
        slices.everything,
        name="supervisor_agreement",
        slice_="all",
        per_seed=of.per_seed,
        interval=proportion_interval(of, confidence),
        direction="none",
        subject=subject,
        source=source,
    )


def disagreement(
    weak: Predictions, student: Predictions, *, source: str, subject: str = "student", confidence: float = 0.95
) -> tuple[Finding, ...]:
    """All five, on rows whose truth is known. What has no row (a supervisor without mistakes) is left out.

    Raises `InputError` where the two speak of other rows, classes or numbers of seeds.

    >>> import torch
    >>> from surefoot.findings.predictions import predictions_for
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.arange(4.0)[:, None], torch.tensor([0, 0, 1, 1]), classes=("no", "yes"))
    >>> def said(*classes: int):
    ...     return predictions_for(rows, torch.nn.functional.one_hot(torch.tensor(classes), 2)[None].double())
    >>> found = disagreement(said(0, 1, 1, 0), said(0, 0, 1, 0), source="judge")
    >>> {finding.name: finding.value for finding in found}
    {'supervisor_agreement': 0.75, 'agreement_with_right_labels': 1.0, 'agreement_with_wrong_labels': 0.5, \
'right_in_disagreement': 1.0, 'overconfidence_in_disagreement': 0.0}
    """
    agreed = supervisor_agreement(weak, student, source=source, subject=subject, confidence=confidence)
    slices = slices_of(weak)
    same, right, own = _agree(weak, student), weak.correct().numpy() > 0, student.correct().numpy()
    sure = student.probabilities.double().amax(dim=2).numpy()
    asked: list[tuple[str, Reals, Members, Direction]] = [
        ("agreement_with_right_labels", same, right, "higher"),
        ("agreement_with_wrong_labels", same, ~right, "lower"),
        ("right_in_disagreement", own, same == 0, "higher"),
        ("overconfidence_in_disagreement", sure - own, same == 0, "none"),
    ]
    found = [agreed]
    for name, values, where, direction in asked:
        made = _given(slices, name, values, where, direction, subject, source, confidence)
        if made is not None:
            found.append(made)
    return tuple(found)


def _given(
    slices: Slices,
    name: str,
    values: Reals,
    where: Members,
    direction: Direction,
    subject: str,
    source: str,
    confidence: float,
) -> Finding | None:
    """The mean of `values` where `where` (both `[seeds, rows]`); None where some seed has no such row."""
    counts = where.sum(axis=1)
    if not counts.all():
        return None
    proportion = bool((values >= 0).all())
    if (where == where[0]).all():
        rows, of = where[0], spread(slices.design, [(1.0, influence(slices.design, where[0], values))])
    else:
        rows = slices.everything
        means = (values * where).sum(axis=1) / counts
        share = counts.mean() / where.shape[1]
        linear = means[:, None] + (values - means[:, None]) * where / (counts[:, None] / where.shape[1])
        of = spread(slices.design, [(1.0, influence(slices.design, rows, linear))])
        of = replace(of, rows=of.rows * share, effective=of.effective * share)
    low = 0.0 if proportion else -1.0
    interval = proportion_interval(of, confidence) if proportion else mean_interval(of, confidence, low=low, high=1.0)
    finding = to_finding(
        slices,
        rows,
        name=name,
        slice_="all",
        per_seed=of.per_seed,
        interval=interval,
        direction=direction,
        subject=subject,
        source=source,
    )
    few = int(counts.min())
    finding = replace(finding, count=round(float(counts.mean())), clusters=min(finding.clusters, few))
    return with_note(finding, f"of {few:,} rows" if (counts == few).all() else f"of {few:,} rows and more a seed")


def _agree(weak: Predictions, student: Predictions) -> Reals:
    same = weak.probabilities.argmax(dim=2) == student.probabilities.argmax(dim=2)
    return same.double().numpy()


def _check(weak: Predictions, student: Predictions) -> None:
    if len(weak.ids) != len(student.ids) or (weak.ids != student.ids).any():
        raise InputError("The supervisor and its student speak of different rows; give both for the same rows.")
    if weak.classes != student.classes:
        raise InputError(
            f"The supervisor knows the classes {weak.classes} and its student {student.classes}; give models of one "
            "task."
        )
    if len(weak.probabilities) != len(student.probabilities):
        raise InputError(
            f"There are {len(weak.probabilities)} seeds of the supervisor and {len(student.probabilities)} of its "
            "student; give as many."
        )
    if not np.array_equal(weak.targets.numpy(), student.targets.numpy()):
        raise InputError("The supervisor and its student have other targets for the same rows; there is one truth.")

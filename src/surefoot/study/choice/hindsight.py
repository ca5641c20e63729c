"""What the judge says of choices that are made: accuracies, how far behind the best, and rank correlations."""

from collections.abc import Mapping, Sequence

import torch

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.findings.ranks import rank_correlation
from surefoot.rows.rows import Rows
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.choice.record import LOWER, Hindsight, Ranked

__all__ = ["FEWEST", "look_back"]

FEWEST = 3
"""Candidates with a number, below which ranks correlate by chance."""


def look_back(
    judge: Rows,
    said: Mapping[str, torch.Tensor],
    ranked: Sequence[Ranked],
    chosen: Sequence[str],
    seeds: Sequence[int],
    confidence: float,
) -> Hindsight:
    """said: probabilities of "<candidate> <seed>" on the judge rows. chosen: whom to compare with the judge's best.

    Ties for the best go to the earlier candidate. Those that are not trained have nothing to be judged.
    """
    ranked = [each for each in ranked if each.trained]
    predictions: dict[str, Predictions] = {}
    accuracies: dict[str, Finding] = {}
    losses: dict[str, Finding] = {}
    for each in ranked:
        name = each.candidate.name
        predictions[name] = predictions_for(judge, torch.stack([said[f"{name} {seed}"] for seed in seeds]))
        measured = measure(predictions[name], subject=name, source="judge", confidence=confidence)
        accuracies[name] = _of(measured, "accuracy")
        losses[name] = _of(measured, "nll")
    best = max(accuracies, key=lambda name: accuracies[name].value)
    behind = {
        name: _of(
            compare(
                predictions[best], predictions[name], before_name=best, after_name=name, source="judge",
                confidence=confidence,
            ),
            "accuracy",
        )
        for name in dict.fromkeys(chosen)
    }  # fmt: skip
    agreement: dict[Criterion, Finding | None] = {
        criterion: _agreement(criterion, ranked, accuracies, confidence) for criterion in CRITERIA
    }
    tied = sum(each.value == accuracies[best].value for each in accuracies.values())
    return Hindsight(accuracies, losses, best, tied, behind, agreement)


def _of(findings: Sequence[Finding], name: str) -> Finding:
    return next(each for each in findings if each.name == name and each.slice == "all")


def _agreement(
    criterion: Criterion, ranked: Sequence[Ranked], accuracies: Mapping[str, Finding], confidence: float
) -> Finding | None:
    """Of means over seeds: a candidate is judged by what is expected of it."""
    sign = -1.0 if criterion in LOWER else 1.0
    known = [(each.candidate.name, value) for each in ranked if (value := each.scores[criterion].value) is not None]
    if len(known) < FEWEST:
        return None
    first = torch.tensor([sign * value for _, value in known], dtype=torch.float64)
    second = torch.tensor([accuracies[name].value for name, _ in known], dtype=torch.float64)
    try:
        return rank_correlation(first, second, subject=f"{criterion} ~ accuracy", source="judge", confidence=confidence)
    except InputError:  # all alike: there is no order to agree with
        return None

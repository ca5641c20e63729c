"""Confusion: which class is taken for which."""

import torch

from surefoot.findings.predictions import Predictions

__all__ = ["confusion"]


def confusion(predictions: Predictions) -> tuple[tuple[int, ...], ...]:
    """Counts [target][predicted class], summed over seeds; of equally probable classes the first is predicted."""
    classes = len(predictions.classes)
    predicted = predictions.probabilities.argmax(dim=2)
    cells = predictions.targets.long() * classes + predicted
    counts = torch.bincount(cells.reshape(-1), minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in row) for row in counts.tolist())

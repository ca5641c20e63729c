"""What the sides of all DFR races share: features, draws, and the objective by which answers are compared.

Features are ReLU-like, max(0, latent · mix − 0.3 + noise): 64 latent directions, of which one per class tells the class
and one more tells a shortcut; the mixing is random, each of those directions reaching three features in ten. Groups are
class × shortcut. The work is DFR's: 7 values of C on one balanced draw of half the rows, then 20 fits at one C on
fresh balanced draws of all rows; three classes one against the rest. Peers get the
standardised float64 matrix ready made; ours gets raw float32 and a scaler.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

GRID = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


@dataclass(frozen=True)
class Work:
    """raw float32 features and their scaler, the same standardised, labels, and the fits as (rows, C)."""

    raw: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    ready: np.ndarray
    labels: np.ndarray
    classes: int
    fits: list[tuple[np.ndarray, float]]

    def sides(self) -> list[tuple[np.ndarray, float, int]]:
        """Every binary fit: rows, C and the positive class."""
        positive = [1] if self.classes == 2 else list(range(self.classes))
        return [(rows, strength, label) for rows, strength in self.fits for label in positive]


class Objectives:
    """The answer: objectives of all fits in float64, computed when the harness asks, which it does not time."""

    def __init__(self, work: Work, coefficients: np.ndarray) -> None:
        self.work, self.coefficients = work, coefficients

    def keys(self) -> list[str]:
        return ["objective"]

    def __getitem__(self, name: str) -> np.ndarray:
        values: list[float] = []
        for (rows, strength, label), point in zip(self.work.sides(), self.coefficients, strict=True):
            signs = np.where(self.work.labels[rows] == label, 1.0, -1.0)
            margins = signs * (self.work.ready[rows] @ point[:-1] + point[-1])
            values.append(np.abs(point).sum() + strength * np.logaddexp(0, -margins).sum())
        # The harness takes differences relative to max(1, |theirs|): near relative, but never stricter than that.
        return np.array(values)


def shared(parameters: dict[str, Any]) -> Work:
    numbers = np.random.default_rng(int(parameters["seed"]))
    counts, width, classes = parameters["counts"], int(parameters["features"]), int(parameters["classes"])
    group = np.repeat(np.arange(len(counts)), counts)

    def draw(rows: np.ndarray) -> np.ndarray:
        fewest = np.bincount(group[rows]).min()
        picked = [numbers.permutation(rows[group[rows] == one])[:fewest] for one in range(len(counts))]
        return np.sort(np.concatenate(picked))

    everything = np.arange(len(group))
    tuning = draw(numbers.permutation(everything)[: len(everything) // 2])
    retrains = [draw(everything) for _ in range(int(parameters["retrains"]))]
    # Features of rows that no draw holds are never made: no side would read them.
    used, place = np.unique(np.concatenate([tuning, *retrains]), return_inverse=True)
    tuning, *retrains = np.split(place, np.cumsum([len(rows) for rows in [tuning, *retrains]])[:-1])
    labels, shortcut = np.divmod(group[used], len(counts) // classes)
    latent = numbers.standard_normal((len(used), 64))
    latent[:, :classes] += 2.0 * np.eye(classes)[labels]
    latent[:, classes] += 2.0 * (2 * shortcut - 1)
    mix = numbers.standard_normal((64, width)) / 8
    mix[: classes + 1] *= numbers.random((classes + 1, width)) < 0.3
    noise = 0.3 * numbers.standard_normal((len(used), width))
    raw = np.maximum(latent @ mix - 0.3 + noise, 0).astype(np.float32)
    wide = raw.astype(np.float64)
    mean, scale = wide.mean(axis=0), wide.std(axis=0)
    scale[scale == 0] = np.inf
    fits = [(tuning, strength) for strength in GRID]
    fits += [(rows, float(parameters["strength"])) for rows in retrains]
    return Work(raw, mean, scale, (wide - mean) / scale, labels, classes, fits)


def one_by_one(work: Work, fit: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> Objectives:
    """A peer's work: every fit on its own rows, one after the other. `fit` gives the weights and the intercept."""
    points = [
        fit(work.ready[rows], np.where(work.labels[rows] == label, 1.0, -1.0), strength)
        for rows, strength, label in work.sides()
    ]
    return Objectives(work, np.stack(points))

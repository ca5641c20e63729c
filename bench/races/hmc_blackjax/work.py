"""What all sides share: rows, the network's sizes, where chains begin, how trajectories run; and what they answer.

Arrays of parameters are flat, `[chains, size]`: of each layer the weight `[out, in]`, row by row, then its bias.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

POINTS = 3  # positions, besides the start, at which densities and gradients are compared
ASKED = 20  # rows at which functions are looked at


class Work(NamedTuple):
    """inputs `[rows, features]`, targets `[rows]`: class numbers, or numbers with normal noise of scale `noise`.

    Every weight and bias is N(0, 1) before rows are seen. start: `[chains, size]`, a draw of the prior, shrunk. points:
    `[3, size]`. asked: `[20, features]`. A trajectory takes `leapfrogs` steps of size `step`; iterations: of a chain.
    """

    inputs: np.ndarray
    targets: np.ndarray
    noise: float | None
    widths: tuple[int, ...]
    start: np.ndarray
    points: np.ndarray
    asked: np.ndarray
    step: float
    leapfrogs: int
    iterations: int
    chains: int
    seed: int

    @property
    def sizes(self) -> list[int]:
        """Of each layer's weight and bias, in turn."""
        return [number for entering, leaving in pairwise(self.widths) for number in (leaving * entering, leaving)]


def shared(parameters: dict[str, Any]) -> Work:
    """All of it from race.json."""
    widths, chains = tuple(parameters["widths"]), int(parameters["chains"])
    generator = np.random.default_rng(parameters["seed"])
    size = sum(entering * leaving + leaving for entering, leaving in pairwise(widths))
    if parameters["rows"] == "digits":
        inputs, targets = load_digits(return_X_y=True)
        inputs, targets, noise = inputs / 16, targets.astype(np.int64), None
    else:
        inputs, targets = load_diabetes(return_X_y=True)
        inputs = inputs / inputs.std(axis=0)
        targets, noise = ((targets - targets.mean()) / targets.std()).astype(np.float32), float(parameters["noise"])
    inputs = inputs.astype(np.float32)
    return Work(
        inputs,
        targets,
        noise,
        widths,
        (0.1 * generator.standard_normal((chains, size))).astype(np.float32),
        (0.3 * generator.standard_normal((POINTS, size))).astype(np.float32),
        inputs[generator.choice(len(inputs), ASKED, replace=False)],
        float(parameters["step"]),
        int(parameters["leapfrogs"]),
        int(parameters["iterations"]),
        chains,
        int(parameters["seed"]),
    )


def layers(work: Work, flat: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight `[…, out, in]` and bias `[…, out]` of each layer, from `[…, size]`."""
    parts = np.split(flat, np.cumsum(work.sizes)[:-1], axis=-1)
    before = flat.shape[:-1]
    return [
        (parts[2 * number].reshape(*before, leaving, entering), parts[2 * number + 1])
        for number, (entering, leaving) in enumerate(pairwise(work.widths))
    ]


def flattened(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The inverse of `layers`."""
    return np.concatenate([array for w, b in parts for array in (w.reshape(*b.shape[:-1], -1), b)], axis=-1)


def answer(densities: np.ndarray, gradients: np.ndarray, moves: int) -> dict[str, np.ndarray]:
    """What both sides must agree on: log densities `[4]`, their gradients `[4, size]`, and gradients per iteration.

    Gradients are told relative to the largest number of each, so that all of them weigh in the comparison.
    """
    largest = np.abs(gradients).max(axis=-1, keepdims=True)
    return {
        "density": np.asarray(densities, np.float64),
        "gradient": np.asarray(gradients / largest, np.float64),
        "largest": np.asarray(largest, np.float64),
        "leapfrogs": np.array(float(moves)),
    }

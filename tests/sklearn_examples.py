"""Rows with a shortcut, as scikit-learn users hold them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class World(NamedTuple):
    """Features of which one tells the class and another, stronger one tells the place, with the two mostly agreeing."""

    X: NDArray[np.float64]
    y: NDArray[np.str_]
    place: NDArray[np.str_]


def world(rows: int = 600, agree: float = 0.9, seed: int = 0) -> World:
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 2, rows)
    place = np.where(draw.random(rows) < agree, label, 1 - label)
    X = draw.normal(size=(rows, 6))
    X[:, 0] += 2.0 * label
    X[:, 1] += 6.0 * place
    return World(X, np.array(["land", "water"])[label], np.array(["field", "lake"])[place])

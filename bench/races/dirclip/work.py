"""What both sides share: the eighteen points, the log density's numbers, and where trajectories begin."""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

WIDTHS = (2, 10, 10, 10, 10, 10, 2)
SIZES = [number for entering, leaving in pairwise(WIDTHS) for number in (leaving * entering, leaving)]
POINTS = Path(__file__).resolve().parent / "points.csv"
FLOOR = -50.0
CHECKED = 1000  # leapfrog steps of the trajectory whose end both sides answer


class Work(NamedTuple):
    """inputs `[18, 2]`, targets `[18]`; start and momentum `[3, 492]`: weight (row by row) and bias of each layer."""

    inputs: np.ndarray
    targets: np.ndarray
    start: np.ndarray
    momentum: np.ndarray
    alpha: float
    step: float
    leapfrogs: int
    iterations: int
    chains: int
    seed: int


def shared(parameters: dict[str, Any], iterations: str = "iterations") -> Work:
    """All of it from race.json; every chain starts at the same draw of the prior, as in the paper's notebook.

    iterations: the parameter that says how many; a slow peer runs some of them.
    """
    points = np.loadtxt(POINTS, delimiter=",", skiprows=1)
    generator = np.random.default_rng(parameters["seed"])
    chains = int(parameters["chains"])
    start = np.repeat(generator.standard_normal((1, sum(SIZES))), chains, axis=0).astype(np.float32)
    momentum = generator.standard_normal((chains, sum(SIZES))).astype(np.float32)
    return Work(
        points[:, :2].astype(np.float32),
        points[:, 2].astype(np.int64),
        start,
        momentum,
        float(parameters["alpha"]),
        float(parameters["step"]),
        int(parameters["leapfrogs"]),
        int(parameters[iterations]),
        chains,
        int(parameters["seed"]),
    )

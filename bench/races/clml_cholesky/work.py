"""What all sides share: the Fourier problem's rows, its three models, and the orders, by the paper's recipe."""

from typing import Any, NamedTuple

import numpy as np

NOISE = 0.1
ROWS, DEGREE = 500, 9


class Model(NamedTuple):
    """features `[500, 2 · degree]`, prior variances of their weights."""

    features: np.ndarray
    variances: np.ndarray


class Work(NamedTuple):
    """targets `[500]`, models M3, M9 and M9c, orders `[orders, 500]`."""

    targets: np.ndarray
    models: tuple[Model, ...]
    orders: np.ndarray


def shared(parameters: dict[str, Any]) -> Work:
    weights = np.random.RandomState(15).randn(2, DEGREE) / np.arange(1, DEGREE + 1) ** 2
    generator = np.random.RandomState(6)
    points = np.linspace(0.0, 10.0, ROWS)
    generator.shuffle(points)
    targets = features(points, DEGREE) @ weights.ravel() + NOISE * generator.randn(ROWS)
    frequency = np.tile(np.arange(1.0, DEGREE + 1), 2)
    models = (
        Model(features(points, 3), np.ones(6)),
        Model(features(points, DEGREE), np.ones(2 * DEGREE)),
        Model(features(points, DEGREE), 1 / frequency**2),
    )
    random = np.random.default_rng(parameters["seed"])
    orders = np.stack([random.permutation(ROWS) for _ in range(parameters["orders"])])
    return Work(targets, models, orders)


def features(points: np.ndarray, degree: int) -> np.ndarray:
    angles = np.outer(points, np.arange(1, degree + 1))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def answer(evidences: list[np.ndarray], parameters: dict[str, Any]) -> dict[str, np.ndarray]:
    """From log p(D_<n) for n = 1 … 499 or 500, `[orders, n]` of each model: those of the first order, and, where the
    peer runs all orders, their means."""
    told = {"first_order": np.stack([each[0, : ROWS - 1] for each in evidences])}
    if parameters["means"]:
        told["means"] = np.stack([each[:, : ROWS - 1].mean(axis=0) for each in evidences])
    return told

"""What all sides share: the digits, the networks, one step's settings; and a regression whose posterior is known.

Every weight and bias is N(0, 1) before rows are seen. Steps of size h with momentum decay γ on batches of 128:

    p ← γ p + h ĝ + √(2 (1 − γ)) ξ        θ ← θ + h p

A sampler with friction α and step ε does the same where ε = h and 1 − ε α = γ.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

VARIANCE_STEP, VARIANCE_DECAY, VARIANCE_BATCH, VARIANCE_STEPS = 0.02, 0.9, 256, 20_000
MOST = 0.1  # the variance may be off by: four to six standard deviations of either side's run


class Work(NamedTuple):
    """inputs `[1797, 64]` (rows of 8 × 8 pixels), targets `[1797]`. shapes: of the parameters, by name, in order.

    start: values of the same names. batch: row numbers `[128]` at which gradients are compared.
    """

    network: str
    inputs: np.ndarray
    targets: np.ndarray
    start: dict[str, np.ndarray]
    batch: np.ndarray
    step: float
    decay: float
    steps: int
    seed: int
    loop: str


class Regression(NamedTuple):
    """y = x·w + b + noise, with N(0, 1) on w `[50]` and b. exact: the posterior's covariance `[51, 51]`, w first."""

    inputs: np.ndarray
    targets: np.ndarray
    noise: float
    exact: np.ndarray


MLP = {"hidden1": (50, 64), "hidden2": (50, 50), "head": (10, 50)}
CNN = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "hidden": (64, 128), "head": (10, 64)}


def shared(parameters: dict[str, Any]) -> Work:
    """All of it from race.json."""
    generator = np.random.default_rng(parameters["seed"])
    inputs, targets = load_digits(return_X_y=True)
    start: dict[str, np.ndarray] = {}
    for name, shape in (MLP if parameters["network"] == "mlp" else CNN).items():
        wide = 1 / np.sqrt(np.prod(shape[1:]))
        start[f"{name}.weight"] = (wide * generator.standard_normal(shape)).astype(np.float32)
        start[f"{name}.bias"] = (wide * generator.standard_normal(shape[0])).astype(np.float32)
    return Work(
        parameters["network"],
        (inputs / 16).astype(np.float32),
        targets.astype(np.int64),
        start,
        generator.choice(len(inputs), 128, replace=False),
        float(parameters["step"]),
        float(parameters["decay"]),
        int(parameters["steps"]),
        int(parameters["seed"]),
        parameters.get("loop", ""),
    )


def regression() -> Regression:
    generator = np.random.default_rng(7)
    rows, features, precision = 512, 50, 3.0
    inputs = generator.standard_normal((rows, features))
    noise = float(np.sqrt(rows / precision))
    targets = inputs @ generator.standard_normal(features) + noise * generator.standard_normal(rows)
    design = np.hstack([inputs, np.ones((rows, 1))])
    exact = np.linalg.inv(design.T @ design / noise**2 + np.eye(features + 1))
    return Regression(inputs.astype(np.float32), targets.astype(np.float32), noise, exact)


def variance(draws: np.ndarray, known: Regression) -> np.ndarray:
    """The draws' variance `[draws, 51]` over the posterior's, averaged over its principal directions, as a hundredth.

    A hundredth, so that the race's tolerance of 1e-3 is one of 0.1. Stops where a side is off by more than that: its
    steps would be no samples, and their rate worth nothing.
    """
    values, vectors = np.linalg.eigh(known.exact)
    kept = draws[len(draws) // 10 :] @ vectors
    ratio = float((kept.var(axis=0) / values).mean())
    if not abs(ratio - 1) <= MOST:
        raise SystemExit(f"The variance of draws is {ratio:.3f} times the posterior's.")
    return np.array(ratio / 100)


def answer(density: float, gradient: dict[str, np.ndarray], variance: np.ndarray) -> dict[str, np.ndarray]:
    """What both sides must agree on, gradients in units of their largest number."""
    largest = max(float(np.abs(array).max()) for array in gradient.values())
    told = {f"gradient of {name}": array / largest for name, array in gradient.items()}
    return {"density": np.array(density), "largest": np.array(largest), "variance": variance, **told}

"""The peer: scikit-learn's liblinear, fit by fit, as the paper's code calls it."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from work import Objectives, one_by_one, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], Objectives]:
    work = shared(parameters)
    warnings.simplefilter("ignore")

    def fit(features: np.ndarray, signs: np.ndarray, strength: float) -> np.ndarray:
        model = LogisticRegression(
            l1_ratio=1, solver="liblinear", C=strength, tol=parameters["tolerance"], max_iter=10_000
        )
        model.fit(features, signs)
        return np.append(model.coef_[0], model.intercept_)

    return lambda: one_by_one(work, fit)

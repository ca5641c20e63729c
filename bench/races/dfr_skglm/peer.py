"""The peer: skglm's prox-Newton solver; a column of ones makes its intercept the penalised one of the problem."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from skglm import SparseLogisticRegression
from work import Objectives, one_by_one, shared


def prepare(parameters: dict[str, Any]) -> Callable[[], Objectives]:
    work = shared(parameters)
    warnings.simplefilter("ignore")

    def fit(features: np.ndarray, signs: np.ndarray, strength: float) -> np.ndarray:
        design = np.asfortranarray(np.column_stack([features, np.ones(len(features))]))
        model = SparseLogisticRegression(
            alpha=1 / (strength * len(signs)), tol=parameters["tolerance"], fit_intercept=False, max_iter=100
        )
        return model.fit(design, signs).coef_[0]

    return lambda: one_by_one(work, fit)

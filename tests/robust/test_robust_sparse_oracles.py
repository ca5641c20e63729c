"""The sparse solvers against independent ones, over random problems: every penalty, both intercepts, K classes."""

import warnings
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.sparse.multinomial import multinomial_objective, sparse_multinomial
from surefoot.robust.sparse.solve import sparse_logistic, sparse_objective

INTERCEPTS: tuple[Literal["penalised", "free"], ...] = ("penalised", "free")


def problem(seed: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random size, scale, labels and row weights (subsets, class weights, real numbers)."""
    numbers = np.random.default_rng(seed)
    rows, columns = int(numbers.integers(30, 120)), int(numbers.integers(2, 150))
    features = numbers.standard_normal((rows, columns)) * numbers.choice([0.3, 1.0, 3.0])
    features[:, : columns // 3] += numbers.standard_normal((rows, 1))  # correlated columns
    scores = features @ numbers.standard_normal((columns, classes)) + 3 * numbers.standard_normal((rows, classes))
    targets = scores.argmax(axis=1)
    targets[:classes] = np.arange(classes)
    weights = (numbers.random((3, rows)) < 0.8).astype(float)
    weights[:, :classes] = 1.0
    weights[1] *= np.where(targets == 0, 10.0, 1.0)
    weights[2] *= numbers.exponential(size=rows)
    return torch.from_numpy(features), torch.from_numpy(targets), torch.from_numpy(weights)


def sklearn_fit(features: Tensor, targets: Tensor, weights: Tensor, **settings: Any) -> LogisticRegression:
    # saga's step ignores row weights, and diverges when they are large: weights of at most 1, and C takes the rest.
    most = float(weights.max())
    weights, settings = weights / most, settings | {"C": settings["C"] * most}
    model = LogisticRegression(max_iter=100_000, random_state=0, **settings)
    kept = weights > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features[kept].numpy(), targets[kept].numpy(), sample_weight=weights[kept].numpy())
    return model


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_random_problems_reach_the_optimum_of_liblinear_at_1e_10(seed: int, ratio: float) -> None:
    features, targets, weights = problem(seed, 2)
    strengths = torch.tensor([0.02, 0.3, 1.0], dtype=torch.float64)
    fits = sparse_logistic(features, (targets == 1).expand(3, -1), weights, strengths, l1_ratio=ratio, tolerance=1e-9)
    for fit, strength in enumerate(strengths.tolist()):
        model = sklearn_fit(
            features, targets, weights[fit], C=strength, l1_ratio=ratio, solver="liblinear", tol=1e-10,
            intercept_scaling=1,
        )  # fmt: skip
        shared = (features, targets == 1, weights[fit], strength)
        theirs = sparse_objective(*shared, torch.from_numpy(model.coef_[0]), float(model.intercept_[0]), l1_ratio=ratio)
        ours = sparse_objective(*shared, fits.weight[fit], float(fits.bias[fit]), l1_ratio=ratio)
        assert ours == pytest.approx(float(fits.objective[fit]), rel=1e-11)
        assert ours <= theirs * (1 + 1e-8)
        # No solver may get below what the certificate promises.
        assert theirs >= ours * (1 - float(fits.certificate[fit])) - 1e-12


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_free_intercepts_and_elastic_nets_reach_the_optimum_of_other_solvers(seed: int, ratio: float) -> None:
    # newton-cholesky and lbfgs know L2 alone; saga is slow, so the problem is small.
    features, targets, weights = problem(100 + seed, 2)
    features = features[:, :12]
    features = (features - features.mean(0)) / features.std(0)
    fits = sparse_logistic(
        features, (targets == 1)[None], weights[1:2], torch.tensor([0.3]), l1_ratio=ratio, intercept="free",
        tolerance=1e-10,
    )  # fmt: skip
    solver = "newton-cholesky" if ratio == 0 else "saga"
    model = sklearn_fit(
        features, targets, weights[1], C=float(np.float32(0.3)), l1_ratio=ratio, solver=solver, tol=1e-10
    )
    shared = (features, targets == 1, weights[1], float(np.float32(0.3)))
    theirs = sparse_objective(
        *shared, torch.from_numpy(model.coef_[0]), float(model.intercept_[0]), l1_ratio=ratio, intercept="free"
    )
    ours = sparse_objective(*shared, fits.weight[0], float(fits.bias[0]), l1_ratio=ratio, intercept="free")
    assert ours == pytest.approx(theirs, rel=1e-8)
    torch.testing.assert_close(fits.weight[0], torch.from_numpy(model.coef_[0]), rtol=0, atol=1e-3)
    assert float(fits.certificate[0]) <= 1e-10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_a_multinomial_fit_with_a_free_intercept_is_that_of_scikit_learn(seed: int, ratio: float) -> None:
    features, targets, weights = problem(200 + seed, 3)
    features = features[:, :8]
    features = (features - features.mean(0)) / features.std(0)
    strengths = torch.tensor([0.5], dtype=torch.float64)
    fits = sparse_multinomial(
        features, targets, weights[2:], strengths, 3, l1_ratio=ratio, intercept="free", tolerance=1e-9
    )
    solver = "newton-cholesky" if ratio == 0 else "saga"
    model = sklearn_fit(features, targets, weights[2], C=0.5, l1_ratio=ratio, solver=solver, tol=1e-9)
    shared = (features, targets, weights[2], 0.5)
    theirs = multinomial_objective(
        *shared, torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_), l1_ratio=ratio, intercept="free"
    )
    ours = multinomial_objective(*shared, fits.weight[0], fits.bias[0], l1_ratio=ratio, intercept="free")
    assert ours == pytest.approx(float(fits.objective[0]), rel=1e-11)
    assert ours == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize("ratio", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_multinomial_optima_satisfy_the_optimality_conditions(
    ratio: float, intercept: Literal["penalised", "free"]
) -> None:
    features, targets, weights = problem(300, 4)
    strengths = torch.tensor([0.05, 0.5, 0.1], dtype=torch.float64)
    fits = sparse_multinomial(
        features, targets, weights, strengths, 4, l1_ratio=ratio, intercept=intercept, tolerance=1e-11
    )
    wide = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    for fit in range(3):
        point = torch.cat([fits.weight[fit], fits.bias[fit][:, None]], dim=1)
        miss = (wide @ point.T).softmax(1) - torch.nn.functional.one_hot(targets, 4)
        slope = (strengths[fit] * weights[fit][:, None] * miss).T @ wide
        if intercept == "free":
            assert float(slope[:, -1].abs().max()) < 1e-5
            slope, point = slope[:, :-1], point[:, :-1]
        slope = slope + (1 - ratio) * point
        active = point != 0
        torch.testing.assert_close(slope[active], -ratio * point[active].sign(), rtol=0, atol=3e-5)
        assert (slope[~active].abs() <= ratio + 3e-5).all()


def test_two_multinomial_classes_are_the_binary_fit_of_half_the_difference() -> None:
    # With L2 the two rows are ±u: 2·½‖u‖² = ¼‖w‖² for w = 2u, so C doubles: ½‖w‖² + 2C·loss.
    features, targets, weights = problem(7, 2)
    strength = torch.tensor([0.4], dtype=torch.float64)
    two = sparse_multinomial(features, targets, weights[:1], strength, 2, l1_ratio=0.0, tolerance=1e-12)
    one = sparse_logistic(features, (targets == 1)[None], weights[:1], 2 * strength, l1_ratio=0.0, tolerance=1e-12)
    torch.testing.assert_close(two.weight[0, 1] - two.weight[0, 0], one.weight[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(two.weight[0, 1], -two.weight[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_scaler_inside_the_products_is_the_scaled_matrix(ratio: float, precision: torch.dtype) -> None:
    features, targets, weights = problem(11, 2)
    features = (features * 5 + 40).to(precision)  # far from centred: the shift matters
    mean, scale = features.double().mean(0), features.double().std(0)
    features[:, 1] = 40.125
    scale[1] = torch.inf  # a constant column is exactly zero
    scaled = (features.double() - mean) / scale
    strengths = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64)
    positive = (targets == 1).expand(3, -1)
    inside = sparse_logistic(
        features, positive, weights, strengths, l1_ratio=ratio, mean=mean, scale=scale, tolerance=1e-10
    )
    outside = sparse_logistic(scaled, positive, weights, strengths, l1_ratio=ratio, tolerance=1e-10)
    torch.testing.assert_close(inside.objective, outside.objective, rtol=1e-9, atol=0)
    torch.testing.assert_close(inside.weight, outside.weight, rtol=0, atol=2e-4)
    assert not inside.weight[:, 1].any()


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_a_warm_start_changes_the_time_and_not_the_optimum(ratio: float) -> None:
    features, targets, weights = problem(13, 2)
    positive, strengths = (targets == 1).expand(3, -1), torch.full((3,), 0.3, dtype=torch.float64)
    cold = sparse_logistic(features, positive, weights, strengths, l1_ratio=ratio, tolerance=1e-10)
    start = torch.cat([cold.weight[0] * 3, cold.bias[:1] - 1])
    warm = sparse_logistic(
        features, positive, weights, strengths, l1_ratio=ratio, start=start.expand(len(weights), -1), tolerance=1e-10
    )
    torch.testing.assert_close(warm.objective, cold.objective, rtol=1e-9, atol=0)


def test_what_has_no_optimum_is_refused() -> None:
    features, targets, weights = problem(17, 2)
    strength = torch.tensor([0.3])
    with pytest.raises(InputError) as caught:
        sparse_logistic(
            features, torch.ones_like(targets, dtype=torch.bool)[None], weights[:1], strength, intercept="free"
        )
    assert str(caught.value) == (
        "All rows of fit 0 are of one class, and a free intercept then has no optimum; give it rows of both classes, "
        'or intercept="penalised".'
    )
    with pytest.raises(InputError) as caught:
        sparse_multinomial(features, targets, weights[:1], strength, 3, intercept="free")
    assert str(caught.value) == (
        "Fit 0 has no rows of class 2, and a free intercept then has no optimum; give it rows of every class, or "
        'intercept="penalised".'
    )
    with pytest.raises(InputError, match=r"^l1_ratio is 1\.5; give a number from 0 \(L2\) to 1 \(L1\)\.$"):
        sparse_logistic(features, (targets == 1)[None], weights[:1], strength, l1_ratio=1.5)

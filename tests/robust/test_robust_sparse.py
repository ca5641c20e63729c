"""The sparse solver alone: certificates, invariances, degenerate problems, refusals."""

import math

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.sparse.solve import sparse_logistic


def problem(rows: int = 80, columns: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    noise = torch.randn(rows, generator=generator, dtype=torch.float64)
    return features, features[:, 0] - features[:, 1] + noise > 0


def ones(fits: int, rows: int) -> Tensor:
    return torch.ones(fits, rows, dtype=torch.float64)


def test_one_feature_has_the_analytic_optimum() -> None:
    # x = ±1 agreeing with y for a share q of rows: the slope of C Σ log(1 + e^−m) is C n (σ(−w)q − σ(w)(1 − q)),
    # and the optimum sets it to the penalty's 1; by symmetry b = 0.
    rows, agreeing, strength = 40, 30, 0.5
    features = torch.tensor([1.0, -1.0] * (rows // 2), dtype=torch.float64)[:, None]
    positive = (features[:, 0] > 0) ^ (torch.arange(rows) >= agreeing)
    fits = sparse_logistic(features, positive[None], ones(1, rows), torch.tensor([strength]), tolerance=1e-13)
    miss = 1 - agreeing / rows + 1 / (strength * rows)
    assert float(fits.weight[0, 0]) == pytest.approx(math.log((1 - miss) / miss), rel=1e-6)
    assert float(fits.bias[0]) == pytest.approx(0.0, abs=1e-9)


def test_every_optimum_satisfies_the_optimality_conditions_of_an_l1_penalty() -> None:
    features, positive = problem()
    strengths = torch.tensor([3.0, 0.3, 0.05], dtype=torch.float64)
    fits = sparse_logistic(features, positive.expand(3, -1), ones(3, 80), strengths, tolerance=1e-12)
    signs = positive.to(torch.float64) * 2 - 1
    margins = (fits.weight @ features.T + fits.bias[:, None]) * signs
    pull = strengths[:, None] * torch.sigmoid(-margins) * signs
    slopes = torch.cat([pull @ features, pull.sum(dim=1, keepdim=True)], dim=1)
    coefficients = torch.cat([fits.weight, fits.bias[:, None]], dim=1)
    active = coefficients != 0
    torch.testing.assert_close(slopes[active], coefficients[active].sign(), rtol=0, atol=1e-5)
    assert float(slopes[~active].abs().max()) <= 1 + 1e-6
    assert 0 < int(active[2].sum()) < int(active[0].sum())


def test_fits_solved_together_equal_fits_solved_alone() -> None:
    # Fits leave the batch as they converge; the last one is alone, and nothing may be written into what it reads.
    features, positive = problem(seed=1)
    generator = torch.Generator().manual_seed(2)
    weights = (torch.rand(40, 80, generator=generator) < 0.6).to(torch.float64)
    strengths = torch.logspace(-2, 2, 40, dtype=torch.float64)
    before = features.clone(), weights.clone()
    together = sparse_logistic(features, positive.expand(40, -1), weights, strengths, tolerance=1e-12)
    for fit in (0, 13, 31, 32, 39):
        kept = weights[fit] > 0
        alone = sparse_logistic(
            features[kept], positive[None, kept], ones(1, int(kept.sum())), strengths[fit : fit + 1], tolerance=1e-12
        )
        torch.testing.assert_close(together.weight[fit], alone.weight[0], rtol=0, atol=1e-5)
    assert torch.equal(features, before[0])
    assert torch.equal(weights, before[1])


def test_a_row_of_weight_two_is_the_row_twice() -> None:
    features, positive = problem(seed=3)
    weights = ones(1, 80)
    weights[0, :30] = 2
    strength = torch.tensor([0.2])
    weighted = sparse_logistic(features, positive[None], weights, strength, tolerance=1e-12)
    twice = torch.cat([features, features[:30]]), torch.cat([positive, positive[:30]])
    repeated = sparse_logistic(twice[0], twice[1][None], ones(1, 110), strength, tolerance=1e-12)
    torch.testing.assert_close(weighted.weight, repeated.weight, rtol=0, atol=1e-6)


def test_separable_rows_with_a_weak_penalty_still_get_a_certificate() -> None:
    features, _ = problem(60, 100, seed=4)
    strengths = torch.tensor([1.0, 100.0, 1000.0])
    fits = sparse_logistic(features, (features[:, 0] > 0).expand(3, -1), ones(3, 60), strengths)
    assert float(fits.certificate.max()) <= 1e-7


def test_many_columns_grow_the_working_set() -> None:
    features, positive = problem(120, 600, seed=5)
    fits = sparse_logistic(features, positive[None], ones(1, 120), torch.tensor([5.0]))
    assert float(fits.certificate[0]) <= 1e-7
    assert int((fits.weight[0] != 0).sum()) > 50


def test_a_strong_penalty_leaves_the_constant_predictor() -> None:
    # Guards trap 10 of DFR: the intercept is penalised too, so everything can be zero.
    features, positive = problem()
    fits = sparse_logistic(features, positive[None], ones(1, 80), torch.tensor([1e-4], dtype=torch.float64))
    assert not fits.weight.any()
    assert not fits.bias.any()
    assert float(fits.objective[0]) == pytest.approx(80 * 1e-4 * math.log(2), rel=1e-12)


def test_no_convergence_is_an_error_and_never_silent() -> None:
    features, positive = problem()
    with pytest.raises(InputError) as caught:
        sparse_logistic(features, positive[None], ones(1, 80), torch.tensor([1.0]), most_steps=1)
    message = str(caught.value)
    assert message.startswith("1 of 1 sparse fits did not converge in 1 steps (the first, at C = 1, has a relative ")
    assert message.endswith("expected at most 1e-07); standardise the features, use a smaller C or a larger tolerance.")


def test_what_cannot_be_solved_is_refused() -> None:
    features, positive = problem()
    strength = torch.tensor([1.0])
    broken = features.clone()
    broken[7, 2] = torch.nan
    with pytest.raises(InputError, match=r"^1 rows of features are NaN or infinite \(first: row 7\); mend them\.$"):
        sparse_logistic(broken, positive[None], ones(1, 80), strength)
    with pytest.raises(InputError, match=r"^Fit 0 has no rows of positive weight; give each fit some rows\.$"):
        sparse_logistic(features, positive[None], 0 * ones(1, 80), strength)
    with pytest.raises(InputError, match=r"^Row weights must be finite and not negative; mend the weights\.$"):
        sparse_logistic(features, positive[None], -ones(1, 80), strength)
    with pytest.raises(InputError, match=r"^C must be positive and finite, but \[0\.0\] was given\.$"):
        sparse_logistic(features, positive[None], ones(1, 80), 0 * strength)

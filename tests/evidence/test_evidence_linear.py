"""Linear regression against dense normal densities, sixty-digit arithmetic and each other."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence import linear
from surefoot.evidence.linear import (
    LinearModel,
    LinearPosterior,
    linear_evidence,
    linear_posterior,
    linear_prefixes,
    predictive,
)
from surefoot.evidence.prefixes import orders_of


def problem(rows: int, features: int, seed: int = 0) -> tuple[Tensor, Tensor, LinearModel]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    model = LinearModel(0.3, 0.2 + normal(features).square(), normal(features))
    return normal(rows, features), 2 * normal(rows), model


def dense(features: Tensor, targets: Tensor, model: LinearModel) -> float:
    """log N(y; Fμ, F diag τ² Fᵀ + σ²I)."""
    mean = np.zeros(len(targets)) if model.prior_mean is None else (features @ model.prior_mean).numpy()
    covariance = (features * model.prior_variance @ features.T).numpy() + model.noise_variance * np.eye(len(targets))
    return float(stats.multivariate_normal(mean, covariance).logpdf(targets.numpy()))


@pytest.mark.parametrize(("rows", "features"), [(1, 1), (30, 4), (12, 12), (7, 25)])
def test_the_evidence_is_that_of_the_dense_normal(rows: int, features: int) -> None:
    given = problem(rows, features)
    assert linear_evidence(*given) == pytest.approx(dense(*given), rel=1e-11)


@pytest.mark.parametrize(("rows", "features"), [(30, 4), (7, 25)])
def test_floats_of_fewer_digits_give_what_the_same_numbers_in_float64_give(rows: int, features: int) -> None:
    x, y, model = problem(rows, features)
    assert model.prior_mean is not None
    few = LinearModel(model.noise_variance, model.prior_variance.float(), model.prior_mean.float())
    many = LinearModel(model.noise_variance, few.prior_variance.double(), few.prior_mean)
    assert few.prior_variance.dtype == torch.float64
    orders, x, y = orders_of(rows, 3, seed=0), x.float(), y.float()
    for given in ((x, y), (x.double(), y), (x, y.double())):
        assert linear_evidence(*given, few) == linear_evidence(x.double(), y.double(), many)
        assert torch.equal(linear_prefixes(*given, few, orders).terms, linear_prefixes(*given, many, orders).terms)
        posterior = linear_posterior(*given, few)
        assert torch.equal(posterior.mean, linear_posterior(x.double(), y.double(), many).mean)
        assert torch.equal(predictive(posterior, x, few).variance, predictive(posterior, x.double(), many).variance)


ROADS = [(90, 5, "block"), (70, 17, "block"), (16, 4, "block"), (20, 9, "covariance"), (9, 30, "covariance")]


@pytest.mark.parametrize(("rows", "features", "road"), ROADS)
def test_every_term_is_a_difference_of_dense_evidences(rows: int, features: int, road: str) -> None:
    x, y, model = problem(rows, features)
    orders = orders_of(rows, 2, seed=1)
    assert linear._road(linear._standard(x, y, model)[0], max(16, features)) == road
    terms = linear_prefixes(x, y, model, orders).terms
    for order, line in zip(orders, terms, strict=True):
        sums = [0.0, *(dense(x[order[:n]], y[order[:n]], model) for n in range(1, rows + 1))]
        np.testing.assert_allclose(line.numpy(), np.diff(sums), atol=1e-9)


@pytest.mark.parametrize(("rows", "features"), [(33, 3), (50, 20), (12, 40)])
def test_the_three_roads_agree(rows: int, features: int) -> None:
    scaled, residuals = linear._standard(*problem(rows, features))
    both, orders = torch.cat([scaled, residuals[:, None]], 1), orders_of(rows, 5, seed=0)
    by_covariance = linear._by_covariance(scaled, residuals, orders)
    torch.testing.assert_close(linear._by_row(both, orders), by_covariance, rtol=0, atol=1e-10)
    for block in (1, 7, 16, 64):
        torch.testing.assert_close(linear._by_block(both, orders, block), by_covariance, rtol=0, atol=1e-10)


def test_nothing_drifts_over_many_rows() -> None:
    """After 1,500 rows, with features a hundred times the noise, the evidence is that of a Cholesky factor to 1e-9.

    A single term of that factor has rounding errors of its own, 1e-16 times a condition number of 1e8; the two roads
    that carry a posterior are closer to one another.
    """
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1500, 8, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(8, generator=generator, dtype=torch.float64)
    y = y + 0.01 * torch.randn(1500, generator=generator, dtype=torch.float64)
    model, orders = LinearModel(1e-4, torch.ones(8, dtype=torch.float64)), orders_of(1500, 2, seed=0)
    scaled, residuals = linear._standard(x, y, model)
    assert linear._road(scaled, 16) == "block"
    constant = 0.5 * math.log(2 * math.pi * 1e-4)
    reference = linear._by_covariance(scaled, residuals, orders) - constant
    by_row = linear._by_row(torch.cat([scaled, residuals[:, None]], 1), orders) - constant
    by_block = linear_prefixes(x, y, model, orders).terms
    torch.testing.assert_close(by_block, by_row, rtol=0, atol=1e-9)
    for terms in (by_block, by_row):
        torch.testing.assert_close(terms.sum(1), reference.sum(1), rtol=1e-9, atol=0)
        torch.testing.assert_close(terms, reference, rtol=0, atol=1e-7)


@pytest.mark.parametrize("features", [1, 2, 9])
def test_a_vague_prior_keeps_its_digits(features: int) -> None:
    """Prior variances of 1e12 and a noise of 1e-2: float64 rounds 1 + 1e14 to two digits; sixty digits do not."""
    x, y, _ = problem(6, features, seed=3)
    model = LinearModel(1e-2, torch.full((features,), 1e12).double())
    orders = orders_of(6, 3, seed=0)
    found = linear_prefixes(x, y, model, orders)
    with mpmath.workdps(60):
        rows, targets = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist())
        covariance = rows * rows.T * mpmath.mpf(10) ** 12 + mpmath.mpf(model.noise_variance) * mpmath.eye(6)
        for order, line in zip(orders.tolist(), found.terms, strict=True):
            sums = [mpmath.mpf(0)]
            for n in range(1, 7):
                part = mpmath.matrix(n, n)
                for i in range(n):
                    for j in range(n):
                        part[i, j] = covariance[order[i], order[j]]
                taken = mpmath.matrix([targets[place] for place in order[:n]])
                square = (taken.T * mpmath.lu_solve(part, taken))[0]
                sums.append(-(n * mpmath.log(2 * mpmath.pi) + mpmath.log(mpmath.det(part)) + square) / 2)
            exact = [float(after - before) for before, after in pairwise(sums)]
            np.testing.assert_allclose(line.numpy(), exact, rtol=1e-6)
            assert linear_evidence(x, y, model) == pytest.approx(float(sums[-1]), rel=1e-7)


def test_blocks_are_left_before_they_lose_digits() -> None:
    """Signals just within reach of squares: terms are still those of the road that has none, to 1e-8."""
    x, _, _ = problem(200, 3, seed=1)
    scaled = x * math.sqrt(0.99 * linear.SQUARED / 16) / float(x.square().sum(1).max().sqrt())
    both, orders = torch.cat([scaled, scaled.sum(1, keepdim=True).sin()], dim=1), orders_of(200, 20, seed=0)
    assert linear._road(scaled, 16) == "block"
    assert linear._road(1.02 * scaled, 16) == "row"
    torch.testing.assert_close(linear._by_block(both, orders, 16), linear._by_row(both, orders), rtol=0, atol=1e-8)


def test_orders_change_terms_and_not_the_evidence() -> None:
    given = problem(60, 6)
    found = linear_prefixes(*given, orders_of(60, 20, seed=0))
    evidence = linear_evidence(*given)
    np.testing.assert_allclose(found.evidence.numpy(), evidence, rtol=1e-12)
    assert float(found.conditional(30).std()) > 0.1


def test_batches_of_orders_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given, orders = problem(40, 3), orders_of(40, 7, seed=0)
    whole = linear_prefixes(*given, orders).terms
    for kept in (1, 3 * 16 * 4 * 2):  # one order, two orders at a time
        monkeypatch.setattr(linear, "KEPT_NUMBERS", kept)
        torch.testing.assert_close(linear_prefixes(*given, orders).terms, whole, rtol=0, atol=1e-12)


def test_other_units_of_the_target_move_the_evidence_by_their_logarithm() -> None:
    x, y, model = problem(30, 4)
    assert model.prior_mean is not None
    scaled = LinearModel(100 * model.noise_variance, 100 * model.prior_variance, 10 * model.prior_mean)
    assert linear_evidence(x, 10 * y, scaled) == pytest.approx(linear_evidence(x, y, model) - 30 * math.log(10))


@pytest.mark.parametrize(("rows", "features"), [(20, 3), (4, 9)])
def test_the_posterior_is_the_textbooks(rows: int, features: int) -> None:
    x, y, model = problem(rows, features)
    assert model.prior_mean is not None
    found = linear_posterior(x, y, model)
    precision = np.diag(1 / model.prior_variance.numpy()) + (x.T @ x).numpy() / model.noise_variance
    right = model.prior_mean.numpy() / model.prior_variance.numpy() + (x.T @ y).numpy() / model.noise_variance
    np.testing.assert_allclose(found.covariance.numpy(), np.linalg.inv(precision), atol=1e-11)
    np.testing.assert_allclose(found.mean.numpy(), np.linalg.solve(precision, right), atol=1e-10)


def test_no_rows_leave_the_prior() -> None:
    x, y, model = problem(5, 3)
    found = linear_posterior(x[:0], y[:0], model)
    assert model.prior_mean is not None
    torch.testing.assert_close(found.mean, model.prior_mean)
    torch.testing.assert_close(found.covariance, torch.diag(model.prior_variance))


def test_a_term_is_the_predictive_density_given_the_rows_before() -> None:
    """Terms come from one recursion over orders, predictions from the posterior: they have to be the same numbers."""
    x, y, model = problem(50, 4)
    order = orders_of(50, 1, seed=0)
    terms = linear_prefixes(x, y, model, order).terms[0]
    for place in (0, 1, 15, 16, 49):
        before, now = order[0, :place], order[0, place : place + 1]
        told = predictive(linear_posterior(x[before], y[before], model), x[now], model)
        density = torch.distributions.Normal(told.mean, told.variance.sqrt()).log_prob(y[now])
        assert float(density) == pytest.approx(float(terms[place]), abs=1e-10)


ONE = torch.ones(3, 1, dtype=torch.float64)
ZEROS = torch.zeros(3, dtype=torch.float64)
PLAIN = LinearModel(1.0, torch.ones(1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearModel(0.0, ZEROS), "noise_variance is 0"),
        (lambda: LinearModel(1.0, ZEROS), "not a positive number"),
        (lambda: LinearModel(1.0, ZEROS[:0]), "one variance for each"),
        (lambda: LinearModel(1.0, ZEROS + 1, ZEROS[:2]), "2 entries"),
        (lambda: linear_evidence(torch.ones(3, 2, dtype=torch.float64), ZEROS, PLAIN), "2 features"),
        (lambda: linear_evidence(ONE, ZEROS[:2], PLAIN), "2 targets"),
        (lambda: linear_evidence(ONE, ZEROS / 0, PLAIN), "not finite"),
        (lambda: linear_prefixes(ONE, ZEROS, PLAIN, torch.tensor([[0, 1, 1]])), "permutation"),
        (lambda: linear_prefixes(ONE, ZEROS, PLAIN, torch.tensor([[0, 1]])), "permutation"),
        (lambda: predictive(LinearPosterior(ZEROS[:1], ONE[:1]), torch.ones(3, 2, dtype=torch.float64), PLAIN), "2 fe"),
    ],
)
def test_what_cannot_be_used_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()

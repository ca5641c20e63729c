"""The exact process: evidence against a dense normal density, prefixes, orders, predictions, jitter."""

import math
import warnings

import pytest
import torch
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as peers
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.prefixes import orders_of
from surefoot.evidence.processes import process as module
from surefoot.evidence.processes.combine import Scaled, Sum
from surefoot.evidence.processes.factor import STEPS, factorise
from surefoot.evidence.processes.free import free_of, positive, with_free
from surefoot.evidence.processes.kernels import RBF, Constant, Linear, Matern, RationalQuadratic
from surefoot.evidence.processes.learn import Learn, learn
from surefoot.evidence.processes.means import ConstantMean, ZeroMean, network_mean
from surefoot.evidence.processes.process import (
    Process,
    condition,
    float64_rows,
    jitter_of,
    log_likelihood,
    predict,
    process_evidence,
    process_prefixes,
)
from surefoot.networks.build import build_mlp


def rows(count: int, inputs: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, inputs, dtype=torch.float64, generator=generator)
    return x, x[:, 0].sin() + 0.3 * torch.randn(count, dtype=torch.float64, generator=generator)


def example() -> Process:
    kernel = Sum((Scaled(Matern(positive(0.8, 1.5)), positive(1.3)), Constant(positive(0.5))))
    return Process(kernel, ConstantMean(torch.tensor(0.4, dtype=torch.float64)), positive(0.09))


def dense(process: Process, x: Tensor, y: Tensor) -> float:
    whole = process.kernel.matrix(x, x) + process.noise * torch.eye(len(x), dtype=torch.float64)
    return float(stats.multivariate_normal(process.mean.of(x).numpy(), whole.numpy()).logpdf(y.numpy()))


def test_the_evidence_is_a_normal_density() -> None:
    x, y = rows(30)
    assert float(process_evidence(example(), x, y)) == pytest.approx(dense(example(), x, y), rel=1e-12)


def test_prefixes_sum_to_the_evidence_and_each_is_that_of_the_shorter_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(14)
    orders = orders_of(14, 5, seed=1)
    monkeypatch.setattr(module, "AT_ONCE", 2 * 14**2)  # three blocks of orders, the last one smaller
    prefixes = process_prefixes(example(), x, y, orders)
    assert prefixes.evidence.numpy() == pytest.approx([dense(example(), x, y)] * 5, rel=1e-11)
    for order, terms in zip(orders, prefixes.terms, strict=True):
        for count in range(1, 15):
            taken = order[:count]
            assert float(terms[:count].sum()) == pytest.approx(dense(example(), x[taken], y[taken]), rel=1e-9, abs=1e-9)


def test_a_term_is_the_predictive_density_of_the_next_row() -> None:
    """From `condition` and `predict`, which take another road than the ordered factor."""
    x, y = rows(12)
    terms = process_prefixes(example(), x, y, torch.arange(12)[None]).terms[0]
    for row in (1, 5, 11):
        told = log_likelihood(predict(condition(example(), x[:row], y[:row]), x[row:]), y[row:])
        assert float(told[0]) == pytest.approx(float(terms[row]), rel=1e-10)


def test_the_evidence_does_not_depend_on_the_order_of_rows() -> None:
    x, y = rows(40)
    orders = orders_of(40, 6, seed=0)
    found = torch.stack([process_evidence(example(), x[order], y[order]) for order in orders])
    assert float(found.max() - found.min()) < 1e-10 * float(found.abs().max())


def test_gradients_of_the_evidence_are_finite_differences() -> None:
    x, y = rows(9)
    for kernel in (example().kernel, RationalQuadratic(positive(0.7), positive(0.3)), RBF(positive(0.5, 2.0))):
        process = Process(kernel, network_mean(build_mlp(2, 3, 1, seed=0)), positive(0.2))
        free = {path: tensor.requires_grad_() for path, tensor in free_of(process).items()}
        assert torch.autograd.gradcheck(
            lambda *tensors, process=process, free=free: process_evidence(
                with_free(process, dict(zip(free, tensors, strict=True))), x, y
            ),
            tuple(free.values()),
        )


def test_a_linear_kernel_is_bayesian_linear_regression() -> None:
    """w ~ N(0, diag v), y | w ~ N(Xw, σ²): the evidence through the d×d posterior, and its predictions."""
    x, y = rows(25, 3)
    variances, noise = positive(0.5, 1.0, 4.0), 0.2
    process = Process(Linear(variances), ZeroMean(), positive(noise))
    precision = torch.diag(1 / variances) + x.T @ x / noise
    mode = torch.linalg.solve(precision, x.T @ y / noise)
    misfit = (y - x @ mode).square().sum() / noise + (mode.square() / variances).sum()
    determinants = torch.logdet(precision) + variances.log().sum() + 25 * math.log(noise)
    closed = -0.5 * (25 * math.log(2 * math.pi) + determinants + misfit)
    assert float(process_evidence(process, x, y)) == pytest.approx(float(closed), rel=1e-11)
    new, _ = rows(6, 3, seed=1)
    told = predict(condition(process, x, y), new)
    assert told.mean.numpy() == pytest.approx((new @ mode).numpy(), rel=1e-8)
    variance = (new * torch.linalg.solve(precision, new.T).T).sum(dim=1)
    assert told.variance.numpy() == pytest.approx(variance.numpy(), rel=1e-7)


def test_predictions_and_evidence_are_scikit_learns() -> None:
    x, y = rows(40)
    new, targets = rows(15, seed=1)
    process = Process(Scaled(RBF(positive(0.8, 1.5)), positive(1.3)), ZeroMean(), positive(0.09))
    kernel = peers.ConstantKernel(1.3) * peers.RBF([0.8, 1.5]) + peers.WhiteKernel(0.09)
    peer = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x.numpy(), y.numpy())
    mean, deviation = peer.predict(new.numpy(), return_std=True)
    told = predict(condition(process, x, y), new)
    assert told.mean.numpy() == pytest.approx(mean, abs=1e-10)
    assert told.observed.sqrt().numpy() == pytest.approx(deviation, abs=1e-10)
    assert (told.observed - told.variance).numpy() == pytest.approx(0.09)
    assert float(process_evidence(process, x, y)) == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-11)
    by_scipy = stats.norm(mean, deviation).logpdf(targets.numpy())
    assert log_likelihood(told, targets).numpy() == pytest.approx(by_scipy, abs=1e-8)


def test_the_mean_is_subtracted_and_added_again() -> None:
    x, y = rows(20)
    shifted = Process(example().kernel, ConstantMean(torch.tensor(100.4, dtype=torch.float64)), positive(0.09))
    assert float(process_evidence(shifted, x, y + 100)) == pytest.approx(float(process_evidence(example(), x, y)))
    moved, plain = predict(condition(shifted, x, y + 100), x), predict(condition(example(), x, y), x)
    assert (moved.mean - 100).numpy() == pytest.approx(plain.mean.numpy(), abs=1e-9)


def test_prediction_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(20)
    whole = predict(condition(example(), x, y), x)
    monkeypatch.setattr(module, "BLOCK", 7)
    parts = predict(condition(example(), x, y), x)
    assert parts.mean.numpy() == pytest.approx(whole.mean.numpy(), abs=1e-12)
    assert parts.variance.numpy() == pytest.approx(whole.variance.numpy(), abs=1e-12)


def test_jitter_is_the_least_that_serves_relative_and_reported() -> None:
    x = torch.zeros(4, 1, dtype=torch.float64)  # four equal rows: rank one
    noisy = Process(Scaled(RBF(positive(1.0)), positive(1e6)), ZeroMean(), positive(1.0))
    assert jitter_of(noisy, x) == 0
    bare = Process(Scaled(RBF(positive(1.0)), positive(1e6)), ZeroMean(), positive(1e-12))
    assert jitter_of(bare, x) == pytest.approx(STEPS[1] * 1e6)
    assert condition(bare, x, torch.zeros(4).double()).jitter == pytest.approx(STEPS[1] * 1e6)
    lower, jitter = factorise(torch.full((4, 4), 5.0).double())
    assert (lower @ lower.T).numpy() == pytest.approx((torch.full((4, 4), 5.0) + jitter * torch.eye(4)).numpy())


def test_a_factorisation_that_succeeds_by_rounding_does_not_count() -> None:
    """The factor of this matrix of rank one has the pivot 2.2e-16, whose logarithm would be 36 nats of nothing."""
    matrix = torch.ones(2, 2, dtype=torch.float64)
    matrix[1, 1] += torch.finfo(torch.float64).eps
    assert int(torch.linalg.cholesky_ex(matrix).info) == 0
    assert factorise(matrix).jitter > 0


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "not positive definite even with 1e-08"),
        (torch.tensor([[1.0, math.nan], [math.nan, 1.0]]), "not finite"),
    ],
)
def test_what_no_jitter_mends_is_refused(matrix: Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        factorise(matrix.double())


def test_rows_and_orders_that_do_not_fit_are_refused() -> None:
    x, y = rows(5)
    with pytest.raises(InputError, match="5 rows of inputs and 4 targets"):
        float64_rows(x, y[:4])
    with pytest.raises(InputError, match="not finite"):
        process_evidence(example(), x, y / 0)
    with pytest.raises(InputError, match="no permutations"):
        process_prefixes(example(), x, y, torch.tensor([[0, 1, 2, 3, 3]]))
    with pytest.raises(InputError, match="sparse"):
        process_evidence(example(), torch.zeros(300_000, 2).double(), torch.zeros(300_000).double())


def test_floats_of_fewer_digits_give_what_the_same_numbers_in_float64_give() -> None:
    x, y = (each.float() for each in rows(12))
    orders, start = orders_of(12, 3, seed=0), example()
    assert process_evidence(start, x, y) == process_evidence(start, x.double(), y.double())
    assert process_evidence(start, x, y.double()) == process_evidence(start, x.double(), y.double())
    double = process_prefixes(start, x.double(), y.double(), orders).terms
    assert torch.equal(process_prefixes(start, x, y, orders).terms, double)
    one, two = (predict(condition(start, *given), given[0][:5]) for given in ((x, y), (x.double(), y.double())))
    assert torch.equal(one.observed, two.observed)
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(log_likelihood(one, y[:5]), log_likelihood(two, y[:5].double()))
    assert jitter_of(start, x) == jitter_of(start, x.double())
    learnt, again = (
        learn(start, *given, seed=0, settings=Learn(steps=3)) for given in ((x, y), (x.double(), y.double()))
    )
    assert torch.equal(learnt.history, again.history)


def test_conditional_evidence_is_a_difference_of_evidences() -> None:
    x, y = rows(20)
    orders = orders_of(20, 4, seed=0)
    prefixes = process_prefixes(example(), x, y, orders)
    for order, found in zip(orders, prefixes.conditional(15), strict=True):
        first = order[:15]
        expected = process_evidence(example(), x, y) - process_evidence(example(), x[first], y[first])
        assert float(found) == pytest.approx(float(expected), abs=1e-9)


def test_scikit_learn_agrees_on_the_learnt_optimum_it_starts_from() -> None:
    """Its gradient vanishes where ours does: learning from our optimum leaves it where it is."""
    from surefoot.evidence.processes.learn import learn

    x, y = rows(40)
    start = Process(Scaled(RBF(positive(1.0)), positive(1.0)), ZeroMean(), positive(0.1))
    process = learn(start, x, y, seed=0).process
    assert isinstance(process.kernel, Scaled)
    assert isinstance(process.kernel.kernel, RBF)
    kernel = peers.ConstantKernel(float(process.kernel.variance)) * peers.RBF(float(process.kernel.kernel.lengths))
    kernel = kernel + peers.WhiteKernel(float(process.noise))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer = GaussianProcessRegressor(kernel, alpha=0.0).fit(x.numpy(), y.numpy())
    assert float(process_evidence(process, x, y)) == pytest.approx(peer.log_marginal_likelihood_value_, abs=1e-4)
    assert peer.kernel_.theta == pytest.approx(kernel.theta, abs=0.02)

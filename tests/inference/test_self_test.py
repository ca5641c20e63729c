"""The self-test's target against linear algebra and autograd, and its verdict on samplers whose bias is known."""

import math
from collections.abc import Callable

import pytest
import torch

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.self_test import MeanModel, stationary_self_test
from surefoot.inference.targets.target import MinibatchTarget

VARIANCE = torch.tensor([0.2, 0.5, 1.0])


def langevin(rate: float, batch: int | None = None, draws: int = 6_000) -> Callable[[MeanModel, int], Chains]:
    """u ← u + ε ĝ + √(2ε) ξ, every step a draw; minibatches with replacement."""

    def sampler(target: MeanModel, seed: int) -> Chains:
        generator = torch.Generator().manual_seed(seed)
        position = target.position(target.exact(8, seed))
        gradient = torch.empty_like(position)
        writer = ChainWriter(None, "", chains=8)
        for _ in range(draws):
            if batch is None:
                target.gradient(position, gradient)
            else:
                index = torch.randint(target.rows, (8, batch), generator=generator)
                target.minibatch_gradient(position, index, gradient)
            noise = torch.randn(position.shape, generator=generator)
            position = position + rate * gradient + math.sqrt(2 * rate) * noise
            writer.append(target.parameters(position), {})
        return writer.finish(diagnostics=(), seen=frozenset())

    return sampler


def test_the_target_is_the_posterior_of_its_rows() -> None:
    """In weighted least squares: precision I + N/s², mean its inverse times Σ y/s²; the gradient by autograd."""
    target = MeanModel(VARIANCE, rows=50, seed=1)
    assert isinstance(target, MinibatchTarget)
    assert (target.size, target.rows, target.quarter) == (3, 50, math.pi / 2)
    design = torch.eye(3, dtype=torch.float64).repeat(50, 1)
    weight = target.precision.repeat(50)
    precision = design.T @ (weight[:, None] * design) + torch.eye(3)
    assert torch.allclose(torch.linalg.inv(precision).diag(), VARIANCE.double())
    assert torch.allclose(target.mean, torch.linalg.solve(precision, design.T @ (weight * target.shown.flatten())))
    position = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    terms = target.terms(position)
    (expected,) = torch.autograd.grad((terms.likelihood + terms.prior).sum(), position)
    out = torch.empty(4, 3, dtype=torch.float64)
    target.gradient(position.detach(), out)
    assert torch.allclose(out, expected)
    assert torch.equal(target.position(target.parameters(position)), position)


def test_minibatches_are_unbiased_and_noisy() -> None:
    target = MeanModel(VARIANCE, rows=50, seed=1, dtype=torch.float64)
    position = torch.full((50, 3), 0.3, dtype=torch.float64)
    full, single = torch.empty(50, 3, dtype=torch.float64), torch.empty(50, 3, dtype=torch.float64)
    target.gradient(position, full)
    target.minibatch_gradient(position, torch.arange(50)[:, None], single)  # each row once
    assert torch.allclose(single.mean(dim=0), full[0])
    # Noise has the variance N² · var(y)/s⁴; where rows say nothing there is none.
    spread = 50**2 * target.precision**2 * target.shown.var(dim=0, correction=0)
    assert torch.allclose(single.var(dim=0, correction=0), spread)
    assert float(spread[2]) == 0.0


@pytest.mark.parametrize("rate", [0.02, 0.12])
def test_the_bias_of_langevin_steps_is_found(rate: float) -> None:
    """The variance of this linear recursion is v/(1 − ε/2v), a ratio of 1.03 and 1.20; within five standard errors."""
    ratio = stationary_self_test(langevin(rate), seed=0, variance=VARIANCE)[0]
    truth = float((1 / (1 - rate / (2 * VARIANCE))).mean())
    assert ratio.interval is not None
    error = (ratio.interval.high - ratio.interval.low) / (2 * 1.96)
    assert abs(ratio.value - truth) < 5 * error
    assert error < 0.02
    assert (ratio.interval.low > 1) == (rate == 0.12)


def test_the_noise_of_minibatches_is_found() -> None:
    """Var u = (2ε + ε² V)/(1 − (1 − ε/v)²) with V the variance of the minibatch gradient."""
    rate, batch, rows = 0.02, 4, 512
    findings = stationary_self_test(langevin(rate, batch), seed=0, variance=VARIANCE, rows=rows)
    target = MeanModel(VARIANCE, rows=rows, seed=0)
    noise = rows**2 * target.precision**2 * target.shown.var(dim=0, correction=0) / batch
    variance = (2 * rate + rate**2 * noise) / (1 - (1 - rate / target.variance) ** 2)
    ratio = findings[0]
    assert ratio.interval is not None
    error = (ratio.interval.high - ratio.interval.low) / (2 * 1.96)
    truth = variance / target.variance
    assert abs(ratio.value - float(truth.mean())) < 5 * error
    assert float(truth.mean()) > 1.5
    assert ratio.interval.low > 1
    assert findings[1].value == pytest.approx(float(truth.max()), rel=0.1)
    assert findings[2].value < 0.3


def test_a_sampler_that_never_moves_has_no_interval() -> None:
    def still(target: MeanModel, seed: int) -> Chains:
        writer = ChainWriter(None, "", chains=1)
        start = {"u": (target.mean + 2 * target.variance.sqrt())[None]}
        for _ in range(10):
            writer.append(start, {})
        return writer.finish(diagnostics=(), seen=frozenset())

    ratio, _, offset = stationary_self_test(still, seed=0, variance=VARIANCE)
    assert ratio.interval is None
    assert (ratio.value, offset.value) == (pytest.approx(4), pytest.approx(2))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        MeanModel(torch.tensor([0.5, 1.5]), rows=10, seed=0)
    with pytest.raises(InputError, match="at least one row"):
        MeanModel(torch.tensor([0.5]), rows=0, seed=0)
    with pytest.raises(InputError, match="seed is -1"):
        MeanModel(torch.tensor([0.5]), rows=10, seed=-1)


def test_exact_draws_have_nothing_to_do_with_the_rows_of_the_same_seed() -> None:
    """Row n is u + s ε: neither u, drawn first, nor any row's noise may be the standard numbers of a start.

    With 4,096 coordinates a correlation of independent numbers is N(0, 1/64²): |r| > 5/64 once in 1.7 million looks.
    """
    size, rows = 4096, 3
    target = MeanModel(torch.full((size,), 0.5), rows=rows, seed=3, dtype=torch.float64)
    exact = (target.exact(4, 3)["u"] - target.mean) / target.variance.sqrt()
    own = torch.Generator().manual_seed(3)  # what a sampler may draw from
    plain = torch.randn(4, size, generator=own, dtype=torch.float64)
    looked_at = torch.cat([target.shown, exact, plain])
    correlations = torch.corrcoef(looked_at)
    beside = correlations[rows:, :rows], correlations[rows + 4 :, rows : rows + 4]
    assert max(float(each.abs().max()) for each in beside) < 5 / 64
    assert torch.equal(target.exact(4, 3)["u"], target.exact(4, 3)["u"])
    assert not torch.equal(target.exact(4, 4)["u"], target.exact(4, 3)["u"])

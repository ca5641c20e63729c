"""Dirichlet likelihoods against their equations, torch.distributions, and a simulation of label noise."""

import math

import pytest
import torch
from torch import Tensor, distributions

from surefoot.density.dirichlet import DirectDirichlet, NoisyDirichlet, noise_for
from surefoot.density.functional import Dirichlet
from surefoot.density.likelihoods import categorical
from surefoot.errors import InputError

Either = NoisyDirichlet | DirectDirichlet


def logits(rows: int = 40, classes: int = 5) -> Tensor:
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def labels(rows: int = 40, classes: int = 5) -> Tensor:
    return torch.randint(0, classes, (rows,), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("noise", "off", "on"),
    [
        (1e-6, (-20.72, 13.82), (-0.347, 0.693)),
        (1e-4, (-13.82, 9.21), None),
        (1e-2, (-6.91, 4.62), (-0.334, 0.688)),
        (0.1, (-3.50, 2.40), (-0.228, 0.647)),
    ],
)
def test_means_and_variances_are_the_published_ones(
    noise: float, off: tuple[float, float], on: tuple[float, float] | None
) -> None:
    """Read off the gradient −(z − μ)/v, which is linear in z: at zero it is μ/v, and its slope is −1/v."""
    likelihood, target = NoisyDirichlet(noise), torch.tensor([0])
    zero, one = (likelihood.output_gradient(torch.full((1, 2), z, dtype=torch.float64), target)[0] for z in (0.0, 1.0))
    variance = 1 / (zero - one)
    mean = zero * variance
    assert mean[1].item() == pytest.approx(off[0], abs=0.005)
    assert variance[1].item() == pytest.approx(off[1], abs=0.005)
    if on is not None:
        assert mean[0].item() == pytest.approx(on[0], abs=5e-4)
        assert variance[0].item() == pytest.approx(on[1], abs=5e-4)


def test_the_log_normals_have_the_moments_of_gamma_variables() -> None:
    """Gamma(α, 1) has mean and variance α: exp(μ + v/2) = α and (exp(v) − 1) exp(2μ + v) = α, exactly."""
    likelihood, z = NoisyDirichlet(0.3), torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.functional.hessian(lambda at: likelihood(at, torch.tensor([0])).sum(), z)
    variance = -1 / slope.reshape(2, 2).diagonal()
    mean = likelihood.output_gradient(z.detach(), torch.tensor([0]))[0] * variance
    alpha = torch.tensor([1.3, 0.3], dtype=torch.float64)
    torch.testing.assert_close((mean + variance / 2).exp(), alpha, rtol=1e-12, atol=0)
    torch.testing.assert_close(variance.expm1() * (2 * mean + variance).exp(), alpha, rtol=1e-12, atol=0)


def test_noisy_is_a_normalised_density_of_the_logits() -> None:
    """The integral over a grid of two logits; the tails beyond it hold less than 1e-12."""
    step = 0.1
    axis = torch.arange(-25.0, 20.0, step, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = NoisyDirichlet(0.1)(grid, torch.ones(len(grid), dtype=torch.int64)).exp()
    assert density.sum().item() * step**2 == pytest.approx(1, abs=1e-9)


def test_direct_is_the_dirichlet_density_up_to_its_constant() -> None:
    noise, classes = 0.4, 5
    probabilities = logits().softmax(dim=1)
    alpha = torch.nn.functional.one_hot(labels(), classes).double() + noise
    constant = math.lgamma(1 + classes * noise) - math.lgamma(1 + noise) - (classes - 1) * math.lgamma(noise)
    expected = distributions.Dirichlet(alpha).log_prob(probabilities) - constant
    torch.testing.assert_close(DirectDirichlet(noise)(logits(), labels()), expected, rtol=1e-12, atol=1e-12)


def test_direct_is_categorical_times_a_dirichlet_prior() -> None:
    expected = categorical(logits(), labels()) + Dirichlet(0.4).log_density(logits())
    torch.testing.assert_close(DirectDirichlet(0.4)(logits(), labels()), expected, rtol=1e-13, atol=1e-13)


def test_direct_below_one_has_no_limit_and_stays_finite_where_a_probability_underflows() -> None:
    """The trap: through log(softmax) these would be infinite or NaN in float32."""
    far = torch.tensor([[0.0, -1000.0, -1000.0]])
    assert DirectDirichlet(0.5)(far, torch.tensor([0])).item() == 1000.0
    assert not DirectDirichlet(0.5).bounded
    assert DirectDirichlet(1.0)(far, torch.tensor([0])).item() == 0.0
    assert DirectDirichlet(1.0).bounded


@pytest.mark.parametrize("likelihood", [NoisyDirichlet(1e-3), NoisyDirichlet(2.0), DirectDirichlet(0.01)])
def test_output_gradients_are_those_of_autograd(likelihood: Either) -> None:
    leaf = logits().requires_grad_()
    likelihood(leaf, labels()).sum().backward()
    gradient = likelihood.output_gradient(leaf, labels())
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-11, atol=1e-12)
    assert not gradient.requires_grad


def test_noisy_fixes_the_level_of_the_logits_and_direct_does_not() -> None:
    shifted = logits() + 2
    torch.testing.assert_close(DirectDirichlet(0.1)(shifted, labels()), DirectDirichlet(0.1)(logits(), labels()))
    assert (NoisyDirichlet(0.1)(shifted, labels()) - NoisyDirichlet(0.1)(logits(), labels())).abs().min() > 0.01


@pytest.mark.parametrize(("noise", "classes"), [(0.1, 10), (0.5, 3), (0.8, 100)])
def test_noise_for_gives_the_posterior_of_the_true_class(noise: float, classes: int) -> None:
    """Simulated labels: how often the truth is what was observed, against the mean of Dir(onehot + α_ε).

    400,000 draws; five standard errors, a false alarm in less than one of 10⁶ runs (and the seed is fixed).
    """
    draws, generator = 400_000, torch.Generator().manual_seed(0)
    truth = torch.randint(0, classes, (draws,), generator=generator)
    replaced = torch.rand(draws, generator=generator) < noise
    observed = torch.where(replaced, torch.randint(0, classes, (draws,), generator=generator), truth)
    alpha = noise_for(noise, classes)
    same, other = (1 + alpha) / (1 + classes * alpha), alpha / (1 + classes * alpha)
    assert same + (classes - 1) * other == pytest.approx(1, abs=1e-12)
    assert same == pytest.approx(1 - noise + noise / classes, abs=1e-12)
    error = math.sqrt(same * (1 - same) / draws)
    assert (truth == observed).double().mean().item() == pytest.approx(same, abs=5 * error)
    shifted = (truth == (observed + 1) % classes).double().mean().item()
    assert shifted == pytest.approx(other, abs=5 * math.sqrt(other / draws))


@pytest.mark.parametrize("kind", [NoisyDirichlet, DirectDirichlet])
def test_soft_targets_and_bad_noise_are_refused(kind: type[Either]) -> None:
    with pytest.raises(InputError) as raised:
        kind(0.1)(torch.zeros(2, 3), torch.zeros(2, 3))
    assert str(raised.value) == (
        "A Dirichlet likelihood was given floating targets [2, 3], and counts whole labels; give int64 class numbers, "
        "or use `categorical` for soft targets."
    )
    with pytest.raises(InputError, match="lie outside the 3 classes"):
        kind(0.1)(torch.zeros(2, 3), torch.tensor([0, -100]))
    for noise in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="give a positive number"):
            kind(noise)


@pytest.mark.parametrize("noise", [0.0, 1.0, -0.1, math.nan])
def test_noise_for_refuses_shares_that_are_none(noise: float) -> None:
    with pytest.raises(InputError, match="give the share of replaced labels"):
        noise_for(noise, 10)
    with pytest.raises(InputError, match="at least two classes"):
        noise_for(0.1, 1)

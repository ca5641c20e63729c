"""Likelihoods of numbers against torch.distributions, and what their temperature is and is not."""

import math

import pytest
import torch
from torch import Tensor, distributions
from torch.nn.functional import softplus

from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.errors import InputError


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gaussian_noise_is_the_normal_density() -> None:
    outputs, targets = numbers(30, 3), numbers(30, 3, seed=1)
    expected = distributions.Normal(outputs, 0.7).log_prob(targets).sum(dim=1)
    torch.testing.assert_close(GaussianNoise(0.7)(outputs, targets), expected, rtol=1e-13, atol=0)


def test_one_target_may_come_with_or_without_its_axis() -> None:
    outputs, targets = numbers(30), numbers(30, seed=1)
    expected = distributions.Normal(outputs, 0.7).log_prob(targets)
    for z, y in ((outputs, targets), (outputs[:, None], targets), (outputs[:, None], targets[:, None])):
        torch.testing.assert_close(GaussianNoise(0.7)(z, y), expected, rtol=1e-13, atol=0)
        assert GaussianNoise(0.7).output_gradient(z, y).shape == z.shape


def test_a_row_of_targets_is_never_broadcast_against_a_column_of_means() -> None:
    """[rows] − [rows, 1] would silently be [rows, rows]."""
    assert GaussianNoise(1.0)(numbers(5, 1), numbers(5)).shape == (5,)
    with pytest.raises(InputError) as raised:
        GaussianNoise(1.0)(numbers(5), numbers(5, 1))
    assert str(raised.value) == (
        "Targets have shape [5, 1] but the predicted means [5]; give one number per row and mean."
    )


def test_noise_temperature_widens_the_noise_and_keeps_it_normalised() -> None:
    outputs, targets = numbers(30, 3), numbers(30, 3, seed=1)
    torch.testing.assert_close(
        GaussianNoise(0.7, temperature=4.0)(outputs, targets), GaussianNoise(1.4)(outputs, targets), rtol=1e-13, atol=0
    )


def test_learned_noise_is_the_normal_density_of_the_predicted_scale() -> None:
    outputs, targets = numbers(30, 4), numbers(30, 2, seed=1)
    scale = 0.01 + softplus(outputs[:, 2:])
    expected = distributions.Normal(outputs[:, :2], scale * math.sqrt(0.3)).log_prob(targets).sum(dim=1)
    likelihood = LearnedNoise(temperature=0.3, floor=0.01)
    torch.testing.assert_close(likelihood(outputs, targets), expected, rtol=1e-12, atol=1e-12)


def test_learned_noise_integrates_to_one_at_every_temperature() -> None:
    targets = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
    outputs = torch.tensor([[0.3, -1.0]], dtype=torch.float64).expand(len(targets), 2)
    for temperature in (0.1, 1.0, 5.0):
        density = LearnedNoise(temperature)(outputs, targets).exp()
        assert torch.trapezoid(density, targets).item() == pytest.approx(1, abs=1e-9)


def test_noise_temperature_is_a_constant_away_from_tempering_only_when_the_noise_is_known() -> None:
    temperature = 0.25
    outputs, targets = numbers(30, 2), numbers(30, seed=1)
    known = GaussianNoise(0.7, temperature)(outputs[:, :1], targets)
    tempered = GaussianNoise(0.7)(outputs[:, :1], targets) / temperature
    assert (known - tempered).std().item() < 1e-10
    learned = LearnedNoise(temperature)(outputs, targets)
    tempered = LearnedNoise()(outputs, targets) / temperature
    scale = 1e-3 + softplus(outputs[:, 1])
    constant = -0.5 * math.log(2 * math.pi * temperature) + 0.5 * math.log(2 * math.pi) / temperature
    torch.testing.assert_close(learned - tempered, (1 / temperature - 1) * scale.log() + constant, rtol=1e-9, atol=1e-9)
    assert (learned - tempered).std().item() > 1


@pytest.mark.parametrize("likelihood", [GaussianNoise(0.5, 3.0), LearnedNoise(0.5, floor=0.1)])
def test_output_gradients_are_those_of_autograd(likelihood: GaussianNoise | LearnedNoise) -> None:
    leaf = numbers(30, 4).requires_grad_()
    targets = numbers(30, 4 if isinstance(likelihood, GaussianNoise) else 2, seed=1)
    likelihood(leaf, targets).sum().backward()
    torch.testing.assert_close(likelihood.output_gradient(leaf, targets), leaf.grad, rtol=1e-11, atol=1e-12)


def test_the_floor_bounds_the_likelihood_of_an_exact_fit() -> None:
    exact = torch.tensor([[0.0, -1e4]], dtype=torch.float64)
    assert LearnedNoise(floor=1e-3)(exact, torch.zeros(1)).item() == pytest.approx(
        -0.5 * math.log(2 * math.pi) + math.log(1e3), abs=1e-9
    )


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"torch\.int64 are class numbers"):
        GaussianNoise(1.0)(torch.zeros(2, 1), torch.tensor([0, 1]))
    with pytest.raises(InputError, match=r"shape \[2, 3\]; learned noise needs a mean and a raw scale"):
        LearnedNoise()(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(InputError, match=r"shape \[2, 3, 4\]; a regression needs"):
        GaussianNoise(1.0)(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="give a positive number"):
            GaussianNoise(bad)
        with pytest.raises(InputError, match="give a positive number"):
            LearnedNoise(floor=bad)

"""Leapfrog steps, energies and starts, against closed forms and a plain integrator."""

import math

import pytest
import torch
from analytic_targets import double_well, funnel, gaussian, standard_normal, walled, wishart
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.hamiltonian.state import begin, energy_gain, evaluate, kinetic, leapfrog
from surefoot.inference.targets.target import Target, Terms


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def travelled(target: Target, position: Tensor, momentum: Tensor, step: float, count: int) -> tuple[Tensor, Tensor]:
    position, momentum, gradient = position.clone(), momentum.clone(), torch.empty_like(position)
    target.gradient(position, gradient)
    leapfrog(target, position, momentum, gradient, step, count)
    return position, momentum


@pytest.mark.parametrize("target", [double_well(), funnel(3), gaussian(torch.ones(3).double(), wishart(3, 0))])
def test_the_written_slopes_are_the_gradients_of_the_written_densities(target: Target) -> None:
    position = numbers(5, target.size).requires_grad_()
    (expected,) = torch.autograd.grad(sum(part.sum() for part in target.terms(position)), position)
    slope = torch.empty(5, target.size, dtype=torch.float64)
    target.gradient(position.detach(), slope)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_fused_steps_are_the_steps_of_the_plain_integrator_with_half_its_gradients(count: int) -> None:
    target, position, momentum = funnel(4), numbers(3, 4), numbers(3, 4, seed=1)
    u, m, slope = position.clone(), momentum.clone(), torch.empty(3, 4, dtype=torch.float64)
    for _ in range(count):
        target.gradient(u, slope)
        m = m + 0.05 * slope
        u = u + 0.1 * m
        target.gradient(u, slope)
        m = m + 0.05 * slope
    before, gradient = target.calls, torch.empty_like(position)
    target.gradient(position, gradient)
    ours, ours_m = position.clone(), momentum.clone()
    leapfrog(target, ours, ours_m, gradient, 0.1, count)
    assert target.calls - before == count + 1
    torch.testing.assert_close(ours, u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours_m, m, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-12, atol=1e-12)


def test_a_trajectory_with_its_momentum_turned_round_goes_back_to_where_it_began() -> None:
    target, position, momentum = double_well(), numbers(50, 1), numbers(50, 1, seed=1)
    there, end = travelled(target, position, momentum, 0.1, 40)
    assert (there - position).abs().median() > 0.2
    back, again = travelled(target, there, -end, 0.1, 40)
    torch.testing.assert_close(back, position, rtol=0, atol=1e-9)
    torch.testing.assert_close(again, -momentum, rtol=0, atol=1e-9)


def test_an_oscillator_keeps_the_energy_that_leapfrog_steps_conserve_exactly() -> None:
    """For H = (u² + m²)/2, u²(1 − ε²/4) + m² is invariant under a step; H itself is not."""
    target, position, momentum, step = standard_normal(6), numbers(4, 6), numbers(4, 6, seed=1), 1.3
    there, end = travelled(target, position, momentum, step, 25)
    kept = position.square() * (1 - step**2 / 4) + momentum.square()
    torch.testing.assert_close(there.square() * (1 - step**2 / 4) + end.square(), kept, rtol=1e-12, atol=1e-12)
    assert (there.square() + end.square() - position.square() - momentum.square()).abs().max() > 0.1


def test_the_energy_error_falls_with_the_square_of_the_step() -> None:
    target, position, momentum = double_well(), numbers(200, 1), numbers(200, 1, seed=1)
    errors: list[float] = []
    for count in (40, 80, 160):
        there, end = travelled(target, position, momentum, 1.0 / count, count)
        gain = energy_gain(evaluate(target, position), kinetic(momentum), evaluate(target, there), kinetic(end))
        errors.append(float(gain.abs().mean()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


def test_energies_are_subtracted_part_by_part_in_float64() -> None:
    """A million nats of likelihood hide a hundredth of one from float32, whose numbers lie 0.06 apart there."""
    momentum = numbers(2, 1000, dtype=torch.float32)
    assert kinetic(momentum).dtype == torch.float64
    torch.testing.assert_close(kinetic(momentum), momentum.double().square().sum(1) / 2, rtol=1e-14, atol=0)
    one = torch.ones(2, dtype=torch.float64)
    gain = energy_gain(Terms(-1e6 * one, -5e5 * one), kinetic(momentum), Terms(-1e6 * one + 0.01, -5e5 * one), 0 * one)
    torch.testing.assert_close(gain, 0.01 + kinetic(momentum), rtol=0, atol=1e-9)


def test_a_start_must_fit_and_be_where_the_density_is_finite() -> None:
    with pytest.raises(InputError, match=r"Chain 2 starts where the log likelihood is 0 and the log prior nan nats"):
        begin(walled(0.5), torch.tensor([[0.0], [0.7], [0.1]]).double(), 3)
    with pytest.raises(InputError, match="The start has 3 chains of 1 numbers, and the settings and the target 4 of 1"):
        begin(walled(0.5), torch.zeros(3, 1).double(), 4)
    cliff = double_well()
    cliff.slope = lambda u: torch.where(u > 1, math.inf, u)
    with pytest.raises(InputError, match="Chain 1 starts where the gradient of the log density is not finite"):
        begin(cliff, torch.tensor([[1.5], [0.0]]).double(), 2)


def test_named_tensors_and_positions_begin_alike_and_stay_the_callers() -> None:
    target, position = standard_normal(3), numbers(2, 3)
    named, flat = begin(target, {"u": position}, 2), begin(target, position, 2)
    assert torch.equal(named.position, flat.position)
    assert torch.equal(flat.gradient, -position)
    flat.position.add_(1)
    assert torch.equal(position, numbers(2, 3))

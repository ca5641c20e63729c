"""Each published update, written out as its code has it, against ours at the converted step: the same trajectory.

The density is −½ κ θ² summed over rows, at a temperature other than one; the same noise goes to both.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.langevin.converters import (
    Dynamics,
    decay_of,
    friction_of,
    from_friction,
    from_mean_density,
    from_mean_loss,
    from_root_rate,
    whitened,
)
from surefoot.inference.langevin.motion import advance, rest
from surefoot.inference.langevin.schedules import Pace

ROWS, CURVATURE, STEPS = 40, torch.tensor([[3.0, 0.5, 40.0]], dtype=torch.float64), 60
START = torch.tensor([[0.3, -1.0, 0.1]], dtype=torch.float64)
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def slope(position: Tensor) -> Tensor:
    """∇S, not tempered; a quartic part makes it nonlinear."""
    return -CURVATURE * position - position**3


def theirs(step: Step) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    position, momentum, path = START, torch.zeros_like(START), []
    for _ in range(STEPS):
        noise = torch.empty_like(START).normal_(0.0, 1.0, generator=generator)
        position, momentum = step(position, momentum, noise)
        path.append(position)
    return torch.cat(path)


def ours(dynamics: Dynamics, temperature: float, scale: float = 1.0) -> Tensor:
    """Our steps on S/T, in coordinates u = θ/scale."""
    generator = torch.Generator().manual_seed(0)
    motion, path = rest(START / scale), []
    for _ in range(STEPS):
        motion.gradient.copy_(slope(motion.position * scale) * scale / temperature)
        advance(motion, Pace(dynamics.step, 1.0), dynamics.decay, generator)
        path.append(motion.position * scale)
    return torch.cat(path)


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert one.std() > 0.01  # something moved


def test_root_rate() -> None:
    rate, decay = 4e-4, 0.9

    def step(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        m = decay * m + math.sqrt(rate) * slope(theta) / 0.3 + math.sqrt(2 * (1 - decay)) * xi
        return theta + math.sqrt(rate) * m, m

    same(theirs(step), ours(from_root_rate(rate, decay), 0.3))


@pytest.mark.parametrize("friction", [0.9, 0.1])
def test_friction(friction: float) -> None:
    rate, temperature = 4e-4, 0.3

    def step(theta: Tensor, buffer: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        noise = math.sqrt(2 * rate * friction * temperature) * xi
        buffer = (1 - friction) * buffer + rate * slope(theta) + noise
        return theta + buffer, buffer

    same(theirs(step), ours(from_friction(rate, friction, temperature), temperature))


def test_friction_of_one_is_langevin_dynamics() -> None:
    rate, temperature = 4e-4, 0.3

    def step(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        return theta + rate * slope(theta) + math.sqrt(2 * rate * temperature) * xi, m

    same(theirs(step), ours(from_friction(rate, 1.0, temperature), temperature))


def test_mean_loss() -> None:
    rate, decay, temperature = 0.016, 0.98, 0.3
    h = math.sqrt(rate / ROWS)

    def step(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        m = decay * m + h * slope(theta) + math.sqrt(2 * temperature * (1 - decay)) * xi
        return theta + h * m, m

    same(theirs(step), ours(from_mean_loss(rate, ROWS, decay, temperature), temperature))


def test_sgd_with_momentum_has_the_rate_of_the_mean_loss() -> None:
    rate, decay = 0.016, 0.98
    theta = START.clone().requires_grad_()
    sgd = torch.optim.SGD([theta], lr=rate, momentum=decay)
    motion = rest(START)
    for _ in range(STEPS):
        theta.grad = -slope(theta.detach()) / ROWS
        sgd.step()
        motion.gradient.copy_(slope(motion.position))
        advance(motion, Pace(from_mean_loss(rate, ROWS, decay).step, 0.0), decay)
    torch.testing.assert_close(motion.position, theta.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("multiple", [1.0, 0.3])
def test_mean_density_langevin(multiple: float) -> None:
    rate, heat = 0.016, multiple / ROWS

    def step(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        return theta + rate * slope(theta) / ROWS + math.sqrt(2 * rate * heat) * xi, m

    same(theirs(step), ours(from_mean_density(rate, heat), multiple))


def test_mean_density_with_momentum_is_ours_but_for_the_order_of_its_updates() -> None:
    rate, friction, heat = 0.13, 0.7, 0.3 / ROWS

    def new_momentum(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        noise = math.sqrt(2 * rate * heat * friction) * xi
        m = m + rate * slope(theta) / ROWS - rate * friction * m + noise
        return theta + rate * m, m

    def old_momentum(theta: Tensor, m: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        return theta + rate * m, new_momentum(theta, m, xi)[1]

    path = ours(from_mean_density(rate, heat, friction), 0.3)
    same(theirs(new_momentum), path)
    assert not torch.allclose(theirs(old_momentum), path)


def test_whitened_steps_move_the_parameters_alike() -> None:
    same(ours(Dynamics(0.02, 0.9), 1.0), ours(Dynamics(whitened(0.02, 0.25), 0.9), 1.0, scale=0.25))


def test_decay_and_friction() -> None:
    assert decay_of(0.9) == pytest.approx(0.1)
    assert friction_of(decay_of(0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "convert",
    [
        lambda: from_friction(1e-6, 0.0),
        lambda: from_friction(1e-6, 0.9, 0.0),
        lambda: from_root_rate(-1.0),
        lambda: from_mean_loss(0.1, 0, 0.9),
        lambda: from_mean_density(2.0, 0.1, friction=0.6),
        lambda: decay_of(1.2),
        lambda: whitened(0.1, 0.0),
    ],
)
def test_what_has_no_equivalent_is_refused(convert: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        convert()

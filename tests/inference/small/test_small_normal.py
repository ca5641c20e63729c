"""Normal noise in machine code: the gradients and trajectories of the torch target, which autograd has checked."""

from dataclasses import replace

import pytest
import torch
from small_examples import UNIT, positions, target_of

from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Prior
from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.inference.hamiltonian.state import leapfrog
from surefoot.inference.small.target import SmallTarget
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows, make_rows

pytest.importorskip("llvmlite")

NOISE = GaussianNoise(scale=0.6)
PER_TENSOR = Gaussian(precision=4.0)


def numbers(count: int, outputs: int | None, *, weighted: bool = False) -> Rows:
    generator = torch.Generator().manual_seed(count)
    shape = (count,) if outputs is None else (count, outputs)
    inputs, targets = (torch.randn(size, generator=generator).double() for size in ((count, 3), shape))
    return make_rows(inputs, targets, weights=torch.rand(count, generator=generator) if weighted else None)


def posterior(likelihood: GaussianNoise, outputs: int = 1, prior: Prior = UNIT) -> Posterior:
    return Posterior(build_mlp(3, (6, 5), outputs, seed=0), likelihood, prior)


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (posterior(NOISE), numbers(9, None)),
        (posterior(NOISE), numbers(9, 1)),
        (posterior(NOISE, 3), numbers(21, 3)),
        (posterior(NOISE), numbers(33, None, weighted=True)),
        (posterior(GaussianNoise(0.6, temperature=0.3), prior=PER_TENSOR), numbers(17, None)),
        (replace(posterior(NOISE, prior=PER_TENSOR), likelihood_temperature=0.5), numbers(17, None)),
        (replace(posterior(NOISE, prior=PER_TENSOR), posterior_temperature=0.2), numbers(17, None)),
        (Posterior(build_mlp(3, (), 2, seed=0), NOISE, UNIT), numbers(12, 2)),
    ],
)
def test_the_gradient_is_autograds(given: Posterior, rows: Rows) -> None:
    target = target_of(given, rows, torch.float64)
    position = positions(target)
    gradient = torch.empty_like(position)
    target.gradient(position, gradient)
    for chain in range(len(position)):
        leaf = position[chain : chain + 1].clone().requires_grad_()
        flat = target.base.coordinates.to_parameters(leaf * 1.0)
        named = {name: view[0] for name, view in target.base.coordinates.layout.views(flat).items()}
        (expected,) = torch.autograd.grad(given.log_density({**parameters_of(given.network), **named}, rows), leaf)
        torch.testing.assert_close(gradient[chain], expected[0], rtol=1e-10, atol=1e-9)


def test_a_trajectory_is_the_torch_targets() -> None:
    target = target_of(posterior(NOISE), numbers(40, None), torch.float64)
    ends = []
    for one in (target, target.base):
        position, momentum = positions(target), positions(target, seed=2)
        gradient = torch.empty_like(position)
        one.gradient(position, gradient)
        leapfrog(one, position, momentum, gradient, 1e-3, 50)
        ends.append(torch.stack([position, momentum, gradient]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-9)


def test_a_regression_of_known_noise_is_compiled_and_one_of_learned_noise_is_not() -> None:
    assert isinstance(make_target(posterior(NOISE), numbers(9, None)), SmallTarget)
    learned = replace(posterior(NOISE, 2), likelihood=LearnedNoise())
    assert not isinstance(make_target(learned, numbers(9, None)), SmallTarget)


def test_two_scales_of_noise_share_no_numbers() -> None:
    rows, still = numbers(9, None), None
    slopes = []
    for scale in (0.6, 1.2):
        target = target_of(posterior(GaussianNoise(scale)), rows, torch.float64)
        still = positions(target) if still is None else still
        gradient = torch.empty_like(still)
        target.gradient(still, gradient)
        slopes.append(gradient + still)  # without the prior
    torch.testing.assert_close(slopes[0], 4 * slopes[1], rtol=1e-10, atol=1e-9)

"""The samplers on targets made from a posterior and rows, as a user has them, against known answers."""

import math

import pytest
import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.inference.approximate.mean_field import MeanField, mean_field
from surefoot.inference.approximate.swag import Swag, swag
from surefoot.inference.langevin.dynamics import sghmc, sgld
from surefoot.inference.langevin.schedules import Constant
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.target import MinibatchTarget
from surefoot.networks.build import build_linear, build_mlp
from surefoot.rows.rows import Rows, make_rows

NOISE, PRECISION = 0.5, 4.0


def rows() -> Rows:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 2, generator=generator)
    targets = inputs.sum(dim=1, keepdim=True) + NOISE * torch.randn(40, 1, generator=generator)
    return make_rows(inputs, targets)


def regression_target() -> MinibatchTarget:
    return make_target(Posterior(build_linear(2, 1, seed=0), GaussianNoise(NOISE), Gaussian(PRECISION)), rows())


def exact() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and precision of (weights, bias), in the parameters themselves."""
    features = torch.cat([torch.as_tensor(rows().inputs[:]), torch.ones(40, 1)], dim=1).double()
    precision = features.T @ features / NOISE**2 + PRECISION * torch.eye(3)
    return torch.linalg.solve(precision, features.T @ rows().targets.double() / NOISE**2)[:, 0], precision


@pytest.mark.parametrize("sampler", ["sgld", "sghmc"])
def test_a_regression_is_sampled_through_whitened_coordinates(sampler: str) -> None:
    target, (mean, precision) = regression_target(), exact()
    chains, draws = 1000, 4
    # In whitened coordinates curvatures are those of the parameters divided by the prior's precision.
    step = 0.3 / math.sqrt(torch.linalg.eigvalsh(precision).max().item() / PRECISION)
    start = torch.zeros(chains, target.size)
    if sampler == "sgld":
        drawn = sgld(target, start, 0, Sgld(Constant(draws, step, burn_in=100, thin=60)), seen=rows().origins())
    else:
        drawn = sghmc(target, start, 0, Sghmc(Constant(draws, step, burn_in=100, thin=60), 0.9), seen=rows().origins())
    parameters = drawn.as_draws().parameters
    together = torch.cat([parameters["head.weight"].flatten(1), parameters["head.bias"]], dim=1).double()
    white = (together - mean) @ torch.linalg.cholesky(precision)
    # Means and covariances of 4,000 independent draws at 4.5 standard errors, below 1e-4 together; and on top the
    # bias of the step, at most 0.09/2 without momentum and 0.09/3.8 with it.
    bias = 0.045 / (1 - 0.045) if sampler == "sgld" else 0.024
    count = chains * draws
    assert (white.mean(dim=0).abs() < 4.5 * math.sqrt((1 + bias) / count)).all()
    errors = (white.T.cov() - torch.eye(3)).abs()
    assert (errors < bias + 4.5 * math.sqrt(2 / count)).all()


def test_mean_field_and_swag_take_real_targets() -> None:
    target, (mean, precision) = regression_target(), exact()
    fitted = mean_field(
        target, torch.zeros(1, 3), 0, MeanField(steps=400, rate=0.05, draws=500, judged=2), seen=frozenset()
    )
    drawn = fitted.as_draws().parameters["head.weight"].flatten(1).double()
    deviation = precision.diagonal()[:2] ** -0.5
    assert ((drawn.mean(dim=0) - mean[:2]).abs() < (0.05 + 4.5 / 500**0.5) * deviation).all()
    assert (drawn.std(dim=0) / deviation - 1).abs().max() < 0.05 + 4.5 / math.sqrt(2 * 500)
    walked = swag(target, fitted_start(target, mean), 0, Swag(0.01, 30, 4, rank=5, batch=10), seen=frozenset())
    near = walked.as_draws().parameters["head.weight"].flatten(1).double()
    # The walk started at the mode and stays about it.
    assert ((near.mean(dim=0) - mean[:2]).abs() < 3 * deviation).all()
    assert (near.std(dim=0) > 0).all()


def fitted_start(target: MinibatchTarget, mean: torch.Tensor) -> torch.Tensor:
    return target.position({"head.weight": mean[None, None, :2].float(), "head.bias": mean[None, 2:].float()})


def test_a_network_sampled_from_batches_keeps_its_temperatures() -> None:
    """Of a network nothing is known in closed form but this: both temperatures are one, up to biases of the step."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 4, generator=generator)
    labelled = make_rows(inputs, (inputs[:, 0] * inputs[:, 1] > 0).long())
    target = make_target(Posterior(build_mlp(4, 8, 2, seed=0), categorical, Gaussian(1.0)), labelled)
    settings = Sghmc(Constant(draws=50, step=0.03, burn_in=300, thin=10), 0.9, batch=20)
    start = torch.randn(8, target.size, generator=generator)
    chains = sghmc(target, start, 0, settings, seen=labelled.origins())
    heat = {finding.name: finding.value for finding in chains.diagnostics}
    # 400 draws of 58 momenta, nearly independent: 4.5 √(2/23,200) = 0.04, and 0.02 for the batches' noise.
    assert heat["kinetic_temperature"] == pytest.approx(1.0, abs=0.06)
    assert heat["configurational_temperature"] == pytest.approx(1.0, abs=0.15)

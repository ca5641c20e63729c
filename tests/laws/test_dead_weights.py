"""Where inputs never vary, the posterior of first-layer weights is their prior; EmpCov's is narrow, and a mode's zero.

False alarms. Each Kolmogorov–Smirnov test is made at a level of 10⁻³ (three of them: below 0.3 % together), on draws
four iterations apart. A trajectory of a quarter period leaves a correlation of at most .16 (jitter 10 %), a rejection
(about 20 %) one of 1, so that draws four iterations apart are correlated by less than .02 and the level is very nearly
right. With as many draws they see a deviation that is 10 % off along all unseen directions, 15 % in dead weights alone.
Seeds are fixed: these tests always give the same numbers.
"""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from surefoot.density.covariance import empirical_covariance
from surefoot.density.empcov import empcov
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Prior
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.predict.predict import predict
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import Rows, make_rows

PRECISION, FLOOR = 4.0, 1e-4
ALPHA = 1e-3
DEAD = 4  # the place of the dead input; 3 is the difference of 0 and 1, and 5 never changes but is no zero


@pytest.fixture(scope="module")
def rows() -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 6, generator=generator)
    inputs[:, 3] = inputs[:, 0] - inputs[:, 1]
    inputs[:, DEAD] = 0
    inputs[:, 5] = 1
    return make_rows(inputs, (inputs[:, 0] + inputs[:, 2] > 0).long())


@pytest.fixture(scope="module")
def network() -> Network:
    return build_mlp(6, 8, 2, seed=0)


def sampled(network: Network, prior: Prior, rows: Rows) -> Chains:
    start = {
        name: torch.stack([parameters_of(build_mlp(6, 8, 2, seed=chain))[name] for chain in range(8)])
        for name in parameters_of(network)
    }
    target = make_target(Posterior(network, categorical, prior), rows, chains=8)
    return hmc(target, start, 1, Hmc(draws=60, burn_in=40, chains=8, thin=4), seen=rows.origins())


@pytest.fixture(scope="module")
def gaussian(network: Network, rows: Rows) -> Chains:
    return sampled(network, Gaussian(PRECISION), rows)


@pytest.fixture(scope="module")
def narrow(network: Network, rows: Rows) -> Chains:
    covariance = empirical_covariance(rows.inputs)
    first = empcov(covariance, name="hidden1.weight", floor=FLOOR, precision=PRECISION)
    return sampled(network, Layered({"hidden1.weight": first}, rest=Gaussian(PRECISION)), rows)


def first_layer(chains: Chains) -> Tensor:
    """Each unit's weights and bias: [units of all draws, inputs + 1], in float64."""
    drawn = chains.as_draws().parameters
    return torch.cat([drawn["hidden1.weight"], drawn["hidden1.bias"][..., None]], dim=-1).flatten(0, 1).double()


def unseen(rows: Rows) -> Tensor:
    """Orthonormal directions of (weights, bias) that no row sees: [x, 1] · direction = 0."""
    inputs = rows.inputs[:].double()
    joined = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    values, directions = torch.linalg.eigh(joined.T @ joined)
    return directions[:, values < 1e-8 * values[-1]]


def moved(chains: Chains, network: Network, rows: Rows) -> float:
    """How far dead-pixel noise of deviation 3 moves the averaged probabilities: the mean total variation."""
    noisy = rows.inputs[:].clone()
    noisy[:, DEAD] += 3 * torch.randn(len(noisy), generator=torch.Generator().manual_seed(5))
    before, after = (predict(network, chains, inputs).probabilities for inputs in (rows.inputs[:], noisy))
    return float((before - after).abs().sum(dim=1).mean() / 2)


def test_along_what_no_row_sees_the_posterior_is_the_prior(gaussian: Chains, rows: Rows) -> None:
    # A dead input; a linear dependence between inputs; an input that never varies, against the bias.
    directions = unseen(rows)
    assert directions.shape[1] == 3
    along = (first_layer(gaussian) @ directions) * math.sqrt(PRECISION)
    assert kstest(along.flatten().numpy(), "norm").pvalue > ALPHA
    # And along what they do see it is not: the same test with the same draws must see that.
    seen = torch.linalg.eigh(torch.eye(7, dtype=torch.float64) - directions @ directions.T).eigenvectors[:, -4:]
    informed = (first_layer(gaussian) @ seen) * math.sqrt(PRECISION)
    assert kstest(informed.flatten().numpy(), "norm").pvalue < 1e-6


def test_dead_weights_follow_the_prior(gaussian: Chains) -> None:
    dead = first_layer(gaussian)[:, DEAD] * math.sqrt(PRECISION)
    assert kstest(dead.numpy(), "norm").pvalue > ALPHA


def test_empcov_leaves_dead_weights_its_floor(narrow: Chains) -> None:
    dead = first_layer(narrow)[:, DEAD] / math.sqrt(FLOOR)
    assert kstest(dead.numpy(), "norm").pvalue > ALPHA


def test_a_modes_dead_weights_are_zero(network: Network, rows: Rows) -> None:
    start = parameters_of(network)
    assert float(start["hidden1.weight"][:, DEAD].abs().max()) > 0.1 * PRECISION**-0.5
    posterior = Posterior(network, categorical, Gaussian(PRECISION))
    told = Ascend(epochs=20, optimiser="lbfgs", rate=1.0, schedule="constant")
    mode = ascend(posterior, rows, start, 0, told).point()
    assert float(mode["hidden1.weight"][:, DEAD].abs().max()) < 1e-3 * PRECISION**-0.5


def test_noise_in_a_dead_input_moves_the_one_and_not_the_other(
    gaussian: Chains, narrow: Chains, network: Network, rows: Rows
) -> None:
    assert moved(gaussian, network, rows) > 0.05
    assert moved(narrow, network, rows) < 0.005

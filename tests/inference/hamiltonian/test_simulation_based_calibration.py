"""Simulation-based calibration: where the truth ranks among draws of its posterior is uniform.

Source: Talts et al. (2018), Validating Bayesian inference algorithms with simulation-based calibration, alg. 1.
"""

import numpy as np
import pytest
import torch
from analytic_targets import Written
from scipy.stats import chisquare
from torch import Tensor

from surefoot.inference.chains.chains import Chains
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.hamiltonian.nuts import Nuts, nuts

BINS, DRAWS = 8, 63


def worlds(count: int, seed: int) -> tuple[Tensor, Written]:
    """Weights [count, 2] from a standard normal, and for each the posterior given 5 rows y = x·w + 0.7·noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    weights = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    y = weights @ x.T + 0.7 * torch.randn(count, 5, generator=generator, dtype=torch.float64)
    target = Written(
        2,
        lambda w: (y - w @ x.T) @ x / 0.49 - w,
        likelihood=lambda w: -(y - w @ x.T).square().sum(1) / 0.98,
        prior=lambda w: -w.square().sum(1) / 2,
    )
    return weights, target


def ranks(chains: Chains, weights: Tensor) -> np.ndarray:
    draws = chains.as_draws().parameters["u"].reshape(chains.draws, len(weights), 2)
    return (draws < weights).sum(0).numpy()


def p_values(found: np.ndarray, draws: int = DRAWS) -> list[float]:
    counts = [np.bincount(each // ((draws + 1) // BINS), minlength=BINS) for each in found.T]
    return [float(chisquare(count).pvalue) for count in counts]


def test_the_truth_ranks_uniformly_among_hmcs_draws() -> None:
    """Chi-square over 8 bins, 2,000 worlds, two weights; false alarm 1e-3 each. One chain a world, thinned to be
    independent draws, from an unrelated start."""
    weights, target = worlds(2000, 0)
    settings = Hmc(
        draws=DRAWS, burn_in=30, chains=2000, thin=4, step_size=0.25, adapt=False, trajectory=0.8, jitter=0.3
    )
    start = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chains = hmc(target, start, 2, settings, seen=frozenset())
    assert 0.5 < chains.statistics()["accepted"].mean() < 0.999, "the Metropolis test has something to do"
    assert min(p_values(ranks(chains, weights))) > 1e-3


def test_ranks_notice_a_posterior_that_is_a_quarter_too_narrow() -> None:
    """The same test, of draws that are exact but pulled towards their mean: it fails, as it should."""
    weights, target = worlds(2000, 0)
    precision = torch.autograd.functional.hessian(
        lambda w: -(target.terms(w.expand(2000, 2)).likelihood + target.terms(w.expand(2000, 2)).prior)[0],
        torch.zeros(2).double(),
    )
    slope = torch.empty(2000, 2, dtype=torch.float64)
    target.gradient(torch.zeros(2000, 2).double(), slope)
    mean, root = torch.linalg.solve(precision, slope.T).T, torch.linalg.cholesky(torch.linalg.inv(precision))
    noise = torch.randn(DRAWS, 2000, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) @ root.T
    assert min(p_values(((mean + noise) < weights).sum(0).numpy())) > 1e-3
    assert min(p_values(((mean + 0.75 * noise) < weights).sum(0).numpy())) < 1e-6


@pytest.mark.slow
def test_the_truth_ranks_uniformly_among_nuts_draws() -> None:
    """Chi-square over 8 bins, 100 worlds, two weights; false alarm 1e-3 each."""
    weights, every = worlds(100, 0)
    found: list[np.ndarray] = []
    for world in range(100):
        alone = Written(
            2,
            lambda w, at=world: every.slope(w.expand(100, 2))[at : at + 1],
            likelihood=lambda w, at=world: every.likelihood(w.expand(100, 2))[at : at + 1],
            prior=every.prior,
        )
        settings = Nuts(draws=31, burn_in=5, chains=1, thin=1, step_size=0.4, adapt=False)
        start = torch.randn(1, 2, generator=torch.Generator().manual_seed(world), dtype=torch.float64)
        found.append(ranks(nuts(alone, start, world, settings, seen=frozenset()), weights[world : world + 1]))
    assert min(p_values(np.concatenate(found), draws=31)) > 1e-3

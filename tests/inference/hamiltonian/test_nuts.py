"""NUTS against exact distributions; see `test_hmc` for how false-alarm rates are meant."""

import math

import numpy as np
import pytest
import torch
from analytic_targets import Quadrature, Written, double_well, funnel, gaussian, standard_normal, walled, wishart
from scipy.stats import chisquare, kstest, t, truncnorm
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.hamiltonian.nuts import Edge, Nuts, Tree, Walk, _grow, nuts
from surefoot.inference.hamiltonian.state import begin, kinetic, leapfrog
from surefoot.inference.hamiltonian.streams import momenta

NOBODY: frozenset[str] = frozenset()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fixed(step: float, *, chains: int, draws: int, max_depth: int = 10) -> Nuts:
    return Nuts(draws=draws, burn_in=0, chains=chains, step_size=step, adapt=False, max_depth=max_depth)


def too_far(samples: Tensor, expected: Tensor, rate: float) -> bool:
    """Whether independent chains' means [chains, quantities] differ from what is expected, by Bonferroni's t-test."""
    chains, quantities = samples.shape
    score = (samples.mean(0) - expected) / (samples.std(0) / math.sqrt(chains))
    return bool(score.abs().max() > t.isf(rate / 2 / quantities, chains - 1))


def last(target: Written, start: Tensor, settings: Nuts, seed: int = 0) -> np.ndarray:
    chains = nuts(target, start, seed, settings, seen=NOBODY)
    return chains.as_draws().parameters["u"].reshape(chains.draws, chains.chains, -1)[-1, :, 0].numpy()


def moments_are_right(size: int, chains: int, draws: int) -> None:
    mean, covariance = torch.linspace(-2, 2, size).double(), wishart(size, 1)
    target = gaussian(mean, covariance)
    settings = Nuts(draws=draws, burn_in=60, chains=chains)
    drawn = nuts(target, 3 * numbers(chains, size), 0, settings, seen=NOBODY)
    off = drawn.as_draws().parameters["u"].reshape(draws, chains, size) - mean
    upper = torch.triu_indices(size, size)
    products = torch.einsum("dci,dcj->cij", off, off)[:, upper[0], upper[1]] / draws
    assert not too_far(off.mean(0), torch.zeros(size).double(), 1e-4)
    assert not too_far(products, covariance[upper[0], upper[1]], 1e-4)
    told = {finding.name: finding.value for finding in drawn.diagnostics if finding.slice == "all"}
    assert told["acceptance"] == pytest.approx(0.8, abs=0.12)
    assert told["divergences"] == 0
    assert told["tree_depth"] == pytest.approx(float(drawn.statistics()["tree_depth"].mean()))


def test_means_and_covariances_of_a_correlated_normal_from_a_bad_start() -> None:
    """8 dimensions, 10 independent chains, t-tests at 1e-4 each."""
    moments_are_right(8, 10, 40)


@pytest.mark.slow
def test_means_and_covariances_of_a_correlated_normal_in_fifty_dimensions() -> None:
    """50 dimensions, 12 independent chains, t-tests at 1e-4 each."""
    moments_are_right(50, 12, 60)


def test_two_wells_are_kept_as_quadrature_says() -> None:
    """400 independent chains that start in equilibrium, Kolmogorov–Smirnov, false alarm 1e-3. The step is coarse."""
    target = double_well()
    exact = Quadrature(target, -3.0, 3.0)
    start = exact.draws(400, 1)
    ended = last(target, start, fixed(0.45, chains=400, draws=3))
    assert kstest(ended, exact.cdf).pvalue > 1e-3
    assert np.abs(ended - start[:, 0].numpy()).mean() > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.15, 0.3, 0.45])
def test_two_wells_are_kept_as_quadrature_says_by_many_chains(step: float) -> None:
    """1,500 independent chains, Kolmogorov–Smirnov, false alarm 1e-3."""
    target = double_well()
    exact = Quadrature(target, -3.0, 3.0)
    ended = last(target, exact.draws(1500, 1), fixed(step, chains=1500, draws=3), seed=1)
    assert kstest(ended, exact.cdf).pvalue > 1e-3


def test_a_trajectory_cut_at_its_greatest_depth_keeps_the_distribution_too() -> None:
    """400 independent chains, Kolmogorov–Smirnov, false alarm 1e-3."""
    target = double_well()
    exact = Quadrature(target, -3.0, 3.0)
    chains = nuts(target, exact.draws(400, 2), 0, fixed(0.1, chains=400, draws=3, max_depth=2), seen=NOBODY)
    ended = chains.as_draws().parameters["u"].reshape(3, 400)[-1]
    assert kstest(ended.numpy(), exact.cdf).pvalue > 1e-3
    said = chains.statistics()
    assert said["tree_depth"].max() == 2
    assert said["leapfrogs"].max() == 3
    told = {finding.name: finding.value for finding in chains.diagnostics if finding.slice == "all"}
    assert told["cut_trajectories"] > 0.5


def test_a_region_of_nan_is_never_entered_and_counts_as_divergent() -> None:
    """A normal with NaN above 0.5 is a truncated normal. 400 independent chains, KS, false alarm 1e-3."""
    start = torch.from_numpy(truncnorm.rvs(-np.inf, 0.5, size=(400, 1), random_state=0))
    chains = nuts(walled(0.5), start, 1, fixed(0.6, chains=400, draws=3), seen=NOBODY)
    ended = chains.as_draws().parameters["u"].reshape(3, 400)[-1]
    assert kstest(ended.numpy(), truncnorm(-np.inf, 0.5).cdf).pvalue > 1e-3
    assert 0.1 < chains.statistics()["divergent"].mean() < 0.9


def test_the_neck_of_a_funnel_shows_as_divergences() -> None:
    """With a step that suits its mouth, trajectories that meet the neck run away; a normal has none."""
    start = torch.cat([torch.full((4, 1), 2.0), torch.ones(4, 5)], dim=1).double()
    found = nuts(funnel(6), start, 0, fixed(1.0, chains=4, draws=25), seen=NOBODY).statistics()
    none = nuts(standard_normal(6), start, 0, fixed(1.0, chains=4, draws=25), seen=NOBODY).statistics()
    assert found["divergent"].sum() > 0
    assert none["divergent"].sum() == 0


def test_trajectories_of_a_normal_turn_after_half_a_period() -> None:
    """In many dimensions ends turn towards each other after half a period, π. So what has not turned is shorter than
    about that, and the doubling that ends it makes it at most twice as long; or a half turns within itself before."""
    said = nuts(standard_normal(50), numbers(4, 50), 0, fixed(0.1, chains=4, draws=6), seen=NOBODY).statistics()
    time = 0.1 * said["leapfrogs"]
    assert time.min() >= math.pi / 2
    assert time.max() < 2 * math.pi + 0.2
    assert said["accept_probability"].min() > 0.9


def test_a_stretch_chooses_its_points_by_their_weights() -> None:
    """Eight points on one orbit of a coarse integrator, weighed by a plain loop. Chi-square, false alarm 1e-4."""
    target, step = double_well(), 0.35
    start = begin(target, torch.tensor([[1.3]]).double(), 1)
    momentum = torch.tensor([[0.9]]).double()
    position, moved, gradient = start.position.clone(), momentum.clone(), start.gradient.clone()
    places, logs = [], []
    for _ in range(8):
        leapfrog(target, position, moved, gradient, step, 1)
        places.append(float(position))
        logs.append(float(target.terms(position).likelihood) - float(moved.square().sum()) / 2)
    weights = np.exp(np.array(logs) - max(logs))
    assert weights.min() < 0.7, "they are far from equal"
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros(8)
    for _ in range(1200):
        walk = Walk(target, step, generator, start.terms, kinetic(momentum))
        stretch = _grow_without_turning(walk, Edge(start.position, momentum, start.gradient))
        counts[int(np.argmin(np.abs(np.array(places) - float(stretch.chosen.position))))] += 1
    assert chisquare(counts, 1200 * weights / weights.sum()).pvalue > 1e-4


def _grow_without_turning(walk: Walk, edge: Edge) -> Tree:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surefoot.inference.hamiltonian.nuts._turns", lambda earlier, later: False)
        grown = _grow(walk, edge, 1, 3)
    assert grown is not None
    return grown


def test_trajectories_grow_into_the_future_and_the_past_alike() -> None:
    """One doubling of a tiny step goes along the momentum or against it; 1,000 fair coins, five deviations, 6e-7."""
    start = numbers(1000, 2)
    said = nuts(standard_normal(2), start, 3, fixed(1e-3, chains=1000, draws=1, max_depth=1), seen=NOBODY)
    along = ((said.as_draws().parameters["u"] - start) * momenta(start, 3, 1)).sum(1)
    assert int((along != 0).sum()) > 990
    assert abs(int((along > 0).sum()) - 500) < 5 * math.sqrt(250)


def test_one_gradient_and_one_density_a_step() -> None:
    target = standard_normal(3)
    chains = nuts(target, numbers(2, 3), 0, fixed(0.4, chains=2, draws=15), seen=NOBODY)
    steps = int(chains.statistics()["leapfrogs"].sum())
    assert target.calls == steps + 1
    assert target.evaluations == steps + 1
    told = {finding.name: finding.value for finding in chains.diagnostics if finding.slice == "all"}
    assert told["gradients"] == steps + 2


def test_statistics_are_of_the_draws_they_stand_beside() -> None:
    target = double_well()
    chains = nuts(target, numbers(3, 1), 0, fixed(0.3, chains=3, draws=20), seen=NOBODY)
    draws = chains.as_draws().parameters["u"].reshape(20, 3, 1)
    said = chains.statistics()
    for draw in (0, 19):
        assert torch.equal(said["log_likelihood"][draw], target.terms(draws[draw]).likelihood)
    stayed = (draws[1:] == draws[:-1])[..., 0]
    assert torch.equal(said["accepted"][1:] == 0, stayed)


def test_a_million_nats_of_constant_likelihood_change_no_draw() -> None:
    mean, covariance, start = torch.zeros(5).double(), wishart(5, 2), numbers(2, 5)
    plain, moved = (
        nuts(gaussian(mean, covariance, torch.float32, constant), start, 0, fixed(0.3, chains=2, draws=15), seen=NOBODY)
        for constant in (0.0, 1e6)
    )
    assert torch.equal(plain.as_draws().parameters["u"], moved.as_draws().parameters["u"])


def test_a_run_that_goes_nowhere_says_which_step_to_try() -> None:
    target = gaussian(torch.zeros(50).double(), 1e-4 * torch.eye(50).double())
    settings = Nuts(draws=3, burn_in=5, chains=2, step_size=1.0, adapt=False)
    with pytest.raises(InputError, match="nuts accepted none of its 10 proposals in the burn-in with a step of 1,"):
        nuts(target, 0.01 * numbers(2, 50), 0, settings, seen=NOBODY)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="max_depth is 0"):
        Nuts(max_depth=0)
    with pytest.raises(InputError, match="burn_in is 0; give some"):
        Nuts(burn_in=0)

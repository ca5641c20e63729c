"""HMC against exact distributions. Each test's seeds are fixed; false-alarm rates say how unlucky a seed would be.

Most start where they should end: from exact draws of the target. Every later state of every chain is then an exact
draw too, whatever the step, so thousands of short chains give an exact test with no doubt about convergence.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic_targets import Quadrature, Written, double_well, gaussian, standard_normal, walled, wishart
from scipy.stats import chi2, kstest, t, truncnorm
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.mixing import ebfmi
from surefoot.inference.hamiltonian import streams
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.hamiltonian.nuts import Nuts, nuts

NOBODY: frozenset[str] = frozenset()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fixed(step: float, *, chains: int, draws: int, trajectory: float | None = None, **other: float) -> Hmc:
    return Hmc(
        draws=draws,
        burn_in=0,
        chains=chains,
        step_size=step,
        adapt=False,
        trajectory=trajectory,
        **other,  # type: ignore[arg-type]
    )


def in_chains(drawn: Tensor, chains: int) -> Tensor:
    """[draws, chains, size] from `as_draws`' order."""
    return drawn.reshape(-1, chains, drawn.shape[-1])


def too_far(samples: Tensor, expected: Tensor, rate: float) -> bool:
    """Whether independent chains' means [chains, quantities] differ from what is expected, by Bonferroni's t-test."""
    chains, quantities = samples.shape
    score = (samples.mean(0) - expected) / (samples.std(0) / math.sqrt(chains))
    return bool(score.abs().max() > t.isf(rate / 2 / quantities, chains - 1))


def test_means_and_covariances_of_a_correlated_normal_after_adaptation_from_a_bad_start() -> None:
    """64 chains are independent, so a t-test on their averages; 65 quantities at once, false alarm 1e-4."""
    mean, covariance = torch.linspace(-2, 2, 10).double(), wishart(10, 1)
    target = gaussian(mean, covariance)
    settings = Hmc(draws=200, burn_in=150, chains=64, trajectory=2.0)
    chains = hmc(target, 5 * numbers(64, 10), 0, settings, seen=NOBODY)
    draws = in_chains(chains.as_draws().parameters["u"], 64)
    off = draws - mean
    upper = torch.triu_indices(10, 10)
    products = torch.einsum("dci,dcj->cij", off, off)[:, upper[0], upper[1]] / len(off)
    assert not too_far(off.mean(0), torch.zeros(10).double(), 1e-4)
    assert not too_far(products, covariance[upper[0], upper[1]], 1e-4)
    acceptance = {finding.slice: finding.value for finding in chains.diagnostics if finding.name == "acceptance"}
    # The averaged step's acceptance is near the aim, not at it, after a burn-in of this length.
    assert acceptance["all"] == pytest.approx(0.8, abs=0.1)
    assert len(acceptance) == 65


@pytest.mark.parametrize("step", [0.15, 0.45])
def test_two_wells_are_kept_as_quadrature_says(step: float) -> None:
    """5,000 independent chains, Kolmogorov–Smirnov, false alarm 1e-3 each. The coarse step rejects often."""
    target = double_well()
    exact = Quadrature(target, -3.0, 3.0)
    start = exact.draws(5000, 1)
    chains = hmc(target, start, 2, fixed(step, chains=5000, draws=8, trajectory=0.9), seen=NOBODY)
    last = in_chains(chains.as_draws().parameters["u"], 5000)[-1, :, 0]
    assert kstest(last.numpy(), exact.cdf).pvalue > 1e-3
    assert (last - start[:, 0]).abs().mean() > 0.3
    if step > 0.4:
        assert chains.statistics()["accepted"].mean() < 0.85


def test_two_wells_are_found_from_one_side() -> None:
    """2,000 independent chains from the lower well, Kolmogorov–Smirnov, false alarm 1e-3."""
    target = double_well()
    exact = Quadrature(target, -3.0, 3.0)
    start = torch.full((2000, 1), -1.0).double()
    chains = hmc(target, start, 4, fixed(0.2, chains=2000, draws=150, trajectory=1.5), seen=NOBODY)
    last = in_chains(chains.as_draws().parameters["u"], 2000)[-1, :, 0]
    assert kstest(last.numpy(), exact.cdf).pvalue > 1e-3


def test_the_metropolis_test_corrects_a_step_that_is_too_coarse() -> None:
    """Without it, steps of 1.5 would leave a variance of 1/(1 − 1.5²/4) = 2.3. Chi-square on 4,000 independent
    chains in two dimensions, two-sided, false alarm 1e-4."""
    target = standard_normal(2)
    chains = hmc(target, numbers(4000, 2), 0, fixed(1.5, chains=4000, draws=10, trajectory=4.5), seen=NOBODY)
    last = in_chains(chains.as_draws().parameters["u"], 4000)[-1]
    total = float(last.square().sum())
    assert chi2.ppf(5e-5, 8000) < total < chi2.isf(5e-5, 8000)
    assert 0.3 < float(chains.statistics()["accepted"].mean()) < 0.8


def test_a_region_of_nan_is_never_entered_and_counts_as_divergent() -> None:
    """A normal with NaN above 0.5 is a truncated normal. 3,000 independent chains, KS, false alarm 1e-3."""
    start = torch.from_numpy(truncnorm.rvs(-np.inf, 0.5, size=(3000, 1), random_state=0))
    chains = hmc(walled(0.5), start, 1, fixed(0.3, chains=3000, draws=10, trajectory=1.2), seen=NOBODY)
    last = in_chains(chains.as_draws().parameters["u"], 3000)[-1, :, 0]
    assert kstest(last.numpy(), truncnorm(-np.inf, 0.5).cdf).pvalue > 1e-3
    said = chains.statistics()
    assert said["divergent"].sum() > 0
    assert bool((said["accept_probability"][said["divergent"] == 1] == 0).all())
    told = {finding.name: finding.value for finding in chains.diagnostics if finding.slice == "all"}
    assert told["divergences"] == said["divergent"].sum()


def test_an_energy_that_is_finite_but_a_thousand_nats_off_is_divergent() -> None:
    """−u⁴/4: a step of 0.3 from u = 60 throws the chain 10⁴ far, to a huge and finite energy; from 0.1 it is fine."""
    quartic = Written(1, lambda u: -(u**3), prior=lambda u: -(u**4 / 4)[:, 0])
    start = torch.tensor([[0.1], [60.0]]).double()
    said = hmc(quartic, start, 0, fixed(0.3, chains=2, draws=20, trajectory=0.3), seen=NOBODY)
    told = {finding.slice: finding.value for finding in said.diagnostics if finding.name == "divergences"}
    assert told == {"all": 20.0, "chain 1": 0.0, "chain 2": 20.0}
    assert said.statistics()["accepted"].mean(0)[0] > 0.5
    assert bool(said.statistics()["energy"].isfinite().all())


def test_thinning_keeps_every_third_draw_and_counts_every_iteration() -> None:
    start = numbers(3, 5)
    every, third = (
        hmc(standard_normal(5), start, 1, fixed(1.1, chains=3, draws=draws, thin=thin), seen=NOBODY)
        for draws, thin in ((60, 1), (20, 3))
    )
    assert torch.equal(
        in_chains(third.as_draws().parameters["u"], 3), in_chains(every.as_draws().parameters["u"], 3)[2::3]
    )
    for name, statistic in every.statistics().items():
        assert torch.equal(third.statistics()[name], statistic[2::3])
    assert third.diagnostics == every.diagnostics
    told = {finding.name: finding.value for finding in third.diagnostics if finding.slice == "all"}
    assert told["acceptance"] == pytest.approx(float(every.statistics()["accept_probability"].mean()))
    assert told["accepted"] == pytest.approx(float(every.statistics()["accepted"].mean()))
    assert 0.2 < told["accepted"] < 0.95


def test_the_energy_fraction_is_that_of_all_iterations() -> None:
    """Against the direct sums, a million nats up; chains of a Cauchy density, whose energy wanders."""
    heavy = Written(1, lambda u: -2 * u / (1 + u.square()), lambda u: 1e6 - u.square().log1p()[:, 0])
    whole, thinned = (
        hmc(heavy, numbers(4, 1), 0, fixed(0.5, chains=4, draws=600 // thin, thin=thin, trajectory=0.5), seen=NOBODY)
        for thin in (1, 20)
    )
    direct = ebfmi(whole.statistics()["energy"])
    for chains in (whole, thinned):
        told = {finding.slice: finding.value for finding in chains.diagnostics if finding.name == "ebfmi"}
        assert told == pytest.approx(
            {"all": float(direct.min()), **{f"chain {chain + 1}": float(direct[chain]) for chain in range(4)}}, rel=1e-6
        )
    # Thinned energies would have said something else, and better.
    assert ebfmi(thinned.statistics()["energy"]).mean() > 1.2 * float(direct.mean())


def test_one_iteration_has_no_energy_fraction() -> None:
    chains = hmc(standard_normal(2), numbers(2, 2), 0, fixed(0.3, chains=2, draws=1), seen=NOBODY)
    assert "ebfmi" not in {finding.name for finding in chains.diagnostics}


def test_draws_that_would_not_fit_into_memory_are_refused_before_any_is_made() -> None:
    def begun(stage: str, done: int, total: int) -> None:
        raise AssertionError("it began to sample")

    start, words = torch.zeros(1, 2).double(), r"10000000000000 draws of 1 chains .* give a folder"
    with pytest.raises(InputError, match=words):
        hmc(standard_normal(2), start, 0, Hmc(draws=10**13, chains=1), seen=NOBODY, progress=begun)
    with pytest.raises(InputError, match=words):
        nuts(standard_normal(2), start, 0, Nuts(draws=10**13, chains=1), seen=NOBODY, progress=begun)


def test_a_rejected_state_is_the_next_draw_again() -> None:
    chains = hmc(standard_normal(20), numbers(5, 20), 0, fixed(1.2, chains=5, draws=40), seen=NOBODY)
    draws = in_chains(chains.as_draws().parameters["u"], 5)
    said = chains.statistics()
    rejected = said["accepted"][1:] == 0
    assert 20 < int(rejected.sum()) < 190
    assert torch.equal((draws[1:] == draws[:-1]).all(dim=2), rejected)
    assert chains.draws == 40


def test_one_gradient_a_step_and_one_density_a_trajectory() -> None:
    target = standard_normal(3)
    chains = hmc(target, numbers(4, 3), 0, fixed(0.3, chains=4, draws=25), seen=NOBODY)
    leapfrogs = chains.statistics()["leapfrogs"]
    assert target.calls == int(leapfrogs[:, 0].sum()) + 1
    assert target.evaluations == 25 + 1
    told = {finding.name: finding.value for finding in chains.diagnostics if finding.slice == "all"}
    assert told["gradients"] == 4 * target.calls
    assert told["leapfrogs"] == pytest.approx(float(leapfrogs.mean()))


def test_burn_in_has_its_metropolis_test() -> None:
    """A density for every trajectory of burn-in too, and more draws are the draws after a shorter burn-in."""
    target, start = standard_normal(3), numbers(4, 3)
    burnt = hmc(target, start, 0, replace(fixed(1.4, chains=4, draws=10), burn_in=20), seen=NOBODY)
    assert target.evaluations == 20 + 10 + 1
    whole = hmc(standard_normal(3), start, 0, fixed(1.4, chains=4, draws=30), seen=NOBODY)
    rejected = ~whole.statistics()["accepted"][:20].bool()
    assert rejected.any()
    assert torch.equal(
        in_chains(burnt.as_draws().parameters["u"], 4), in_chains(whole.as_draws().parameters["u"], 4)[20:]
    )


def test_statistics_are_of_the_draws_they_stand_beside() -> None:
    target = double_well()
    chains = hmc(target, numbers(3, 1), 0, fixed(0.3, chains=3, draws=30, thin=2), seen=frozenset({"a", "b"}))
    assert chains.seen == frozenset({"a", "b"})
    draws = in_chains(chains.as_draws().parameters["u"], 3)
    said = chains.statistics()
    for draw in (0, 7, 29):
        terms = target.terms(draws[draw])
        assert torch.equal(said["log_likelihood"][draw], terms.likelihood)
        assert torch.equal(said["log_prior"][draw], terms.prior)


def test_the_energy_that_is_kept_is_that_of_the_fresh_momentum() -> None:
    """Energy plus log density is ½‖m‖²: chi-square of 3 degrees of freedom, 2,000 of them, KS, false alarm 1e-3."""
    target = standard_normal(3)
    start = numbers(2000, 3)
    said = hmc(target, start, 0, fixed(0.5, chains=2000, draws=1), seen=NOBODY).statistics()
    kinetic = said["energy"][0] - start.square().sum(1) / 2
    assert kstest(2 * kinetic.numpy(), chi2(3).cdf).pvalue > 1e-3


def test_a_million_nats_of_constant_likelihood_change_no_draw() -> None:
    """In float32, whose numbers near 10⁶ lie 0.06 apart: draws and acceptances are those without the constant."""
    mean, covariance, start = torch.zeros(5).double(), wishart(5, 2), numbers(6, 5)
    plain, moved = (
        hmc(gaussian(mean, covariance, torch.float32, constant), start, 0, fixed(0.3, chains=6, draws=40), seen=NOBODY)
        for constant in (0.0, 1e6)
    )
    assert torch.equal(plain.as_draws().parameters["u"], moved.as_draws().parameters["u"])
    difference = plain.statistics()["accept_probability"] - moved.statistics()["accept_probability"]
    assert 0 < plain.statistics()["accept_probability"].min() < 0.9
    assert difference.abs().max() < 1e-8


def test_jitter_breaks_the_orbit_of_a_whole_period() -> None:
    """A trajectory of one period comes back; jittered, it mixes. Chi-square on 1,000 chains, false alarm 1e-4."""
    start = torch.full((1000, 1), 2.0).double()
    orbit, broken = (
        hmc(
            standard_normal(1),
            start,
            0,
            fixed(0.05, chains=1000, draws=30, trajectory=2 * math.pi, jitter=jitter),
            seen=NOBODY,
        )
        .as_draws()
        .parameters["u"]
        .reshape(30, 1000)[-1]
        for jitter in (0.0, 0.5)
    )
    assert (orbit - 2).abs().max() < 0.2
    assert chi2.ppf(5e-5, 1000) < float(broken.square().sum()) < chi2.isf(5e-5, 1000)


def test_lengths_are_uniform_around_the_trajectory_and_steps_never_longer_than_asked() -> None:
    """2,000 lengths, KS against uniform, false alarm 1e-3."""
    settings = fixed(0.3, chains=1, draws=2000, trajectory=1.0, jitter=0.2)
    said = hmc(standard_normal(1), numbers(1, 1), 0, settings, seen=NOBODY).statistics()
    lengths = (said["step_size"] * said["leapfrogs"]).flatten().numpy()
    assert kstest(lengths, "uniform", args=(0.8, 0.4)).pvalue > 1e-3
    assert said["step_size"].max() <= 0.3


def test_the_quarter_period_makes_a_normals_draws_independent() -> None:
    """With τ = π/2 the lag-one products of 200 chains of 100 draws average zero; five deviations, 6e-7."""
    settings = fixed(0.05, chains=200, draws=100, jitter=0.0)
    draws = hmc(standard_normal(1), numbers(200, 1), 0, settings, seen=NOBODY).as_draws().parameters["u"]
    series = draws.reshape(100, 200)
    assert abs(float((series[1:] * series[:-1]).mean())) < 5 / math.sqrt(99 * 200)


def test_a_chain_draws_the_same_however_many_others_there_are() -> None:
    start = numbers(5, 2)
    many, few = (
        in_chains(
            hmc(standard_normal(2), start[:chains], 7, fixed(0.4, chains=chains, draws=20), seen=NOBODY)
            .as_draws()
            .parameters["u"],
            chains,
        )
        for chains in (5, 2)
    )
    assert torch.equal(many[:, :2], few)


def test_the_seed_decides_every_draw_and_the_global_generator_none() -> None:
    settings = Hmc(draws=20, burn_in=20, chains=2)
    before = torch.random.get_rng_state()
    one, same, other = (
        hmc(standard_normal(2), numbers(2, 2), seed, settings, seen=NOBODY).as_draws().parameters["u"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_key_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    real = streams.stream

    def noted(seed: int, iteration: int, purpose: streams.Purpose, chain: int = 0) -> torch.Generator:
        generator = real(seed, iteration, purpose, chain)
        used.append(generator.initial_seed())
        return generator

    monkeypatch.setattr(streams, "stream", noted)
    hmc(standard_normal(2), numbers(3, 2), 0, Hmc(draws=10, burn_in=5, chains=3), seen=NOBODY)
    assert len(used) == len({seed & 0xFFFFFFFF for seed in used}) == 1 + 15 * 3
    seeds = {
        # torch's generator on the CPU takes these bits alone: 2,000 keys share them with probability 5e-4.
        real(seed, iteration, purpose, chain).initial_seed() & 0xFFFFFFFF
        for seed in (0, 1)
        for chain in range(5)
        for iteration in range(50)
        for purpose in streams.Purpose
    }
    assert len(seeds) == 2 * 5 * 50 * 4


def test_trajectories_that_adaptation_makes_too_long_are_cut_and_said_to_be() -> None:
    target = gaussian(torch.zeros(2).double(), torch.diag(torch.tensor([1.0, 1e-4])).double())
    settings = Hmc(draws=20, burn_in=60, chains=2, max_leapfrogs=5)
    chains = hmc(target, 0.01 * numbers(2, 2), 0, settings, seen=NOBODY)
    told = {finding.name: finding.value for finding in chains.diagnostics if finding.slice == "all"}
    assert told["cut_trajectories"] == 1.0
    assert bool((chains.statistics()["leapfrogs"] == 5).all())


def test_a_run_that_accepts_nothing_says_which_step_to_try() -> None:
    target = gaussian(torch.zeros(50).double(), 1e-4 * torch.eye(50).double())
    settings = Hmc(draws=5, burn_in=5, chains=4, step_size=0.03, adapt=False, trajectory=0.09)
    with pytest.raises(InputError) as raised:
        hmc(target, 0.01 * numbers(4, 50), 0, settings, seen=NOBODY)
    words = str(raised.value)
    assert "accepted none of its 20 proposals in the burn-in with a step of 0.03" in words
    step = float(words.split("step_size=")[1].split(",")[0])
    better = Hmc(draws=5, burn_in=5, chains=4, step_size=step, adapt=False, trajectory=0.09)
    chains = hmc(target, 0.01 * numbers(4, 50), 0, better, seen=NOBODY)
    assert chains.statistics()["accepted"].mean() > 0.3
    with pytest.raises(InputError, match=r"none was finite\); try step_size=0.003"):
        hmc(
            walled(0.0),
            -1e-9 * torch.ones(1, 1).double(),
            1,
            fixed(0.03, chains=1, draws=1, trajectory=0.03),
            seen=NOBODY,
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: Hmc(draws=0), "draws is 0; give at least 1"),
        (lambda: Hmc(burn_in=-1), "burn_in is -1"),
        (lambda: Hmc(step_size=math.nan), "step_size is nan"),
        (lambda: Hmc(step_size=-0.1), "step_size is -0.1"),
        (lambda: Hmc(acceptance=1.0), "acceptance is 1.0"),
        (lambda: Hmc(trajectory=0.0), "trajectory is 0.0"),
        (lambda: Hmc(jitter=1.0), "jitter is 1.0"),
        (lambda: Hmc(max_leapfrogs=0), "max_leapfrogs is 0"),
        (lambda: Hmc(burn_in=0), "burn_in is 0; give some, or set adapt to False"),
        (lambda: Hmc(adapt=False), "step_size is None; give a step size, or let it adapt"),
    ],
)
def test_settings_out_of_range_are_refused(settings: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("settings", "seed", "words"),
    [
        (fixed(3.0, chains=1, draws=1), 0, "longer than the trajectory of 1.5708"),
        (Hmc(draws=1, burn_in=0, chains=1, step_size=1e-3, adapt=False, max_leapfrogs=100), 0, "takes 1728 steps"),
        (fixed(0.1, chains=1, draws=1), -1, "The seed is -1"),
    ],
)
def test_runs_that_cannot_be_are_refused(settings: Hmc, seed: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hmc(standard_normal(2), torch.zeros(1, 2).double(), seed, settings, seen=NOBODY)

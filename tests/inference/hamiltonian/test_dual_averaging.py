"""Step sizes: dual averaging against its sums in closed form, and the first guess against what it promises."""

import math

import numpy as np
import pytest
import torch
from analytic_targets import standard_normal
from scipy.stats import norm

from surefoot.errors import InputError
from surefoot.inference.hamiltonian.adaptation import averaged, begin_averaging, first_step
from surefoot.inference.hamiltonian.state import begin


def test_steps_are_those_of_the_sums_in_hoffman_and_gelman() -> None:
    """H̄ₜ is Σ(δ − αᵢ)/(t + t₀); the average weighs log steps by t^−κ."""
    acceptances = np.random.default_rng(0).uniform(size=50)
    state, logs = begin_averaging(0.03), []
    assert state.step == 0.03
    log_average = 0.0
    for t in range(1, 51):
        state = averaged(state, float(acceptances[t - 1]), 0.65)
        shortfall = np.sum(0.65 - acceptances[:t]) / (t + 10)
        logs.append(math.log(10 * 0.03) - math.sqrt(t) / 0.05 * shortfall)
        log_average = t**-0.75 * logs[-1] + (1 - t**-0.75) * log_average
        assert math.log(state.step) == pytest.approx(logs[-1], abs=1e-10)
        assert math.log(state.average) == pytest.approx(log_average, abs=1e-10)


def test_noisy_acceptances_lead_to_the_step_that_has_the_wanted_mean() -> None:
    """Acceptance 2Φ(−ε/2) with noise of standard deviation 0.3; 0.8 at ε = 0.507.

    Over 60 seeds of 4,000 iterations the average is 0.98 ± 0.05 of that: outside 0.75 to 1.25 once in 300,000.
    """
    wanted = -2 * norm.ppf(0.4)
    noise = np.random.default_rng(1)
    state = begin_averaging(5.0)
    for _ in range(4000):
        state = averaged(state, float(2 * norm.cdf(-state.step / 2) + noise.normal(0, 0.3)), 0.8)
    assert state.average == pytest.approx(wanted, rel=0.25)


def test_steps_stay_finite_where_everything_or_nothing_is_accepted() -> None:
    for acceptance in (0.0, 1.0):
        state = begin_averaging(0.1)
        for _ in range(5000):
            state = averaged(state, acceptance, 0.8)
        assert 0 < state.average < math.inf
        assert 0 < state.step < math.inf


@pytest.mark.parametrize("guess", [1e-6, 0.1, 50.0])
def test_the_first_step_is_where_acceptance_crosses_one_half(guess: float) -> None:
    """At the mode of a normal in 10,000 dimensions ‖m‖² is 10,000 to a few percent, and the energy error a formula."""
    target = standard_normal(10_000)
    start = begin(target, torch.zeros(1, 10_000).double(), 1)
    found = first_step(target, start, 0, guess=guess)
    # From u = 0 one step ends at εm with momentum m(1 − ε²/2): H' − H = ‖m‖²ε⁴/8, which is log 2 at one half.
    crossing = (8 * math.log(2) / 10_000) ** 0.25
    assert crossing / 2 < found.step < crossing * 2
    assert found.gradients == target.calls - 1


def test_the_same_first_step_is_found_from_above_and_from_below() -> None:
    target = standard_normal(50)
    start = begin(target, torch.ones(4, 50).double(), 4)
    steps = [first_step(target, start, 3, guess=0.1 * 2.0**power).step for power in (-6, 6)]
    assert steps[0] in (steps[1], steps[1] / 2)


def test_no_first_step_for_a_gradient_that_is_none() -> None:
    target = standard_normal(2)
    target.prior = lambda u: -1e30 * (u - 1).abs().sum(1)
    start = begin(target, torch.ones(1, 2).double(), 1)
    with pytest.raises(InputError, match="No step size from"):
        first_step(target, start, 0)

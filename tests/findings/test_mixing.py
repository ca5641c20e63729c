"""Mixing diagnostics against a slow reference written from the papers, known correlations, and invariances."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings import mixing
from surefoot.findings.mixing import (
    bulk_ess,
    constant,
    ebfmi,
    mean_ess,
    rank_rhat,
    rhat,
    rhat_of_moments,
    split_rhat,
    tail_ess,
)

Reals = NDArray[np.float64]


def autoregressive(rho: float, draws: int, chains: int, quantities: int, seed: int) -> Tensor:
    """Stationary AR(1) with variance one and correlation rho."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(draws, chains, quantities, generator=generator, dtype=torch.float64)
    values = noise.clone()
    for draw in range(1, draws):
        values[draw] = rho * values[draw - 1] + math.sqrt(1 - rho**2) * noise[draw]
    return values


# The reference: one quantity at a time, `chains` lists of numbers, no Fourier transform.


def slow_rhat(chains: list[list[float]]) -> float:
    n, m = len(chains[0]), len(chains)
    means = [sum(chain) / n for chain in chains]
    grand = sum(means) / m
    b = n / (m - 1) * sum((mean - grand) ** 2 for mean in means)
    w = sum(sum((y - mean) ** 2 for y in chain) for chain, mean in zip(chains, means, strict=True)) / (m * (n - 1))
    return math.sqrt(((n - 1) / n * w + b / n) / w)


def slow_ess(chains: list[list[float]]) -> float:
    n, m = len(chains[0]), len(chains)
    means = [sum(chain) / n for chain in chains]
    variances = [sum((y - mean) ** 2 for y in chain) / (n - 1) for chain, mean in zip(chains, means, strict=True)]
    w = sum(variances) / m
    v = (n - 1) / n * w + float(np.var(means, ddof=1))

    def rho(t: int) -> float:
        shared = 0.0
        for chain, mean, variance in zip(chains, means, variances, strict=True):
            centred = [y - mean for y in chain]
            lagged = sum(centred[i] * centred[i + t] for i in range(n - t)) / n
            shared += variance * lagged / (sum(c * c for c in centred) / n) if variance else 0.0
        return 1 - (w - shared / m) / v

    total, least, t = 0.0, math.inf, 0
    while 2 * t + 1 < n:
        pair = (1.0 if t == 0 else rho(2 * t)) + rho(2 * t + 1)
        if pair <= 0:
            break
        least = min(least, pair)
        total += least
        t += 1
    return m * n / max(-1 + 2 * total, 1 / math.log10(m * n))


def slow_halves(values: Reals) -> list[list[float]]:
    n = len(values) // 2
    return [list(part) for part in [*values[:n].T, *values[-n:].T]]


def slow_scores(chains: list[list[float]]) -> list[list[float]]:
    flat = np.concatenate(chains)
    scores = stats.norm.ppf((stats.rankdata(flat, method="average") - 3 / 8) / (len(flat) + 1 / 4))
    return [list(part) for part in np.split(scores, len(chains))]


def slow_rank_rhat(values: Reals) -> float:
    halves = slow_halves(values)
    middle = np.median(np.concatenate(halves))
    folded = [[abs(y - middle) for y in chain] for chain in halves]
    return max(slow_rhat(slow_scores(halves)), slow_rhat(slow_scores(folded)))


def slow_tail_ess(values: Reals) -> float:
    halves = slow_halves(values)
    flat = np.concatenate(halves)
    ends = [end for end in np.quantile(flat, [0.05, 0.95]) if 0 < sum(flat <= end) < len(flat)]
    return min(slow_ess([[float(y <= end) for y in chain] for chain in halves]) for end in ends)


@pytest.mark.parametrize("draws", [60, 61])
def test_everything_agrees_with_the_slow_reference(draws: int) -> None:
    values = torch.cat([autoregressive(rho, draws, 3, 2, seed=1) for rho in (-0.4, 0.0, 0.6, 0.95)], dim=2)
    values = torch.cat([values, values.mul(2).round(), values.exp() ** 2], dim=2)  # ties, and heavy tails
    each = [values[:, :, at].numpy() for at in range(values.shape[2])]
    assert rhat(values).tolist() == pytest.approx([slow_rhat([list(c) for c in v.T]) for v in each], rel=1e-10)
    assert split_rhat(values).tolist() == pytest.approx([slow_rhat(slow_halves(v)) for v in each], rel=1e-10)
    assert rank_rhat(values).tolist() == pytest.approx([slow_rank_rhat(v) for v in each], rel=1e-10)
    assert mean_ess(values).tolist() == pytest.approx([slow_ess(slow_halves(v)) for v in each], rel=1e-8)
    assert bulk_ess(values).tolist() == pytest.approx([slow_ess(slow_scores(slow_halves(v))) for v in each], rel=1e-8)
    assert tail_ess(values).tolist() == pytest.approx([slow_tail_ess(v) for v in each], rel=1e-8)


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.5, 0.9])
def test_effective_draws_of_an_autoregression(rho: float) -> None:
    """n(1 − ρ)/(1 + ρ); the mean over 40 quantities, whose standard error is below 1.5 %, within 8 %."""
    draws, chains = 2_000, 4
    values = autoregressive(rho, draws, chains, 40, seed=2)
    expected = draws * chains * (1 - rho) / (1 + rho)
    assert float(mean_ess(values).mean()) == pytest.approx(expected, rel=0.08)
    assert float(bulk_ess(values).mean()) == pytest.approx(expected, rel=0.08)
    assert bool((split_rhat(values) < 1.05).all())


def test_tails_of_independent_draws_are_as_good_as_all() -> None:
    values = autoregressive(0.0, 2_000, 4, 20, seed=3)
    assert float(tail_ess(values).mean()) == pytest.approx(8_000, rel=0.08)


def test_chains_in_different_modes_are_seen() -> None:
    values = autoregressive(0.2, 400, 4, 3, seed=4)
    apart = values + 8 * (torch.arange(4) % 2)[None, :, None]
    assert bool((rhat(apart) > 3).all())
    assert bool((split_rhat(apart) > 3).all())
    # Of normal scores of two clouds that do not overlap R̂ is 1.8 to 1.9, however far apart they are.
    assert bool((rank_rhat(apart) > 1.7).all())
    assert bool((bulk_ess(apart) < 12).all())  # about one to two a half chain
    assert bool((rhat(values) < 1.02).all())


def test_a_drift_is_seen_by_halves_alone() -> None:
    values = autoregressive(0.0, 400, 4, 1, seed=5) + torch.linspace(-3, 3, 400).double()[:, None, None]
    assert float(rhat(values)) < 1.02
    assert float(split_rhat(values)) > 1.5


def test_another_scale_is_seen_by_folded_ranks_alone() -> None:
    values = autoregressive(0.0, 500, 4, 1, seed=6) * torch.tensor([1.0, 1.0, 1.0, 6.0]).double()[None, :, None]
    assert float(split_rhat(values)) < 1.02
    assert float(rank_rhat(values)) > 1.1


def test_ranks_do_not_care_how_a_quantity_is_written() -> None:
    values = autoregressive(0.7, 300, 3, 4, seed=7)
    assert torch.equal(bulk_ess(values), bulk_ess(values.exp()))
    assert torch.allclose(mean_ess(values), mean_ess(1e3 - 50 * values), rtol=1e-9)
    assert torch.allclose(rhat(values), rhat(1e3 - 50 * values), rtol=1e-9)
    # Means of Cauchy draws do not exist; their ranks mix all the same.
    cauchy = (math.pi * (torch.rand(500, 4, 10, generator=torch.Generator().manual_seed(8)).double() - 0.5)).tan()
    assert bool((rank_rhat(cauchy) < 1.02).all())


def test_what_never_changes_has_no_diagnostics() -> None:
    values = autoregressive(0.0, 50, 2, 3, seed=9)
    values[:, :, 1] = 0.1  # whose mean is not 0.1 in floating point
    assert constant(values).tolist() == [False, True, False]
    for measure in (rhat, split_rhat, rank_rhat, mean_ess, bulk_ess, tail_ess):
        assert measure(values).isnan().tolist() == [False, True, False], measure.__name__


def test_chains_that_stand_still_apart_are_infinitely_far() -> None:
    values = (0.1 + 0.2 * torch.arange(4)).double()[None, :, None].expand(51, 4, 1)
    assert math.isinf(float(rhat(values)))
    assert math.isinf(float(split_rhat(values)))
    assert math.isinf(float(rank_rhat(values)))
    # Eight half chains of 25, of which the 12 pairs of lags all have correlations of one.
    assert float(mean_ess(values)) == pytest.approx(8 * 25 / (2 * 24 - 1))


def test_one_tied_end_leaves_the_other_to_speak() -> None:
    """A probability that is 1 to the last bit in half of the draws: 1[y ≤ 95 % quantile] is the same for all."""
    values = autoregressive(0.5, 400, 2, 1, seed=10).clamp(max=0.0)
    indicator = (values <= np.quantile(values.numpy(), 0.05)).double()
    assert float(tail_ess(values)) == pytest.approx(float(mean_ess(indicator)))


def test_two_values_of_equal_shares_have_a_bulk() -> None:
    """|y − median| may then be the same for all draws, about which folded ranks say nothing."""
    values = (torch.arange(400) % 2).double()[:, None, None].expand(400, 2, 1) * 2 - 1
    assert float(rank_rhat(values)) == pytest.approx(float(split_rhat(values)), abs=1e-9)


def test_many_quantities_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = autoregressive(0.3, 40, 2, 7, seed=11)
    whole = [measure(values) for measure in (rhat, rank_rhat, bulk_ess, tail_ess)]
    monkeypatch.setattr(mixing, "BLOCK", 200)
    parts = [measure(values) for measure in (rhat, rank_rhat, bulk_ess, tail_ess)]
    assert all(torch.allclose(one, other, rtol=1e-12) for one, other in zip(whole, parts, strict=True))
    assert rhat(values[:, :, :0]).shape == (0,)


def test_running_moments_give_the_same_rhat() -> None:
    values = autoregressive(0.3, 40, 3, 5, seed=12)
    assert torch.allclose(rhat_of_moments(values.mean(dim=0), values.var(dim=0), 40), rhat(values), rtol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_energies_that_hardly_change(rho: float) -> None:
    """E (E_n − E_{n−1})² / Var E = 2(1 − ρ); 20 chains of 5,000, mean within 5 % (over five standard errors)."""
    energies = autoregressive(rho, 5_000, 20, 1, seed=13)[:, :, 0]
    assert float(ebfmi(energies + 1e5).mean()) == pytest.approx(2 * (1 - rho), rel=0.05)


def test_an_energy_that_never_changes_has_no_fraction() -> None:
    assert bool(ebfmi(torch.full((10, 1), 0.1, dtype=torch.float64)).isnan())


def test_errors_say_what_to_do() -> None:
    values = autoregressive(0.0, 10, 2, 2, seed=14)
    with pytest.raises(InputError, match=r"10 draws of 1 chains.* at least 2 of 2"):
        rhat(values[:, :1])
    for measure in (split_rhat, rank_rhat, mean_ess, bulk_ess, tail_ess):
        with pytest.raises(InputError, match=r"3 draws of 2 chains.*at least 4"):
            measure(values[:3])
    values[3, 1, 1] = math.nan
    with pytest.raises(InputError, match=r"1 of 2 quantities are NaN.*first: number 1"):
        bulk_ess(values)

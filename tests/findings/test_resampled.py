"""Rows and errors drawn anew: the chance of being best against the normal limit, clusters whole, refusals."""

import math
from statistics import NormalDist

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.resampled import chance_of_best, resampled_means, resampled_values


def test_the_chance_of_best_is_that_of_the_paired_difference() -> None:
    """Of two candidates it is Φ(mean/error) of their difference, whatever both have in common.

    Monte-Carlo error of 20,000 resamples: .003; the bound is five of these and what the normal limit misses.
    """
    generator = torch.Generator().manual_seed(7)
    common = 5 * torch.randn(400, generator=generator, dtype=torch.float64)
    difference = 0.3 * torch.randn(400, generator=generator, dtype=torch.float64)
    difference += 0.012 - difference.mean()
    chances = chance_of_best(resampled_means(torch.stack([common, common + difference]), resamples=20_000), "lower")
    expected = NormalDist().cdf(0.012 / float(difference.std(correction=0) / 20))
    assert 0.7 < expected < 0.9
    assert chances[0].item() == pytest.approx(expected, abs=0.015)
    assert chances.sum().item() == pytest.approx(1)


def test_clusters_are_drawn_whole_and_of_several_ways_the_coarsest() -> None:
    values = torch.rand(3, 20, generator=torch.Generator().manual_seed(8))
    by_rows = resampled_means(values, resamples=300, seed=1)
    copies = values.repeat_interleave(4, dim=1)
    clusters = torch.arange(20).repeat_interleave(4)
    torch.testing.assert_close(resampled_means(copies, clusters, resamples=300, seed=1), by_rows)
    ways = torch.stack([torch.arange(80), clusters + 7], dim=1)
    torch.testing.assert_close(resampled_means(copies, ways, resamples=300, seed=1), by_rows)
    assert float(resampled_means(copies, resamples=300, seed=1).std(0)[0]) < 0.7 * float(by_rows.std(0)[0])


def test_resampled_means_have_the_mean_and_the_error_of_a_mean() -> None:
    """Over 5,000 resamples the mean is off by five standard errors with probability 6e-7, the deviation by 6 % less."""
    values = torch.randn(1, 50, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    means = resampled_means(values, resamples=5000)[:, 0]
    error = float(values.std(correction=0)) / math.sqrt(50)
    assert abs(float(means.mean() - values.mean())) < 5 * error / math.sqrt(5000)
    assert float(means.std()) == pytest.approx(error, rel=0.06)
    sizes = torch.tensor([1, 2, 3, 4]).repeat_interleave(torch.tensor([1, 2, 3, 4]))
    ones = resampled_means(torch.ones(1, 10), sizes, resamples=50)
    torch.testing.assert_close(ones, torch.ones_like(ones))  # unequal clusters are weighted by their rows


def test_errors_of_values_make_the_choice_less_sure() -> None:
    """Φ(1/√2 s) of two values one apart, with an error of s each; 20,000 resamples are off by .018 once in 10⁶."""
    values = torch.tensor([0.0, 1.0])
    for error in (0.1, 1.0, 10.0):
        chances = chance_of_best(resampled_values(values, torch.full((2,), error), resamples=20_000), "higher")
        assert chances[1].item() == pytest.approx(NormalDist().cdf(1 / (math.sqrt(2) * error)), abs=0.018)
    assert chance_of_best(torch.tensor([[1.0, 1.0, 0.0]]), "higher").tolist() == [0.5, 0.5, 0.0]


def test_what_cannot_be_drawn_anew_is_refused() -> None:
    with pytest.raises(InputError, match="1 clusters"):
        resampled_means(torch.rand(2, 5), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(InputError, match="NaN or infinite"):
        resampled_means(torch.tensor([[0.0, math.inf]]))
    with pytest.raises(InputError, match="clusters of 4"):
        resampled_means(torch.rand(2, 5), torch.arange(4))
    with pytest.raises(InputError, match="NaN among them: True"):
        chance_of_best(torch.tensor([[0.0, math.nan]]), "lower")
    with pytest.raises(InputError, match="not negative"):
        resampled_values(torch.tensor([0.0]), torch.tensor([-1.0]))

"""Numbers by counter: the right distribution, and a row's numbers are its own."""

import math

import numpy as np
import torch
from scipy import stats

from surefoot.rows.shift.counters import normal, row_keys, signs, uniform

IDS = np.array([f"row:{row}" for row in range(2000)])


def test_uniform_and_normal_numbers_pass_kolmogorov_and_smirnov() -> None:
    """Fixed seed, so it passes or fails for good; for a random one each of the two fails with probability 1e-3."""
    keys = row_keys(IDS, 3, "test")
    assert stats.kstest(uniform(keys, 0, 100).reshape(-1).numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal(keys, 1, 100).reshape(-1).double().numpy(), "norm").pvalue > 1e-3


def test_places_rows_and_streams_are_uncorrelated() -> None:
    """Correlations of n pairs are below 4.4/√n (two-sided false alarm 1e-5 each, six of them)."""
    keys = row_keys(IDS, 0, "test")
    one, two = (uniform(keys, stream, 100).double() - 0.5 for stream in (0, 1))
    other = uniform(row_keys(IDS, 1, "test"), 0, 100).double() - 0.5
    purpose = uniform(row_keys(IDS, 0, "else"), 0, 100).double() - 0.5
    pairs = {
        "places": (one[:, 1:], one[:, :-1]),
        "places far apart": (one[:, 64:], one[:, :-64]),
        "rows": (one[1:], one[:-1]),
        "streams": (one, two),
        "seeds": (one, other),
        "purposes": (one, purpose),
    }
    for name, (first, second) in pairs.items():
        correlation = float((first * second).mean() * 12)
        assert abs(correlation) < 4.4 / math.sqrt(first.numel()), name


def test_every_bit_of_a_number_is_fair() -> None:
    """Each of 23 bits is set in half of 200,000 numbers, to 4.8 standard deviations (false alarm 23 · 1.6e-6)."""
    numbers = (uniform(row_keys(IDS, 0, "bits"), 0, 100).double() * 2**23).floor().long()
    for bit in range(23):
        share = float(((numbers >> bit) & 1).double().mean())
        assert abs(share - 0.5) < 4.8 * 0.5 / math.sqrt(numbers.numel()), bit


def test_numbers_are_strictly_between_0_and_1_and_signs_are_signs() -> None:
    keys = row_keys(IDS, 0, "range")
    drawn = uniform(keys, 0, 1000)
    assert float(drawn.min()) > 0
    assert float(drawn.max()) < 1
    both = signs(keys, 0)
    assert set(both.tolist()) == {-1.0, 1.0}
    assert abs(float(both.mean())) < 4.4 / math.sqrt(len(IDS))  # false alarm 1e-5 for a random seed


def test_a_row_has_its_numbers_in_any_company_and_the_global_generator_stays() -> None:
    before = torch.random.get_rng_state()
    keys = row_keys(IDS, 0, "company")
    chosen = [1999, 3, 3, 700]
    again = row_keys(IDS[chosen], 0, "company")
    assert torch.equal(normal(again, 2, 7, 5), normal(keys, 2, 7, 5)[chosen])
    assert torch.equal(before, torch.random.get_rng_state())


def test_numbers_are_these_for_good() -> None:
    """Pinned: another number here changes every corrupted picture that anybody has made."""
    keys = row_keys(np.array(["digits:0000"]), 0, "fog")
    pinned = (uniform(keys, 0, 3) * 2**23 - 0.5).long().tolist()
    assert pinned == [[4498128, 6410477, 6994309]]

"""What a number of rows can tell: hand figures, power by exact enumeration and simulation."""

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.resolution import most_unseen, resolution


def test_half_widths_are_those_of_the_formula() -> None:
    assert resolution(250, 0.95).half_width == pytest.approx(0.0270, abs=5e-5)
    assert resolution(25, 0.95).half_width == pytest.approx(0.0854, abs=5e-5)
    assert resolution(25, 0.5).half_width == pytest.approx(0.196, abs=5e-5)


@pytest.mark.parametrize(("count", "proportion"), [(400, 0.5), (1000, 0.8)])
def test_a_change_that_just_shows_shows_in_four_of_five_trials(count: int, proportion: float) -> None:
    """Two samples, exact: all pairs of counts weighted by their probability, a z-test with unpooled variance."""
    fall = resolution(count, proportion).fall
    assert fall is not None
    k = np.arange(count + 1)
    one, other = stats.binom.pmf(k, count, proportion), stats.binom.pmf(k, count, proportion - fall)
    p, q = k[:, None] / count, k[None, :] / count
    error = np.sqrt((p * (1 - p) + q * (1 - q)) / count)
    rejected = p - q > stats.norm.ppf(0.975) * np.maximum(error, 1e-12)
    assert (one[:, None] * other[None, :] * rejected).sum() == pytest.approx(0.8, abs=0.01)


def test_pairs_that_go_together_show_smaller_changes() -> None:
    """4,000 trials of 500 pairs at a correlation of .6; the power is .8 ± .04 (one in a million, approximation)."""
    found = resolution(500, 0.7, correlation=0.6)
    alone = resolution(500, 0.7)
    assert found.fall is not None
    assert alone.fall is not None
    assert found.fall < 0.75 * alone.fall
    q = 0.7 - found.fall
    both = 0.7 * q + 0.6 * np.sqrt(0.7 * 0.3 * q * (1 - q))
    cells = np.random.default_rng(0).multinomial(500, [both, 0.7 - both, q - both, 1 - 0.7 - q + both], size=4000)
    lost, gained = cells[:, 1], cells[:, 2]
    mean = (lost - gained) / 500
    error = np.sqrt(((lost + gained) / 500 - mean**2) / 500)
    assert (mean > stats.norm.ppf(0.975) * error).mean() == pytest.approx(0.8, abs=0.04)


def test_more_rows_more_power_and_symmetry() -> None:
    few, many = resolution(100, 0.6), resolution(1000, 0.6)
    assert few.rise is not None
    assert many.rise is not None
    assert many.rise < few.rise
    assert resolution(100, 0.4).fall == pytest.approx(few.rise)
    assert resolution(4, 0.9).rise is None
    assert resolution(100, 1.0).rise is None
    assert resolution(100, 1.0).fall == pytest.approx((2.80159**2 / 100) / (1 + 2.80159**2 / 100), rel=1e-4)


def test_none_seen_is_the_exact_one_sided_bound() -> None:
    for count in (1, 20, 250):
        bound = most_unseen(count)
        assert (1 - bound) ** count == pytest.approx(0.05)
        assert bound == pytest.approx(stats.beta.ppf(0.95, 1, count))
    assert most_unseen(250) < 3 / 250
    assert most_unseen(102_443) == pytest.approx(3 / 102_443, rel=2e-3)


def test_what_has_no_resolution_is_refused() -> None:
    for count, proportion, power in ((0, 0.5, 0.8), (10, 1.5, 0.8), (10, 0.5, 1.0)):
        with pytest.raises(InputError, match="resolution"):
            resolution(count, proportion, power=power)
    with pytest.raises(InputError, match="no evidence"):
        most_unseen(0)

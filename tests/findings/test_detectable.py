"""What a measurement could have shown, against counts by hand and against draws."""

from math import comb, sqrt

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.findings.detectable import least_change, least_difference, worth_rows
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import wilson
from surefoot.findings.means import Quantity, mean_finding


def share(value: float, interval: Interval | None, unit: str = "proportion") -> Finding:
    return Finding("safe", value, interval, 50, 50, unit, "all", "higher", "m", "judge")


def power(passing: int, count: int, p: float) -> float:
    """P(X ≤ passing) by summing the binomial."""
    return sum(comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(passing + 1))


@pytest.mark.parametrize(("count", "bound"), [(10, 0.5), (40, 0.3), (250, 0.05), (320, 0.9)])
def test_the_claim_passes_four_times_of_five_at_the_least_difference_and_not_before(count: int, bound: float) -> None:
    passing = max(k for k in range(count + 1) if wilson(float(k), float(count), 0.95).high <= bound)
    least = least_difference(float(count), at_most=bound)
    assert least is not None
    assert power(passing, count, bound - least) == pytest.approx(0.8, abs=1e-9)
    assert power(passing, count, bound - 0.9 * least) < 0.8
    mirrored = least_difference(float(count), at_least=1 - bound)
    assert mirrored == pytest.approx(least, abs=1e-9)


def test_by_hand() -> None:
    # Of 10 rows 1 may be wrong: Wilson's upper end is .404 for 1 and .510 for 2. (1−p)¹⁰ + 10 p (1−p)⁹ = .8 at .0833.
    least = least_difference(10.9, at_most=0.5)
    assert least is not None
    assert 0.5 - least == pytest.approx(0.0833, abs=2e-4)
    # Wilson's upper end of 0 of 10 is 3.84/13.84 = .278: no result passes at a bound below.
    assert least_difference(10.0, at_most=0.27) is None
    assert least_difference(10.0, at_most=0.28) is not None
    assert least_difference(10.0, at_most=1.0) == 0.0
    # More is asked of a higher confidence and of a higher power.
    at_99, at_90 = (
        least_difference(100.0, at_most=0.5, confidence=0.99),
        least_difference(100.0, at_most=0.5, power=0.9),
    )
    usual = least_difference(100.0, at_most=0.5)
    assert at_99 is not None
    assert at_90 is not None
    assert usual is not None
    assert min(at_99, at_90) > usual


def test_rows_are_worth_what_their_interval_is() -> None:
    for right, count in ((0.0, 30.0), (30.0, 30.0), (12.5, 77.0)):
        assert worth_rows(share(right / count, wilson(right, count, 0.9))) == pytest.approx(count, rel=1e-6)
    assert worth_rows(share(0.5, None)) is None
    assert worth_rows(share(0.5, Interval(0.0, 1.0, 0.95, ""))) == 1.0
    # Rows that are alike in pairs are worth about half as many.
    values = np.repeat(np.arange(200) % 3 == 0, 2).astype(np.float64)[None]
    pairs = np.repeat(np.arange(200), 2)[:, None]
    of = Quantity("safe")
    alone = mean_finding(values, of, subject="m", source="judge")
    paired = mean_finding(values, of, subject="m", source="judge", clusters=pairs)
    rows, halved = worth_rows(alone), worth_rows(paired)
    assert rows == pytest.approx(400, rel=1e-3)
    assert halved == pytest.approx(200, rel=0.05)


def test_a_change_of_the_least_size_shows_four_times_of_five() -> None:
    least = least_change(share(0.0, Interval(-0.2, 0.2, 0.95, "")))
    assert least == pytest.approx(0.2 * (1.959964 + 0.841621) / 1.959964)
    assert least_change(share(0.0, Interval(-0.9, 0.9, 0.95, ""))) is None, "no share changes by more than all of it"
    assert least_change(share(0.0, Interval(-9.0, 9.0, 0.95, ""), "tokens")) == pytest.approx(9 * 1.42941, rel=1e-4)
    # 4,000 draws of 400 normal values: the standard error of the share is .0063, four of them are allowed.
    draws = np.random.default_rng(0).normal(size=(4000, 400))
    half = 1.959964 / sqrt(400)
    needed = least_change(share(0.0, Interval(-half, half, 0.95, ""), "points"))
    assert needed is not None
    assert np.mean(draws.mean(axis=1) + needed > half) == pytest.approx(0.8, abs=4 * 0.0063)


@pytest.mark.parametrize(
    "given", [{}, {"at_most": 0.5, "at_least": 0.5}, {"at_most": 1.5}, {"at_most": 0.5, "power": 1.0}]
)
def test_what_has_no_least_difference_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match="least difference"):
        least_difference(10.0, **given)
    with pytest.raises(InputError, match="least difference"):
        least_difference(0.5, at_most=0.5)
    with pytest.raises(InputError, match="power of 0"):
        least_change(share(0.0, None), 0.0)

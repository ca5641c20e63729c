"""Sums of terms over orders: identities, intervals that cover, and where two models cross."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from surefoot.errors import InputError
from surefoot.evidence.linear import LinearModel, linear_prefixes
from surefoot.evidence.prefixes import Prefixes, conditional_findings, crossing, learning_curve, orders_of


def made(*lines: list[float]) -> Prefixes:
    return Prefixes(torch.tensor(lines, dtype=torch.float64))


def drawn(orders: int, rows: int, seed: int = 0) -> Prefixes:
    return Prefixes(torch.randn(orders, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def test_orders_are_permutations_and_the_first_ones_do_not_depend_on_how_many_follow() -> None:
    many = orders_of(7, 50, seed=3)
    assert torch.equal(many.sort(1).values, torch.arange(7).expand(50, 7))
    assert torch.equal(orders_of(7, 5, seed=3), many[:5])
    assert not torch.equal(orders_of(7, 50, seed=4), many)


def test_every_order_is_equally_likely() -> None:
    """All 24 orders of four rows, 4,800 draws; a chi-square test that fails for a sound sampler once in 10,000."""
    drawn = orders_of(4, 4_800, seed=0).tolist()
    counts = [drawn.count(list(order)) for order in itertools.permutations(range(4))]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_marginal_and_conditional_add_up_to_the_evidence_at_every_split() -> None:
    prefixes = drawn(5, 9)
    for m in range(10):
        torch.testing.assert_close(prefixes.marginal(m) + prefixes.conditional(m), prefixes.evidence)
        if m < 9:
            torch.testing.assert_close(prefixes.all_conditional()[:, m], prefixes.conditional(m))
            torch.testing.assert_close(prefixes.all_marginal()[:, m], prefixes.marginal(m + 1))
    assert prefixes.marginal(0).abs().max() == 0
    assert prefixes.conditional(9).abs().max() == 0


def test_terms_of_fewer_digits_are_summed_in_float64() -> None:
    terms = -torch.rand(2, 5000, generator=torch.Generator().manual_seed(0)) - 1000
    assert torch.equal(Prefixes(terms).evidence, terms.double().sum(1))
    assert not torch.equal(terms.sum(1).double(), terms.double().sum(1))


def test_the_average_and_its_interval_are_those_of_scipy() -> None:
    prefixes = drawn(12, 30)
    mean, deviation = conditional_findings(prefixes, 20, subject="M", source="fit", confidence=0.9)
    values = prefixes.terms[:, 20:].sum(1).numpy()
    low, high = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    assert mean.interval is not None
    assert (mean.value, mean.interval.low, mean.interval.high) == pytest.approx((values.mean(), low, high))
    assert (mean.name, mean.unit, mean.count, mean.clusters) == ("conditional_evidence", "nats", 10, 12)
    assert "orders" in mean.interval.method
    assert deviation.value == pytest.approx(values.std(ddof=1))
    assert deviation.interval is not None
    below, above = (math.sqrt(11 * values.var(ddof=1) / stats.chi2.ppf(p, 11)) for p in (0.95, 0.05))
    assert (deviation.interval.low, deviation.interval.high) == pytest.approx((below, above))


def test_the_interval_covers_the_mean_over_all_orders() -> None:
    """Six rows have 720 orders, so the mean is known. Of 400 intervals from 20 orders each, 95 % should cover it; a
    sound interval (whose values are somewhat skewed) is below 90.5 % or above 98.5 % less than once in 1,000."""
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    targets = torch.randn(6, generator=generator, dtype=torch.float64)
    model = LinearModel(0.25, torch.ones(2, dtype=torch.float64))
    every = torch.tensor(list(itertools.permutations(range(6))))
    truth = float(linear_prefixes(features, targets, model, every).conditional(3).mean())
    covered = 0
    for seed in range(400):
        some = linear_prefixes(features, targets, model, orders_of(6, 20, seed))
        interval = conditional_findings(some, 3, subject="M", source="fit")[0].interval
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.905 <= covered / 400 <= 0.985


def test_one_order_has_no_interval_and_the_whole_evidence_nothing_random() -> None:
    mean, deviation = conditional_findings(drawn(1, 4), 2, subject="M", source="fit")
    assert mean.interval is None
    assert deviation.interval is None
    assert math.isnan(deviation.value)
    rows = torch.arange(5, dtype=torch.float64)
    model = LinearModel(1.0, torch.ones(1, dtype=torch.float64))
    same = linear_prefixes(rows[:, None], rows, model, orders_of(5, 10, 0))
    whole, _ = conditional_findings(same, 0, subject="M", source="fit")
    assert whole.interval is not None
    assert whole.interval.high - whole.interval.low < 1e-12


def test_the_learning_curve_is_the_mean_of_each_position() -> None:
    prefixes = drawn(40, 6)
    curve = learning_curve(prefixes, 0.8)
    values = prefixes.terms.numpy()
    low, high = stats.t.interval(0.8, 39, values.mean(0), stats.sem(values, axis=0))
    np.testing.assert_allclose(curve.mean.numpy(), values.mean(0))
    np.testing.assert_allclose(curve.low.numpy(), low)
    np.testing.assert_allclose(curve.high.numpy(), high)


def test_the_crossing_counts_rows_of_the_mean_cumulated_evidence() -> None:
    leader = made([0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    other = made([-3.0, 1.0, 1.0, 2.0, 1.0], [-1.0, 1.0, 1.0, 0.0, 3.0])  # sums of means: -2, -1, 0, 1, 3
    found = crossing(leader, other)
    assert found is not None
    assert found.rows == 4  # at three rows they are equal, and none is below
    differences = leader.all_marginal() - other.all_marginal()
    half = stats.t.ppf(0.975, 1) * differences.std(0) / math.sqrt(2)
    assert found.first == 1 + int(((differences.mean(0) - half) < 0).nonzero()[0])
    assert found.first < 4
    assert crossing(other, made([-4.0, 0.0, 0.0, 0.0, 0.0], [-4.0, 0.0, 0.0, 0.0, 0.0])) is None


def test_the_difference_is_taken_order_by_order() -> None:
    """What the models share varies by order and cancels, so the crossing is sure though neither evidence is."""
    shared = 100 * torch.randn(30, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ahead = torch.tensor([0.5, 0.5, 0.5, -0.5, -0.5, -0.5, -0.5, -0.5], dtype=torch.float64)
    found = crossing(Prefixes(shared + ahead), Prefixes(shared))
    assert found is not None
    assert found.rows == 7
    assert found.last == 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orders_of(0, 1, 0), "at least one"),
        (lambda: Prefixes(torch.zeros(0, 3, dtype=torch.float64)), "at least one order"),
        (lambda: made([0.0, math.nan]), "not finite"),
        (lambda: drawn(2, 3).conditional(4), "0 ≤ m ≤ 3"),
        (lambda: drawn(2, 3).marginal(-1), "0 ≤ m ≤ 3"),
        (lambda: conditional_findings(drawn(2, 3), 3, subject="M", source="fit"), "smaller m"),
        (lambda: conditional_findings(drawn(2, 3), 1, subject="M", source="fit", confidence=95.0), "0.95"),
        (lambda: crossing(drawn(2, 3), drawn(3, 3)), "same orders"),
    ],
)
def test_what_cannot_be_used_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()

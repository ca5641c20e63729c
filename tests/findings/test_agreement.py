"""Agreement and total variation by hand, Wasserstein-1 against scipy, intervals against those they must be."""

import math

import numpy as np
import pytest
import torch
from finding_examples import drawn, predictions
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.agreement import agreement, wasserstein, wasserstein_distances
from surefoot.findings.finding import Interval
from surefoot.findings.intervals import wilson


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def test_by_hand() -> None:
    ours = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], dtype=torch.float64)
    reference = torch.tensor([[0.6, 0.4], [0.8, 0.2], [0.9, 0.1]], dtype=torch.float64)
    found = agreement(predictions(ours[None], torch.tensor([0, 1, 1])), reference, subject="swag", source="judge")
    assert found.agreement.value == pytest.approx(2 / 3)  # of equal classes the first
    assert found.total_variation.value == pytest.approx((0.3 + 0.4 + 0.4) / 3)
    assert (found.agreement.name, found.agreement.direction) == ("agreement", "higher")
    assert (found.total_variation.name, found.total_variation.direction) == ("total_variation", "lower")
    assert ends(found.agreement.interval) == pytest.approx(ends(wilson(2.0, 3.0, 0.95)))
    assert found.agreement.count == found.agreement.clusters == 3


def test_a_model_agrees_with_itself_and_never_with_its_mirror() -> None:
    of = drawn(seeds=1, classes=2)
    reference = of.probabilities[0]
    itself = agreement(of, reference, subject="a", source="judge")
    assert (itself.agreement.value, itself.total_variation.value) == (1.0, 0.0)
    mirrored = agreement(of, reference.flip(1), subject="a", source="judge")
    assert mirrored.agreement.value == 0.0
    assert mirrored.total_variation.value == pytest.approx(float((2 * reference[:, 0] - 1).abs().mean()))


def test_total_variation_is_the_largest_difference_of_any_event() -> None:
    """½ Σ|p − q| = max over sets of classes of p(set) − q(set)."""
    of = drawn(seeds=2, rows=30, classes=4)
    reference = drawn(seeds=1, rows=30, classes=4, seed=9).probabilities[0]
    difference = of.probabilities - reference
    sets = torch.tensor([[each >> k & 1 for k in range(4)] for each in range(16)], dtype=torch.float64)
    largest = (difference @ sets.T).max(dim=2).values
    found = agreement(of, reference, subject="a", source="judge").total_variation
    assert found.per_seed == pytest.approx(largest.mean(dim=1).tolist())


def test_intervals_count_clusters_and_cover() -> None:
    """400 rows in 20 clusters that agree as one: five times as wide as independent rows or nearly."""
    same = (torch.arange(20) < 14).repeat_interleave(20)
    reference = torch.tensor([[0.8, 0.2]], dtype=torch.float64).repeat(400, 1)
    ours = torch.where(same[:, None], reference, reference.flip(1))
    widths = []
    for clusters in (torch.arange(400), torch.arange(20).repeat_interleave(20)):
        of = predictions(ours[None], torch.zeros(400).long(), clusters=clusters[:, None])
        found = agreement(of, reference, subject="a", source="judge")
        for each in found:
            low, high = ends(each.interval)
            assert low < each.value < high
        low, high = ends(found.agreement.interval)
        widths.append(high - low)
    assert 3.5 < widths[1] / widths[0] < 5


@pytest.mark.parametrize(("draws", "others"), [(50, 50), (50, 80), (1, 7), (64, 1)])
def test_wasserstein_agrees_with_scipy(draws: int, others: int) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(draws, 6, generator=generator).round(decimals=1)  # with ties
    reference = 2 * torch.randn(others, 6, generator=generator).round(decimals=1) + 0.5
    expected = [
        stats.wasserstein_distance(values[:, row].double().numpy(), reference[:, row].double().numpy())
        for row in range(6)
    ]
    assert wasserstein_distances(values, reference).tolist() == pytest.approx(expected, abs=1e-12)


def test_it_is_wasserstein_1_and_not_2() -> None:
    """One draw of two moved by 2: W₁ is 1 and W₂ √2; a shift of all is the distance of the shift."""
    values = torch.tensor([[0.0], [1.0]])
    assert wasserstein_distances(values, torch.tensor([[0.0], [3.0]])).tolist() == [1.0]
    assert wasserstein_distances(values, values + 7).tolist() == [7.0]


def test_the_finding_of_wasserstein() -> None:
    generator = torch.Generator().manual_seed(1)
    values, reference = (torch.randn(40, 300, generator=generator, dtype=torch.float64) for _ in range(2))
    found = wasserstein(values, reference + 1, unit="kg", subject="a", source="judge")
    distances = wasserstein_distances(values, reference + 1).numpy()
    assert (found.name, found.unit, found.direction, found.count, found.clusters) == (
        "wasserstein_1", "kg", "lower", 300, 300,
    )  # fmt: skip
    assert found.value == pytest.approx(distances.mean())
    low, high = ends(found.interval)
    normal = 1.96 * float(np.std(distances, ddof=1)) / math.sqrt(300)
    assert (low, high) == pytest.approx((found.value - normal, found.value + normal), abs=0.2 * normal)
    grouped = wasserstein(
        values, reference + 1, unit="kg", subject="a", source="judge", clusters=torch.arange(300)[:, None] // 30
    )
    assert (grouped.value, grouped.clusters) == (found.value, 10)


def test_errors_say_what_to_do() -> None:
    of = drawn(rows=12)
    reference = of.probabilities[0]
    with pytest.raises(InputError, match="same rows and classes"):
        agreement(of, reference[:, :2], subject="a", source="judge")
    with pytest.raises(InputError, match=r"1 rows that .*do not sum to one \(first: row:3\)"):
        agreement(of, reference.index_fill(0, torch.tensor([3]), 1.0), subject="a", source="judge")
    with pytest.raises(InputError, match="at least one draw of each"):
        wasserstein_distances(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(InputError, match="NaN or infinite"):
        wasserstein_distances(torch.zeros(2, 3), torch.full((2, 3), math.nan))
    with pytest.raises(InputError, match="values for 3 rows and clusters for 4"):
        wasserstein(
            torch.zeros(2, 3), torch.zeros(2, 3), unit="m", subject="a", source="b", clusters=torch.zeros(4, 1).long()
        )

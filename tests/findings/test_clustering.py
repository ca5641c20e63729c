"""Variances of clustered, crossed rows against brute force: leaving out, pairing seeds, and known special cases."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.clustering import Spread, cluster_design, fewest_clusters, influence, reach_of, spread

Reals = NDArray[np.float64]


def whole(values: Reals, clusters: NDArray[np.int64]) -> Spread:
    design = cluster_design(clusters)
    return spread(design, [(1.0, influence(design, np.ones(design.rows, dtype=bool), values))])


def two_ways(rng: np.random.Generator, rows: int = 60) -> NDArray[np.int64]:
    return np.stack([rng.integers(12, size=rows), rng.integers(7, size=rows)], axis=1)


def test_leaving_out_each_cluster_gives_the_jackknife_variance() -> None:
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(size=(1, 50)), rng.integers(9, size=(50, 1))
    without = [values[0, clusters[:, 0] != k].mean() for k in range(9)]
    expected = 8 / 9 * np.sum((np.array(without) - values.mean()) ** 2)
    assert whole(values, clusters).parts[1].total == pytest.approx(expected, rel=1e-12)


def test_leaving_out_a_cluster_moves_a_weighted_mean_of_groups() -> None:
    rng = np.random.default_rng(1)
    values, clusters, group = rng.normal(size=(1, 60)), rng.integers(10, size=(60, 1)), rng.random(60) < 0.4
    design = cluster_design(clusters)
    of = spread(design, [(0.3, influence(design, group, values)), (0.7, influence(design, ~group, values))])

    def mixed(kept: NDArray[np.bool_]) -> float:
        return 0.3 * values[0, group & kept].mean() + 0.7 * values[0, ~group & kept].mean()

    everything = mixed(np.ones(60, dtype=bool))
    moved = [mixed(clusters[:, 0] != k) - everything for k in range(10)]
    assert of.value == pytest.approx(everything)
    assert of.parts[1].total == pytest.approx(9 / 10 * np.sum(np.square(moved)), rel=1e-12)


def test_equal_clusters_have_the_textbook_variance_of_their_means() -> None:
    rng = np.random.default_rng(2)
    means = rng.normal(size=20)
    values, clusters = np.repeat(means, 5)[None], np.repeat(np.arange(20), 5)[:, None]
    of = whole(values, clusters)
    assert of.parts[1].total == pytest.approx(means.var(ddof=1) / 20)
    assert of.parts[1].freedom == pytest.approx(19)


def test_two_ways_add_and_their_intersection_is_taken_off() -> None:
    """The partitions and signs of Cameron, Gelbach & Miller (2011) for three ways."""
    rng = np.random.default_rng(3)
    clusters = rng.integers(4, size=(200, 3))
    design = cluster_design(clusters)
    signs = {partition.size: partition.sign for partition in design.partitions}
    pairs = [len(np.unique(clusters[:, [a, b]], axis=0)) for a, b in ((0, 1), (0, 2), (1, 2))]
    three = len(np.unique(clusters, axis=0))
    assert signs == {200: 0, 4: 1, pairs[0]: -1, pairs[1]: -1, pairs[2]: -1, three: 1}
    assert [partition.way for partition in design.partitions].count(True) == 3


def test_singletons_and_repeated_ways_change_nothing() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(3, 40))
    houses = rng.integers(6, size=40)
    plain = reach_of(whole(values, houses[:, None]), 0.95).squared
    for more in ([houses, np.arange(40)], [houses, houses + 7]):
        of = whole(values, np.stack(more, axis=1))
        assert reach_of(of, 0.95).squared == pytest.approx(plain, rel=1e-9)


def test_of_nested_ways_the_one_that_reaches_farther_counts() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(3, 40))
    houses = rng.integers(6, size=40)
    people = houses * 2 + rng.integers(2, size=40)
    reaches = [reach_of(whole(values, way[:, None]), 0.95).squared for way in (houses, people)]
    both = reach_of(whole(values, np.stack([houses, people], axis=1)), 0.95).squared
    assert both == pytest.approx(max(reaches), rel=0.02)


def test_rows_on_their_own_have_the_ordinary_variance_and_student_interval() -> None:
    values = np.random.default_rng(5).normal(size=(1, 30))
    of = whole(values, np.arange(30)[:, None])
    assert of.parts[0].total == pytest.approx(values.var(ddof=1) / 30)
    reach = reach_of(of, 0.9).squared
    assert reach == pytest.approx(float(stats.t.ppf(0.95, 29)) ** 2 * values.var(ddof=1) / 30)


def test_the_shared_part_is_the_covariance_of_different_seeds() -> None:
    rng = np.random.default_rng(6)
    values, clusters = rng.normal(size=(4, 60)) + rng.normal(size=60), two_ways(rng)
    of = whole(values, clusters)
    for at, partition in enumerate(cluster_design(clusters).partitions):
        labels = np.arange(60) if partition.labels is None else partition.labels
        share = np.bincount(labels) / 60
        moved = np.stack([np.bincount(labels, weights=v - v.mean()) / 60 / (1 - share) for v in values])
        between = (moved @ moved.T)[~np.eye(4, dtype=bool)].mean()
        assert of.parts[at].shared == pytest.approx((partition.size - 1) / partition.size * between)


def test_the_variance_is_unbiased_for_crossed_rows_and_seeds() -> None:
    """Mean estimate against the true variance of the mean: five standard errors, under 1e-6 false alarm."""
    rng = np.random.default_rng(7)
    seed, core, own = 0.3, 0.5, 1.0
    estimates: list[float] = []
    for _ in range(2_000):
        values = (
            np.sqrt(seed) * rng.normal(size=(3, 1))
            + np.repeat(np.sqrt(core) * rng.normal(size=8), 2)
            + np.sqrt(own) * rng.normal(size=(3, 16))
        )
        of = whole(values, np.repeat(np.arange(8), 2)[:, None])
        estimates.append(of.parts[1].shared + of.seed_variance)
    truth = seed / 3 + core / 8 + own / 48
    assert abs(np.mean(estimates) - truth) < 5 * np.std(estimates) / np.sqrt(2_000)


def test_equal_seeds_add_nothing() -> None:
    rng = np.random.default_rng(8)
    values, clusters = rng.normal(size=(1, 60)), two_ways(rng)
    one, many = whole(values, clusters), whole(np.repeat(values, 5, axis=0), clusters)
    assert reach_of(many, 0.95).squared == pytest.approx(reach_of(one, 0.95).squared)


def test_two_seeds_far_apart_are_judged_with_one_degree_of_freedom() -> None:
    values = np.stack([np.zeros(1_000), np.ones(1_000)]) + 1e-6 * np.random.default_rng(9).normal(size=1_000)
    reach = reach_of(whole(values, np.arange(1_000)[:, None]), 0.95)
    assert np.sqrt(reach.squared) == pytest.approx(float(stats.t.ppf(0.975, 1)) * 0.5, rel=1e-5)


def test_one_cluster_in_all_is_no_evidence_of_spread() -> None:
    values = np.random.default_rng(10).normal(size=(1, 10))
    assert not whole(values, np.zeros((10, 1), dtype=np.int64)).known
    assert not whole(values[:, :1], np.zeros((1, 1), dtype=np.int64)).known
    assert whole(values, np.arange(10)[:, None]).known


def test_clusters_are_counted_by_their_fewest_way_within_a_slice() -> None:
    clusters = np.array([[0, 0], [0, 1], [1, 2], [2, 2], [2, 2]])
    design = cluster_design(clusters)
    assert fewest_clusters(design, np.ones(5, dtype=bool)) == 3
    assert fewest_clusters(design, np.array([True, True, False, False, False])) == 1
    assert fewest_clusters(cluster_design(np.arange(5)[:, None]), np.array([True, True, False, False, True])) == 3


def test_a_relabelled_or_reordered_world_is_the_same() -> None:
    rng = np.random.default_rng(11)
    values, clusters = rng.normal(size=(2, 60)), two_ways(rng)
    order = rng.permutation(60)
    first = reach_of(whole(values, clusters), 0.95)
    second = reach_of(whole(values[:, order], 1_000 - 3 * clusters[order][:, ::-1]), 0.95)
    np.testing.assert_allclose(second, first, rtol=1e-9)


def test_refuses_too_many_ways() -> None:
    message = r"^Rows hang together in 9 ways; intervals can use at most 8 columns of clusters\.$"
    with pytest.raises(InputError, match=message):
        cluster_design(np.zeros((4, 9), dtype=np.int64))


def test_adding_squared_reaches_covers_where_satterthwaite_falls_short() -> None:
    """Two parts of a variance: rows known exactly, seeds estimated with S − 1 degrees of freedom; 100,000 draws."""
    rng = np.random.default_rng(12)
    error, known = rng.chisquare(1, size=100_000), float(stats.norm.ppf(0.975)) ** 2
    worst: dict[int, tuple[float, float]] = {}
    for seeds in (2, 5):
        ours, usual = [], []
        for rows in (0.0, 0.1, 0.3, 0.5, 0.9, 1.0):
            part = (1 - rows) * rng.chisquare(seeds - 1, size=100_000) / (seeds - 1)
            ours.append(np.mean(error <= known * rows + stats.t.ppf(0.975, seeds - 1) ** 2 * part))
            freedom = (rows + part) ** 2 / np.maximum(part**2 / (seeds - 1), 1e-12)
            usual.append(np.mean(error <= stats.t.ppf(0.975, freedom) ** 2 * (rows + part)))
        worst[seeds] = min(ours), min(usual)
    standard_error = np.sqrt(0.95 * 0.05 / 100_000)
    assert min(ours for ours, _ in worst.values()) > 0.95 - 5 * standard_error
    assert worst[2][1] == pytest.approx(0.874, abs=0.01)
    assert worst[5][1] == pytest.approx(0.942, abs=0.005)

"""Clusters of errors: a planted one is found, none is found where there is none, and k-means is k-means."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.robust.slices.clusters import cluster_groups, discover_clusters, k_means
from surefoot.robust.slices.discover import DISCOVERED, DiscoverSettings
from surefoot.rows.rows import make_rows


def world(seed: int, *, hard: float, rows: int = 1600) -> tuple[Predictions, torch.Tensor, torch.Tensor]:
    """Two classes, each of a large and a small lump; the small lump of class 1 is wrong in `hard`, the rest in 10 %."""
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randint(2, (rows,), generator=draw)
    lump = torch.rand(rows, generator=draw) < 0.25
    features = torch.randn(rows, 20, generator=draw)
    features[:, 0] += 4.0 * targets
    features[:, 1] += 7.0 * lump
    planted = lump & (targets == 1)
    wrong = torch.rand(rows, generator=draw) < torch.where(planted, hard, 0.1)
    said = torch.nn.functional.one_hot(torch.where(wrong, 1 - targets, targets), 2).double()[None]
    return predictions_for(make_rows(features, targets, classes=["no", "yes"]), said), features, planted


def test_a_planted_cluster_is_found() -> None:
    predictions, features, planted = world(0, hard=0.5)
    found = discover_clusters(predictions, features, DiscoverSettings(), seed=0)
    assert [each.name for each in found.discovery.confirmed] == ["yes, cluster 2 of 2"]
    assert (
        found.discovery.confirmed[0].accuracy_interval.low <= 0.5 <= found.discovery.confirmed[0].accuracy_interval.high
    )
    groups = cluster_groups(found, features, predictions.targets)
    assert groups.names == (f"{DISCOVERED}yes, cluster 2 of 2", f"{DISCOVERED}in no discovered slice")
    assert float((groups.members[:, 0] == planted).double().mean()) > 0.99
    assert groups.members.sum(dim=1).tolist() == [1] * len(planted)


def test_without_a_difference_no_cluster_is_found() -> None:
    # Each world has a false find with probability at most .05; more than 2 of 4 with probability 5e-4.
    worlds = [world(seed, hard=0.1, rows=800) for seed in range(4)]
    finds = [discover_clusters(*each[:2], DiscoverSettings(), 0).discovery for each in worlds]
    assert sum(bool(find.confirmed) for find in finds) <= 2
    assert all(find.tried >= 4 for find in finds)
    predictions, features, _ = world(0, hard=0.1, rows=800)
    found = discover_clusters(predictions, features, DiscoverSettings(), 0)
    nothing = found._replace(discovery=replace(found.discovery, candidates=()))
    with pytest.raises(InputError, match="No cluster was confirmed"):
        cluster_groups(nothing, features, predictions.targets)


@pytest.mark.slow
def test_false_clusters_are_as_rare_as_stated() -> None:
    # 200 worlds: at exactly 5 % more than 22 with a false find have probability 2e-4.
    finds = sum(
        bool(discover_clusters(*world(seed, hard=0.1)[:2], DiscoverSettings(), seed).discovery.confirmed)
        for seed in range(200)
    )
    print(f"false clusters: {finds} of 200")
    assert finds <= 22


def test_k_means_reaches_what_sklearn_reaches() -> None:
    rows = torch.cat(
        [torch.randn(50, 4, generator=torch.Generator().manual_seed(k)) + 5 * k for k in range(3)]
    ).double()
    ours = k_means(rows, 3, torch.Generator().manual_seed(0))
    theirs = KMeans(3, n_init=10, random_state=0).fit(rows.numpy()).cluster_centers_
    order = np.argsort(theirs[:, 0])
    torch.testing.assert_close(ours[ours[:, 0].argsort()], torch.from_numpy(theirs[order]), atol=1e-6, rtol=1e-6)


def test_equal_rows_do_no_harm() -> None:
    assert k_means(torch.ones(5, 2).double(), 3, torch.Generator().manual_seed(0)).shape == (3, 2)


def test_wrong_features_are_refused() -> None:
    predictions, features, _ = world(1, hard=0.1, rows=200)
    with pytest.raises(InputError, match="one finite vector per row"):
        discover_clusters(predictions, features[:10], DiscoverSettings(), 0)

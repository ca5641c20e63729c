"""Clusters of a class in feature space where a model is wrong more often than elsewhere in that class.

1. Search half: features are projected on their first ten principal components (not whitened), and each class is cut
   into k clusters by k-means, k from 2 to 6 by the largest simplified silhouette: the mean over rows of 1 − a/b, a the
   distance to the own centre and b that to the next. Clusters smaller than `fewest` are no candidates.
2. Confirm half: rows go to the nearest centre of their class, and each cluster is tested against the rest of its class
   as slices are (`discover`): one-sided, Holm over all clusters, intervals that hold together.

A cluster has no words for what its rows share: look at some of them. Finding none means that k-means saw none.

Sources: Sohoni et al. (2020), "No subclass left behind" (GEORGE), NeurIPS: clusters per class in the features of a
trained model; Arthur and Vassilvitskii (2007), k-means++; Hruschka, Campello and de Castro (2006), simplified
silhouette. Departures from GEORGE: no UMAP, k by the simplified silhouette, and a test on rows that were not clustered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions
from surefoot.robust.slices.discover import DISCOVERED, REST, DiscoverSettings, Discovery, Suspect, confirm, halves_of
from surefoot.rows.rows import Groups

__all__ = ["ClassClusters", "ClusterDiscovery", "cluster_groups", "discover_clusters", "k_means"]

COMPONENTS = 10
MOST = 6
STARTS = 5
STEPS = 100


@dataclass(frozen=True)
class ClassClusters:
    """Centres of each class that was cut, in the projection (features − mean) · directions."""

    mean: Float[Tensor, "features"]
    directions: Float[Tensor, "features components"]
    centres: Mapping[int, Float[Tensor, "clusters components"]]

    def nearest(self, features: Float[Tensor, "rows features"], targets: Int[Tensor, "rows"]) -> Int[Tensor, "rows"]:
        """The cluster of each row within its class; −1 for a class that was not cut."""
        projected = (features.double() - self.mean) @ self.directions
        found = torch.full((len(features),), -1, dtype=torch.int64)
        for label, centres in self.centres.items():
            rows = (targets == label).nonzero().squeeze(1)
            if len(rows):
                found[rows] = torch.cdist(projected[rows], centres).argmin(dim=1)
        return found


class ClusterDiscovery(NamedTuple):
    """What was tested, and the clusters, with the (class, cluster) of each candidate by its name."""

    discovery: Discovery
    clusters: ClassClusters
    places: Mapping[str, tuple[int, int]]


def discover_clusters(
    predictions: Predictions, features: Float[Tensor, "rows features"], settings: DiscoverSettings, seed: int
) -> ClusterDiscovery:
    """Cut every class into clusters on the search half, and test each on the confirm half.

    Raises `InputError` for features that are not one finite vector per prediction.

    >>> from surefoot.findings.predictions import predictions_for
    >>> from surefoot.rows.rows import make_rows
    >>> draw = torch.Generator().manual_seed(0)
    >>> hard = torch.rand(1200, generator=draw) < 0.2
    >>> features = torch.randn(1200, 3, generator=draw) + 6.0 * hard[:, None]
    >>> wrong = torch.rand(1200, generator=draw) < torch.where(hard, 0.5, 0.05)
    >>> rows = make_rows(features, torch.zeros(1200, dtype=torch.int64), classes=["a", "b"])
    >>> said = torch.stack([1 - wrong.float(), wrong.float()], dim=1)[None]
    >>> found = discover_clusters(predictions_for(rows, said), features, DiscoverSettings(), seed=0)
    >>> [(each.name, each.confirmed) for each in found.discovery.candidates]
    [('a, cluster 2 of 2', True), ('a, cluster 1 of 2', False)]
    """
    if len(features) != len(predictions.ids) or not bool(torch.isfinite(features).all()):
        raise InputError(
            f"There are features of shape {tuple(features.shape)} for {len(predictions.ids)} predictions; give one "
            "finite vector per row."
        )
    search, confirm_rows, notes = halves_of(predictions, seed)
    generator = torch.Generator().manual_seed(seed)
    seen = features[torch.from_numpy(search)].double()
    mean = seen.mean(dim=0)
    directions = torch.linalg.svd(seen - mean, full_matrices=False).Vh[:COMPONENTS].T.contiguous()
    projected = (seen - mean) @ directions
    labels = predictions.targets[torch.from_numpy(search)]
    centres: dict[int, Tensor] = {}
    for label, name in enumerate(predictions.classes):
        rows = projected[labels == label]
        if len(rows) < 2 * settings.fewest:
            notes += (f"The class {name} has {len(rows)} rows in the search half and was not cut.",)
            continue
        centres[label] = _cut(rows, generator)
    clusters = ClassClusters(mean, directions, centres)
    nearest = clusters.nearest(features, predictions.targets)
    suspects: list[Suspect] = []
    places: dict[str, tuple[int, int]] = {}
    for label, found in centres.items():
        of_class = predictions.targets == label
        for number in range(len(found)):
            inside = (of_class & (nearest == number)).numpy()
            if inside[search].sum() < settings.fewest:
                continue
            name = f"{predictions.classes[label]}, cluster {number + 1} of {len(found)}"
            places[name] = (label, number)
            suspects.append(Suspect(name, (), inside, _without(of_class, inside)))
    candidates, more = confirm(predictions, suspects, search, confirm_rows, settings)
    return ClusterDiscovery(
        Discovery(candidates, len(suspects), search, confirm_rows, (*notes, *more)), clusters, places
    )


def cluster_groups(
    found: ClusterDiscovery, features: Float[Tensor, "rows features"], targets: Int[Tensor, "rows"]
) -> Groups:
    """One group per confirmed cluster, and one of all other rows; the names say that they were discovered.

    Raises `InputError` when no cluster was confirmed.
    """
    if not found.discovery.confirmed:
        raise InputError("No cluster was confirmed, so there is none to make a group of; go on without them.")
    nearest = found.clusters.nearest(features, targets)
    names: list[str] = []
    masks: list[Bool[Tensor, "rows"]] = []
    for candidate in found.discovery.confirmed:
        label, number = found.places[candidate.name]
        names.append(f"{DISCOVERED}{candidate.name}")
        masks.append((targets == label) & (nearest == number))
    inside = torch.stack(masks, dim=1)
    return Groups((*names, f"{DISCOVERED}{REST}"), torch.cat([inside, ~inside.any(dim=1, keepdim=True)], dim=1))


def k_means(
    rows: Float[Tensor, "rows components"], count: int, generator: torch.Generator
) -> Float[Tensor, "clusters components"]:
    """Centres by Lloyd's steps from k-means++ starts; the best of several starts, largest cluster first.

    Clusters that lose all rows keep their centre.

    >>> k_means(torch.tensor([[0.0], [0.2], [9.0], [0.1]]).double(), 2, torch.Generator().manual_seed(0)).tolist()
    [[0.10000000149011612], [9.0]]
    """
    best: tuple[float, Tensor] | None = None
    for _ in range(STARTS):
        centres = _start(rows, count, generator)
        for _ in range(STEPS):
            nearest = torch.cdist(rows, centres).argmin(dim=1)
            sizes = nearest.bincount(minlength=count)
            sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
            moved = torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], centres)
            if torch.equal(moved, centres):
                break
            centres = moved
        distances = torch.cdist(rows, centres)
        loss = float(distances.amin(dim=1).square().sum())
        if best is None or loss < best[0]:
            sizes = distances.argmin(dim=1).bincount(minlength=count)
            best = loss, centres[sizes.argsort(descending=True, stable=True)]
    assert best is not None
    return best[1]


def _start(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: each further centre is a row, drawn by its squared distance to the nearest centre so far."""
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    while len(chosen) < count:
        squared = torch.cdist(rows, rows[chosen]).amin(dim=1).square()
        if not bool(squared.sum() > 0):
            chosen.append(int(torch.randint(len(rows), (1,), generator=generator)))
            continue
        chosen.append(int(torch.multinomial(squared, 1, generator=generator)))
    return rows[chosen].clone()


def _cut(rows: Tensor, generator: torch.Generator) -> Tensor:
    """The centres of the number of clusters with the largest simplified silhouette; of equals the fewest."""
    best: tuple[float, Tensor] | None = None
    for count in range(2, MOST + 1):
        centres = k_means(rows, count, generator)
        two = torch.cdist(rows, centres).topk(2, dim=1, largest=False).values
        silhouette = float((1 - two[:, 0] / two[:, 1].clamp(min=1e-300)).mean())
        if best is None or silhouette > best[0] + 1e-9:
            best = silhouette, centres
    assert best is not None
    return best[1]


def _without(of_class: Tensor, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(of_class.numpy() & ~inside, dtype=np.bool_)

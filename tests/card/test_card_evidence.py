"""What a card says of few clusters, one large cluster and few seeds."""

import numpy as np
import torch

from surefoot.card.evidence import about_evidence
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups


def of(clusters: list[int], seeds: int = 1, first: int | None = None) -> Predictions:
    """Rows in these clusters; the `first` ones are group a."""
    rows = len(clusters)
    ids = np.array([str(row) for row in range(rows)])
    inside = torch.arange(rows)[:, None] < (rows if first is None else first)
    return Predictions(
        probabilities=torch.full((seeds, rows, 2), 0.5),
        targets=torch.zeros(rows, dtype=torch.int64),
        classes=("x", "y"),
        groups=Groups(("a",), inside),
        clusters=torch.tensor(clusters)[:, None],
        ids=ids,
        sources=ids[:, None],
    )


def test_enough_evidence_needs_no_word() -> None:
    assert about_evidence(of(list(range(40)))) == ()
    assert about_evidence(of([row // 4 for row in range(40)])) == ()
    assert about_evidence(of(list(range(5)))) == (), "few rows that stand alone: their intervals are exact"
    assert about_evidence(of(list(range(40)), seeds=10)) == ()


def test_few_clusters_are_told_of_where_they_are_fewest() -> None:
    (told,) = about_evidence(of([row % 6 for row in range(60)]))
    assert told == (
        "The rows form 6 independent clusters: with fewer than 10 an interval may miss more often than it says."
    )
    (told,) = about_evidence(of([row // 5 for row in range(100)], first=15))
    assert told.startswith("The rows of “a” form 3 independent clusters: ")


def test_a_large_cluster_is_told_of() -> None:
    (told,) = about_evidence(of([0] * 30 + list(range(1, 71))))
    assert told.startswith("One cluster holds 30% of the rows: ")


def test_few_seeds_are_told_of() -> None:
    (told,) = about_evidence(of(list(range(40)), seeds=5))
    assert told == ("The intervals trust that trainings scatter like a bell; with 5 seeds a rare collapse goes unseen.")

"""Predictions that several tests of this room share."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from surefoot.findings.finding import Finding
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups, Names, cross_groups


def drawn(
    *,
    seeds: int = 3,
    rows: int = 400,
    classes: int = 3,
    seed: int = 0,
    sharpness: float = 2.0,
    cores: int = 80,
    tops: int = 40,
) -> Predictions:
    """Random predictions of moderate accuracy; groups class × attribute, two ways of clusters."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(rows) % classes
    logits = torch.randn(seeds, rows, classes, generator=generator, dtype=torch.float64)
    logits += sharpness * torch.nn.functional.one_hot(targets, classes)
    names = tuple("abcdefgh"[:classes])
    attribute = torch.arange(rows) // classes % 2
    clusters = torch.stack([torch.arange(rows) % cores, torch.arange(rows) // 7 % tops], dim=1)
    return predictions(logits.softmax(dim=2), targets, names, cross_groups(targets, names, attribute, "xy"), clusters)


def predictions(
    probabilities: Tensor,
    targets: Tensor,
    classes: tuple[str, ...] = ("no", "yes"),
    groups: Groups | None = None,
    clusters: Tensor | None = None,
) -> Predictions:
    rows = len(targets)
    ids: Names = np.array([f"row:{row}" for row in range(rows)], dtype=np.str_)
    return Predictions(
        probabilities,
        targets,
        classes,
        Groups((), torch.zeros(rows, 0, dtype=torch.bool)) if groups is None else groups,
        torch.arange(rows)[:, None] if clusters is None else clusters,
        ids,
        ids[:, None],
    )


def right_and_wrong(right: Tensor, groups: Mapping[str, Tensor] | None = None) -> Predictions:
    """Two classes, all targets "yes", predicted with .9 where `right` `[seeds, rows]` and .2 elsewhere."""
    chance = torch.where(right, 0.9, 0.2).double()
    members = torch.stack(list(groups.values()), dim=1) if groups else torch.zeros(right.shape[1], 0, dtype=torch.bool)
    return predictions(
        torch.stack([1 - chance, chance], dim=2),
        torch.ones(right.shape[1], dtype=torch.int64),
        groups=Groups(tuple(groups or ()), members),
    )


def find(findings: tuple[Finding, ...], name: str, slice_: str = "all") -> Finding:
    (found,) = [each for each in findings if (each.name, each.slice) == (name, slice_)]
    return found

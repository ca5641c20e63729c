"""How sure is a number of its first choice? Rows, or errors, are drawn again, the same for all candidates."""

from typing import Literal

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["chance_of_best", "resampled_means", "resampled_values"]

TOGETHER = 256
"""Resamples of rows that are made at a time."""


def chance_of_best(
    resampled: Float[Tensor, "resamples candidates"], direction: Literal["higher", "lower"]
) -> Float64[Tensor, "candidates"]:
    """In which share of the resamples each candidate is the best; ties share theirs. It sums to one.

    resampled: a criterion of all candidates under the same resample in each line (`resampled_means` of rows,
    `resampled_values` of Monte-Carlo errors): what moves all of them alike then does not count. It is how often another
    sample would have chosen so, as far as the resamples tell, and no probability that the candidate is the right one.

    Raises `InputError` for a value that is NaN, and without resamples or candidates.

    >>> chance_of_best(torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 1.0]]), "lower").tolist()
    [0.5, 0.25, 0.25]
    """
    if not resampled.numel() or bool(resampled.isnan().any()):
        raise InputError(
            f"{len(resampled)} resamples of {resampled.shape[1]} candidates were given, NaN among them: "
            f"{bool(resampled.isnan().any())}; give numbers, of at least one of each."
        )
    best = resampled.amax(dim=1) if direction == "higher" else resampled.amin(dim=1)
    winners = (resampled == best[:, None]).double()
    return (winners / winners.sum(dim=1, keepdim=True)).mean(dim=0)


def resampled_means(
    values: Float[Tensor, "candidates rows"],
    clusters: Int[Tensor, "labelled *ways"] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Float64[Tensor, "resamples candidates"]:
    """Means over rows that are drawn with replacement, whole clusters at a time, the same for all candidates.

    values: what each row costs under each candidate, or is worth. clusters: of several ways, the one with the fewest
    clusters is taken.

    Raises `InputError` for values that are not finite, clusters of other rows, and fewer than two clusters.

    >>> losses = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5]])
    >>> means = resampled_means(losses, resamples=3)
    >>> tuple(means.shape), (means[:, 1] - means[:, 0]).mean().round(decimals=6).item()
    ((3, 2), 0.1)
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples were asked for; give at least 1.")
    if not bool(values.isfinite().all()):
        raise InputError(
            "A row's value is NaN or infinite, and no mean could be drawn; mend or leave out what gave it."
        )
    labels = _labels(values.shape[1], clusters)
    count = int(labels.max()) + 1 if len(labels) else 0
    if count < 2:
        raise InputError(f"The rows form {count} clusters, of which nothing can be drawn anew; give two or more.")
    sizes = torch.bincount(labels, minlength=count).double()
    sums = torch.zeros(len(values), count, dtype=torch.float64).index_add_(1, labels, values.double())
    generator = torch.Generator().manual_seed(seed)
    parts: list[Tensor] = []
    for first in range(0, resamples, TOGETHER):
        drawn = torch.randint(count, (min(TOGETHER, resamples - first), count), generator=generator)
        times = torch.zeros(drawn.shape, dtype=torch.float64)
        times.scatter_add_(1, drawn, torch.ones_like(times))
        parts.append((times @ sums.T) / (times @ sizes)[:, None])
    return torch.cat(parts)


def resampled_values(
    values: Float[Tensor, "candidates"], errors: Float[Tensor, "candidates"], *, resamples: int = 2000, seed: int = 0
) -> Float64[Tensor, "resamples candidates"]:
    """Values with independent normal errors, such as Monte-Carlo standard errors, drawn anew.

    Raises `InputError` for values that are not finite, and errors that are not finite or negative.

    >>> chance_of_best(resampled_values(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0])), "higher").tolist()
    [0.0, 1.0]
    """
    if not bool((values.isfinite() & errors.isfinite() & (errors >= 0)).all()):
        raise InputError(
            f"The values {values.tolist()[:5]} have the errors {errors.tolist()[:5]}; give finite values, and errors "
            "that are finite and not negative."
        )
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(resamples, len(values), dtype=torch.float64, generator=generator)
    return values.double() + errors.double() * noise


def _labels(rows: int, clusters: Tensor | None) -> Int[Tensor, "rows"]:
    """The cluster of each row, from zero, in the way that has the fewest."""
    if clusters is None:
        return torch.arange(rows)
    if len(clusters) != rows:
        raise InputError(f"There are values of {rows} rows and clusters of {len(clusters)}; give one for each row.")
    ways = [torch.unique(way, return_inverse=True)[1] for way in clusters.reshape(rows, -1).T]
    return min(ways, key=_largest) if ways and rows else torch.arange(rows)


def _largest(labels: Tensor) -> int:
    return int(labels.max())

"""Ratios of sums over scenes, and their intervals: whole scenes are drawn again, with what was counted on them.

A mean overlap, a panoptic quality or an average precision is no mean over scenes, so it is computed anew from the
counts of each resample: `times` says how often each scene was drawn.

    interval at 95 %: the 2.5 % and the 97.5 % quantile over resamples (the percentile bootstrap)

Source: Efron (1979), "Bootstrap methods: another look at the jackknife". It speaks of which scenes were drawn, not of
which model would have been trained.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Interval

__all__ = ["Measure", "drawn_times", "percentile_interval", "redrawn"]

Measure: TypeAlias = Callable[[Float64[Tensor, "resamples scenes"]], Float64[Tensor, "resamples"]]
"""How often each scene counts → the value, for each resample."""


def drawn_times(scenes: int, *, resamples: int = 1000, seed: int = 0) -> Float64[Tensor, "resamples scenes"]:
    """How often each scene is drawn in each resample; every line sums to `scenes`.

    Raises `InputError` for fewer than two scenes, and no resample.

    >>> drawn_times(5, resamples=3).sum(dim=1).tolist()
    [5.0, 5.0, 5.0]
    """
    if scenes < 2 or resamples < 1:
        raise InputError(f"{resamples} resamples of {scenes} scenes were asked for; give at least 1, of at least 2.")
    drawn = torch.randint(scenes, (resamples, scenes), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(resamples, scenes, dtype=torch.float64)
    return times.scatter_add_(1, drawn, torch.ones_like(times))


def redrawn(
    measure: Measure, scenes: int, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, Float64[Tensor, "resamples"]]:
    """The value on the scenes as they are, and on each resample of them."""
    value = float(measure(torch.ones(1, scenes, dtype=torch.float64)))
    return value, measure(drawn_times(scenes, resamples=resamples, seed=seed))


def percentile_interval(values: Float[Tensor, "resamples"], confidence: float = 0.95) -> Interval:
    """The middle `confidence` of the resampled values; one that is no number is left out.

    Raises `InputError` where fewer than twenty are left: nothing can be said of the tails.

    >>> found = percentile_interval(torch.arange(101.0))
    >>> round(found.low, 6), round(found.high, 6)
    (2.5, 97.5)
    """
    fine = values[values.isfinite()].double()
    if len(fine) < 20 or not 0 < confidence < 1:
        raise InputError(
            f"{len(fine)} resampled values and a confidence of {confidence} were given; give 20 or more, and a share."
        )
    ends = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    low, high = torch.quantile(fine, ends).tolist()
    return Interval(low, high, confidence, "scenes drawn again, percentiles")

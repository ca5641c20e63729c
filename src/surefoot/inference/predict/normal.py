"""What many draws say together about a number: normal predictions, matched by moments, and as the mixture they are.

With draw s of S predicting N(μ_s, σ²_s) for a row:

    μ̄ = (1/S) Σ μ_s,   σ̄² = (1/S) Σ (σ²_s + μ²_s) − μ̄² = (1/S) Σ σ²_s + (1/S) Σ (μ_s − μ̄)²

The second form is summed, by Welford's recurrence: the first loses all digits where means are large. Two losses come of
it, and they are different numbers: `matched_nll`, −ln N(y; μ̄, σ̄²), and `mixture_nll`, −ln (1/S) Σ N(y; μ_s, σ²_s),
which needs the targets as the draws stream by. `gibbs_nll` is the mean of the draws' own losses.

Source: Welford (1962), Technometrics 4.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import softplus

from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.errors import InputError

__all__ = [
    "Moments",
    "Normal",
    "NormalPredictive",
    "NormalTally",
    "add_moments",
    "empty_normal_tally",
    "moments_of",
    "normal_log_density",
    "normal_predictive_of",
]


class Moments(NamedTuple):
    """Means and standard deviations (not variances) of normal predictions, in the unit of the targets."""

    mean: Float64[Tensor, "rows targets"]
    deviation: Float64[Tensor, "rows targets"]


@dataclass(frozen=True)
class Normal:
    """How outputs are read as normal predictions.

    noise: the likelihood that the draws were made with; its noise temperature T counts, σ√T being the deviation.
    targets: what the rows turned out to be; without them there is no mixture loss.
    """

    noise: GaussianNoise | LearnedNoise
    targets: Float[Tensor, "rows *targets"] | None = None


@dataclass(frozen=True)
class NormalPredictive:
    """The prediction of `draws` draws, matched by moments, for rows in order.

    deviation: σ̄, all uncertainty. noise: the root of (1/S) Σ σ²_s; spread: of (1/S) Σ (μ_s − μ̄)², where draws disagree.
    mixture_nll, gibbs_nll: nats per row, summed over a row's targets; None without targets.
    """

    mean: Float64[Tensor, "rows targets"]
    deviation: Float64[Tensor, "rows targets"]
    noise: Float64[Tensor, "rows targets"]
    spread: Float64[Tensor, "rows targets"]
    draws: int
    mixture_nll: Float64[Tensor, "rows"] | None
    gibbs_nll: Float64[Tensor, "rows"] | None

    def matched_nll(self, targets: Float[Tensor, "rows *targets"]) -> Float64[Tensor, "rows"]:
        """−ln N(y; μ̄, σ̄²), summed over a row's targets."""
        return -normal_log_density(targets, Moments(self.mean, self.deviation))


@dataclass(frozen=True)
class NormalTally:
    """Running sums over draws, changed in place: the mean of μ, Σ (μ − μ̄)², Σ σ², ln Σ N(y), Σ ln N(y)."""

    mean: Float64[Tensor, "rows targets"]
    squares: Float64[Tensor, "rows targets"]
    variances: Float64[Tensor, "rows targets"]
    log_sum: Float64[Tensor, "rows"]
    sum_logs: Float64[Tensor, "rows"]

    def tensors(self) -> dict[str, Tensor]:
        return {
            "mean": self.mean,
            "squares": self.squares,
            "variances": self.variances,
            "log_sum": self.log_sum,
            "sum_logs": self.sum_logs,
        }


def moments_of(family: Normal, outputs: Tensor) -> Moments:
    """The moments that some outputs stand for; raises `InputError` for an odd number of outputs with learned noise.

    >>> moments_of(Normal(GaussianNoise(0.5)), torch.tensor([[1.0], [2.0]])).deviation.tolist()
    [[0.5], [0.5]]
    """
    noise, values = family.noise, _columns(outputs)
    if isinstance(noise, GaussianNoise):
        return Moments(values, torch.full_like(values, noise.scale * math.sqrt(noise.temperature)))
    if values.shape[1] % 2:
        raise InputError(
            f"There are {values.shape[1]} outputs a row; learned noise needs a mean and a raw scale for each target."
        )
    mean, raw = values.chunk(2, dim=1)
    return Moments(mean, (noise.floor + softplus(raw)) * math.sqrt(noise.temperature))


def empty_normal_tally(rows: int, targets: int) -> NormalTally:
    """No draw yet."""
    zeros = torch.zeros(rows, targets, dtype=torch.float64)
    log_sum = torch.full((rows,), -torch.inf, dtype=torch.float64)
    return NormalTally(zeros.clone(), zeros.clone(), zeros.clone(), log_sum, torch.zeros_like(log_sum))


def add_moments(tally: NormalTally, rows: slice, moments: Moments, targets: Tensor | None, number: int) -> None:
    """Add what draw `number` (from 1) predicts for some rows, and how probable their targets are."""
    difference = moments.mean - tally.mean[rows]
    tally.mean[rows] += difference / number
    tally.squares[rows] += difference * (moments.mean - tally.mean[rows])
    tally.variances[rows] += moments.deviation.square()
    if targets is not None:
        logs = normal_log_density(targets[rows], moments)
        sums = tally.log_sum[rows]
        torch.logaddexp(sums, logs, out=sums)
        tally.sum_logs[rows] += logs


def normal_predictive_of(tally: NormalTally, draws: int, *, with_targets: bool) -> NormalPredictive:
    """The averages of what was added."""
    noise, spread = tally.variances / draws, tally.squares / draws
    return NormalPredictive(
        mean=tally.mean,
        deviation=(noise + spread).sqrt(),
        noise=noise.sqrt(),
        spread=spread.sqrt(),
        draws=draws,
        mixture_nll=math.log(draws) - tally.log_sum if with_targets else None,
        gibbs_nll=-tally.sum_logs / draws if with_targets else None,
    )


def normal_log_density(targets: Tensor, moments: Moments) -> Float64[Tensor, "rows"]:
    """ln N(y; μ, σ²) in nats, summed over a row's targets; raises `InputError` for another shape of targets."""
    values = _columns(targets)
    if values.shape != moments.mean.shape:
        raise InputError(
            f"The targets have shape {list(targets.shape)} and the predictions {list(moments.mean.shape)}; give one "
            "number for each."
        )
    standard = (values - moments.mean) / moments.deviation
    return -(standard.square() / 2 + moments.deviation.log() + math.log(2 * math.pi) / 2).sum(dim=1)


def _columns(values: Tensor) -> Tensor:
    """In float64, with a column for each target."""
    return values.double().reshape(len(values), -1) if len(values) else values.double().reshape(0, 1)

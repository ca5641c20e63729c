"""A sampler's self-test: run it, at the settings it is to be used with, on a target whose moments are known.

The target is a mean model. Row n of N shows y_n ~ N(u, diag(s²)), and u ~ N(0, I) before. The posterior is then normal
with variance v = 1/(1 + N/s²) in each coordinate and mean v · Σ y_n/s². It is made for given variances v ≤ 1.
Minibatches have real noise, so that what a step size, a friction and a batch do to the stationary variance shows: the
finding `variance_ratio` is 1 for a sampler without bias. A coordinate with v = 1 is one of which the rows say nothing.

It tells of the sampler and its settings on an easy target, not of whether chains of a network have mixed.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence
from surefoot.findings.mixing import mean_ess
from surefoot.findings.quantiles import normal_quantile
from surefoot.inference.chains.chains import Chains
from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters

__all__ = ["MeanModel", "stationary_self_test"]

NAME = "u"


class MeanModel:
    """A `MinibatchTarget` with posterior N(mean, diag(variance)), `[size]` both in float64; see the module's text.

    Raises `InputError` for variances outside (0, 1], for fewer than one row, and for a negative seed.

    >>> target = MeanModel(torch.tensor([0.1, 1.0]), rows=100, seed=0)
    >>> out = torch.empty(1, 2)
    >>> target.gradient(target.mean[None].float(), out)
    >>> bool(out.abs().max() < 1e-5)
    True
    """

    def __init__(
        self, variance: Float[Tensor, "size"], *, rows: int, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        if rows < 1 or not len(variance) or not bool(((variance > 0) & (variance <= 1)).all()):
            raise InputError(
                f"The variances reach from {float(variance.min()):g} to {float(variance.max()):g} with {rows} rows; "
                "give variances above 0 and at most 1 (the prior's), and at least one row."
            )
        generator = _generator(seed, "rows")
        self.rows, self.size, self.dtype, self.quarter = rows, len(variance), dtype, math.pi / 2
        self.variance: Float64[Tensor, "size"] = variance.double()
        self.precision: Float64[Tensor, "size"] = (1 / self.variance - 1) / rows  # of one row: 1/s²
        truth = torch.randn(self.size, generator=generator, dtype=torch.float64)
        noise = torch.randn(rows, self.size, generator=generator, dtype=torch.float64)
        # Where a row says nothing its noise would be endless; it has weight zero there, whatever it shows.
        self.shown: Float64[Tensor, "rows size"] = truth + noise * torch.where(
            self.precision > 0, self.precision.rsqrt(), 0.0
        )
        self.total: Float64[Tensor, "size"] = self.shown.sum(dim=0)
        self.mean: Float64[Tensor, "size"] = self.variance * self.precision * self.total

    def gradient(self, position: Float[Tensor, "chains size"], out: Float[Tensor, "chains size"]) -> None:
        """(mean − u)/variance."""
        out.copy_((self.mean - position) / self.variance)

    def minibatch_gradient(
        self,
        position: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains batch"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        """(N/B) Σ_batch (y − u)/s² − u."""
        shown = self.shown[index].mean(dim=1)
        out.copy_(self.rows * self.precision * (shown - position) - position)

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """−½ Σ_n (y_n − u)²/s² and −½ u², without their constants."""
        u = position.double()
        squares = self.shown.square().sum(dim=0) - 2 * u * self.total + self.rows * u.square()
        return Terms(-(self.precision * squares).sum(dim=1) / 2, -u.square().sum(dim=1) / 2)

    def parameters(self, position: Float[Tensor, "chains size"]) -> Parameters:
        """The position under the name "u"."""
        return {NAME: position.clone()}

    def position(self, parameters: Parameters) -> Float[Tensor, "chains size"]:
        """The inverse of `parameters`."""
        return parameters[NAME].clone()

    def exact(self, chains: int, seed: int) -> Parameters:
        """Independent draws of the posterior, one for each chain: where a sampler may start without burn-in.

        They have nothing to do with the rows, nor with a sampler's own noise, of the same seed.
        """
        generator = _generator(seed, "exact draws")
        standard = torch.randn(chains, self.size, generator=generator, dtype=torch.float64)
        return {NAME: (self.mean + self.variance.sqrt() * standard).to(self.dtype)}


def stationary_self_test(
    sampler: Callable[[MeanModel, int], Chains],
    *,
    seed: int,
    variance: Float[Tensor, "size"] | None = None,
    rows: int = 512,
    dtype: torch.dtype = torch.float32,
    subject: str = "sampler",
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """How far a sampler's stationary variance is from the truth, at the settings that `sampler` runs it with.

    sampler: (target, seed) → chains, such as
    `lambda target, seed: sghmc(target, target.exact(4, seed), seed, settings, seen=frozenset())`.
    variance: the target's variances, 16 from 0.1 to 1 by default; the smallest should be the narrowest that the real
    target may have in whitened coordinates, for bias grows with a step's square over it. rows: N, of which minibatches
    are drawn.

    `variance_ratio`: the mean over coordinates and draws of (u − mean)²/variance, with the interval of its Monte Carlo
    error by effective draws (none where the draws never move). `variance_ratio_worst`: the coordinate farthest from 1,
    as a ratio. `mean_offset_worst`: the largest distance of a mean of draws from the mean, in standard deviations.

    Raises `InputError` for fewer than four draws and for draws that are NaN or infinite.

    >>> from surefoot.inference.chains.writer import ChainWriter
    >>> def exact(target: MeanModel, seed: int) -> Chains:
    ...     writer = ChainWriter(None, "", chains=4)
    ...     for draw in range(500): writer.append(target.exact(4, 1000 * seed + draw), {})
    ...     return writer.finish(diagnostics=(), seen=frozenset())
    >>> ratio = stationary_self_test(exact, seed=1)[0]
    >>> abs(ratio.value - 1) < 0.05 and ratio.interval.low < 1 < ratio.interval.high
    True
    """
    check_confidence(confidence)
    variances = torch.logspace(-1, 0, 16) if variance is None else variance
    target = MeanModel(variances.clamp(max=1.0) if variance is None else variances, rows=rows, seed=seed, dtype=dtype)
    chains = sampler(target, seed)
    drawn = torch.cat([shard.parameters[NAME] for shard in chains]).double()
    standard = (drawn - target.mean) / target.variance.sqrt()
    squares = standard.square().mean(dim=2, keepdim=True)
    effective = float(mean_ess(squares))
    value = float(squares.mean())
    by_coordinate = standard.square().mean(dim=(0, 1))
    worst = by_coordinate[by_coordinate.log().abs().argmax()]
    interval = None
    if not math.isnan(effective):
        half = normal_quantile((1 + confidence) / 2) * float(squares.std()) / math.sqrt(effective)
        interval = Interval(max(0.0, value - half), value + half, confidence, "normal, effective draws")
    draws = chains.draws * chains.chains

    def finding(name: str, number: float, unit: str, within: Interval | None = None) -> Finding:
        return Finding(
            name, number, within, draws, chains.chains, unit, "all", "none", subject, "target of known variance"
        )

    return (
        finding("variance_ratio", value, "ratio", interval),
        finding("variance_ratio_worst", float(worst), "ratio"),
        finding("mean_offset_worst", float(standard.mean(dim=(0, 1)).abs().max()), "standard deviations"),
    )


def _generator(seed: int, purpose: Literal["rows", "exact draws"]) -> torch.Generator:
    """One stream for each purpose. Of a seed torch's generator on the CPU keeps 32 bits, so that is all it is given."""
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    word = np.random.SeedSequence([seed, 1 if purpose == "rows" else 2]).generate_state(1, np.uint32)[0]
    return torch.Generator().manual_seed(int(word))

"""Have chains mixed? R̂, effective numbers of draws, and the energy fraction of missing information.

Everything here takes numbers `[draws, chains, quantities]` and returns one number per quantity. A quantity that never
changes (a softmax probability that is zero to the last bit in every draw) has no mixing to speak of: its R̂ and its
effective numbers are NaN, never 1 and never left out in silence; `constant` says which these are. Where no chain
moves but chains differ, R̂ is infinite.

**R̂.** With N draws of M chains, chain means ȳ_m, B = N/(M − 1) Σ(ȳ_m − ȳ)² and W the mean of the chains' variances (N
− 1 below), R̂ = √(((N − 1)/N · W + B/N)/W). `rhat` is this; `split_rhat` cuts each chain into halves first, so that a
drift counts; `rank_rhat` does so for normal scores of the pooled ranks, and for those of the distances to the median,
and takes the larger: it exists for heavy tails and sees chains that differ in scale alone.

**Effective draws.** n_eff = MN/τ, τ = −1 + 2 Σ_t P̂_t, with P̂_t Geyer's initial monotone sequence of the paired
autocorrelations ρ̂_2t + ρ̂_2t+1, and ρ̂_t = 1 − (W − (1/M) Σ_m s²_m ρ̂_tm)/V̂, V̂ = (N − 1)/N · W + B/N. It is at most
MN log₁₀(MN), as antithetic chains could otherwise make it endless. `mean_ess` speaks of the quantity itself, `bulk_ess`
of its normal scores, `tail_ess` of the 5 % and the 95 % quantile, whichever is worse; all of split chains.

Sources: Gelman & Rubin (1992), Statistical Science 7; Izmailov, Vikram, Hoffman & Wilson (2021), ICML, appendix B
(plain R̂ of parameters and of functions); Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16,
eqs. 1–4, 10–14; Geyer (1992), Statistical Science 7; Betancourt (2016), arXiv 1604.00695, eq. 20.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from surefoot.errors import InputError

__all__ = [
    "bulk_ess",
    "constant",
    "ebfmi",
    "mean_ess",
    "rank_rhat",
    "rhat",
    "rhat_of_moments",
    "split_rhat",
    "tail_ess",
]

BLOCK = 2**20
"""Numbers that are worked on at a time, so that memory stays bounded when there are many quantities."""


def constant(values: Float64[Tensor, "draws chains quantities"]) -> Bool[Tensor, "quantities"]:
    """Which quantities are the same, to the last bit, in every draw of every chain."""
    flat = values.flatten(0, 1)
    return flat.amax(dim=0) == flat.amin(dim=0)


def rhat(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """Plain R̂ of whole chains.

    Raises `InputError` for fewer than two draws or chains, and for values that are NaN or infinite.

    >>> chains = torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]], dtype=torch.float64)[:, :, None]
    >>> round(float(rhat(chains)), 4)
    2.273
    """
    _check(values, draws=2, chains=2)
    return _by_blocks(values, _rhat)


def split_rhat(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """R̂ of the halves of the chains (the middle one of an odd number of draws is left out); one chain will do.

    Raises `InputError` for fewer than four draws, and for values that are NaN or infinite.
    """
    _check(values, draws=4)
    return _by_blocks(values, lambda block: _rhat(_halves(block)))


def rank_rhat(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """The larger of split R̂ of normal scores and of normal scores of the distances to the median.

    Raises `InputError` like `split_rhat`.
    """
    _check(values, draws=4)

    def larger(block: Tensor) -> Tensor:
        halves = _halves(block)
        folded = (halves - _median(halves.flatten(0, 1))).abs()
        both = torch.stack([_rhat(_normal_scores(halves)), _rhat(_normal_scores(folded))])
        # Where all distances are equal (two values, each half of the time), the folded one says nothing.
        return torch.where(constant(halves), math.nan, both.nan_to_num(nan=0.0, posinf=math.inf).amax(dim=0))

    return _by_blocks(values, larger)


def rhat_of_moments(
    means: Float64[Tensor, "chains quantities"], variances: Float64[Tensor, "chains quantities"], draws: int
) -> Float64[Tensor, "quantities"]:
    """R̂ from what running sums know: means and variances (N − 1 below) of chains of `draws` draws each.

    >>> means = torch.tensor([[1.0], [4.0]], dtype=torch.float64)
    >>> round(float(rhat_of_moments(means, torch.ones_like(means), 3)), 4)
    2.273
    """
    within = variances.mean(dim=0)
    between = means.var(dim=0)  # B/N
    return (((draws - 1) / draws * within + between) / within).sqrt()


def mean_ess(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """How many independent draws would know the mean as well.

    Raises `InputError` for fewer than four draws, and for values that are NaN or infinite.

    >>> alternating = (torch.arange(100) % 2).double()[:, None, None]
    >>> bool(mean_ess(alternating) > 100)
    True
    """
    _check(values, draws=4)
    return _by_blocks(values, lambda block: _ess(_halves(block)))


def bulk_ess(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """Effective draws of the normal scores: how well the middle of the distribution is known.

    Raises `InputError` like `mean_ess`.
    """
    _check(values, draws=4)
    return _by_blocks(values, lambda block: _ess(_normal_scores(_halves(block))))


def tail_ess(values: Float64[Tensor, "draws chains quantities"]) -> Float64[Tensor, "quantities"]:
    """The fewer effective draws of the 5 % and the 95 % quantile, by the indicators 1[y ≤ quantile].

    Where so many draws are tied at an end that its indicator is the same for all, the other end speaks alone.
    Raises `InputError` like `mean_ess`.
    """
    _check(values, draws=4)

    def fewer(block: Tensor) -> Tensor:
        halves = _halves(block)
        ordered = halves.flatten(0, 1).sort(dim=0).values
        ends = [_ess((halves <= _quantile(ordered, share)).double()) for share in (0.05, 0.95)]
        least = torch.stack(ends).nan_to_num(nan=math.inf).amin(dim=0)
        return torch.where(least.isinf(), math.nan, least)

    return _by_blocks(values, fewer)


def ebfmi(energies: Float64[Tensor, "draws chains"]) -> Float64[Tensor, "chains"]:
    """The energy fraction of missing information of each chain, Σ(E_n − E_{n−1})² / Σ(E_n − Ē)².

    Energies are of each trajectory's start, momentum included. Well below one (less than 0.2 or 0.3), momenta that are
    drawn anew hardly change the energy, and the chain explores the tails slowly. NaN where the energy never changes.
    Raises `InputError` for fewer than two draws, and for values that are NaN or infinite.

    >>> ebfmi(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)).tolist()
    [3.0]
    """
    _check(energies[:, :, None], draws=2)
    moved = energies.diff(dim=0).square().sum(dim=0)
    spread = (energies - energies.mean(dim=0)).square().sum(dim=0)
    return torch.where(energies.amax(dim=0) == energies.amin(dim=0), math.nan, moved / spread)


def _rhat(values: Tensor) -> Tensor:
    # A chain that never moves has no variance; what rounding leaves of it would make an infinite R̂ finite.
    stuck = values.amax(dim=0) == values.amin(dim=0)
    means = torch.where(stuck, values[0], values.mean(dim=0))
    found = rhat_of_moments(means, values.var(dim=0).masked_fill(stuck, 0.0), len(values))
    return torch.where(constant(values), math.nan, found)


def _ess(values: Tensor) -> Tensor:
    """Effective draws of chains as they are; see the module's text."""
    draws, chains, _ = values.shape
    still = constant(values)
    means = values.mean(dim=0)
    products = _autocovariance(values - means)  # [lags, chains, quantities], N below
    products *= draws / (draws - 1)  # s²_m ρ̂_tm
    products = products.mean(dim=1)
    within = products[0]
    total = (draws - 1) / draws * within + (means.var(dim=0) if chains > 1 else 0.0)
    correlation = 1 - (within - products) / total
    correlation[0] = 1.0
    pairs = correlation[: draws // 2 * 2].unflatten(0, (-1, 2)).sum(dim=1)
    positive = (pairs > 0).to(torch.int64).cumprod(dim=0).bool()
    monotone = pairs.cummin(dim=0).values
    time = -1 + 2 * torch.where(positive, monotone, 0.0).sum(dim=0)
    number = draws * chains
    found = number / time.clamp(min=1 / math.log10(number))
    return torch.where(still, math.nan, found)


def _autocovariance(centred: Tensor) -> Tensor:
    """(1/N) Σ_n c_n c_{n+t} for t = 0, …, N − 1, by the fast Fourier transform of the chain padded with zeros."""
    draws = len(centred)
    size = 1 << (2 * draws - 1).bit_length()
    transformed = torch.fft.rfft(centred, n=size, dim=0)
    power = transformed.real.square() + transformed.imag.square()
    return torch.fft.irfft(power.to(transformed.dtype), n=size, dim=0)[:draws] / draws


def _normal_scores(values: Tensor) -> Tensor:
    """Φ⁻¹((rank − 3/8)/(S + 1/4)) of pooled ranks, those of equal values averaged."""
    flat = values.flatten(0, 1).T.contiguous()
    ordered = flat.sort(dim=1).values
    below = torch.searchsorted(ordered, flat)
    upto = torch.searchsorted(ordered, flat, right=True)
    rank = (below + upto + 1).double() / 2
    scores = torch.special.ndtri((rank - 0.375) / (flat.shape[1] + 0.25))
    return scores.T.reshape(values.shape)


def _median(values: Tensor) -> Tensor:
    """Of each column, the mean of the two in the middle where their number is even (torch's is the lower of these)."""
    ordered, middle = values.sort(dim=0).values, len(values) // 2
    return (ordered[middle] + ordered[(len(values) - 1) // 2]) / 2


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """The quantile of sorted columns, linear between neighbours."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _halves(values: Tensor) -> Tensor:
    half = len(values) // 2
    return torch.cat([values[:half], values[-half:]], dim=1)


def _by_blocks(values: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    draws, chains, quantities = values.shape
    if not quantities:
        return values.new_zeros(0)
    return torch.cat([measure(block) for block in values.split(max(1, BLOCK // (draws * chains)), dim=2)])


def _check(values: Tensor, *, draws: int, chains: int = 1) -> None:
    if values.shape[0] < draws or values.shape[1] < chains:
        raise InputError(
            f"There are {values.shape[0]} draws of {values.shape[1]} chains, and this diagnostic needs at least "
            f"{draws} of {chains}; draw more, or run more chains."
        )
    bad = (~values.isfinite()).flatten(0, 1).any(dim=0)
    if bool(bad.any()):
        raise InputError(
            f"{int(bad.sum())} of {len(bad)} quantities are NaN or infinite in some draw (first: number "
            f"{int(bad.nonzero()[0])}); sample with a smaller step size, or leave out the chain that diverged."
        )

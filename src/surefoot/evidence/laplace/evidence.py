"""The Laplace approximation of the evidence, second half: any precisions and noise, from one expansion.

    log p(D | λ, σ) ≈ log p(D|θ*, σ) + ½ Σ_b P_b log λ_b − ½ Σ_b λ_b d_b − ½ log det(H/σ² + Λ)

over blocks b of P_b parameters with the prior N(c, 1/λ_b) and d_b = Σ (θ* − c)²; the 2π of the prior and of the
integral cancel. With eigenvalues h of H (or of each tensor's block) and one λ for each, the last term is
Σ log(h/σ² + λ): O(P) for every new value, and less for Kronecker blocks (`spectrum.py`).

Source: MacKay (1992); Immer et al. (2021), Scalable marginal likelihood estimation, eq. 7. Under Gaussian noise,
log p(D|θ*, σ) = −Σ(y − f)²/2σ² − (n/2) log 2πσ² with n numbers observed; an empirical Fisher matrix is divided by σ⁴.

θ* is held where it is while λ and σ move: of what is optimal there, this is a first approximation, and the further they
go, the more the network wants training again (`train_by_evidence` does).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from surefoot.errors import InputError
from surefoot.evidence.laplace.expansion import Expansion, Weighted

__all__ = ["evidence_of"]

TOGETHER = 16
SAFE = (1e-19, 1e19)  # sixteen numbers between these have a product that float64 can hold
LEAST = 1e-300  # of 1/σ² and 1/σ⁴: beyond, a search for σ has lost its way, and gets a number to turn round at


def evidence_of(
    expansion: Expansion,
    precisions: Tensor | float | None = None,
    *,
    noise: Tensor | float | None = None,
    logit_temperature: float | None = None,
) -> Float64[Tensor, ""]:
    """The log evidence in nats, differentiable in precisions and noise.

    precisions: λ, one number; or one per tensor `[tensors]`; or one per parameter `[parameters]`, in the order of the
    expansion's names; the posterior's own when absent. A diagonal takes all three in O(P), Kronecker blocks the first
    two. A full matrix takes one in O(P); several, unless they are equal *by being one number*, cost a Cholesky factor
    (and, for the gradient, an inverse) each time.
    noise: σ (√T of a noise temperature in it), of an expansion with Gaussian noise; its own when absent.
    logit_temperature: only to say which one is meant; an expansion holds for its own.

    Raises `InputError` for precisions or noise that are not positive, do not fit, or that the structure cannot take.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.objective import Posterior
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    >>> rows = make_rows(torch.tensor([[1.0]]), torch.tensor([2.0]))
    >>> expansion = expand(posterior, rows, {"0.weight": torch.tensor([[1.0]])})  # the mode
    >>> round(evidence_of(expansion).item(), 4)  # log N(2; 0, 2)
    -2.2655
    """
    own = _precisions(expansion, precisions)
    if logit_temperature is not None and logit_temperature != expansion.logit_temperature:
        raise InputError(
            f"logit_temperature is {logit_temperature:g} and the expansion was made at "
            f"{expansion.logit_temperature:g}, where likelihood and curvature are others; expand the posterior with "
            "that logit_temperature anew."
        )
    deviation = _noise(expansion, noise)
    if expansion.structure != "full" or own.ndim == 0:
        return _by_eigenvalues(expansion, own, deviation)
    fit = torch.tensor(expansion.log_likelihood, dtype=torch.float64)
    fall = None
    if deviation is not None:
        variance = deviation.square()
        fit = -0.5 * (expansion.misses / variance + expansion.numbers * (2 * math.pi * variance).log())
        fall = 1 / variance if expansion.kind == "ggn" else variance**-2
    return fit + 0.5 * (_prior(expansion, own) - _log_determinant(expansion, own, fall))


def _prior(expansion: Expansion, own: Tensor) -> Float64[Tensor, ""]:
    """Σ log λ − Σ λ (θ* − c)², of several precisions."""
    if len(own) == len(expansion.sizes):
        sizes = torch.tensor(expansion.sizes, dtype=torch.float64)
        return (sizes * own.log()).sum() - (own * expansion.distances).sum()
    return own.log().sum() - (own * expansion.squares).sum()


def _log_determinant(expansion: Expansion, own: Tensor, fall: Tensor | None) -> Float64[Tensor, ""]:
    """log det(fall · H + Λ) of a full matrix under several precisions."""
    diagonal = own if len(own) != len(expansion.sizes) else own.repeat_interleave(torch.tensor(expansion.sizes))
    if fall is None:
        return _added_log_determinant(expansion.curvatures[0], diagonal)
    return _added_log_determinant(expansion.curvatures[0], diagonal / fall) + expansion.parameters * fall.log()


def _by_eigenvalues(expansion: Expansion, own: Tensor, deviation: Tensor | None) -> Float64[Tensor, ""]:
    return _ByEigenvalues.apply(expansion, own, deviation)  # pyright: ignore[reportReturnType, reportUnknownVariableType, reportUnknownMemberType] - torch leaves apply untyped


class _ByEigenvalues(torch.autograd.Function):
    """All of the evidence and its slopes in one step, so that a hundred steps cost what their numbers cost.

    With fall = 1/σ² (1/σ⁴ of a Fisher matrix; 1 where there is no noise), δ = λ/fall and S_b = Σ 1/(h + δ_b),

        log det(fall · H + Λ) = P log fall + Σ log(h + δ)       ∂/∂λ_b = S_b/fall       ∂/∂ log fall = P − Σ_b δ_b S_b

    of which the last is MacKay's number of well-determined parameters γ.
    """

    @staticmethod
    def forward(ctx: Any, expansion: Expansion, own: Tensor, deviation: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        power = 2 if expansion.kind == "ggn" else 4
        fall, fallen, fit, by_noise = 1.0, 0.0, expansion.log_likelihood, 0.0
        noise = 1.0 if deviation is None else float(deviation)
        if deviation is not None:
            weight = 1 / noise / noise  # never an exception, where a power of a tiny number would be one
            fall = min(max(weight if power == 2 else weight * weight, LEAST), 1 / LEAST)
            fallen = math.log(fall)
            fit = -0.5 * (expansion.misses * weight + expansion.numbers * (math.log(2 * math.pi) + 2 * math.log(noise)))
            by_noise = (expansion.misses * weight - expansion.numbers) / noise
        sloped = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        each = own.ndim == 1 and len(own) != len(expansion.sizes)
        sums = _sums_of_each if each else _sums_of_tensors
        prior, logarithms, slope, known = sums(expansion, own, fall, sloped)
        if sloped:
            ctx.by_own = slope
            ctx.by_noise = by_noise + 0.5 * power * known / noise
        value = fit + 0.5 * (prior - expansion.parameters * fallen - logarithms)
        return torch.tensor(value, dtype=torch.float64)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        by_own = slope * ctx.by_own if ctx.needs_input_grad[1] else None
        return None, by_own, slope * ctx.by_noise if ctx.needs_input_grad[2] else None


class _Sums(NamedTuple):
    """Σ log λ − Σ λ (θ* − c)², Σ log(h + δ), the evidence's slope by λ, and γ; the last two where asked for."""

    prior: float
    logarithms: float
    slope: Float64[Tensor, "*precisions"] | None
    known: float


def _sums_of_tensors(expansion: Expansion, own: Tensor, fall: float, sloped: bool) -> _Sums:
    """Of one precision, or one for each tensor: plain numbers but for the terms."""
    several = own.ndim == 1
    given: list[float] = own.tolist() if several else [float(own)]
    sizes: Sequence[int] = expansion.sizes if several else (expansion.parameters,)
    distances: list[float] = expansion.distances.tolist() if several else [float(expansion.distances.sum())]
    prior = sum(
        size * math.log(one) - one * distance for size, one, distance in zip(sizes, given, distances, strict=True)
    )
    shifts = [one / fall for one in given]
    weighted = expansion.weighted
    logarithms, inverses = (
        _shifted_sums(expansion, shifts, sloped) if weighted is None else _weighted_sums(weighted, shifts, sloped)
    )
    if not sloped:
        return _Sums(prior, logarithms, None, 0.0)
    slopes = [
        0.5 * (size / one - distance - inverse / fall)
        for size, one, distance, inverse in zip(sizes, given, distances, inverses, strict=True)
    ]
    known = expansion.parameters - sum(shift * inverse for shift, inverse in zip(shifts, inverses, strict=True))
    return _Sums(prior, logarithms, torch.tensor(slopes if several else slopes[0], dtype=torch.float64), known)


def _shifted_sums(expansion: Expansion, shifts: list[float], sloped: bool) -> tuple[float, list[float]]:
    """Σ log(h + δ), and for each shift Σ 1/(h + δ) where asked for: over all eigenvalues."""
    blocks = expansion.eigenvalues
    terms = torch.empty(expansion.parameters, dtype=torch.float64)
    pieces = terms.split([len(block) for block in blocks])
    for piece, block, shift in zip(pieces, blocks, shifts if len(shifts) > 1 else shifts * len(blocks), strict=True):
        torch.add(block, shift, out=piece)
    logarithms = _log_sum(terms, min(shifts), expansion.highest + max(shifts))
    if not sloped:
        return logarithms, []
    terms.reciprocal_()
    return logarithms, [float(piece.sum()) for piece in (pieces if len(shifts) > 1 else (terms,))]


def _weighted_sums(weighted: Weighted, shifts: list[float], sloped: bool) -> tuple[float, list[float]]:
    """The same over weighted eigenvalues; the second is the exact derivative of the first."""
    values, weights, blocks = weighted
    terms = values + (torch.tensor(shifts, dtype=torch.float64)[blocks] if len(shifts) > 1 else shifts[0])
    logarithms = float(torch.dot(weights, terms.log()))
    if not sloped:
        return logarithms, []
    if len(shifts) == 1:
        return logarithms, [float(torch.dot(weights, terms.reciprocal_()))]
    sums = torch.zeros(len(shifts), dtype=torch.float64)
    return logarithms, sums.index_add_(0, blocks, weights / terms).tolist()


def _sums_of_each(expansion: Expansion, own: Tensor, fall: float, sloped: bool) -> _Sums:
    """Of a precision for each parameter of a diagonal."""
    own = own.detach()
    shifts = own / fall
    terms = torch.cat(expansion.eigenvalues).add_(shifts)
    prior = float(own.log().sum() - torch.dot(own, expansion.squares))
    low, high = shifts.aminmax()
    logarithms = _log_sum(terms, float(low), expansion.highest + float(high))
    if not sloped:
        return _Sums(prior, logarithms, None, 0.0)
    terms.reciprocal_()
    known = expansion.parameters - float(torch.dot(shifts, terms))
    return _Sums(prior, logarithms, 0.5 * (own.reciprocal() - expansion.squares - terms / fall), known)


def _log_sum(terms: Float64[Tensor, "numbers"], low: float, high: float) -> float:
    """Σ log of numbers between `low` and `high`: the logarithms of products of sixteen, where none overflows."""
    columns = len(terms) // TOGETHER
    if not columns or not SAFE[0] < low <= high < SAFE[1]:
        return float(terms.log().sum())
    many = TOGETHER * columns
    found = float(terms[:many].view(TOGETHER, columns).prod(dim=0).log_().sum())
    return found + float(terms[many:].log().sum()) if many < len(terms) else found


def _added_log_determinant(matrix: Tensor, diagonal: Tensor) -> Float64[Tensor, ""]:
    return _AddedLogDeterminant.apply(matrix, diagonal)  # pyright: ignore[reportReturnType, reportUnknownVariableType, reportUnknownMemberType] - torch leaves apply untyped


class _AddedLogDeterminant(torch.autograd.Function):
    """log det(H + diag(v)); its slope by v is the diagonal of the inverse: one factor and one inverse, no graph."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, diagonal: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        added = matrix.clone()
        added.diagonal().add_(diagonal)
        factor, failed = torch.linalg.cholesky_ex(added)
        if int(failed):
            raise InputError(
                "H + Λ is not positive definite to the last digits; raise the precisions, and check that inputs are "
                "finite and of reasonable size."
            )
        ctx.save_for_backward(factor)
        return 2 * factor.diagonal().log().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (factor,) = ctx.saved_tensors
        return None, slope * torch.cholesky_inverse(factor).diagonal()


def _precisions(expansion: Expansion, given: Tensor | float | None) -> Tensor:
    if given is None:
        own = expansion.precisions
        # Equal ones are one number, for which a full matrix needs its eigenvalues only.
        return own[0] if bool((own == own[0]).all()) else own
    own = torch.as_tensor(given, dtype=torch.float64)
    count = len(expansion.sizes)
    per_parameter = own.ndim == 1 and len(own) == expansion.parameters
    if own.ndim > 1 or (own.ndim == 1 and len(own) != count and not per_parameter):
        raise InputError(
            f"Precisions of shape {list(own.shape)} were given; give one number, [{count}] for the tensors "
            f"{list(expansion.names)}, or [{expansion.parameters}] for every parameter."
        )
    if own.ndim == 1 and len(own) != count and expansion.structure == "kron":
        raise InputError(
            "Kronecker blocks keep their eigenvalues only under one precision per tensor, and one per parameter was "
            'given; give one per tensor, or expand with structure="diag".'
        )
    return _positive("precisions", own)


def _noise(expansion: Expansion, given: Tensor | float | None) -> Tensor | None:
    if expansion.noise is None:
        if given is not None:
            raise InputError(
                "A noise was given and the likelihood has no known Gaussian noise; leave it out, or expand a posterior "
                "with `GaussianNoise`."
            )
        return None
    return _positive("noise", torch.as_tensor(expansion.noise if given is None else given, dtype=torch.float64))


def _positive(name: str, values: Tensor) -> Tensor:
    low, high = values.detach().aminmax()
    if not 0 < float(low) <= float(high) < math.inf:
        raise InputError(f"The {name} are {values.detach().flatten()[:5].tolist()}; give positive numbers.")
    return values

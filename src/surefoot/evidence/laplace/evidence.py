"""The Laplace approximation of the evidence, second half: any precisions and noise, from one expansion.

    log p(D | λ, σ) ≈ log p(D|θ*, σ) + ½ Σ_b P_b log λ_b − ½ Σ_b λ_b d_b − ½ log det(H/σ² + Λ)

over blocks b of P_b parameters with the prior N(c, 1/λ_b) and d_b = Σ (θ* − c)²; the 2π of the prior and of the
integral cancel. With eigenvalues h of H (or of each tensor's block) and one λ for each, the last term is
Σ log(h/σ² + λ): O(P) for every new value.

Source: MacKay (1992); Immer et al. (2021), Scalable marginal likelihood estimation, eq. 7. Under Gaussian noise,
log p(D|θ*, σ) = −Σ(y − f)²/2σ² − (n/2) log 2πσ² with n numbers observed; an empirical Fisher matrix is divided by σ⁴.

θ* is held where it is while λ and σ move: of what is optimal there, this is a first approximation, and the further they
go, the more the network wants training again (`train_by_evidence` does).
"""

import math
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from surefoot.errors import InputError
from surefoot.evidence.laplace.expansion import Expansion

__all__ = ["evidence_of"]

EIGHT = 8
SAFE = (1e-35, 1e35)  # eight numbers between these have a product that float64 can hold


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
    fit = torch.tensor(expansion.log_likelihood, dtype=torch.float64)
    fall = None
    if deviation is not None:
        variance = deviation.square()
        fit = -0.5 * (expansion.misses / variance + expansion.numbers * (2 * math.pi * variance).log())
        fall = 1 / variance if expansion.kind == "ggn" else variance**-2
    return fit + 0.5 * (_prior(expansion, own) - _log_determinant(expansion, own, fall))


def _prior(expansion: Expansion, own: Tensor) -> Float64[Tensor, ""]:
    """Σ log λ − Σ λ (θ* − c)²."""
    if own.ndim == 0:
        return expansion.parameters * own.log() - own * expansion.squares.sum()
    if len(own) == len(expansion.sizes):
        sizes = torch.tensor(expansion.sizes, dtype=torch.float64)
        return (sizes * own.log()).sum() - (own * expansion.distances).sum()
    return own.log().sum() - (own * expansion.squares).sum()


def _log_determinant(expansion: Expansion, own: Tensor, fall: Tensor | None) -> Float64[Tensor, ""]:
    """log det(fall · H + Λ)."""
    count = len(expansion.sizes)
    if expansion.structure == "full" and own.ndim == 1:
        diagonal = own if len(own) != count else own.repeat_interleave(torch.tensor(expansion.sizes))
        if fall is None:
            return _added_log_determinant(expansion.curvatures[0], diagonal)
        inner = _added_log_determinant(expansion.curvatures[0], diagonal / fall)
        return inner + expansion.parameters * fall.log()
    blocks = expansion.eigenvalues
    if own.ndim == 1 and len(own) != count:
        added = own.split(expansion.sizes)
    else:
        added = own.expand(len(blocks)).unbind()
    terms = [_log_sum(block, one, fall) for block, one in zip(blocks, added, strict=True)]
    return torch.stack(terms).sum()


def _log_sum(block: Tensor, added: Tensor, fall: Tensor | None) -> Float64[Tensor, ""]:
    scale = torch.ones((), dtype=torch.float64) if fall is None else fall
    return _LogSum.apply(block, added, scale)  # pyright: ignore[reportReturnType, reportUnknownVariableType, reportUnknownMemberType] - torch leaves apply untyped


class _LogSum(torch.autograd.Function):
    """Σ log(scale · h + λ) of millions of numbers: the logarithms of products of eight, where none overflows."""

    @staticmethod
    def forward(ctx: Any, block: Tensor, added: Tensor, scale: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        terms = torch.addcmul(added.expand_as(block), block, scale.expand_as(block))
        ctx.save_for_backward(block, terms)
        ctx.several = added.ndim == 1
        low, high = terms.aminmax()
        eighth = len(terms) // EIGHT
        if not eighth or not SAFE[0] < float(low) <= float(high) < SAFE[1]:
            return terms.log().sum()
        folded = terms[: EIGHT * eighth]
        while len(folded) > eighth:
            half = len(folded) // 2
            folded = folded[:half] * folded[half:]
        return folded.log_().sum() + terms[EIGHT * eighth :].log().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        block, terms = ctx.saved_tensors
        inverse = terms.reciprocal()
        by_added = inverse if ctx.several else inverse.sum()
        by_scale = slope * torch.dot(block, inverse) if ctx.needs_input_grad[2] else None
        return None, slope * by_added if ctx.needs_input_grad[1] else None, by_scale


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
    told = values.detach()
    if not bool(((told > 0) & told.isfinite()).all()):
        raise InputError(f"The {name} are {told.flatten()[:5].tolist()}; give positive numbers.")
    return values

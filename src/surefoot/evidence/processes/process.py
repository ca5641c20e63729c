"""A Gaussian process with Gaussian noise: its evidence, the evidence of every prefix, and its predictions, exactly.

    f ~ GP(μ, k),   y_i = f(x_i) + ε_i,   ε_i ~ N(0, σ²),   C = K + σ²1 = L Lᵀ,   r = y − μ(x),   α = L⁻¹ r

    log p(y) = −½ αᵀα − Σ_i log L_ii − (n/2) log 2π
    log p(y_i | y_<i) = −½ α_i² − log L_ii − ½ log 2π

Source: Rasmussen & Williams (2006), alg. 2.1; the second line is theirs read row by row: the leading block of L is the
factor of the leading block of C, so one factor of the ordered covariance has the evidence of every prefix in it.

Everything is in float64, whatever floats are given, never with an inverse. Memory: a few times rows² · 8 bytes;
`sparse.py` is for many rows.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.prefixes import Prefixes
from surefoot.evidence.processes.factor import factorise
from surefoot.evidence.processes.free import POSITIVE
from surefoot.evidence.processes.kernels import Kernel
from surefoot.evidence.processes.means import Mean
from surefoot.memory import require_memory

__all__ = [
    "Conditioned",
    "Prediction",
    "Process",
    "condition",
    "covariance",
    "float64_rows",
    "jitter_of",
    "log_likelihood",
    "ordered_terms",
    "predict",
    "process_evidence",
    "process_prefixes",
]

AT_ONCE = 2**25
"""Numbers in the ordered covariances that are factorised at once: 256 MiB, and twice that for a moment."""
UNASKED = 2000
"""Rows up to which there is room (128 MB): asking the system takes as long as factorising fifty rows."""
BLOCK = 4096
"""Rows predicted at once."""
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Process:
    """kernel: k. mean: μ. noise: σ², the *variance* of the observations' noise, in squared units of y."""

    kernel: Kernel
    mean: Mean
    noise: Float64[Tensor, ""] = field(metadata=POSITIVE)


@dataclass(frozen=True)
class Conditioned:
    """A process that has seen rows. weights: C⁻¹ r. jitter: what was added to C's diagonal to factorise it, in the
    squared units of y; it is noise that nobody asked for, so look at it beside `process.noise`."""

    process: Process
    inputs: Float64[Tensor, "rows d"]
    lower: Float64[Tensor, "rows rows"]
    weights: Float64[Tensor, "rows"]
    jitter: float


class Prediction(NamedTuple):
    """Of every row: the mean, the variance of the function, and the variance of an observation (function and noise)."""

    mean: Float64[Tensor, "rows"]
    variance: Float64[Tensor, "rows"]
    observed: Float64[Tensor, "rows"]


def process_evidence(process: Process, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"]) -> Float64[Tensor, ""]:
    """log p(y | x), in nats, differentiable in the process's numbers.

    Raises `InputError` for rows that do not fit, and for a covariance that cannot be factorised (`factorise`).

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> process = Process(RBF(positive(1.0)), ZeroMean(), positive(1.0))
    >>> one = process_evidence(process, torch.zeros(1, 1).double(), torch.zeros(1).double())
    >>> round(one.item(), 4) == round(-0.5 * math.log(2 * math.pi * 2), 4)
    True
    """
    return ordered_terms(process, x, y, torch.arange(len(x))[None])[0].sum()


def process_prefixes(
    process: Process, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"], orders: Int64[Tensor, "orders rows"]
) -> Prefixes:
    """log p(y_i | y_<i) for every row i of every order, from one Cholesky factor of each ordered covariance.

    orders: permutations of the rows (`orders_of`). Their sums are all the same evidence; the sums of their tails are
    the conditional evidence at every split, and their mean over orders is the learning curve. Not recorded for
    gradients.

    Cost: rows³/3 multiplications an order, for all prefixes together.

    Source: Lotfi et al. (2022), "Bayesian model selection, the marginal likelihood, and generalization", §6: their
    conditional evidence, which they get from two evidences.

    Raises `InputError` for orders that are no permutations, and as `process_evidence` does. Jitter is rarely
    needed where there is noise; `jitter_of` tells.

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> process = Process(RBF(positive(1.0)), ZeroMean(), positive(0.1))
    >>> x = torch.tensor([[0.0], [0.1], [5.0]], dtype=torch.float64)
    >>> prefixes = process_prefixes(process, x, torch.zeros(3).double(), torch.tensor([[0, 1, 2], [2, 1, 0]]))
    >>> [round(each, 6) for each in prefixes.terms.sum(dim=1).tolist()]  # the same evidence
    [-2.047294, -2.047294]
    """
    with torch.no_grad():
        return Prefixes(ordered_terms(process, x, y, orders))


def ordered_terms(
    process: Process, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"], orders: Int64[Tensor, "orders rows"]
) -> Float64[Tensor, "orders rows"]:
    """The numbers of `process_prefixes`, differentiable in the process's own."""
    x, y = float64_rows(x, y)
    if not bool((orders.sort(dim=1).values == torch.arange(len(x))).all()):
        raise InputError(f"The orders are no permutations of {len(x)} rows; make them with `orders_of`.")
    whole = covariance(process, x)
    residual = y - process.mean.of(x)
    done: list[Tensor] = []
    for block in orders.split(max(1, AT_ONCE // max(len(x) ** 2, 1))):
        ordered = whole[block[:, :, None], block[:, None, :]]
        lower, _ = factorise(ordered)
        alpha = torch.linalg.solve_triangular(lower, residual[block][..., None], upper=False)[..., 0]
        done.append(-0.5 * alpha.square() - lower.diagonal(dim1=1, dim2=2).log() - 0.5 * LOG_2PI)
    return torch.cat(done)


def jitter_of(process: Process, x: Float[Tensor, "rows d"]) -> float:
    """What must be added to the diagonal of C to factorise it, in squared units of y; 0 when all is well."""
    with torch.no_grad():
        return factorise(covariance(process, x)).jitter


def condition(process: Process, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"]) -> Conditioned:
    """The process given these rows, ready to predict.

    Raises `InputError` as `process_evidence` does.
    """
    x, y = float64_rows(x, y)
    with torch.no_grad():
        lower, jitter = factorise(covariance(process, x))
        weights = torch.cholesky_solve((y - process.mean.of(x))[:, None], lower)[:, 0]
    return Conditioned(process, x, lower, weights, jitter)


def predict(conditioned: Conditioned, x: Float[Tensor, "rows d"]) -> Prediction:
    """Mean and variance of every row:  μ_* + K_*ᵀ C⁻¹ r,   k_** − ‖L⁻¹ K_*‖².

    Source: Rasmussen & Williams (2006), alg. 2.1.

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> process = Process(RBF(positive(1.0)), ZeroMean(), positive(1.0))
    >>> x = torch.zeros(1, 1).double()
    >>> found = predict(condition(process, x, torch.ones(1).double()), x)
    >>> round(found.mean.item(), 6), round(found.variance.item(), 6), round(found.observed.item(), 6)
    (0.5, 0.5, 1.5)
    """
    process, means, variances = conditioned.process, list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for block in x.double().split(BLOCK):
            crossed = process.kernel.matrix(conditioned.inputs, block)
            means.append(process.mean.of(block) + crossed.T @ conditioned.weights)
            seen = torch.linalg.solve_triangular(conditioned.lower, crossed, upper=False).square().sum(dim=0)
            variances.append((process.kernel.diagonal(block) - seen).clamp_min(0))
        mean, variance = torch.cat(means), torch.cat(variances)
        return Prediction(mean, variance, variance + process.noise)


def log_likelihood(prediction: Prediction, y: Float[Tensor, "rows"]) -> Float64[Tensor, "rows"]:
    """log N(y_i | mean_i, observed_i) of every row by itself, in nats; its mean's negative is the test NLL."""
    return -0.5 * ((y - prediction.mean).square() / prediction.observed + prediction.observed.log() + LOG_2PI)


def covariance(process: Process, x: Float[Tensor, "rows d"]) -> Float64[Tensor, "rows rows"]:
    """C = K + σ² 1."""
    if len(x) > UNASKED:
        require_memory(4 * len(x) ** 2 * 8, f"The exact covariance of {len(x)} rows (`sparse.py` takes more rows)")
    x = x.double()
    return process.kernel.matrix(x, x) + process.noise * torch.eye(len(x), dtype=torch.float64)


def float64_rows(
    x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"]
) -> tuple[Float64[Tensor, "rows d"], Float64[Tensor, "rows"]]:
    """Inputs and targets in float64. Raises `InputError` where they are not as many, not any, or not finite."""
    if len(x) != len(y) or not len(x):
        raise InputError(f"{len(x)} rows of inputs and {len(y)} targets were given; give as many, at least one.")
    if not bool(x.isfinite().all()) or not bool(y.isfinite().all()):
        raise InputError("Some inputs or targets are not finite; fill or drop those rows first.")
    return x.double(), y.double()

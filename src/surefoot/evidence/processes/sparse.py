"""Gaussian processes of many rows: m inducing points and the collapsed variational bound, a block of rows at a time.

    V = L_u⁻¹ K_uf,  L_u L_uᵀ = K_uu,    B = 1 + V Vᵀ/σ²,    Q = Vᵀ V

    bound = log N(r | 0, Q + σ²1) − tr(K − Q)/(2σ²)  ≤  log p(y)

with equality when the inducing points are the rows. Source: Titsias (2009), "Variational learning of inducing
variables in sparse Gaussian processes", eq. 9. Blocks add to V Vᵀ, V r, ‖r‖² and tr(K − Q) and are computed again for
gradients, so memory is O(block · m + m²) whatever the rows, at O(rows · m²) multiplications.

Minibatches (Hensman et al. 2013) would have to learn the m(m + 3)/2 numbers of a distribution that the collapsed
bound has in closed form; they are for rows that even one pass a step cannot afford.

Jitter on K_uu keeps the bound a bound: it is that of inducing values observed with noise.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from surefoot.errors import InputError
from surefoot.evidence.processes.factor import factorise
from surefoot.evidence.processes.free import REAL, Free, with_free
from surefoot.evidence.processes.learn import Learn, climb, moving
from surefoot.evidence.processes.process import LOG_2PI, Prediction, Process, float64_rows
from surefoot.progress import Progress, silent

__all__ = [
    "Bound",
    "SparseConditioned",
    "SparseLearnt",
    "SparseProcess",
    "condition_sparse",
    "evidence_bound",
    "inducing_rows",
    "learn_sparse",
    "predict_sparse",
    "split_difference",
]

BLOCK = 4096
"""Rows taken at once, unless told otherwise."""


@dataclass(frozen=True)
class SparseProcess:
    """process: the exact one that is approximated. inducing: points in the space of inputs, which `learn_sparse`
    moves."""

    process: Process
    inducing: Float[Tensor, "points d"] = field(metadata=REAL)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inducing", self.inducing.double())


class Bound(NamedTuple):
    """A number of nats and what it says of the evidence it stands for: "below" it, or "neither" below nor above."""

    nats: Float64[Tensor, ""]
    side: Literal["below", "neither"]


class SparseConditioned(NamedTuple):
    """A sparse process that has seen rows: L_u, L_B and the weights of its mean. jitter: on K_uu, squared units of
    y."""

    sparse: SparseProcess
    lower: Float64[Tensor, "points points"]
    inner: Float64[Tensor, "points points"]
    weights: Float64[Tensor, "points"]
    jitter: float


class SparseLearnt(NamedTuple):
    """sparse: with what was learnt. history: the bound before each step, nats per row."""

    sparse: SparseProcess
    history: Float64[Tensor, "steps"]


class _Sums(NamedTuple):
    """What blocks of rows add up to: V Vᵀ, V r, ‖r‖², tr(K − Q), and the number of rows."""

    outer: Tensor
    crossed: Tensor
    squares: Tensor
    left: Tensor
    rows: int


def evidence_bound(
    sparse: SparseProcess, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"], block: int = BLOCK
) -> Bound:
    """Titsias' lower bound of log p(y | x), in nats, differentiable, inducing points included.

    block: rows at once; the number does not depend on it but for rounding.

    Raises `InputError` for rows that do not fit, and as `factorise` does.

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> from surefoot.evidence.processes.process import process_evidence
    >>> process = Process(RBF(positive(1.0)), ZeroMean(), positive(0.5))
    >>> x = torch.linspace(0, 2, 5, dtype=torch.float64)[:, None]
    >>> bound = evidence_bound(SparseProcess(process, x[1::2]), x, x[:, 0])
    >>> bound.side, bool(bound.nats < process_evidence(process, x, x[:, 0]))
    ('below', True)
    """
    x, y = float64_rows(x, y)
    lower, _ = factorise(_inner_covariance(sparse))
    sums = _summed(sparse, lower, x, y, block)
    noise, points = sparse.process.noise, len(lower)
    inner, _ = factorise(torch.eye(points, dtype=torch.float64) + sums.outer / noise, steps=(0.0,))
    explained = torch.linalg.solve_triangular(inner, sums.crossed[:, None], upper=False).square().sum() / noise
    determinant = 2 * inner.diagonal().log().sum() + sums.rows * noise.log()
    fit = (sums.squares - explained + sums.left) / noise
    return Bound(-0.5 * (sums.rows * LOG_2PI + determinant + fit), "below")


def split_difference(
    sparse: SparseProcess, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"], first: int, block: int = BLOCK
) -> Bound:
    """The bound of all rows less the bound of the first ones: an estimate of log p(y_{≥first} | y_{<first}).

    **It bounds nothing**, as its side says: where the subset's bound is looser than the whole's, it is too large. So
    nothing here learns by it: an optimiser would loosen the subset's.

    Raises `InputError` for a split outside the rows.
    """
    if not 0 < first < len(x):
        raise InputError(f"The split is at row {first} of {len(x)}; leave rows on both sides.")
    whole, part = evidence_bound(sparse, x, y, block), evidence_bound(sparse, x[:first], y[:first], block)
    return Bound(whole.nats - part.nats, "neither")


def learn_sparse(
    sparse: SparseProcess,
    x: Float[Tensor, "rows d"],
    y: Float[Tensor, "targets"],
    settings: Learn,
    *,
    block: int = BLOCK,
    progress: Progress = silent,
) -> SparseLearnt:
    """The sparse process with free numbers and inducing points that maximise the bound on these rows.

    settings: as for `learn`; held "inducing" leaves the points where they are.

    Raises `InputError` for the conditional criterion (`split_difference` says why), and as `learn` does.
    """
    x, y = float64_rows(x, y)
    if settings.criterion != "evidence":
        raise InputError(
            "A difference of two bounds is no bound, and learning by it would loosen the one that is subtracted; use "
            "the criterion evidence, or few enough rows for `learn`."
        )

    def objective(free: Free) -> Tensor:
        return evidence_bound(with_free(sparse, free), x, y, block).nats / len(x)

    climbed = climb(objective, moving(sparse, settings.held), settings, progress)
    return SparseLearnt(with_free(sparse, climbed.free), climbed.history)


def condition_sparse(
    sparse: SparseProcess, x: Float[Tensor, "rows d"], y: Float[Tensor, "targets"], block: int = BLOCK
) -> SparseConditioned:
    """The best distribution of the inducing values given these rows. Source: Titsias (2009), eq. 10."""
    x, y = float64_rows(x, y)
    with torch.no_grad():
        lower, jitter = factorise(_inner_covariance(sparse))
        sums = _summed(sparse, lower, x, y, block)
        noise = sparse.process.noise
        inner, _ = factorise(torch.eye(len(lower), dtype=torch.float64) + sums.outer / noise, steps=(0.0,))
        weights = torch.cholesky_solve(sums.crossed[:, None] / noise, inner)[:, 0]
    return SparseConditioned(sparse, lower, inner, weights, jitter)


def predict_sparse(conditioned: SparseConditioned, x: Float[Tensor, "rows d"], block: int = BLOCK) -> Prediction:
    """Mean and variance of every row: with v = L_u⁻¹ k_u*,  μ_* + vᵀ B⁻¹ V r/σ²  and  k_** − ‖v‖² + ‖L_B⁻¹ v‖²."""
    process, means, variances = conditioned.sparse.process, list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for rows in x.double().split(block):
            crossed = process.kernel.matrix(conditioned.sparse.inducing, rows)
            v = torch.linalg.solve_triangular(conditioned.lower, crossed, upper=False)
            kept = torch.linalg.solve_triangular(conditioned.inner, v, upper=False)
            means.append(process.mean.of(rows) + conditioned.weights @ v)
            variance = process.kernel.diagonal(rows) - v.square().sum(dim=0) + kept.square().sum(dim=0)
            variances.append(variance.clamp_min(0))
        mean, variance = torch.cat(means), torch.cat(variances)
        return Prediction(mean, variance, variance + process.noise)


def inducing_rows(process: Process, x: Float[Tensor, "rows d"], points: int) -> Float64[Tensor, "points d"]:
    """Rows to start inducing points from: one after the other, the row whose variance given those taken is largest.

    Source: Burt et al. (2020), "Convergence of sparse variational inference in Gaussian process regression", alg. 1
    (a partial pivoted Cholesky factorisation). Cost: O(rows · points²); no randomness.

    Raises `InputError` for more points than rows, and when fewer rows already explain all variance.

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.evidence.processes.means import ZeroMean
    >>> process = Process(RBF(positive(1.0)), ZeroMean(), positive(0.5))
    >>> inducing_rows(process, torch.tensor([[0.0], [0.1], [9.0]]).double(), 2)[:, 0].tolist()
    [0.0, 9.0]
    """
    if not 0 < points <= len(x):
        raise InputError(
            f"{points} inducing points were asked for, of {len(x)} rows; give at most as many, at least one."
        )
    x = x.double()
    with torch.no_grad():
        left = process.kernel.diagonal(x).clone()
        scale = float(left.max())
        columns, taken = torch.zeros(points, len(x), dtype=torch.float64), list[int]()
        for number in range(points):
            pivot = int(left.argmax())
            if not float(left[pivot]) > 1e-10 * scale:
                raise InputError(
                    f"{number} rows already explain all variance of this kernel; ask for at most {number}, "
                    "or start from rows taken at random where the kernel is still to be learnt."
                )
            row = process.kernel.matrix(x[pivot : pivot + 1], x)[0]
            column = (row - columns[:number, pivot] @ columns[:number]) / left[pivot].sqrt()
            columns[number] = column
            left = (left - column.square()).clamp_min(0)
            left[pivot] = 0
            taken.append(pivot)
        return x[taken].clone()


def _inner_covariance(sparse: SparseProcess) -> Tensor:
    return sparse.process.kernel.matrix(sparse.inducing, sparse.inducing)


def _summed(sparse: SparseProcess, lower: Tensor, x: Tensor, y: Tensor, block: int) -> _Sums:
    if block < 1:
        raise InputError(f"The block is {block} rows; give at least one.")

    def parts(lower: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        process = sparse.process
        crossed = process.kernel.matrix(sparse.inducing, rows)
        v = torch.linalg.solve_triangular(lower, crossed, upper=False)
        residual = targets - process.mean.of(rows)
        left = process.kernel.diagonal(rows).sum() - v.square().sum()
        return v @ v.T, v @ residual, residual.square().sum(), left

    outer, crossed = torch.zeros_like(lower), torch.zeros(len(lower), dtype=torch.float64)
    squares, left = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for rows, targets in zip(x.split(block), y.split(block), strict=True):
        if torch.is_grad_enabled() and len(x) > block:
            found = checkpoint(parts, lower, rows, targets, use_reentrant=False, preserve_rng_state=False)
        else:
            found = parts(lower, rows, targets)
        outer, crossed, squares, left = (
            whole + part for whole, part in zip((outer, crossed, squares, left), found, strict=True)
        )
    return _Sums(outer, crossed, squares, left, len(x))

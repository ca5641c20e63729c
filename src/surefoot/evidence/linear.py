"""Bayesian linear regression: its evidence, posterior and predictions in closed form, and its terms in many orders.

    y = F w + ε,    w ~ N(μ, diag τ²),    ε ~ N(0, σ²)

Everything is done in units in which prior and noise are standard normal, G = F diag(τ)/σ and r = (y − Fμ)/σ:

    log p(y) = −½ [ n log 2πσ² + log det(I + GᵀG) + min_u (‖r − Gu‖² + ‖u‖²) ]

Source: MacKay (1992), "Bayesian interpolation", Neural Computation 4, §2; Bierman (1977), "Factorization methods for
discrete sequential estimation", ch. II (least squares by orthogonal triangles) and V (square-root updates).

**Terms in many orders.** log p(y_i | y_<i) of every prefix of every order needs one pass over the rows, in which the
posterior is carried as mean m and square root T, covariance T Tᵀ. Taking b rows X, residuals r at a time,

    A = X T,  e = r − X m        C Cᵀ = I + A Aᵀ        terms = −½ (C⁻¹e)² − log diag C − ½ log 2πσ²
    R Rᵀ = I + AᵀA               T ← T R⁻ᵀ              m ← m + T R⁻¹Aᵀe

for all orders at once: O(orders · rows · features²), where dense covariances of all prefixes need O(orders · rows⁴).
Two other roads are taken where this one is not the best (`_road`): one Cholesky factor an order where there are about
as many features as rows, and one row at a time where I + AAᵀ would round the noise away, with Potter's update, which
never forms a square: a = Tᵀx, s = 1 + aᵀa, T ← T (I − a aᵀ/(s + √s)).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.prefixes import Prefixes

__all__ = [
    "LinearModel",
    "LinearPosterior",
    "Predictive",
    "linear_evidence",
    "linear_posterior",
    "linear_prefixes",
    "predictive",
]

SMALLEST_BLOCK = 16
WIDE = 4  # with fewer than so many rows to a feature, a Cholesky factor of the rows' covariance costs less
SQUARED = 1e7  # signal over noise, as variances, above which squares in float64 lose more than 1e-9 of the noise
KEPT_NUMBERS = 4_000_000  # of one batch of orders


@dataclass(frozen=True)
class LinearModel:
    """noise_variance: σ². prior_variance: τ², one for each feature. prior_mean: μ; zero when absent.

    A constant is a feature like any other. Tensors of floats become float64, here and in every function of this module.
    Raises `InputError` for variances that are not positive and finite.

    >>> LinearModel(0.01, torch.ones(6, dtype=torch.float64)).features
    6
    """

    noise_variance: float
    prior_variance: Float[Tensor, "features"]
    prior_mean: Float[Tensor, "means"] | None = None

    def __post_init__(self) -> None:
        if not (self.noise_variance > 0 and math.isfinite(self.noise_variance)):
            raise InputError(f"noise_variance is {self.noise_variance}; give a positive number.")
        if len(self.prior_variance) < 1 or not bool(((self.prior_variance > 0) & self.prior_variance.isfinite()).all()):
            raise InputError(
                "prior_variance has an entry that is not a positive number, or none; give one variance for each "
                "feature, and leave out a feature whose weight is known to be zero."
            )
        if self.prior_mean is not None and self.prior_mean.shape != self.prior_variance.shape:
            raise InputError(
                f"prior_mean has {len(self.prior_mean)} entries and prior_variance {self.features}; give one of each "
                "for every feature."
            )
        object.__setattr__(self, "prior_variance", self.prior_variance.double())
        object.__setattr__(self, "prior_mean", None if self.prior_mean is None else self.prior_mean.double())

    @property
    def features(self) -> int:
        return len(self.prior_variance)


class LinearPosterior(NamedTuple):
    """Weights are N(mean, factor factorᵀ)."""

    mean: Float64[Tensor, "features"]
    factor: Float64[Tensor, "features features"]

    @property
    def covariance(self) -> Float64[Tensor, "features features"]:
        return self.factor @ self.factor.T


class Predictive(NamedTuple):
    """Each target is N(mean, variance), the noise included; targets of different rows are correlated."""

    mean: Float64[Tensor, "rows"]
    variance: Float64[Tensor, "rows"]


def linear_evidence(
    features: Float[Tensor, "rows features"], targets: Float[Tensor, "targets"], model: LinearModel
) -> float:
    """log p(y), in nats, by one orthogonal triangle of the smaller of rows and features.

    Raises `InputError` where features, targets and model do not fit together or are not finite.

    >>> one = torch.ones(2, 1, dtype=torch.float64)
    >>> model = LinearModel(1.0, torch.ones(1, dtype=torch.float64))
    >>> round(linear_evidence(one, torch.zeros(2, dtype=torch.float64), model), 4)  # −log 2π − ½ log 3
    -2.3872
    """
    scaled, residuals = _standard(features, targets, model)
    if scaled.shape[1] > scaled.shape[0]:  # G Gᵀ, all that counts, is that of a triangle
        scaled = torch.linalg.qr(scaled.T, mode="r").R.T
    triangle, _, rest = _triangle(scaled, residuals)
    logdet = 2 * float(triangle.diagonal().abs().log().sum())
    return -0.5 * (len(targets) * math.log(2 * math.pi * model.noise_variance) + logdet + rest)


def linear_posterior(
    features: Float[Tensor, "rows features"], targets: Float[Tensor, "targets"], model: LinearModel
) -> LinearPosterior:
    """p(w | y). Raises what `linear_evidence` raises; no rows give the prior.

    >>> one = torch.ones(3, 1, dtype=torch.float64)
    >>> model = LinearModel(1.0, torch.ones(1, dtype=torch.float64))
    >>> found = linear_posterior(one, torch.full((3,), 4.0, dtype=torch.float64), model)
    >>> round(found.mean.item(), 6), round(found.covariance.item(), 6)  # 3 · 4/(3 + 1), 1/(3 + 1)
    (3.0, 0.25)
    """
    triangle, projected, _ = _triangle(*_standard(features, targets, model))
    scale = model.prior_variance.sqrt()[:, None]
    right = torch.cat([projected[:, None], torch.eye(model.features, dtype=torch.float64)], dim=1)
    solved = scale * torch.linalg.solve_triangular(triangle, right, upper=True)
    mean = solved[:, 0] if model.prior_mean is None else solved[:, 0] + model.prior_mean
    return LinearPosterior(mean, solved[:, 1:])


def predictive(posterior: LinearPosterior, features: Float[Tensor, "rows features"], model: LinearModel) -> Predictive:
    """p(y* | y) of each new row.

    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> prior = LinearPosterior(torch.zeros(1, dtype=torch.float64), one)
    >>> predictive(prior, one, LinearModel(0.5, torch.ones(1, dtype=torch.float64))).variance.item()
    1.5
    """
    _check_width(features, model)
    features = features.double()
    return Predictive(features @ posterior.mean, (features @ posterior.factor).square().sum(1) + model.noise_variance)


def linear_prefixes(
    features: Float[Tensor, "rows features"],
    targets: Float[Tensor, "targets"],
    model: LinearModel,
    orders: Int64[Tensor, "orders places"],
) -> Prefixes:
    """log p(y_i | y_<i) for every row of every order, exactly; `orders_of` makes orders.

    Raises what `linear_evidence` raises, and `InputError` where an order is no permutation of the rows.

    >>> one = torch.ones(2, 1, dtype=torch.float64)
    >>> model = LinearModel(1.0, torch.ones(1, dtype=torch.float64))
    >>> orders = torch.tensor([[0, 1], [1, 0]])
    >>> found = linear_prefixes(one, torch.zeros(2, dtype=torch.float64), model, orders)
    >>> [[round(value, 4) for value in line] for line in found.terms.tolist()]  # N(0, 2), then N(0, 1.5)
    [[-1.2655, -1.1217], [-1.2655, -1.1217]]
    """
    scaled, residuals = _standard(features, targets, model)
    rows, width = scaled.shape
    if orders.shape[1] != rows or not bool((orders.sort(1).values == torch.arange(rows)).all()):
        raise InputError(
            f"An order is not a permutation of the {rows} rows; make orders with orders_of(rows={rows}, count, seed)."
        )
    block = max(SMALLEST_BLOCK, width)
    road = _road(scaled, block)
    if road == "covariance":
        terms = _by_covariance(scaled, residuals, orders)
    else:
        if width > rows:
            scaled = torch.linalg.qr(scaled.T, mode="r").R.T
        both = torch.cat([scaled, residuals[:, None]], dim=1)
        batch = max(1, KEPT_NUMBERS // (3 * block * (scaled.shape[1] + 1)))
        parts = orders.split(batch)
        terms = torch.cat([_by_block(both, part, block) if road == "block" else _by_row(both, part) for part in parts])
    return Prefixes(terms - 0.5 * math.log(2 * math.pi * model.noise_variance))


def _road(scaled: Float64[Tensor, "rows features"], block: int) -> Literal["block", "row", "covariance"]:
    """By cost, unless what a square would be made of is out of float64's reach."""
    rows, width = scaled.shape
    wide = WIDE * width > rows
    signal = scaled.square().sum(1)
    if float(signal.sum() if wide else block * signal.max()) > SQUARED:
        return "row"
    return "covariance" if wide else "block"


def _by_block(
    both: Float64[Tensor, "rows columns"], orders: Int64[Tensor, "orders rows"], block: int
) -> Float64[Tensor, "orders rows"]:
    """Terms without their constant, `block` rows at a time; the last column holds residuals, and of the state, −m."""
    count, rows = orders.shape
    width = both.shape[1] - 1
    terms = torch.empty(count, rows, dtype=torch.float64)
    state = torch.eye(width, width + 1, dtype=torch.float64).repeat(count, 1, 1)
    root, mean = state[:, :, :width], state[:, :, width:]
    for begin in range(0, rows, block):
        taken = both[orders[:, begin : begin + block]]
        mapped = torch.bmm(taken[:, :, :width], state)
        spread, error = mapped[:, :, :width], mapped[:, :, width:]
        error.add_(taken[:, :, width:])
        within = torch.bmm(spread, spread.transpose(1, 2))
        within.diagonal(dim1=1, dim2=2).add_(1)
        factor = _cholesky(within)
        white = torch.linalg.solve_triangular(factor, error, upper=False)[:, :, 0]
        logs = factor.diagonal(dim1=1, dim2=2).log()
        torch.addcmul(-logs, white, white, value=-0.5, out=terms[:, begin : begin + block])
        # One factor of [A e]ᵀ[A e] + I holds R, and in its last line R⁻¹Aᵀe.
        gram = torch.bmm(mapped.transpose(1, 2), mapped)
        gram.diagonal(dim1=1, dim2=2).add_(1)
        grown = _cholesky(gram)
        triangle = grown[:, :width, :width].transpose(1, 2)
        root.copy_(torch.linalg.solve_triangular(triangle, root, upper=True, left=False))
        mean.sub_(torch.bmm(root, grown[:, width, :width, None]))
    return terms


def _by_row(
    both: Float64[Tensor, "rows columns"], orders: Int64[Tensor, "orders rows"]
) -> Float64[Tensor, "orders rows"]:
    """Terms without their constant, by Potter's update."""
    count, rows = orders.shape
    width = both.shape[1] - 1
    terms = torch.empty(count, rows, dtype=torch.float64)
    root = torch.eye(width, dtype=torch.float64).repeat(count, 1, 1)
    mean = torch.zeros(count, width, dtype=torch.float64)
    for place in range(rows):
        taken = both[orders[:, place]]
        row, residual = taken[:, :width], taken[:, width]
        spread = torch.bmm(root.transpose(1, 2), row[:, :, None])[:, :, 0]
        variance = spread.square().sum(1) + 1
        error = residual - (row * mean).sum(1)
        terms[:, place] = -0.5 * (error.square() / variance + variance.log())
        gain = torch.bmm(root, spread[:, :, None])[:, :, 0]
        mean += gain * (error / variance)[:, None]
        shrunk = gain / (variance + variance.sqrt())[:, None]
        root.baddbmm_(shrunk[:, :, None], spread[:, None, :], alpha=-1)
    return terms


def _by_covariance(
    scaled: Float64[Tensor, "rows features"], residuals: Float64[Tensor, "rows"], orders: Int64[Tensor, "orders rows"]
) -> Float64[Tensor, "orders rows"]:
    """Terms without their constant, by one Cholesky factor of the rows' covariance in each order."""
    covariance = scaled @ scaled.T
    covariance.diagonal().add_(1)
    terms = torch.empty(orders.shape, dtype=torch.float64)
    for line, order in zip(terms, orders, strict=True):
        factor = _cholesky(covariance[order][:, order])
        white = torch.linalg.solve_triangular(factor, residuals[order, None], upper=False)[:, 0]
        torch.addcmul(-factor.diagonal().log(), white, white, value=-0.5, out=line)
    return terms


def _triangle(
    scaled: Float64[Tensor, "rows features"], residuals: Float64[Tensor, "rows"]
) -> tuple[Float64[Tensor, "features features"], Float64[Tensor, "features"], float]:
    """U, z and the least squares of [G; I] u ≈ [r; 0] = Q [U; 0] u: UᵀU = I + GᵀG, u = U⁻¹z, min ‖r − Gu‖² + ‖u‖²."""
    width = scaled.shape[1]
    prior = torch.eye(width, width + 1, dtype=torch.float64)
    stacked = torch.cat([torch.cat([scaled, residuals[:, None]], dim=1), prior])
    if len(stacked) <= width:  # no rows: the triangle would have no line for what is left
        stacked = torch.cat([stacked, torch.zeros(1, width + 1, dtype=torch.float64)])
    whole = torch.linalg.qr(stacked, mode="r").R
    return whole[:width, :width], whole[:width, width], float(whole[width, width].square())


def _standard(
    features: Float[Tensor, "rows features"], targets: Float[Tensor, "targets"], model: LinearModel
) -> tuple[Float64[Tensor, "rows features"], Float64[Tensor, "rows"]]:
    """G and r: features and residuals in units of the prior's and the noise's standard deviations."""
    _check_width(features, model)
    features, targets = features.double(), targets.double()
    if len(targets) != len(features):
        raise InputError(f"{len(features)} rows of features came with {len(targets)} targets; give one of each a row.")
    noise = math.sqrt(model.noise_variance)
    residuals = (targets if model.prior_mean is None else targets - features @ model.prior_mean) / noise
    scaled = features * (model.prior_variance.sqrt() / noise)
    if not bool(scaled.isfinite().all() and residuals.isfinite().all()):
        raise InputError("Features or targets hold values that are not finite; leave such rows out or fill them in.")
    return scaled, residuals


def _check_width(features: Float[Tensor, "rows features"], model: LinearModel) -> None:
    if features.shape[1] != model.features:
        raise InputError(
            f"Rows have {features.shape[1]} features and the model has a prior for {model.features}; give one prior "
            "variance for each feature, a constant included."
        )


def _cholesky(matrices: Float64[Tensor, "*batch size size"]) -> Float64[Tensor, "*batch size size"]:
    """Of an identity plus a square, which is always positive: the check that `cholesky` makes would only cost time."""
    return torch.linalg.cholesky_ex(matrices).L

"""What an evidence around a mode is made of: fit and Occam factor, what rows determine, what the prior decides.

With r the eigenvalues of Λ^{-½} H Λ^{-½}, what rows say of each direction over what the prior says of it, and
D = Σ λ (θ* − c)², how far the mode is from the prior's mean in the prior's own units,

    log p(D) ≈ log p(D|θ*) + log p(θ*) + (P/2) log 2π − ½ log det(H + Λ)  =  log p(D|θ*) − ½ D − ½ Σ log(1 + r)
    γ = Σ r/(1 + r)                      effective number of parameters
    d log p(D) / d log s = ½ (γ − D)     all precisions multiplied by s; zero at MacKay's fixed point, λ = γ/Σ(θ* − c)²
    log p(D | sλ) ≈ log p(D|θ*) − ½ s D − ½ Σ log(1 + r/s)

A direction that the rows do not touch, r ≪ 1, costs ½ r: nothing by itself. Where millions of them make up the Occam
factor, it is proportional to 1/λ, and is the prior's and the approximation's doing more than the rows'. So the share of
the log determinant that they have is taken of Σ log(1 + r); in log det(H + Λ) itself it would depend on the units of λ.

Source: MacKay (1992), Bayesian interpolation, Neural Computation 4 (Occam factor, γ and the fixed point).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.findings.finding import Finding

__all__ = ["TENFOLD", "TOUCHED", "Anatomy", "anatomy_of", "ratios_of"]

TENFOLD = 10.0
"""How far precisions are moved both ways, to see what then becomes of the evidence."""
TOUCHED = 0.1
"""Of the prior's precision, what rows must add in a direction to count as touching it."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of one evidence, in nats.

    fit: log p(D|θ*). distance: ½ D. volume: ½ Σ log(1 + r). effective: γ of `parameters`. untouched: directions with
    r < `TOUCHED`. tail: the share of `volume` that is theirs. slope: per unit of log precision. lower, higher: the
    evidence with every precision divided, and multiplied, by `TENFOLD`, at the same mode.
    """

    fit: float
    distance: float
    volume: float
    effective: float
    parameters: int
    untouched: int
    tail: float
    slope: float
    lower: float
    higher: float

    @property
    def occam(self) -> float:
        """log p(θ*) + (P/2) log 2π − ½ log det(H + Λ): never above zero."""
        return -self.distance - self.volume

    @property
    def evidence(self) -> float:
        return self.fit + self.occam

    def as_findings(
        self, subject: str, rows: int, *, source: str = "fit", clusters: int | None = None
    ) -> tuple[Finding, ...]:
        """`fit_at_mode`, `occam_factor`, `effective_parameters`, `evidence_slope` and `untouched_share`.

        clusters: independent ones among the rows; as many as rows where absent.
        """
        apart = rows if clusters is None else clusters

        def finding(name: str, value: float, unit: str) -> Finding:
            return Finding(name, value, None, rows, apart, unit, "all", "none", subject, source)

        return (
            finding("fit_at_mode", self.fit, "nats"),
            finding("occam_factor", self.occam, "nats"),
            finding("effective_parameters", self.effective, f"parameters of {self.parameters:,}"),
            finding("evidence_slope", self.slope, "nats per unit of log precision"),
            finding("untouched_share", self.tail, "proportion of the log determinant"),
        )


def anatomy_of(
    expansion: Expansion, precisions: Tensor | float | None = None, *, noise: float | None = None
) -> Anatomy:
    """The parts of `evidence_of(expansion, precisions, noise=noise)`, whose arguments and refusals these are.

    The mode stays where it is while precisions move, as in `evidence_of`: `lower` and `higher` are below what training
    again would give. A full matrix under several precisions costs the eigenvalues of a matrix.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.objective import Posterior
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> rows = make_rows(torch.ones(3, 1), torch.full((3,), 2.0))
    >>> posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    >>> found = anatomy_of(expand(posterior, rows, {"0.weight": torch.tensor([[1.5]])}))
    >>> found.effective, found.slope  # 3/(3 + 1), ½ (0.75 − 1.5²)
    (0.75, -0.75)
    """
    whole = float(evidence_of(expansion, precisions, noise=noise))
    each = _per_parameter(expansion, precisions)
    ratios = _ratios(expansion, each, noise)
    distance = 0.5 * float((each * expansion.squares).sum())
    halves = 0.5 * ratios.log1p()
    volume = float(halves.sum())
    small = ratios < TOUCHED
    fit = whole + distance + volume

    def moved(factor: float) -> float:
        return fit - factor * distance - 0.5 * float((ratios / factor).log1p().sum())

    effective = float((ratios / (1 + ratios)).sum())
    return Anatomy(
        fit=fit,
        distance=distance,
        volume=volume,
        effective=effective,
        parameters=expansion.parameters,
        untouched=int(small.sum()),
        tail=float(halves[small].sum()) / volume if volume > 0 else 0.0,
        slope=0.5 * effective - distance,
        lower=moved(1 / TENFOLD),
        higher=moved(TENFOLD),
    )


def ratios_of(
    expansion: Expansion, precisions: Tensor | float | None = None, *, noise: float | None = None
) -> Float64[Tensor, "parameters"]:
    """r, in no particular order: what rows say of each direction, over what the prior says.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.objective import Posterior
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 1, seed=0), GaussianNoise(0.5), Gaussian(2.0))
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0]]), torch.zeros(2))
    >>> [round(each, 6) for each in ratios_of(expand(posterior, rows, parameters_of(posterior.network))).tolist()]
    [4.0, 4.0]
    """
    return _ratios(expansion, _per_parameter(expansion, precisions), noise)


def _per_parameter(expansion: Expansion, precisions: Tensor | float | None) -> Float64[Tensor, "parameters"]:
    own = expansion.precisions if precisions is None else torch.as_tensor(precisions, dtype=torch.float64).detach()
    if own.ndim == 1 and len(own) == expansion.parameters:
        return own
    return own.expand(len(expansion.sizes)).repeat_interleave(torch.tensor(expansion.sizes))


def _ratios(expansion: Expansion, each: Tensor, noise: float | None) -> Float64[Tensor, "parameters"]:
    fall = 1.0
    if expansion.noise is not None:
        variance = (expansion.noise if noise is None else noise) ** 2
        fall = 1 / variance if expansion.kind == "ggn" else variance**-2
    if expansion.structure != "full" or bool((each == each[0]).all()):
        # The precision is one within each block of eigenvalues, so their order does not matter.
        return torch.cat(expansion.eigenvalues) * fall / each
    scale = each.rsqrt()
    whitened = scale[:, None] * expansion.curvatures[0] * scale
    return torch.linalg.eigvalsh(whitened).clamp_(min=0) * fall

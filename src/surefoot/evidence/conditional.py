"""The conditional evidence of a network: how well rows D_<m predict the others, in two ways.

    log p(D_≥m | D_<m) = log p(D) − log p(D_<m)      two expansions: `conditional_by_difference`
                       ≈ log (1/S) Σ_s exp L_s       draws: `conditional_by_draws`;  L_s = Σ_{j≥m} log p(y_j | x_j, w_s)

with w_s from a Laplace approximation given D_<m. The sum over rows stands inside the exponential: a draw has to explain
*all* later rows. That is not the loss of the averaged prediction, −Σ_j log (1/S) Σ_s p(y_j | x_j, w_s), to which
different draws may contribute at different rows (`average_losses`); published tables have mixed up the two.

**How many draws count.** With weights v_s ∝ exp L_s, Σ v = 1, the effective number of draws is 1/Σ v², and by the delta
method the error of the logarithm is √(S/(S − 1) · (Σ v² − 1/S)). L_s is a sum over all later rows, so one draw
usually outweighs all others: the effective number is about 1, the value about max L_s − log S, and the error says
nothing, because what would matter was not drawn. It is told (`DrawnConditional.doubt`), and then there is no interval.

Source: Lotfi et al. (2022), Bayesian model selection, the marginal likelihood, and generalization, §5 and their
`logcml_*` scripts, whose w = θ* + t A^{-½} ξ has t on the *standard deviation*. We depart in that rows are never
augmented, that rows on which t is chosen are not used again, and that every t sees the same ξ. Kirsch (2024), On
Bayesian model selection: the marginal likelihood, cross-validation, and conditional log marginal likelihood, showed the
difference to the average loss; Liu (2001), Monte Carlo strategies in scientific computing, §2.5.3, has the effective
number.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior
from surefoot.density.requirements import require_normalised
from surefoot.errors import InputError
from surefoot.evidence.laplace.checks import check_rows
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.row_likelihoods import Way, likelihoods_of
from surefoot.evidence.scale_search import ScaleSearch, search_scale
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.quantiles import normal_quantile
from surefoot.findings.slices import with_note
from surefoot.inference.chains.chains import Chains
from surefoot.inference.draws import Draws
from surefoot.inference.predict.running import as_chains
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = [
    "DrawnConditional",
    "ScaleSearch",
    "conditional_by_difference",
    "conditional_by_draws",
    "conditional_of",
    "drawn_findings",
]

FEWEST = 40.0
"""Below so many effective draws the Monte-Carlo error is not to be believed, and no interval is given: of normal L_s,
some 43 effective draws of 100 have 95 % intervals that cover .92, and 11 of 100 .79 (test_evidence_conditional.py)."""
LONELY = 3.0
"""Below so many, one draw has most of the weight."""


@dataclass(frozen=True)
class DrawnConditional:
    """log p(D_≥m | D_<m) by draws. value, error: nats, and its Monte-Carlo standard error. effective: draws that count.

    scale: t, what deviations from the mode were multiplied by. rows: how many later rows the value is of.
    """

    value: float
    error: float
    effective: float
    draws: int
    scale: float
    rows: int

    @property
    def doubt(self) -> str | None:
        """Why the value is not to be believed to within its error, or None.

        >>> DrawnConditional(-70.0, 1.0, 1.02, 100, 1.0, 50).doubt
        '1.0 of 100 draws count: the value is about that of the best draw less ln 100, and may be far too low'
        """
        if self.effective >= FEWEST:
            return None
        told = f"{self.effective:.1f} of {self.draws} draws count"
        if self.effective >= LONELY:
            return f"{told}: the value may be too low by more than its Monte-Carlo error says"
        return f"{told}: the value is about that of the best draw less ln {self.draws}, and may be far too low"


def conditional_by_difference(
    whole: Expansion,
    part: Expansion,
    precisions: Tensor | float | None = None,
    *,
    noise: Tensor | float | None = None,
) -> Float64[Tensor, ""]:
    """log p(D) − log p(D_<m) in nats, from the expansions of two modes: of all rows, and of the first m.

    precisions, noise: as in `evidence_of`, the same for both; differentiable. It is exact where the Laplace
    approximation is, in a linear regression. Otherwise the errors of the two partly cancel, as far as both found the
    same mode: the difference of two large numbers, it is worth no more than the `offset` of each.

    Raises `InputError` for expansions of different structure, kind, part, tensors, logit temperature, prior or noise,
    and where `part` has as many rows as `whole`. That its rows are among the other's is not known here.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    >>> rows = make_rows(torch.ones(2, 1), torch.tensor([2.0, 1.0]))
    >>> modes = {"0.weight": torch.tensor([[1.0]])}  # of both rows, and of the first alone
    >>> first = expand(posterior, rows.take(torch.tensor([0])), modes)
    >>> round(conditional_by_difference(expand(posterior, rows, modes), first).item(), 4)  # log N(1; 1, 1.5)
    -1.1217
    """
    for name in ("structure", "kind", "part", "names", "sizes", "logit_temperature"):
        one, other = getattr(whole, name), getattr(part, name)
        if one != other:
            raise InputError(
                f"The expansion of all rows has {name} {one!r} and that of the first rows {other!r}; their difference "
                "is no conditional evidence: expand one posterior twice, with the same arguments."
            )
    if part.rows >= whole.rows:
        raise InputError(
            f"The part has {part.rows} rows and the whole {whole.rows}; give the expansion of all rows first, and that "
            "of fewer rows second."
        )
    if precisions is None and not torch.equal(whole.precisions, part.precisions):
        raise InputError(
            f"The two expansions have the prior precisions {whole.precisions.tolist()} and {part.precisions.tolist()}; "
            "expand one posterior twice, or say at which precisions both are to be compared."
        )
    if noise is None and whole.noise != part.noise:
        raise InputError(
            f"The two expansions have the noise {whole.noise} and {part.noise}; expand one posterior twice, or say at "
            "which noise both are to be compared."
        )
    return evidence_of(whole, precisions, noise=noise) - evidence_of(part, precisions, noise=noise)


def conditional_by_draws(
    posterior: Posterior,
    known: Rows,
    later: Rows,
    draws: Chains | Draws,
    *,
    mode: Parameters | None = None,
    scale: float | ScaleSearch = 1.0,
    way: Way = "network",
    batch: int = 512,
    progress: Progress = silent,
) -> DrawnConditional:
    """log p(later | known) from draws of an approximation given `known` (`draw_expansion`, `laplace_draws`).

    Any other draws given `known` will do too, of HMC say, at scale 1. mode: θ*, what deviations are measured from;
    needed with a scale other than 1, for linearised draws, and for tensors that the draws lack. way: as published,
    draws go through the network; those of a Gauss–Newton matrix belong to the linearised one. Rows are never augmented.

    Raises `InputError` for a posterior or rows without a likelihood that is normalised, for later rows that share a
    source with known ones or were seen by the draws, a scale that is not positive, a scale without a mode, and a search
    by accuracy where there are no classes.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    >>> rows = make_rows(torch.ones(2, 1), torch.tensor([2.0, 1.0]))
    >>> known, later = rows.take(torch.tensor([0])), rows.take(torch.tensor([1]))
    >>> generator = torch.Generator().manual_seed(0)
    >>> weights = 1 + 0.5**0.5 * torch.randn(2000, 1, 1, generator=generator)  # p(w | known) = N(1, 1/2)
    >>> drawn = conditional_by_draws(posterior, known, later, Draws({"0.weight": weights}, (), known.origins()))
    >>> abs(drawn.value - -1.1217) < 3 * drawn.error, drawn.effective > 1000
    (True, True)
    """
    require_normalised(posterior)
    check_rows(posterior, later)
    chains = as_chains(draws)
    crossing = sorted(later.origins() & (known.origins() | chains.seen))
    if crossing:
        raise InputError(
            f"{len(crossing)} sources of the later rows (first: {crossing[0]}) are among the rows conditioned on; "
            "divide the rows so that no source is on both sides (`assign_roles` does)."
        )
    if isinstance(scale, ScaleSearch):
        chosen_on, later = part_rows(later, scale.share, scale.seed)
        scale = search_scale(posterior, chosen_on, chains, mode, scale, way, batch)
    likelihoods = likelihoods_of(
        posterior, later, chains, mode=mode, scale=scale, way=way, batch=batch, progress=progress
    )
    return conditional_of(likelihoods, scale)


def conditional_of(likelihoods: Float64[Tensor, "draws rows"], scale: float = 1.0) -> DrawnConditional:
    """The same from log p(y_j | x_j, w_s), by `likelihoods_of`. One draw has no Monte-Carlo error: it is NaN.

    >>> conditional_of(torch.tensor([[-1.0, -2.0], [-2.0, -1.0]], dtype=torch.float64))
    DrawnConditional(value=-3.0, error=0.0, effective=2.0, draws=2, scale=1.0, rows=2)
    """
    draws, rows = likelihoods.shape
    sums = likelihoods.sum(dim=1)
    concentration = float(sums.softmax(dim=0).square().sum())
    spread = max(0.0, concentration - 1 / draws)
    error = math.sqrt(draws / (draws - 1) * spread) if draws > 1 else math.nan
    value = float(sums.logsumexp(dim=0)) - math.log(draws)
    return DrawnConditional(value, error, 1 / concentration, draws, scale, rows)


def drawn_findings(
    drawn: DrawnConditional, *, subject: str, source: str, clusters: int | None = None, confidence: float = 0.95
) -> tuple[Finding, Finding]:
    """`conditional_evidence_by_draws` and `effective_draws`; no interval, and a note, where too few draws count.

    clusters: independent ones among the later rows; as many as rows when absent.

    >>> value, effective = drawn_findings(DrawnConditional(-7.0, 0.1, 50.0, 100, 1.0, 5), subject="M", source="fit")
    >>> round(value.interval.low, 3), effective.value
    (-7.196, 50.0)
    """
    interval, doubt = None, drawn.doubt
    if doubt is None:
        half = normal_quantile((1 + confidence) / 2) * drawn.error
        interval = Interval(drawn.value - half, drawn.value + half, confidence, "Monte Carlo alone; the data are fixed")
    clusters = drawn.rows if clusters is None else clusters
    value = Finding(
        name="conditional_evidence_by_draws",
        value=drawn.value,
        interval=interval,
        count=drawn.rows,
        clusters=clusters,
        unit="nats",
        slice="all",
        direction="higher",
        subject=subject,
        source=source,
    )
    effective = replace(
        value, name="effective_draws", value=drawn.effective, interval=None, unit="draws", direction="none"
    )
    return (value, effective) if doubt is None else (with_note(value, doubt), with_note(effective, doubt))

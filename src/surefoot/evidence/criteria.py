"""Four numbers to choose a network by, side by side: whoever asks for one gets all.

    evidence      log p(D)                              all rows
    conditional   log p(D) − log p(D_<m)                how the first m rows predict the others, by two expansions
    drawn         log (1/S) Σ_s p(D_≥m | w_s)           the same by draws given the first m rows
    bma_loss      −mean_j log (1/S) Σ_s p(y_j | w_s)    of the averaged prediction, on the same others
    map_loss      −mean_j log p(y_j | θ*)               of the mode alone

The evidence asks how probable the rows were *before* the network had seen any, and so punishes a prior that a few rows
would have put right; the others ask what is known once m rows are learned from. Which of them orders candidates as
their test losses do is a question to be measured (`findings.ranks`), and no one of them always does. A loss on held-out
rows costs nothing more and orders networks at least as well in published comparisons, so it belongs beside them.

Source: Lotfi et al. (2022), Bayesian model selection, the marginal likelihood, and generalization; Kirsch (2024), On
Bayesian model selection: the marginal likelihood, cross-validation, and conditional log marginal likelihood, for the
average loss beside the conditional evidence. They take one random split of 80 % of the rows, and so do we, with whole
families (sources, clusters) on one side.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.conditional import (
    DrawnConditional,
    conditional_by_difference,
    conditional_of,
    drawn_findings,
)
from surefoot.evidence.laplace.checks import check_posterior, check_rows
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.evidence.laplace.memory import laplace_memory
from surefoot.evidence.laplace.tune import What, tune
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.row_likelihoods import Way, average_losses, gibbs_losses, likelihoods_of
from surefoot.findings.clustering import cluster_design, fewest_clusters, influence, spread
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import mean_interval
from surefoot.inference.approximate.curvature import Part
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.draws import Draws
from surefoot.memory import available_memory
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Names, Rows

__all__ = [
    "Criteria",
    "CriteriaSettings",
    "HeldOut",
    "StructureOrAuto",
    "criteria_of",
    "richest_structure",
]

StructureOrAuto: TypeAlias = Structure | Literal["auto"]
"""A structure of the curvature, or the richest that can be had (`richest_structure`)."""

MOST_FULL = 4000
"""Parameters above which "auto" takes no full matrix: it would take minutes, and gigabytes, for each candidate."""


@dataclass(frozen=True)
class CriteriaSettings:
    """share: of the rows (of their families), how many are conditioned on; the others are held out.

    structure, part, kind: of the expansions, as in `expand`. Evidences of different ones do not compare: where "auto"
    may find different ones for candidates, give the one that all can have. draws: of the Laplace approximation given
    the first rows. way: what they are put through, the network linearised at the mode (the curvature is that one's), or
    the network itself, as published, which predicts far worse where it has hidden layers. tune: set one prior
    precision, and the known noise of a regression, by the evidence: all rows' own for the evidence, and those of the
    first rows for whatever is conditional on these. The modes stay where they are.

    Raises `InputError` for numbers out of range.
    """

    share: float = 0.8
    structure: StructureOrAuto = "auto"
    part: Part = "all"
    kind: Kind = "ggn"
    draws: int = 100
    way: Way = "linearised"
    tune: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"share is {self.share}; give a part of the rows, between 0 and 1.")
        if self.draws < 2:
            raise InputError(f"draws is {self.draws}; give at least 2, so that their error can be told.")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out rows and what each cost, in nats: of the averaged prediction, of one draw at random, of the mode.

    least: what a loss cannot be below: 0 for classes, −∞ for densities. Candidates whose `ids` agree were held out the
    same rows, and can be compared row by row (`findings.ranks.resampled_means`).
    """

    ids: Names
    clusters: Int[Tensor, "rows ways"]
    bma_losses: Float64[Tensor, "rows"]
    gibbs_losses: Float64[Tensor, "rows"]
    map_losses: Float64[Tensor, "rows"]
    least: float


@dataclass(frozen=True, eq=False)
class Criteria:
    """What `criteria_of` found. Evidences are of all their rows together, in nats; losses are nats per held-out row.

    rows, held: how many there were, and how many of them were held out. offset, known_offset: how far the points
    trained on all rows and on the first ones are from modes (`Expansion.offset`): far above 0.1, evidences are of other
    points. mode: the point trained on all rows. structure: that of both expansions.
    """

    evidence: float
    conditional: float
    drawn: DrawnConditional
    bma_loss: float
    gibbs_loss: float
    map_loss: float
    rows: int
    held: int
    offset: float
    known_offset: float
    structure: Structure
    held_out: HeldOut
    mode: Parameters

    def as_findings(self, subject: str, *, source: str = "fit", confidence: float = 0.95) -> tuple[Finding, ...]:
        """Evidences (higher is better), losses (lower), and what says how far to trust them.

        An evidence has no interval: data and model are fixed, and the error of the expansion is not known. Losses have
        that of a mean over rows, by clusters.
        """
        design = cluster_design(self.held_out.clusters.numpy())
        everything = np.ones(self.held, dtype=np.bool_)
        clusters = fewest_clusters(design, everything)
        plain = Finding(
            name="evidence",
            value=self.evidence,
            interval=None,
            count=self.rows,
            clusters=self.rows,
            unit="nats",
            slice="all",
            direction="higher",
            subject=subject,
            source=source,
        )
        held = replace(plain, count=self.held, clusters=clusters)
        losses: list[Finding] = []
        for name, values in (
            ("bma_loss", self.held_out.bma_losses),
            ("map_loss", self.held_out.map_losses),
            ("gibbs_loss", self.held_out.gibbs_losses),
        ):
            of = spread(design, [(1.0, influence(design, everything, values.numpy()[None]))])
            interval = mean_interval(of, confidence, low=self.held_out.least)
            value = float(values.mean())
            losses.append(
                replace(held, name=name, value=value, interval=interval, unit="nats per row", direction="lower")
            )
        aside = replace(plain, unit="posterior standard deviations", direction="none")
        return (
            plain,
            replace(held, name="conditional_evidence", value=self.conditional),
            *drawn_findings(self.drawn, subject=subject, source=source, clusters=clusters, confidence=confidence),
            *losses,
            replace(aside, name="offset_from_mode", value=self.offset),
            replace(aside, name="known_offset_from_mode", value=self.known_offset, count=self.rows - self.held),
        )


def criteria_of(
    posterior: Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    climb: Ascend,
    settings: CriteriaSettings | None = None,
    progress: Progress = silent,
) -> Criteria:
    """Train from `start` on the first rows and on all, expand both, and evaluate all criteria; no other rows are read.

    seed: of the split, both ascents and the draws. Candidates that are asked for with one seed and the same rows have
    the same rows held out, whatever their networks.

    Raises `InputError` for whatever `ascend` and `expand` refuse, and where rows are too few, or hang together too
    much, to be parted.

    >>> import torch
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> inputs = torch.linspace(-2, 2, 40)[:, None]
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> climb = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")
    >>> rows = make_rows(inputs, (inputs[:, 0] > 0).long())
    >>> found = criteria_of(posterior, rows, parameters_of(posterior.network), 0, climb)
    >>> found.held, found.conditional > found.evidence, found.structure, found.offset < 0.01
    (8, True, 'full', True)
    >>> [finding.name for finding in found.as_findings("linear")][:3]
    ['evidence', 'conditional_evidence', 'conditional_evidence_by_draws']
    """
    asked = CriteriaSettings() if settings is None else settings
    check_posterior(posterior, asked.part)
    check_rows(posterior, rows)
    known, later = part_rows(rows, asked.share, seed)
    structure = asked.structure
    if structure == "auto":
        structure = richest_structure(posterior, rows, asked.part, kind=asked.kind)

    def expanded(of: Rows) -> tuple[Parameters, Expansion]:
        mode = ascend(posterior, of, start, seed, climb, progress=progress).point()
        kept = expand(posterior, of, mode, structure=structure, part=asked.part, kind=asked.kind, progress=progress)
        return mode, kept

    first, part = expanded(known)
    mode, whole = expanded(rows)
    own, given = (_tuned(whole), _tuned(part)) if asked.tune else (_Hyper(None, None), _Hyper(None, None))
    drawn = draw_expansion(
        posterior, known, first, part, asked.draws, seed, precisions=given.precision, noise=given.noise,
        progress=progress,
    )  # fmt: skip
    noisy = posterior if given.noise is None else replace(posterior, likelihood=GaussianNoise(scale=given.noise))
    likelihoods = likelihoods_of(noisy, later, drawn, mode=first, way=asked.way, progress=progress)
    alone = Draws({name: tensor[None] for name, tensor in first.items()}, (), known.origins())
    held = HeldOut(
        ids=later.ids,
        clusters=later.clusters,
        bma_losses=average_losses(likelihoods),
        gibbs_losses=gibbs_losses(likelihoods),
        map_losses=-likelihoods_of(noisy, later, alone)[0],
        least=0.0 if posterior.likelihood is categorical else -math.inf,
    )
    return Criteria(
        evidence=float(evidence_of(whole, own.precision, noise=own.noise)),
        conditional=float(conditional_by_difference(whole, part, given.precision, noise=given.noise)),
        drawn=conditional_of(likelihoods),
        bma_loss=float(held.bma_losses.mean()),
        gibbs_loss=float(held.gibbs_losses.mean()),
        map_loss=float(held.map_losses.mean()),
        rows=len(rows),
        held=len(later),
        offset=whole.offset,
        known_offset=part.offset,
        structure=structure,
        held_out=held,
        mode=mode,
    )


def richest_structure(posterior: Posterior, rows: Rows, part: Part = "all", *, kind: Kind = "ggn") -> Structure:
    """full where there are no more than 4,000 parameters, else kron, else diag; each only where it can be had and fits.

    >>> import torch
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_mlp
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(10, 64), torch.zeros(10, dtype=torch.int64))
    >>> [
    ...     richest_structure(Posterior(build_mlp(64, width, 10, seed=0), categorical, Gaussian(1.0)), rows)
    ...     for width in (20, 100)
    ... ]
    ['full', 'kron']
    """
    free = available_memory()
    order: tuple[Structure, ...] = ("full", "kron")
    for structure in order:
        need = laplace_memory(posterior, rows, structure, part, kind=kind)
        fits = need.refused is None and need.bytes <= free
        if fits and (structure != "full" or need.parameters <= MOST_FULL):
            return structure
    return "diag"


class _Hyper(NamedTuple):
    precision: float | None
    noise: float | None


def _tuned(expansion: Expansion) -> _Hyper:
    """The precision, and the noise where it is known, that the evidence of an expansion likes best."""
    what: tuple[What, ...] = ("precision",) if expansion.noise is None else ("precision", "noise")
    found = tune(expansion, what, optimiser="lbfgs")
    return _Hyper(float(found.precisions[0]), found.noise)

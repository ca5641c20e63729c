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
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from jaxtyping import Float64, Int
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.anatomy import anatomy_of
from surefoot.evidence.conditional import DrawnConditional, conditional_by_difference, conditional_of
from surefoot.evidence.criteria_found import Criteria, HeldOut, count_clusters
from surefoot.evidence.laplace.checks import check_posterior, check_rows
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.evidence.laplace.tune import What, tune
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.row_likelihoods import Way, average_losses, gibbs_losses, likelihoods_of
from surefoot.evidence.structures import evidence_by_structure, richest_structure
from surefoot.inference.approximate.curvature import Part
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.draws import Draws
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Names, Rows

__all__ = ["ALL_ROWS", "KNOWN_ROWS", "CriteriaSettings", "ModeLosses", "StructureOrAuto", "criteria_of", "mode_losses"]

KNOWN_ROWS, ALL_ROWS = "known.safetensors", "all.safetensors"
"""Checkpoints of the training on the rows that are conditioned on, and of that on all of them."""
SAVE_SECONDS = 20.0
"""Between two checkpoints of one training; its end is always kept."""

StructureOrAuto: TypeAlias = Structure | Literal["auto"]
"""A structure of the curvature, or the richest that can be had (`richest_structure`)."""


@dataclass(frozen=True)
class CriteriaSettings:
    """share: of the rows (of their families), how many are conditioned on; the others are held out.

    structure, part, kind: of the expansions, as in `expand`. Evidences of different ones do not compare: where "auto"
    may find different ones for candidates, give the one that all can have. draws: of the Laplace approximation given
    the first rows. way: what they are put through, the network linearised at the mode (the curvature is that one's), or
    the network itself, as published, which predicts far worse where it has hidden layers. tune: set one prior
    precision, and the known noise of a regression, by the evidence: all rows' own for the evidence, and those of the
    first rows for whatever is conditional on these. The modes stay where they are. others: structures by which the
    evidence of the mode of all rows is computed beside, where they can be had and fit; each costs an expansion.

    Raises `InputError` for numbers out of range.
    """

    share: float = 0.8
    structure: StructureOrAuto = "auto"
    part: Part = "all"
    kind: Kind = "ggn"
    draws: int = 100
    way: Way = "linearised"
    tune: bool = False
    others: tuple[Structure, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"share is {self.share}; give a part of the rows, between 0 and 1.")
        if self.draws < 2:
            raise InputError(f"draws is {self.draws}; give at least 2, so that their error can be told.")


def criteria_of(
    posterior: Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    climb: Ascend,
    settings: CriteriaSettings | None = None,
    progress: Progress = silent,
    folder: Path | None = None,
) -> Criteria:
    """Train from `start` on the first rows and on all, expand both, and evaluate all criteria; no other rows are read.

    seed: of the split, both ascents and the draws. Candidates that are asked for with one seed and the same rows have
    the same rows held out, whatever their networks. folder: where both trainings keep their checkpoints (`KNOWN_ROWS`,
    `ALL_ROWS`), so that a call that was killed goes on from there and ends with the same numbers.

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

    def expanded(of: Rows, kept_as: str) -> tuple[Parameters, Expansion]:
        file = None if folder is None else folder / kept_as
        reached = ascend(
            posterior, of, start, seed, climb, checkpoint=file, save_seconds=SAVE_SECONDS, progress=progress
        )
        mode = reached.point()
        kept = expand(posterior, of, mode, structure=structure, part=asked.part, kind=asked.kind, progress=progress)
        return mode, kept

    # The rows conditioned on come first, and their draws are let go of before the second expansion is made.
    first, part = expanded(known, KNOWN_ROWS)
    given = _tuned(part) if asked.tune else _Hyper(None, None)
    held, drawn = _held_out(posterior, known, later, first, part, given, asked, seed, progress)
    mode, whole = expanded(rows, ALL_ROWS)
    own = _tuned(whole) if asked.tune else _Hyper(None, None)
    evidence = float(evidence_of(whole, own.precision, noise=own.noise))
    conditional = float(conditional_by_difference(whole, part, given.precision, noise=given.noise))
    anatomies = (
        anatomy_of(whole, own.precision, noise=own.noise),
        anatomy_of(part, given.precision, noise=given.noise),
    )
    offsets = whole.offset, part.offset
    del whole, part  # another structure is expanded without them in memory
    others = evidence_by_structure(
        posterior, rows, mode, part=asked.part, kind=asked.kind, structures=asked.others, precisions=own.precision,
        noise=own.noise, progress=progress,
    )  # fmt: skip
    return Criteria(
        evidence=evidence,
        conditional=conditional,
        drawn=drawn,
        bma_loss=float(held.bma_losses.mean()),
        gibbs_loss=float(held.gibbs_losses.mean()),
        map_loss=float(held.map_losses.mean()),
        rows=len(rows),
        held=len(later),
        clusters=count_clusters(rows),
        known_clusters=count_clusters(known),
        offset=offsets[0],
        known_offset=offsets[1],
        structure=structure,
        part=asked.part,
        kind=asked.kind,
        anatomy=anatomies[0],
        known_anatomy=anatomies[1],
        held_out=held,
        mode=mode,
        by_structure=others,
    )


class ModeLosses(NamedTuple):
    """The held-out rows and what the mode of the others says of each, in nats."""

    ids: Names
    clusters: Int[Tensor, "rows ways"]
    losses: Float64[Tensor, "rows"]


def mode_losses(
    posterior: Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    climb: Ascend,
    settings: CriteriaSettings,
    progress: Progress = silent,
    folder: Path | None = None,
) -> ModeLosses:
    """The `map_losses` of `criteria_of` alone: without a curvature or draws, and so wherever there is a mode.

    Raises `InputError` for whatever `ascend` refuses, and where rows cannot be parted.
    """
    known, later = part_rows(rows, settings.share, seed)
    file = None if folder is None else folder / KNOWN_ROWS
    first = ascend(posterior, known, start, seed, climb, checkpoint=file, save_seconds=SAVE_SECONDS, progress=progress)
    return ModeLosses(later.ids, later.clusters, -likelihoods_of(posterior, later, first)[0])


def _held_out(
    posterior: Posterior,
    known: Rows,
    later: Rows,
    first: Parameters,
    part: Expansion,
    given: "_Hyper",
    asked: CriteriaSettings,
    seed: int,
    progress: Progress,
) -> "_Given":
    """What the later rows cost, given the others."""
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
    return _Given(held, conditional_of(likelihoods))


class _Given(NamedTuple):
    held: HeldOut
    drawn: DrawnConditional


class _Hyper(NamedTuple):
    precision: float | None
    noise: float | None


def _tuned(expansion: Expansion) -> _Hyper:
    """The precision, and the noise where it is known, that the evidence of an expansion likes best."""
    what: tuple[What, ...] = ("precision",) if expansion.noise is None else ("precision", "noise")
    found = tune(expansion, what, optimiser="lbfgs")
    return _Hyper(float(found.precisions[0]), found.noise)

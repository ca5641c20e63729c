"""What `criteria_of` found of one candidate: four numbers, what was held out, and what says how far to trust them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64, Int
from torch import Tensor

from surefoot.evidence.anatomy import Anatomy
from surefoot.evidence.conditional import DrawnConditional, drawn_findings
from surefoot.evidence.laplace.expansion import Kind, Structure
from surefoot.findings.clustering import cluster_design, fewest_clusters, influence, spread
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import mean_interval
from surefoot.inference.approximate.curvature import Part
from surefoot.networks.network import Parameters
from surefoot.rows.rows import Names, Rows

__all__ = ["Criteria", "HeldOut", "count_clusters"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out rows and what each cost, in nats: of the averaged prediction, of one draw at random, of the mode.

    least: what a loss cannot be below: 0 for classes, −∞ for densities. Candidates whose `ids` agree were held out the
    same rows, and can be compared row by row (`findings.resampled.resampled_means`).
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

    rows, held: how many there were, and how many of them were held out. clusters, known_clusters: the independent
    clusters of all rows, and of those conditioned on. offset, known_offset: how far the points trained on all rows and
    on the first ones are from modes (`Expansion.offset`): far above 0.1, evidences are of other points. mode: the point
    trained on all rows. structure, part, kind: those of both expansions. anatomy, known_anatomy: the parts of both
    evidences. by_structure: the evidence of the same mode by the structures that were asked for beside.
    """

    evidence: float
    conditional: float
    drawn: DrawnConditional
    bma_loss: float
    gibbs_loss: float
    map_loss: float
    rows: int
    held: int
    clusters: int
    known_clusters: int
    offset: float
    known_offset: float
    structure: Structure
    part: Part
    kind: Kind
    anatomy: Anatomy
    known_anatomy: Anatomy
    held_out: HeldOut
    mode: Parameters
    by_structure: Mapping[Structure, float] = field(default_factory=dict[Structure, float])

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
            clusters=self.clusters,
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
        aside = replace(plain, name="offset_from_mode", unit="posterior standard deviations", direction="none")
        known = replace(aside, count=self.rows - self.held, clusters=self.known_clusters)
        return (
            plain,
            replace(held, name="conditional_evidence", value=self.conditional),
            *drawn_findings(self.drawn, subject=subject, source=source, clusters=clusters, confidence=confidence),
            *losses,
            replace(aside, value=self.offset),
            replace(known, name="known_offset_from_mode", value=self.known_offset),
        )


def count_clusters(rows: Rows) -> int:
    """How many independent clusters rows are, by the way in which they are fewest.

    >>> import torch
    >>> from surefoot.rows.rows import make_rows
    >>> clusters = torch.tensor([[0], [0], [1]])
    >>> count_clusters(make_rows(torch.zeros(3, 1), torch.tensor([0, 1, 1]), clusters=clusters))
    2
    """
    return fewest_clusters(cluster_design(rows.clusters.numpy()), np.ones(len(rows), dtype=np.bool_))

"""One candidate trained once: its evidence, and what has to be known before it is compared with another's.

A trial is plain numbers and names, so that it can be kept where expansions of many networks could not. What is not
known is None, and is not checked.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from surefoot.density.objective import Posterior
from surefoot.evidence.anatomy import Anatomy, anatomy_of
from surefoot.evidence.conditional import DrawnConditional
from surefoot.evidence.criteria_found import Criteria
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.files import digest_json, digest_tensor
from surefoot.inference.approximate.curvature import Part, parts_of
from surefoot.networks.network import Parameters, digest_parameters
from surefoot.rows.digest import identity_digest
from surefoot.rows.rows import Rows

__all__ = [
    "Origin",
    "Trial",
    "origin_of",
    "trial_from_json",
    "trial_of",
    "trial_to_json",
]


@dataclass(frozen=True)
class Origin:
    """What an evidence is of: digests of which rows with which targets, and of the tensors that were held fixed.

    frozen: "" where nothing was. apart: what is frozen was learnt without these rows (on other data, or not at all).
    """

    rows: str
    frozen: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Trial:
    """evidence, conditional: nats. offset, known_offset: of the points they are expanded around (`Expansion.offset`).

    structure, kind, part: of the curvature. parameters: how many it has. anatomy, known_anatomy: the parts of the
    evidence, and of that of the rows conditioned on. drawn: conditional evidence by draws. by_structure: evidence of
    the same mode by other structures of the curvature. clusters: independent ones, of all rows; as many as rows where
    absent. held: a digest of which rows were held out. network: what is the same for candidates that differ in their
    prior alone.
    """

    evidence: float
    offset: float
    rows: int
    structure: Structure
    kind: Kind | None = None
    part: Part | None = None
    parameters: int | None = None
    conditional: float | None = None
    known_offset: float | None = None
    origin: Origin | None = None
    anatomy: Anatomy | None = None
    drawn: DrawnConditional | None = None
    by_structure: Mapping[Structure, float] = field(default_factory=dict[Structure, float])
    clusters: int | None = None
    known_anatomy: Anatomy | None = None
    held: str | None = None
    network: str | None = None


def trial_of(
    found: Expansion | Criteria | Trial,
    origin: Origin | None = None,
    *,
    by_structure: Mapping[Structure, float] | None = None,
) -> Trial:
    """What an expansion (at its own precisions) or criteria tell of a candidate; a trial is returned as it is.

    Criteria do not know which rows they are of but by the names of those that were held out, unless `origin` says more.
    origin: by `origin_of`. by_structure: else that of criteria.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 1, seed=0), GaussianNoise(0.5), Gaussian(2.0))
    >>> rows, point = make_rows(torch.ones(3, 1), torch.zeros(3)), parameters_of(posterior.network)
    >>> trial = trial_of(expand(posterior, rows, point), origin_of(posterior, rows, point))
    >>> trial.parameters, trial.rows, trial.origin.frozen, trial.evidence == trial.anatomy.evidence
    (2, 3, '', True)
    """
    others = {} if by_structure is None else by_structure
    if isinstance(found, Trial):
        return found
    if isinstance(found, Expansion):
        anatomy = anatomy_of(found)
        return Trial(
            evidence=anatomy.evidence,
            offset=found.offset,
            rows=found.rows,
            structure=found.structure,
            kind=found.kind,
            part=found.part,
            parameters=found.parameters,
            origin=origin,
            anatomy=anatomy,
            by_structure=others,
        )
    held = digest_json(sorted(str(name) for name in found.held_out.ids))
    return Trial(
        evidence=found.evidence,
        offset=found.offset,
        rows=found.rows,
        structure=found.structure,
        kind=found.kind,
        part=found.part,
        parameters=found.anatomy.parameters,
        conditional=found.conditional,
        known_offset=found.known_offset,
        origin=Origin(held) if origin is None else origin,
        anatomy=found.anatomy,
        drawn=found.drawn,
        by_structure=found.by_structure if by_structure is None else by_structure,
        clusters=found.clusters,
        known_anatomy=found.known_anatomy,
        held=held,
    )


def origin_of(posterior: Posterior, rows: Rows, mode: Parameters, part: Part = "all", *, apart: bool = False) -> Origin:
    """The digests of an evidence of `part` of the parameters, in whatever order rows stand.

    Inputs do not enter: other features of the same rows are another model of the same observations, and compare. Other
    targets, or targets in other units, are other observations.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> rows, point = make_rows(torch.zeros(2, 1), torch.tensor([0, 1])), parameters_of(posterior.network)
    >>> turned = rows.take(torch.tensor([1, 0]))
    >>> origin_of(posterior, rows, point) == origin_of(posterior, turned, point)
    True
    """
    order = torch.from_numpy(np.argsort(rows.ids.astype(np.str_), kind="stable"))
    of_rows = digest_json([identity_digest(rows.ids, rows.sources), digest_tensor(rows.targets[order].contiguous())])
    names = set(parts_of(posterior, part))
    fixed = [name for name, _ in posterior.network.module.named_parameters() if name not in names]
    if not fixed:
        return Origin(of_rows)
    kept = [*fixed, *(name for name, _ in posterior.network.module.named_buffers())]
    return Origin(of_rows, digest_parameters({name: mode[name] for name in kept}), apart)


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """A trial as plain JSON."""
    return asdict(trial)


def trial_from_json(record: Mapping[str, Any]) -> Trial:
    """The inverse of `trial_to_json`.

    >>> trial = Trial(-10.0, 0.01, 50, "kron", origin=Origin("rows"), by_structure={"diag": -12.0})
    >>> trial_from_json(trial_to_json(trial)) == trial
    True
    """
    parts = {"origin": Origin, "anatomy": Anatomy, "known_anatomy": Anatomy, "drawn": DrawnConditional}
    fields = dict(record)
    for name, of in parts.items():
        if fields[name] is not None:
            fields[name] = of(**fields[name])
    return Trial(**fields)

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
from surefoot.evidence.criteria import Criteria
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.evidence.laplace.memory import laplace_memory
from surefoot.files import digest_json, digest_tensor
from surefoot.inference.approximate.curvature import Part, parts_of
from surefoot.memory import available_memory
from surefoot.networks.network import Parameters, digest_parameters
from surefoot.rows.digest import identity_digest
from surefoot.rows.rows import Rows

__all__ = [
    "Origin",
    "Trial",
    "evidence_by_structure",
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

    structure, kind, part: of the curvature. parameters: how many it has. anatomy: the parts of the evidence. drawn:
    conditional evidence by draws. by_structure: evidence of the same mode by other structures of the curvature.
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


def trial_of(
    found: Expansion | Criteria | Trial,
    origin: Origin | None = None,
    *,
    by_structure: Mapping[Structure, float] | None = None,
) -> Trial:
    """What an expansion (at its own precisions) or criteria tell of a candidate; a trial is returned as it is.

    Criteria keep no expansion, so kind, part and anatomy are not known; their rows are those that were held out, by
    name, unless `origin` says more. origin: by `origin_of`.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.regression import GaussianNoise
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
    held = Origin(digest_json(sorted(str(name) for name in found.held_out.ids)))
    return Trial(
        evidence=found.evidence,
        offset=found.offset,
        rows=found.rows,
        structure=found.structure,
        conditional=found.conditional,
        known_offset=found.known_offset,
        origin=held if origin is None else origin,
        drawn=found.drawn,
        by_structure=others,
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


def evidence_by_structure(
    posterior: Posterior, rows: Rows, mode: Parameters, *, part: Part = "all", kind: Kind = "ggn"
) -> dict[Structure, float]:
    """The evidence of one mode by every structure that fits in memory, the richest first.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> rows = make_rows(torch.tensor([[-1.0], [2.0]]), torch.tensor([0, 1]))
    >>> list(evidence_by_structure(posterior, rows, parameters_of(posterior.network)))
    ['full', 'kron', 'diag']
    """
    found: dict[Structure, float] = {}
    structures: tuple[Structure, ...] = ("full", "kron", "diag")
    for structure in structures:
        need = laplace_memory(posterior, rows, structure, part, kind=kind)
        if need.refused is None and need.bytes <= available_memory():
            found[structure] = float(
                evidence_of(expand(posterior, rows, mode, structure=structure, part=part, kind=kind))
            )
    return found


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """A trial as plain JSON."""
    return asdict(trial)


def trial_from_json(record: Mapping[str, Any]) -> Trial:
    """The inverse of `trial_to_json`.

    >>> trial = Trial(-10.0, 0.01, 50, "kron", origin=Origin("rows"), by_structure={"diag": -12.0})
    >>> trial_from_json(trial_to_json(trial)) == trial
    True
    """
    parts = {"origin": Origin, "anatomy": Anatomy, "drawn": DrawnConditional}
    fields = dict(record)
    for name, of in parts.items():
        if fields[name] is not None:
            fields[name] = of(**fields[name])
    return Trial(**fields)

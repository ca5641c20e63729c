"""Which structures of the curvature can be had here, and what the evidence of one mode is by each."""

from collections.abc import Sequence

from surefoot.density.objective import Posterior
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Kind, Structure
from surefoot.evidence.laplace.memory import laplace_memory
from surefoot.inference.approximate.curvature import Part
from surefoot.memory import available_memory
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["MOST_FULL", "STRUCTURES", "evidence_by_structure", "richest_structure"]

STRUCTURES: tuple[Structure, ...] = ("full", "kron", "diag")
"""The richest first."""
MOST_FULL = 4000
"""Parameters above which "auto" takes no full matrix: it would take minutes, and gigabytes, for each candidate."""


def richest_structure(posterior: Posterior, rows: Rows, part: Part = "all", *, kind: Kind = "ggn") -> Structure:
    """full where there are no more than 4,000 parameters, else kron, else diag; each only where it can be had and fits.

    >>> import torch
    >>> from surefoot.density.likelihoods import categorical
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


def evidence_by_structure(
    posterior: Posterior,
    rows: Rows,
    mode: Parameters,
    *,
    part: Part = "all",
    kind: Kind = "ggn",
    structures: Sequence[Structure] = STRUCTURES,
    precisions: float | None = None,
    noise: float | None = None,
    progress: Progress = silent,
) -> dict[Structure, float]:
    """The evidence of one mode by every one of `structures` that can be had and fits in memory.

    precisions, noise: as in `evidence_of`.

    >>> import torch
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
    for structure in structures:
        need = laplace_memory(posterior, rows, structure, part, kind=kind)
        if need.refused is None and need.bytes <= available_memory():
            # Held by no name, so that it is gone when the next one is made.
            found[structure] = float(
                evidence_of(
                    expand(posterior, rows, mode, structure=structure, part=part, kind=kind, progress=progress),
                    precisions,
                    noise=noise,
                )
            )
    return found

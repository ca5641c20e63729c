"""Whether every candidate's curvature can be had and fits in memory: asked before anything runs."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.laplace.checks import check_posterior
from surefoot.evidence.laplace.expansion import Structure
from surefoot.evidence.laplace.memory import Need, laplace_memory
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import Network, forward, head_of, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.rows.rows import Rows, make_rows
from surefoot.study.cells import Cell
from surefoot.study.cost import Extent
from surefoot.study.work.candidate import sized

__all__ = ["curvature_bytes", "curvatures_of"]

TRIED = 4
CHEAPER: Mapping[Structure, Structure | None] = {"full": "kron", "kron": "diag", "diag": None}


def curvatures_of(cells: Iterable[Cell], extent: Extent) -> dict[str, int]:
    """Bytes by address, beyond what `cost_of` counts: of each candidate's expansion, and of draws of an own network.

    Candidates of one network need the same. A user's own network is built here and sees one row of zeros, so its code
    must be trusted by now.

    Raises `InputError` for a curvature that does not fit, with the next cheaper structure that does; for a network that
    has none of this structure, or no evidence at all; and for an own network that cannot take the rows.
    """
    known: dict[str, int] = {}
    found: dict[str, int] = {}
    free = available_memory()
    for cell in cells:
        if cell.kind != "candidate":
            continue
        key = repr(cell.spec["network"])
        if key not in known:
            known[key] = _checked(cell, extent, free)
        found[cell.address] = known[key]
    return found


def curvature_bytes(spec: Mapping[str, Any], extent: Extent, structure: Structure) -> int:
    """Bytes of one expansion of the candidate that this cell's spec names."""
    return _need(_Asked(_network_of(spec, extent), _rows_of(spec, extent)), structure).bytes


class _Asked(NamedTuple):
    network: Network
    rows: Rows


def _checked(cell: Cell, extent: Extent, free: int) -> int:
    name, structure = cell.title.partition(",")[0], cell.spec["criteria"]["structure"]
    own = cell.spec["network"].get("file")
    asked = _Asked(_network_of(cell.spec, extent), _rows_of(cell.spec, extent))
    try:
        check_posterior(_posterior(asked.network), "all")
        if own is not None:
            _check_outputs(asked, extent)
            _check_function(asked, extent)
        need = _need(asked, structure)
    except InputError as error:
        raise InputError(f"Of the {name}: {error}") from None
    except Exception as error:
        if own is None:
            raise
        raise InputError(
            f"The {name} could not take a row of shape {list(extent.shape)} ({type(error).__name__}: {error}); mend "
            f"{own}, or leave it out of the candidates."
        ) from error
    if need.refused is not None:
        raise InputError(
            f"The {name} has no {structure} curvature ({need.refused}: Kronecker blocks are of linear layers and plain "
            "Conv2d that run once); use the structure diag, for all candidates."
        )
    if need.bytes > free:
        raise InputError(_too_large(name, asked, structure, need.bytes, free))
    return need.bytes + (4 * cell.spec["criteria"]["draws"] * need.parameters if own is not None else 0)


def _check_outputs(asked: _Asked, extent: Extent) -> None:
    leaving = len(head_of(asked.network, parameters_of(asked.network)).weight)
    if leaving != extent.classes:
        raise InputError(f"it has {leaving} outputs and the rows have {extent.classes} classes; give it one a class.")


def _check_function(asked: _Asked, extent: Extent) -> None:
    """Raise where a row's numbers are not the row's alone, or others each time: rows' likelihoods multiply."""
    inputs = torch.randn(TRIED, *extent.shape, generator=torch.Generator().manual_seed(0))
    parameters = parameters_of(asked.network)
    with torch.no_grad():
        once, again = (forward(asked.network, parameters, inputs) for _ in range(2))
        alone = torch.cat([forward(asked.network, parameters, row[None]) for row in inputs])
    if not torch.equal(once, again):
        raise InputError("it gives other numbers for the same rows each time; take what is random out of it.")
    if not torch.allclose(once, alone, rtol=1e-3, atol=1e-4 * float(once.abs().max())):
        raise InputError(
            "its numbers for a row hang on which rows come with it, so that rows have no likelihoods of their own; let "
            "each row be computed by itself."
        )


def _network_of(spec: Mapping[str, Any], extent: Extent) -> Network:
    return network_from_spec(sized(spec["network"], extent.shape, extent.classes), 0, trust_code=True)


def _rows_of(spec: Mapping[str, Any], extent: Extent) -> Rows:
    """As many rows as are learned from, all of them zeros in the memory of one."""
    count = sum(extent.rows.get(role, 0) for role in spec["learn"])
    return make_rows(
        torch.zeros(1, *extent.shape).expand(count, *extent.shape),
        torch.zeros(count, dtype=torch.int64),
        classes=[str(number) for number in range(extent.classes)],
    )


def _posterior(network: Network) -> Posterior:
    return Posterior(network, categorical, Gaussian(1.0))


def _need(asked: _Asked, structure: Structure) -> Need:
    return laplace_memory(_posterior(asked.network), asked.rows, structure)


def _too_large(name: str, asked: _Asked, structure: Structure, needed: int, free: int) -> str:
    told = (
        f"The {structure} curvature of the {name} needs about {human_bytes(needed)} of memory and {human_bytes(free)} "
        "are available; "
    )
    cheaper = CHEAPER[structure]
    while cheaper is not None:
        need = _need(asked, cheaper)
        if need.refused is None and need.bytes <= free:
            return f"{told}use the structure {cheaper}, which needs {human_bytes(need.bytes)}, or smaller networks."
        cheaper = CHEAPER[cheaper]
    return f"{told}use smaller networks."

"""Draws of N(θ*, A⁻¹) from an expansion of any structure, A = H/σ² + Λ.

    full    θ* + L⁻ᵀ z,            A = L Lᵀ
    diag    θ* + z / √(h/σ² + λ)
    kron    W* + U (Z / √(s aᵀ/σ² + λ)) Vᵀ,   G = U diag(s) Uᵀ,  A_in = V diag(a) Vᵀ,   of each tensor alone

with z, Z ~ N(0, 1). An expansion keeps eigenvalues and no eigenvectors, so Kronecker factors are summed over the rows
again. Under one structure, evidence and draws so belong to the same normal distribution.

Source: Ritter, Botev and Barber (2018), A scalable Laplace approximation for neural networks, for Kronecker blocks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior
from surefoot.errors import InputError
from surefoot.evidence.laplace.checks import check_rows
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.laplace.kron import Factors, add_kron, check_kron, empty_factors
from surefoot.evidence.laplace.layers import Survey, survey, watched
from surefoot.evidence.laplace.roots import at_outputs, unit_noise
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.climb import private_copy
from surefoot.inference.langevin.findings import told
from surefoot.inference.langevin.streams import Purpose, stream
from surefoot.memory import require_memory
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["draw_expansion"]

BATCH_BYTES = 32 * 2**20  # what the rows of a batch may hold

Draw: TypeAlias = Callable[[torch.Generator], dict[str, Tensor]]
"""One deviation from the mode: of each tensor, flat and in float64."""


def draw_expansion(
    posterior: Posterior,
    rows: Rows,
    mode: Parameters,
    expansion: Expansion,
    draws: int,
    seed: int,
    *,
    precisions: Float64[Tensor, "tensors"] | float | None = None,
    noise: float | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Independent draws around `mode`, the point that `expansion` is of: one chain of them.

    rows: those of the expansion. precisions: λ, one number or one per tensor; noise: σ, of a regression; the
    posterior's own when absent. Every draw holds all of the network's tensors, as `mode` does, and in its precision.
    folder: where draws are written; otherwise they are held.

    Raises `InputError` for other rows than those of the expansion, precisions or noise that are not positive or do not
    fit, and where there is not enough memory.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.density.regression import GaussianNoise
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.network import Network
    >>> from surefoot.rows.rows import make_rows
    >>> network = Network(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)), "0")
    >>> rows = make_rows(torch.ones(3, 1), torch.full((3,), 2.0))
    >>> posterior, mode = Posterior(network, GaussianNoise(1.0), Gaussian(1.0)), {"0.weight": torch.tensor([[1.5]])}
    >>> drawn = draw_expansion(posterior, rows, mode, expand(posterior, rows, mode), 2000, seed=0)
    >>> weights = drawn.as_draws().parameters["0.weight"]
    >>> abs(weights.var().item() - 1 / 4) < 0.05  # A = 3 + 1
    True
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; give at least 1.")
    check_rows(posterior, rows)
    if expansion.rows != len(rows):
        raise InputError(
            f"The expansion is of {expansion.rows} rows and {len(rows)} were given; give the rows that it was made of."
        )
    if folder is None:
        held = sum(tensor.numel() * tensor.element_size() for tensor in mode.values())
        require_memory(draws * held, f"Holding {draws} draws (a folder would keep them on disk)")
    added, fall = _precisions(expansion, precisions), _fall(expansion, noise)
    draw: Draw
    if expansion.structure == "full":
        draw = _full(expansion, added, fall)
    elif expansion.structure == "diag":
        draw = _diag(expansion, added, fall)
    else:
        factors = _factors(posterior, rows, mode, expansion, progress)
        draw = _kron(expansion, factors, added, fall)

    writer = ChainWriter(folder, "laplace expansion", chains=1)
    generator = stream(seed, Purpose.DRAW)
    for number in range(draws):
        moved = {
            name: (mode[name].double() + away.reshape(mode[name].shape)).to(mode[name].dtype)
            for name, away in draw(generator).items()
        }
        writer.append({name: tensor.detach()[None] for name, tensor in {**mode, **moved}.items()}, {})
        progress("drawing", number + 1, draws)
    size = expansion.parameters
    diagnostics = (
        told("laplace", "offset_from_mode", expansion.offset, "posterior standard deviations", len(rows), 1),
        told("laplace", "parameters", float(size), "parameters", size, 1),
    )
    return writer.finish(diagnostics=diagnostics, seen=rows.origins())


class _Axes(NamedTuple):
    """Eigenvalues and eigenvectors of one factor."""

    values: Float64[Tensor, "size"]
    vectors: Float64[Tensor, "size size"]


def _full(expansion: Expansion, added: tuple[float, ...], fall: float) -> Draw:
    precision = expansion.curvatures[0] * fall
    precision.diagonal().add_(torch.tensor(added, dtype=torch.float64).repeat_interleave(torch.tensor(expansion.sizes)))
    factor, failed = torch.linalg.cholesky_ex(precision)
    if int(failed):
        raise InputError(
            "H + Λ is not positive definite to the last digits; raise the precisions, and check that inputs are "
            "finite and of reasonable size."
        )

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        noise = _noise(expansion.parameters, generator)
        away = torch.linalg.solve_triangular(factor.T, noise[:, None], upper=True)[:, 0]
        return dict(zip(expansion.names, away.split(expansion.sizes), strict=True))

    return draw


def _diag(expansion: Expansion, added: tuple[float, ...], fall: float) -> Draw:
    scales = {
        name: (block * fall + one).rsqrt()
        for name, block, one in zip(expansion.names, expansion.curvatures, added, strict=True)
    }
    return lambda generator: {name: _noise(len(scale), generator) * scale for name, scale in scales.items()}


def _kron(expansion: Expansion, factors: tuple[Factors, ...], added: tuple[float, ...], fall: float) -> Draw:
    precision = dict(zip(expansion.names, added, strict=True))
    blocks: dict[str, tuple[_Axes, _Axes | None, Tensor]] = {}
    for layer, inner, outer in factors:
        left = _axes(outer)
        if layer.weight is not None and inner is not None:
            right = _axes(inner / (expansion.rows * layer.positions))
            stiff = torch.outer(left.values, right.values) * fall + precision[layer.weight]
            blocks[layer.weight] = (left, right, stiff.rsqrt())
        if layer.bias is not None:
            blocks[layer.bias] = (left, None, (left.values * fall + precision[layer.bias]).rsqrt())

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        moved: dict[str, Tensor] = {}
        for name in expansion.names:
            left, right, scale = blocks[name]
            away = left.vectors @ (_noise(scale.numel(), generator).view_as(scale) * scale)
            moved[name] = away if right is None else away @ right.vectors.T
        return moved

    return draw


def _factors(
    posterior: Posterior, rows: Rows, mode: Parameters, expansion: Expansion, progress: Progress
) -> tuple[Factors, ...]:
    """The Kronecker factors of the expansion's tensors, summed over the rows once more."""
    live = private_copy(posterior.network.module, mode, "cpu").eval().requires_grad_(requires_grad=False).double()
    found = survey(live, expansion.names, _double(rows.inputs[:1]))
    check_kron(found)
    unit, factors, step = unit_noise(posterior), empty_factors(found.layers), _step(found)
    with watched(found.layers) as passed:
        for first in range(0, len(rows), step):
            last = min(first + step, len(rows))
            with torch.enable_grad():
                outputs = live(_double(rows.inputs[first:last]))
            passed.check()
            at = at_outputs(unit, outputs.detach(), rows.targets[first:last], expansion.kind)
            add_kron(factors, outputs, passed, at.roots)
            progress("factors", last, len(rows))
    return factors


def _axes(matrix: Float64[Tensor, "size size"]) -> _Axes:
    values, vectors = torch.linalg.eigh(matrix, UPLO="U")  # sums of squares are made above the diagonal alone
    return _Axes(values.clamp_(min=0), vectors)


def _step(found: Survey) -> int:
    """Rows in a batch."""
    patches = sum(layer.positions * (layer.width + 2 * layer.outputs) for layer in found.layers)
    return max(1, BATCH_BYTES // (8 * (4 * found.held + patches)))


def _double(inputs: Tensor) -> Tensor:
    return inputs.double() if inputs.is_floating_point() else inputs


def _noise(count: int, generator: torch.Generator) -> Float64[Tensor, "count"]:
    return torch.randn(count, dtype=torch.float64, generator=generator)


def _precisions(expansion: Expansion, given: Tensor | float | None) -> tuple[float, ...]:
    own = expansion.precisions if given is None else torch.as_tensor(given, dtype=torch.float64)
    count = len(expansion.sizes)
    if own.ndim > 1 or (own.ndim == 1 and len(own) != count):
        raise InputError(
            f"Precisions of shape {list(own.shape)} were given; give one number, or [{count}] for the tensors "
            f"{list(expansion.names)}."
        )
    if not bool(((own > 0) & own.isfinite()).all()):
        raise InputError(f"The precisions are {own.flatten()[:5].tolist()}; give positive numbers.")
    return tuple(own.expand(count).tolist())


def _fall(expansion: Expansion, noise: float | None) -> float:
    """What the curvature of unit noise is multiplied by."""
    if expansion.noise is None:
        if noise is not None:
            raise InputError("A noise was given and the likelihood has no known Gaussian noise; leave it out.")
        return 1.0
    deviation = expansion.noise if noise is None else noise
    if not deviation > 0:
        raise InputError(f"The noise is {deviation}; give a positive number.")
    return deviation**-2 if expansion.kind == "ggn" else deviation**-4

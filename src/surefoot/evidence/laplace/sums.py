"""Everything that an expansion sums over rows, batch by batch, of the whole network or of its last layer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from surefoot.density.objective import Posterior
from surefoot.evidence.laplace.diagonal import Sums as DiagonalSums
from surefoot.evidence.laplace.diagonal import add_diagonal, add_diagonal_head, add_jacobian_squares, empty_sums
from surefoot.evidence.laplace.expansion import Kind
from surefoot.evidence.laplace.full import add_jacobians, add_pairs, empty_pairs, matrix_of
from surefoot.evidence.laplace.kron import Factors, add_kron, add_kron_head, blocks_of, empty_factors
from surefoot.evidence.laplace.layers import Layer, Passed, cast, entering, slopes, watched
from surefoot.evidence.laplace.memory import Asked, step_of
from surefoot.evidence.laplace.roots import AtOutputs, at_outputs
from surefoot.evidence.laplace.spectrum import Nodes
from surefoot.evidence.laplace.squares import Fast, add_fast, add_square, empty_square, seen, start_fast, trusted
from surefoot.inference.approximate.curvature import add_head_blocks, head_columns, head_order, jacobian_of
from surefoot.networks.network import Parameters
from surefoot.progress import Progress
from surefoot.rows.rows import Rows

__all__ = ["Sums", "Work", "sums_of_all", "sums_of_head"]

FAST_FROM = 256  # features: below, there is nothing to save


@dataclass(frozen=True)
class Work:
    """What is expanded. posterior: with noise of scale one. live: the network, holding the mode in its precision.

    own: all of the mode's tensors in float64; chosen: those of the part.
    """

    posterior: Posterior
    live: nn.Module
    own: Parameters
    chosen: Parameters
    wanted: Asked
    kind: Kind
    precision: torch.dtype


class Sums(NamedTuple):
    """Σ ℓ, Σ (∂ℓ/∂z)², the gradient and the curvature's diagonal by parameter, and the curvatures to keep."""

    value: float
    misses: float
    gradient: Float64[Tensor, "parameters"]
    diagonal: Float64[Tensor, "parameters"]
    curvatures: tuple[Tensor, ...]
    nodes: tuple[Nodes | None, ...] = ()


def sums_of_all(work: Work, rows: Rows, progress: Progress) -> Sums:
    """Of every trainable tensor, by passes backward from the outputs."""
    wanted, layers = work.wanted, work.wanted.found.layers
    size = wanted.parameters
    gradient = {name: torch.zeros_like(tensor) for name, tensor in work.chosen.items()}
    others = {name: tensor for name, tensor in work.chosen.items() if name in wanted.found.others}
    if wanted.structure == "full" and not wanted.found.plain:
        layers, others = (), work.chosen
    diagonal = torch.zeros(sum(tensor.numel() for tensor in others.values()), dtype=torch.float64)
    factors = list(empty_factors(layers)) if wanted.structure == "kron" else []
    squares = empty_sums(layers) if wanted.structure == "diag" else ()
    pairs = empty_pairs(layers) if wanted.structure == "full" else ()
    matrix = torch.zeros(size, size, dtype=torch.float64) if wanted.structure == "full" and others else None
    value = misses = 0.0
    with watched(layers) as passed:
        for inputs, targets in _batches(work, rows, progress):
            with torch.enable_grad():
                outputs = work.live(cast(inputs, work.precision))
            passed.check()
            at = at_outputs(work.posterior, outputs.detach().double(), targets, work.kind)
            value, misses = value + at.value, misses + float(at.gradient.square().sum())
            entered = tuple(entering(layer, passed.entered[layer.name]) for layer in layers)
            if layers:
                _add_gradient(gradient, layers, outputs, passed, at, entered)
            if factors:
                add_kron(factors, outputs, passed, at.roots, entered)
            elif squares:
                add_diagonal(squares, outputs, passed, at.roots)
            elif pairs:
                add_pairs(pairs, layers, outputs, passed, at.roots)
            if others:
                jacobian = jacobian_of(work.posterior.network, work.own, others, cast(inputs, torch.float64))
                _add_flat(gradient, others, torch.einsum("nk,nkp->p", at.gradient, jacobian))
                if matrix is None:
                    add_jacobian_squares(diagonal, jacobian, at.roots)
                else:
                    add_jacobians(matrix, jacobian, at.roots)
    whole = _flat(gradient)
    if wanted.structure == "full":
        matrix = matrix_of(pairs, _places(work.chosen)) if matrix is None else matrix
        return Sums(value, misses, whole, matrix.diagonal().clone(), (matrix,))
    if wanted.structure == "kron":
        return _kron_sums(work, factors, len(rows), value, misses, whole)
    found = dict(zip(others, diagonal.split([tensor.numel() for tensor in others.values()]), strict=True))
    for layer, weight, bias in squares:
        found |= {layer.weight: weight} if layer.weight is not None and weight is not None else {}
        found |= {layer.bias: bias} if layer.bias is not None and bias is not None else {}
    parts = tuple(found[name].flatten() for name in work.chosen)
    return Sums(value, misses, whole, torch.cat(parts), parts)


def sums_of_head(work: Work, rows: Rows, progress: Progress) -> Sums:
    """Of the last layer: features go forward, nothing comes back.

    Where that would be faster, Σ a aᵀ is first tried in float32, and summed again if its eigenvalues cannot be trusted.
    """
    (layer,) = work.wanted.found.layers
    head = _empty_head(work, layer)
    for inputs, targets in _batches(work, rows, progress):
        _add_head(head, work, inputs, targets)
    whole = _flat(head.gradient)
    if head.factors is not None:
        factors, known = head.factors, None
        if head.fast is not None:
            found, head.fast = seen(head.fast), None
            known = trusted(found)
            square = found.square if known is not None else _squares_again(work, layer, rows, progress)
            factors = factors._replace(entering=square)
        return _kron_sums(work, [factors], len(rows), head.value, head.misses, whole, known)
    if head.squares is None:
        order = head_order(work.chosen)
        matrix = head.matrix[order]
        matrix = matrix[:, order]
        return Sums(head.value, head.misses, whole, matrix.diagonal().clone(), (matrix,))
    own = {layer.weight: head.squares.weight, layer.bias: head.squares.bias}
    parts = tuple(part.flatten() for name in work.chosen if (part := own[name]) is not None)
    return Sums(head.value, head.misses, whole, torch.cat(parts), parts)


@dataclass
class _Head:
    """What is summed of a last layer: its gradient, and factors, squares, or all of the matrix."""

    layer: Layer
    gradient: Parameters
    factors: Factors | None
    squares: DiagonalSums | None
    matrix: Float64[Tensor, "size size"]
    quick: bool
    fast: Fast | None = None
    value: float = 0.0
    misses: float = 0.0


def _empty_head(work: Work, layer: Layer) -> _Head:
    wanted = work.wanted
    quick = wanted.structure == "kron" and _is_fast_worth(work, layer)
    factors = squares = None
    if wanted.structure == "kron":
        (factors,) = empty_factors([replace(layer, weight=None) if quick else layer])
        factors = factors._replace(layer=layer)
    elif wanted.structure == "diag":
        (squares,) = empty_sums([layer])
    size = wanted.parameters if wanted.structure == "full" else 0
    matrix = torch.zeros(size, size, dtype=torch.float64)
    gradient = {name: torch.zeros_like(tensor) for name, tensor in work.chosen.items()}
    return _Head(layer, gradient, factors, squares, matrix, quick)


def _add_head(head: _Head, work: Work, inputs: Tensor, targets: Tensor) -> None:
    """Add what some rows contribute."""
    outputs, single = _passed(work, head.layer, inputs)
    features = single.double()
    at = at_outputs(work.posterior, outputs.double(), targets, work.kind)
    head.value, head.misses = head.value + at.value, head.misses + float(at.gradient.square().sum())
    _add_products(head.gradient, head.layer, at.gradient, features)
    if head.squares is not None:
        add_diagonal_head(head.squares, features, at.roots)
    elif head.factors is None:
        add_head_blocks(head.matrix, at.roots.matrices(), head_columns(features, work.chosen))
    else:
        add_kron_head(head.factors, features, at.roots)
        if head.quick:
            head.fast = start_fast(single) if head.fast is None else head.fast
            add_fast(head.fast, single, features)


def _passed(work: Work, layer: Layer, inputs: Tensor) -> tuple[Tensor, Float[Tensor, "rows features"]]:
    """Outputs and features."""
    with torch.no_grad(), watched([layer]) as passed:
        return work.live(cast(inputs, work.precision)).detach(), passed.entered[layer.name]


def _squares_again(work: Work, layer: Layer, rows: Rows, progress: Progress) -> Float64[Tensor, "in in"]:
    """Σ a aᵀ in float64."""
    square = empty_square(layer.width)
    for inputs, _ in _batches(work, rows, progress):
        add_square(square, _passed(work, layer, inputs)[1].double())
    return square


def _is_fast_worth(work: Work, layer: Layer) -> bool:
    """Whether float32 may do (rows enough for a square of full rank), and saves more than passing rows again costs."""
    wanted, below = work.wanted, work.wanted.everything - work.wanted.parameters
    enough = layer.width >= FAST_FROM and wanted.rows >= 2 * layer.width
    passing = 2 * (below + wanted.found.held)  # where positions share weights, what they hold outnumbers those
    return work.precision == torch.float32 and layer.weight is not None and enough and passing < layer.width**2 / 4


def _batches(work: Work, rows: Rows, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    step = step_of(work.wanted)
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        yield rows.inputs[first:last], rows.targets[first:last]
        progress("expanding", last, len(rows))


def _kron_sums(
    work: Work,
    factors: list[Factors],
    rows: int,
    value: float,
    misses: float,
    whole: Tensor,
    known: Tensor | None = None,
) -> Sums:
    blocks = blocks_of(factors, rows, known)
    chosen = [blocks[name] for name in work.chosen]
    diagonal = torch.cat([block.diagonal for block in chosen])
    eigenvalues, nodes = (block.eigenvalues for block in chosen), (block.nodes for block in chosen)
    return Sums(value, misses, whole, diagonal, tuple(eigenvalues), tuple(nodes))


def _add_gradient(
    gradient: Parameters,
    layers: tuple[Layer, ...],
    outputs: Tensor,
    passed: Passed,
    at: AtOutputs,
    entered: tuple[Float64[Tensor, "_ _ _"], ...],
) -> None:
    """Σ ∂ℓ/∂θ of the layers' tensors."""
    for layer, slope, inputs in zip(layers, slopes(outputs, at.gradient, passed, layers), entered, strict=True):
        _add_products(gradient, layer, slope.flatten(0, 1), inputs.flatten(0, 1))


def _add_products(
    gradient: Parameters, layer: Layer, slope: Float64[Tensor, "rows out"], entered: Float64[Tensor, "rows in"]
) -> None:
    if layer.weight is not None:
        gradient[layer.weight].view(layer.outputs, -1).addmm_(slope.T, entered)
    if layer.bias is not None:
        gradient[layer.bias].add_(slope.sum(dim=0))


def _add_flat(gradient: Parameters, names: Parameters, flat: Tensor) -> None:
    for name, part in zip(names, flat.split([tensor.numel() for tensor in names.values()]), strict=True):
        gradient[name].add_(part.view_as(gradient[name]))


def _flat(tensors: Parameters) -> Float64[Tensor, "parameters"]:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def _places(tensors: Parameters) -> Parameters:
    """Where each tensor's numbers stand among all, one after another."""
    first, found = 0, dict[str, Tensor]()
    for name, tensor in tensors.items():
        found[name] = torch.arange(first, first + tensor.numel())
        first += tensor.numel()
    return found

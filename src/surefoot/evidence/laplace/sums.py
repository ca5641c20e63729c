"""Everything that an expansion sums over rows, batch by batch, of the whole network or of its last layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from surefoot.density.objective import Posterior
from surefoot.evidence.laplace.diagonal import add_diagonal, add_diagonal_head, add_jacobian_squares, empty_sums
from surefoot.evidence.laplace.expansion import Kind
from surefoot.evidence.laplace.full import add_jacobians, add_pairs, empty_pairs, matrix_of
from surefoot.evidence.laplace.kron import Factors, add_kron, add_kron_head, block_of, empty_factors
from surefoot.evidence.laplace.layers import Layer, Passed, cast, entering, slopes, watched
from surefoot.evidence.laplace.memory import Asked, step_of
from surefoot.evidence.laplace.roots import AtOutputs, at_outputs
from surefoot.inference.approximate.curvature import add_head_blocks, head_columns, head_order, jacobian_of
from surefoot.networks.network import Parameters
from surefoot.progress import Progress
from surefoot.rows.rows import Rows

__all__ = ["Sums", "Work", "sums_of_all", "sums_of_head"]


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


def sums_of_all(work: Work, rows: Rows, progress: Progress) -> Sums:
    """Of every trainable tensor, by passes backward from the outputs."""
    wanted, layers = work.wanted, work.wanted.found.layers
    size = wanted.parameters
    gradient = {name: torch.zeros_like(tensor) for name, tensor in work.chosen.items()}
    others = {name: tensor for name, tensor in work.chosen.items() if name in wanted.found.others}
    if wanted.structure == "full" and not wanted.found.plain:
        layers, others = (), work.chosen
    diagonal = torch.zeros(sum(tensor.numel() for tensor in others.values()), dtype=torch.float64)
    factors = empty_factors(layers) if wanted.structure == "kron" else ()
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
            if layers:
                _add_gradient(gradient, layers, outputs, passed, at)
            if factors:
                add_kron(factors, outputs, passed, at.roots)
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
    """Of the last layer: features go forward, nothing comes back."""
    wanted = work.wanted
    (layer,) = wanted.found.layers
    gradient = {name: torch.zeros_like(tensor) for name, tensor in work.chosen.items()}
    (factors,) = empty_factors([layer])
    (squares,) = empty_sums([layer])
    size = wanted.parameters if wanted.structure == "full" else 0
    matrix = torch.zeros(size, size, dtype=torch.float64)
    value = misses = 0.0
    for inputs, targets in _batches(work, rows, progress):
        with torch.no_grad(), watched([layer]) as passed:
            outputs = work.live(cast(inputs, work.precision)).detach().double()
        features = passed.entered[layer.name].double()
        at = at_outputs(work.posterior, outputs, targets, work.kind)
        value, misses = value + at.value, misses + float(at.gradient.square().sum())
        _add_products(gradient, layer, at.gradient, features)
        if wanted.structure == "kron":
            add_kron_head(factors, features, at.roots)
        elif wanted.structure == "diag":
            add_diagonal_head(squares, features, at.roots)
        else:
            add_head_blocks(matrix, at.roots.matrices(), head_columns(features, work.chosen))
    whole = _flat(gradient)
    if wanted.structure == "kron":
        return _kron_sums(work, (factors,), len(rows), value, misses, whole)
    if wanted.structure == "full":
        order = head_order(work.chosen)
        matrix = matrix[order]
        matrix = matrix[:, order]
        return Sums(value, misses, whole, matrix.diagonal().clone(), (matrix,))
    own = {layer.weight: squares.weight, layer.bias: squares.bias}
    parts = tuple(part.flatten() for name in work.chosen if (part := own[name]) is not None)
    return Sums(value, misses, whole, torch.cat(parts), parts)


def _batches(work: Work, rows: Rows, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    step = step_of(work.wanted)
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        yield rows.inputs[first:last], rows.targets[first:last]
        progress("expanding", last, len(rows))


def _kron_sums(work: Work, factors: Sequence[Factors], rows: int, value: float, misses: float, whole: Tensor) -> Sums:
    spectra = block_of(factors, rows, diagonal=False)
    diagonals = block_of(factors, rows, diagonal=True)
    parts = tuple(spectra[name] for name in work.chosen)
    return Sums(value, misses, whole, torch.cat([diagonals[name] for name in work.chosen]), parts)


def _add_gradient(
    gradient: Parameters, layers: tuple[Layer, ...], outputs: Tensor, passed: Passed, at: AtOutputs
) -> None:
    """Σ ∂ℓ/∂θ of the layers' tensors."""
    for layer, slope in zip(layers, slopes(outputs, at.gradient, passed, layers), strict=True):
        _add_products(gradient, layer, slope.flatten(0, 1), entering(layer, passed.entered[layer.name]).flatten(0, 1))


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

"""The target of an MLP: products written out by hand instead of autograd (see `mlp_kernel`).

Several chains run as one stacked product where each is small, and one after another where each fills the cache.

Coordinates cost one pass over the parameters each way, under a hundredth of a gradient on 1,797 rows; a basis of the
first layer would cost a product, and is folded into the inputs instead.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.density.objective import Posterior, trainable
from surefoot.density.whitening import Whitening
from surefoot.inference.targets.coordinates import Coordinates, make_coordinates
from surefoot.inference.targets.evidence import Evidence, functional_densities, tensors_in
from surefoot.inference.targets.fixed import check_fixed
from surefoot.inference.targets.layout import interleaved
from surefoot.inference.targets.mlp_kernel import (
    Matrices,
    Workspace,
    backward,
    forward_block,
    make_workspace,
    matrices_in,
    with_back,
    workspace_numbers,
)
from surefoot.inference.targets.mlp_shape import Mlp
from surefoot.inference.targets.mlp_slopes import (
    Labels,
    Slope,
    categorical_slope,
    functional_slope,
    general_slope,
    labels_of,
)
from surefoot.inference.targets.prior_part import add_prior_gradient, prior_density
from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters

__all__ = ["MlpTarget", "chunk_rows", "make_mlp_target", "stacked_chains", "workspace_bytes"]

STACKED_BYTES = 4 * 2**20
"""Buffers of the chains that run as one stacked product; see `stacked_chains` for what this was measured on."""
CHUNK_BYTES = 256 * 2**20
"""Buffers of one chain at most; more rows than fit go through in chunks."""


class _Block(NamedTuple):
    """Some rows: their inputs `[1 or chains, rows, columns]` and slope; how to sum their density, given outputs."""

    inputs: Float[Tensor, "_ rows columns"]
    slope: Slope
    targets: Tensor | None
    weights: Tensor | None


@dataclass(frozen=True)
class MlpTarget:
    """A posterior of an MLP; see `MinibatchTarget`. One thread at a time may use it: its buffers are its own.

    coordinates: between positions and parameters. working: the same, but where the first layer's basis and scales are
    folded into the inputs, x' = diag(s) Bᵀ x, once: that layer's weights are then the position itself. fold: B diag(s).
    """

    layers: Mlp
    evidence: Evidence
    coordinates: Coordinates
    working: Coordinates
    fold: Float[Tensor, "features features"] | None
    spaces: dict[tuple[int, int], Workspace] = field(default_factory=dict, init=False, repr=False, compare=False)
    flats: dict[int, tuple[Tensor, Matrices]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Numbers in one position."""
        return self.coordinates.layout.size

    @property
    def rows(self) -> int:
        """N, all rows of the posterior, each counted once whatever its views."""
        return len(self.evidence.rows)

    @property
    def quarter(self) -> float:
        """A quarter period of the prior oscillator: (π/2)·√T."""
        return math.pi / 2 * math.sqrt(self._posterior.posterior_temperature)

    @property
    def dtype(self) -> torch.dtype:
        """Of positions and gradients; densities are summed in float64."""
        return self.coordinates.dtype

    def gradient(self, position: Float[Tensor, "chains size"], out: Float[Tensor, "chains size"]) -> None:
        """∇ log density, tempered, written to `out`."""
        for group in self._groups(len(position), len(self.evidence.full.rows)):
            self._gradient(position[group], self._full, out[group])

    def minibatch_gradient(
        self,
        position: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains batch"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ], tempered, for each chain its own rows."""
        for group in self._groups(len(position), index.shape[1]):
            self._gradient(position[group], [self._batch(index[group], generator), *self._own], out[group])

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """The log density itself: rows summed in float64, from outputs in the target's precision."""
        likelihood = torch.zeros(len(position), dtype=torch.float64)
        for group in self._groups(len(position), len(self.evidence.full.rows)):
            matrices = self._matrices(position[group])
            for block in self._full:
                outputs = self._outputs(matrices, block)
                for chain in range(len(outputs)):
                    likelihood[group][chain] += self._density(outputs[chain].mT.to(torch.float64), block)
        temperature = self._posterior.posterior_temperature
        return Terms(likelihood, prior_density(self._posterior.prior, self.coordinates, position, temperature))

    def parameters(self, position: Float[Tensor, "chains size"]) -> Parameters:
        """Named parameters `[chains, …]` of these positions; copies."""
        views = self.coordinates.layout.views(self.coordinates.to_parameters(position))
        return {name: view.clone(memory_format=torch.contiguous_format) for name, view in views.items()}

    def position(self, parameters: Parameters) -> Float[Tensor, "chains size"]:
        """The inverse of `parameters`: named tensors `[chains, …]` as positions; see `Target.position`."""
        check_fixed(self.evidence.fixed, parameters)
        return self.coordinates.to_position(self.coordinates.layout.gather(parameters, self.dtype))

    @property
    def _posterior(self) -> Posterior:
        return self.evidence.posterior

    def _groups(self, chains: int, rows: int) -> Iterator[slice]:
        together = stacked_chains(self.layers, rows, chains, self.dtype.itemsize)
        for start in range(0, chains, together):
            yield slice(start, min(start + together, chains))

    def _gradient(self, position: Tensor, blocks: list[_Block], out: Tensor) -> None:
        matrices, gradients = self._matrices(position), matrices_in(self.layers, out)
        for number, block in enumerate(blocks):
            outputs = self._outputs(matrices, block)
            space = self._space(*outputs.shape[::2])
            block.slope(outputs, space.changes[-1])
            inputs = block.inputs.expand(len(position), -1, -1)
            backward(self.layers, matrices, inputs, space, gradients, add=number > 0)
        self.working.pull_back(out)
        posterior = self._posterior
        add_prior_gradient(posterior.prior, self.coordinates, position, posterior.posterior_temperature, out)

    def _outputs(self, matrices: Matrices, block: _Block) -> Float[Tensor, "chains out rows"]:
        chains = len(matrices.whole[0])
        space = self._space(chains, block.inputs.shape[1])
        return forward_block(self.layers, matrices, block.inputs.expand(chains, -1, -1), space)

    def _density(self, outputs: Float[Tensor, "rows out"], block: _Block) -> Float[Tensor, ""]:
        if block.targets is None or block.weights is None:
            return functional_densities(self._posterior, outputs).sum()
        return (block.weights * self.evidence.full.posterior.row_log_density(outputs, block.targets)).sum()

    def _matrices(self, position: Tensor) -> Matrices:
        """Each layer's matrix at these positions, in a buffer that the next call writes anew."""
        chains = len(position)
        if chains not in self.flats:
            flat = torch.empty(chains, self.size, dtype=self.dtype)
            self.flats[chains] = flat, with_back(self.layers, matrices_in(self.layers, flat))
        flat, matrices = self.flats[chains]
        self.working.to_parameters(position, out=flat)
        return matrices

    def _space(self, chains: int, rows: int) -> Workspace:
        if (chains, rows) not in self.spaces:
            self.spaces[chains, rows] = make_workspace(self.layers, chains, rows, self.dtype)
        return self.spaces[chains, rows]

    @cached_property
    def _folded(self) -> Float[Tensor, "rows columns"]:
        return self._enter(self.evidence.data.inputs)

    @cached_property
    def _labels(self) -> Labels | None:
        return self._labels_of(self.evidence.data.targets)

    @cached_property
    def _full(self) -> list[_Block]:
        """All rows, and all their views, in chunks of bounded size; then the functional prior's own inputs."""
        full = self.evidence.full
        posterior, data = full.posterior, full.data
        inputs = self._folded if full is self.evidence else self._enter(data.inputs)
        labels = self._labels if full is self.evidence else self._labels_of(data.targets)
        size = chunk_rows(self.layers, self.dtype.itemsize)
        blocks: list[_Block] = []
        for start in range(0, len(inputs), size):
            part = slice(start, start + size)
            targets, weights = data.targets[part], data.weights[part]
            if labels is None:
                slope = general_slope(posterior, targets[None], weights[None])
            else:
                mass = None if labels.mass is None else labels.mass[part].view(1, 1, -1)
                shares = labels.shares[part].T.contiguous()[None]
                slope = categorical_slope(posterior, shares, mass, weights.view(1, 1, -1))
            blocks.append(_Block(inputs[part][None], slope, targets, weights))
        return [*blocks, *self._own]

    @cached_property
    def _own(self) -> list[_Block]:
        if self.evidence.own is None:
            return []
        size = chunk_rows(self.layers, self.dtype.itemsize)
        slope = functional_slope(self._posterior)
        return [_Block(part[None], slope, None, None) for part in self._enter(self.evidence.own).split(size)]

    def _batch(self, index: Int[Tensor, "chains batch"], generator: torch.Generator | None) -> _Block:
        chains, batch = index.shape
        flat = index.reshape(-1)
        if self._posterior.augmentation is None:
            inputs = self._folded.index_select(0, flat).view(chains, batch, -1)
        else:
            inputs = torch.stack([self._enter(self.evidence.batch(own, generator).inputs) for own in index])
        weights = self.evidence.data.weights[index] * (self.rows / batch)
        labels = self._labels
        if labels is None:
            slope = general_slope(self._posterior, self.evidence.data.targets[index], weights)
        else:
            shares = labels.shares.index_select(0, flat).view(chains, batch, -1).mT
            mass = None if labels.mass is None else labels.mass[index][:, None]
            slope = categorical_slope(self._posterior, shares, mass, weights[:, None])
        return _Block(inputs, slope, None, None)

    def _labels_of(self, targets: Tensor) -> Labels | None:
        return labels_of(self._posterior, targets, self.layers[-1].leaving, self.dtype)

    def _enter(self, inputs: Tensor) -> Float[Tensor, "rows columns"]:
        """Inputs as the first layer takes them: flat, folded, with the ones that its biases multiply."""
        flat = inputs.flatten(1)
        if self.fold is not None:
            flat = (flat.to(torch.float64) @ self.fold).to(self.dtype)
        return torch.cat([flat, torch.ones(len(flat), self.layers[0].bias, dtype=flat.dtype)], dim=1)


def make_mlp_target(layers: Mlp, evidence: Evidence) -> MlpTarget:
    """The target of the evidence's posterior, whose network `layers` are, in the evidence's precision."""
    posterior, dtype = evidence.posterior, evidence.dtype
    sampled = trainable(posterior.network, tensors_in(posterior, torch.float64))
    ordered = {
        name: sampled[name]
        for layer in layers
        for name in (f"{layer.name}.weight", *([f"{layer.name}.bias"] if layer.bias else []))
    }
    coordinates = make_coordinates(posterior.prior, ordered, interleaved(ordered), dtype)
    first = f"{layers[0].name}.weight"
    scale, basis, centre, _ = coordinates.whitenings[first]
    if basis is None or centre is not None or len(basis) != layers[0].entering:
        return MlpTarget(layers, evidence, coordinates, coordinates, None)
    working = replace(coordinates, whitenings={**coordinates.whitenings, first: Whitening(1.0)})
    return MlpTarget(layers, evidence, coordinates, working, basis.to(torch.float64) * scale)


def workspace_bytes(layers: Mlp, rows: int, chains: int, itemsize: int) -> int:
    """What the buffers of as many chains take as run together on as many rows as go together."""
    together = stacked_chains(layers, rows, chains, itemsize)
    return together * workspace_numbers(layers) * min(rows, chunk_rows(layers, itemsize)) * itemsize


def chunk_rows(layers: Mlp, itemsize: int) -> int:
    """Rows in one pass, so that one chain's activations stay within `CHUNK_BYTES`."""
    return max(1, CHUNK_BYTES // (workspace_numbers(layers) * itemsize))


def stacked_chains(layers: Mlp, rows: int, chains: int, itemsize: int) -> int:
    """How many chains run as one stacked product: as many as have their buffers in `STACKED_BYTES`.

    Four chains of 64-H-H-10 in float32, one thread: gradients a second of processor time, stacked over one after
    another, with torch's own products / oneDNN's (`surefoot.networks.product`), and a chain's buffers:

        rows    H = 10               H = 50               H = 100              H = 256
        18      2.3 / 2.0   4 KiB    2.1 / 3.3   16 KiB   1.5 / 2.4   30 KiB   1.2 / 1.4   74 KiB
        450     1.7 / 2.2  109 KiB   1.2 / 1.4  390 KiB   1.0 / 1.2  742 KiB   0.9 / 1.1  1.8 MiB
        1797    1.4 / 1.3  435 KiB   1.0 / 1.1  1.5 MiB   0.9 / 1.0  2.9 MiB   0.9 / 1.0  7.2 MiB

    Stacking wins the overhead of calls, and loses it to the cache from about 4 MiB for all chains together. The last
    bits of a chain's gradient may depend on how many chains run beside it.
    """
    each = workspace_numbers(layers) * min(rows, chunk_rows(layers, itemsize)) * itemsize
    return max(1, min(chains, STACKED_BYTES // max(1, each)))

"""The target of any network: its own forward pass and torch's autograd, one chain after another.

Rows go through the network in chunks of bounded size, so that memory does not grow with their number; the chunks depend
on the network and the inputs' shape alone, never on the machine.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from surefoot.density.objective import Posterior, trainable
from surefoot.inference.targets.coordinates import Coordinates, make_coordinates
from surefoot.inference.targets.evidence import Evidence, Part, functional_densities, tensors_in
from surefoot.inference.targets.fixed import check_fixed
from surefoot.inference.targets.layout import plain
from surefoot.inference.targets.prior_part import add_prior_gradient, prior_density
from surefoot.inference.targets.target import Terms
from surefoot.networks.layout import layout_of
from surefoot.networks.network import Parameters, forward

__all__ = ["AutogradTarget", "make_autograd_target", "saved_bytes"]

CHUNK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class AutogradTarget:
    """A posterior of any network; see `MinibatchTarget`.

    chunk: rows in one pass of the network.
    memory: how images and filters lie while they pass it; see `surefoot.networks.layout`.
    """

    evidence: Evidence
    coordinates: Coordinates
    chunk: int
    memory: torch.memory_format

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
        flat, full = self.coordinates.to_parameters(position), self.evidence.full
        for chain in range(len(flat)):
            self._write_evidence(full.posterior, flat[chain : chain + 1], full.data, out[chain : chain + 1])
        self._finish(position, out)

    def minibatch_gradient(
        self,
        position: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains batch"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ], tempered, for each chain its own rows."""
        flat = self.coordinates.to_parameters(position)
        for chain in range(len(flat)):
            batch = self.evidence.batch(index[chain], generator)
            self._write_evidence(self._posterior, flat[chain : chain + 1], batch, out[chain : chain + 1])
        self._finish(position, out)

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """The log density itself: rows summed in float64, from outputs in the target's precision."""
        flat, full = self.coordinates.to_parameters(position), self.evidence.full
        likelihood = torch.zeros(len(flat), dtype=torch.float64)
        with torch.no_grad():
            for chain in range(len(flat)):
                views = self.coordinates.layout.views(flat)
                named = {name: self._laid_out(view[chain]) for name, view in views.items()}
                for value in self._values(full.posterior, named, full.data, precise=True):
                    likelihood[chain] += value
        temperature = self._posterior.posterior_temperature
        return Terms(likelihood, prior_density(self._posterior.prior, self.coordinates, position, temperature))

    def parameters(self, position: Float[Tensor, "chains size"]) -> Parameters:
        """Named parameters `[chains, …]` of these positions (buffers left out); copies."""
        views = self.coordinates.layout.views(self.coordinates.to_parameters(position))
        return {name: view.clone(memory_format=torch.contiguous_format) for name, view in views.items()}

    def position(self, parameters: Parameters) -> Float[Tensor, "chains size"]:
        """The inverse of `parameters`: named tensors `[chains, …]` as positions; see `Target.position`."""
        check_fixed(self.evidence.fixed, parameters)
        return self.coordinates.to_position(self.coordinates.layout.gather(parameters, self.dtype))

    @property
    def _posterior(self) -> Posterior:
        return self.evidence.posterior

    def _values(
        self, posterior: Posterior, sampled: Parameters, part: Part, *, precise: bool = False
    ) -> Iterator[Float64[Tensor, ""]]:
        """What the rows, chunk by chunk, and the functional prior's own inputs add to the log density.

        precise: take the outputs to float64 before the likelihood sees them, not only its rows before they are summed.
        """
        network, parameters = posterior.network, {**self.evidence.fixed, **sampled}
        for start in range(0, len(part.inputs), self.chunk):
            inputs, targets, weights = (tensor[start : start + self.chunk] for tensor in part)
            outputs = forward(network, parameters, self._laid_out(inputs))
            outputs = outputs.to(torch.float64) if precise else outputs
            yield (weights * posterior.row_log_density(outputs, targets)).to(torch.float64).sum()
        for inputs in () if self.evidence.own is None else self.evidence.own.split(self.chunk):
            outputs = forward(network, parameters, self._laid_out(inputs))
            yield functional_densities(posterior, outputs.to(torch.float64) if precise else outputs).sum().double()

    def _write_evidence(self, posterior: Posterior, flat: Tensor, part: Part, out: Float[Tensor, "1 size"]) -> None:
        """The gradient of the rows' densities by θ."""
        views = self.coordinates.layout.views(flat)
        leaves = {name: self._laid_out(view[0]).detach().requires_grad_() for name, view in views.items()}
        slopes = self.coordinates.layout.views(out.zero_())
        with torch.enable_grad():
            for value in self._values(posterior, leaves, part):
                gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
                for name, gradient in zip(leaves, gradients, strict=True):
                    slopes[name][0].add_(gradient)

    def _laid_out(self, tensor: Tensor) -> Tensor:
        # `clone`: `contiguous` leaves the strides of a single channel ambiguous.
        return tensor.clone(memory_format=self.memory) if tensor.ndim == 4 else tensor

    def _finish(self, position: Tensor, out: Tensor) -> None:
        self.coordinates.pull_back(out)
        posterior = self._posterior
        add_prior_gradient(posterior.prior, self.coordinates, position, posterior.posterior_temperature, out)


def make_autograd_target(evidence: Evidence) -> AutogradTarget:
    """The target of the evidence's posterior, in the evidence's precision."""
    dtype = evidence.dtype
    tensors = {**tensors_in(evidence.posterior, dtype), **evidence.fixed}
    sampled = trainable(evidence.posterior.network, tensors_in(evidence.posterior, torch.float64))
    coordinates = make_coordinates(evidence.posterior.prior, sampled, plain(sampled), dtype)
    per_row = saved_bytes(evidence.posterior, evidence.data.inputs[:1], tensors)
    memory = layout_of(evidence.posterior.network.module, evidence.rows.inputs[:1])
    return AutogradTarget(evidence, coordinates, max(1, CHUNK_BYTES // max(1, per_row)), memory)


def saved_bytes(posterior: Posterior, row: Tensor, tensors: Parameters) -> int:
    """What one more row adds to the memory that autograd holds between forward and backward, in bytes."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in trainable(posterior.network, tensors).items()}

    def held(inputs: Tensor) -> int:
        saved: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = forward(posterior.network, {**tensors, **leaves}, inputs)
        return sum(saved.values()) + outputs.numel() * outputs.element_size()

    # Copies: a view of many rows would count all of them.
    return held(torch.cat([row, row])) - held(row.clone())

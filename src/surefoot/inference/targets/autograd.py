"""The target of any network: its own forward pass and torch's autograd, one chain after another.

Rows go through the network in chunks of bounded size, so that memory does not grow with their number; the chunks depend
on the network and the inputs' shape alone, never on the machine.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import one_hot

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, trainable
from surefoot.inference.targets.coordinates import Coordinates, make_coordinates
from surefoot.inference.targets.evidence import Evidence, Part, functional_densities, functional_gradient, tensors_in
from surefoot.inference.targets.fixed import check_fixed
from surefoot.inference.targets.layout import plain
from surefoot.inference.targets.mlp_slopes import categorical_slope
from surefoot.inference.targets.prior_part import add_prior_gradient, prior_density
from surefoot.inference.targets.target import Terms
from surefoot.networks.layout import layout_of
from surefoot.networks.network import Parameters, Prepared, forward, forward_prepared, prepare

__all__ = ["AutogradTarget", "make_autograd_target", "saved_bytes"]

CHUNK_BYTES = 256 * 2**20
FEW_CLASSES = 64
"""At most so many numbers a row are kept of labels as probabilities."""


@dataclass(frozen=True)
class AutogradTarget:
    """A posterior of any network; see `MinibatchTarget`.

    chunk: rows in one pass of the network.
    memory: how images and filters lie while they pass it; see `surefoot.networks.layout`. entering: the evidence, with
    class probabilities in place of labels where `shares` says so.
    """

    evidence: Evidence
    coordinates: Coordinates
    chunk: int
    memory: torch.memory_format
    network: Prepared
    entering: Evidence
    shares: bool

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
        flat, full = self.coordinates.to_parameters(position), self._entering_full
        for chain in range(len(flat)):
            self._write_evidence(full.posterior, flat[chain], full.data, out[chain])
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
            batch = self.entering.batch(index[chain], generator)
            self._write_evidence(self._posterior, flat[chain], batch, out[chain])
        self._finish(position, out)

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """The log density itself: rows summed in float64, from outputs in the target's precision."""
        flat, full = self.coordinates.to_parameters(position), self.evidence.full
        likelihood = torch.zeros(len(flat), dtype=torch.float64)
        with torch.no_grad():
            for chain in range(len(flat)):
                named = {name: self._laid_out(tensor) for name, tensor in self._tensors(flat[chain]).items()}
                for inputs, rows in self._passes(full.data):
                    outputs = forward_prepared(self.network, {**self.evidence.fixed, **named}, inputs)
                    likelihood[chain] += _density(full.posterior, outputs.to(torch.float64), rows)
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

    @property
    def _entering_full(self) -> Evidence:
        return self.entering if self._posterior.augmentation is None else self.evidence.full

    def _passes(self, part: Part) -> Iterator[tuple[Tensor, Part | None]]:
        """What enters the network, chunk by chunk: inputs of the rows, then the functional prior's own."""
        for start in range(0, len(part.inputs), self.chunk):
            rows = Part(*(tensor[start : start + self.chunk] for tensor in part))
            yield self._laid_out(rows.inputs), rows
        for inputs in () if self.evidence.own is None else self.evidence.own.split(self.chunk):
            yield self._laid_out(inputs), None

    def _write_evidence(self, posterior: Posterior, flat: Tensor, part: Part, out: Float[Tensor, "size"]) -> None:
        """The gradient of the rows' densities by θ, from the one by the outputs (a closed form, if there is one)."""
        leaves = {name: self._laid_out(tensor).requires_grad_() for name, tensor in self._tensors(flat).items()}
        parameters = {**self.evidence.fixed, **leaves}
        for number, (inputs, rows) in enumerate(self._passes(part)):
            with torch.enable_grad():
                outputs = forward_prepared(self.network, parameters, inputs)
            slope = self._slope(posterior, outputs.detach(), rows)
            gradients = torch.autograd.grad(outputs, list(leaves.values()), slope, materialize_grads=True)
            pieces = [gradient.reshape(-1) for gradient in gradients]
            if number == 0:
                torch.cat(pieces, out=out)
            else:
                out.add_(torch.cat(pieces))

    def _tensors(self, flat: Float[Tensor, "size"]) -> Parameters:
        """Named views of one chain's parameters, which lie one after another (`plain`)."""
        places = self.coordinates.layout.places
        parts = flat.split_with_sizes([math.prod(place.shape) for place in places.values()])
        return {name: part.view(places[name].shape) for name, part in zip(places, parts, strict=True)}

    def _slope(self, posterior: Posterior, outputs: Tensor, rows: Part | None) -> Tensor:
        """The gradient of the log density by the outputs, in their precision."""
        if rows is None:
            return functional_gradient(posterior, outputs)
        if not self.shares or rows.targets.dtype != outputs.dtype:
            return posterior.row_gradient(outputs, rows.targets) * rows.weights.view(-1, *[1] * (outputs.ndim - 1))
        # A softmax down the columns of a few classes takes a fifth of the time that one along rows does.
        turned = outputs.T[None].clone(memory_format=torch.contiguous_format)
        gradient = torch.empty_like(turned)
        categorical_slope(posterior, rows.targets.T[None], None, rows.weights[None, None])(turned, gradient)
        return gradient[0].T

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
    chunk, classes = max(1, CHUNK_BYTES // max(1, per_row)), _few_classes(evidence, tensors)
    targets = one_hot(evidence.data.targets, classes).to(dtype) if classes else evidence.data.targets
    entering = replace(evidence, data=evidence.data._replace(targets=targets))
    network = prepare(evidence.posterior.network)
    return AutogradTarget(evidence, coordinates, chunk, memory, network, entering, classes > 0)


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


def _density(posterior: Posterior, outputs: Float64[Tensor, "_ *more"], rows: Part | None) -> Float64[Tensor, ""]:
    """What outputs add to the log density; without rows, as the functional prior sees them."""
    if rows is None:
        return functional_densities(posterior, outputs).sum()
    return (rows.weights * posterior.row_log_density(outputs, rows.targets)).sum()


def _few_classes(evidence: Evidence, tensors: Parameters) -> int:
    """The number of classes, where labels are to become probabilities; else zero."""
    if evidence.posterior.likelihood is not categorical or evidence.data.targets.is_floating_point():
        return 0
    with torch.no_grad():
        classes = forward(evidence.posterior.network, tensors, evidence.data.inputs[:1]).shape[1]
    return classes if classes <= FEW_CLASSES else 0

"""The curvature of a log posterior at a point: generalised Gauss–Newton for the likelihood, exact for the prior.

    A = Σ_i w_i J_iᵀ Λ_i J_i + Λ_prior        J_i = ∂z_i/∂θ,  Λ_i = −∂² ℓ(y_i | z_i)/∂z²,  Λ_prior = −∂² log p(θ)/∂θ²

tempered as the `Posterior` says. It is minus the Hessian but for the curvature of the network itself,
Σ w ∂ℓ/∂z · ∂²z/∂θ², which is zero for a linear model; without it, A is positive definite for any other. Everything is
in float64: a log determinant or a Cholesky factor of a few thousand parameters of very different scales has no digits
left in float32.

Of the last layer alone, J is the features φ (and a one) for each output, and blocks of A are Σ w Λ_kl φ φᵀ: no Jacobian
is made, and the work falls by twice the number of outputs.

Source: Schraudolph (2002), Fast curvature matrix-vector products; Immer et al. (2021), Improving predictions of
Bayesian neural nets via local linearization. Not the empirical Fisher (products of gradients), which some codes
call by the same name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.func import jacrev, vmap

from surefoot.density.objective import Posterior, trainable
from surefoot.density.priors import spoken_for
from surefoot.density.requirements import require_samplable
from surefoot.errors import InputError
from surefoot.inference.approximate.prior_curvature import flatten, prior_curvature
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import Network, Parameters, check_head_is_last, embed, forward
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = [
    "Curvature",
    "OutputTerms",
    "Part",
    "add_head_blocks",
    "curvature",
    "curvature_memory",
    "head_columns",
    "head_order",
    "jacobian_of",
    "output_terms",
    "parts_of",
]

Part: TypeAlias = Literal["all", "head"]
"""Every trainable parameter, or those of the last layer with the others held where they are."""

CHUNK_BYTES = 64 * 2**20  # Jacobians of rows that are held at once
MATRICES = 4  # of size × size: the likelihood's, the prior's, their sum, and a factor or scratch of it


@dataclass(frozen=True)
class Curvature:
    """A and what else an expansion of the log density around `point` needs; tensors in the order of `names`, flattened.

    likelihood, prior: the two parts of A. gradient: of the log density, zero at a mode. log_likelihood, log_prior: the
    log density at the point in nats, tempered, in its two parts.
    """

    names: tuple[str, ...]
    point: Float64[Tensor, "size"]
    likelihood: Float64[Tensor, "size size"]
    prior: Float64[Tensor, "size size"]
    gradient: Float64[Tensor, "size"]
    log_likelihood: float
    log_prior: float

    @property
    def precision(self) -> Float64[Tensor, "size size"]:
        """A."""
        return self.likelihood + self.prior


@dataclass(frozen=True)
class OutputTerms:
    """What some rows' outputs `[rows, K]` contribute: Λ, ∂ℓ/∂z and Σ ℓ, each weighted."""

    curvature: Float64[Tensor, "rows outputs outputs"]
    gradient: Float64[Tensor, "rows outputs"]
    value: float


def curvature(
    posterior: Posterior, rows: Rows, parameters: Parameters, part: Part = "all", *, progress: Progress = silent
) -> Curvature:
    """A at `parameters`, streaming over the rows.

    Raises `InputError` for a posterior that no sampler may have, with views that change (see `fixed_views`) or with a
    functional prior on inputs of its own; for a prior that is not Gaussian, or that leaves a tensor of the part out;
    for a likelihood that is not concave in the outputs; and, before anything is computed, when there is not enough
    memory.
    """
    _check(posterior, rows, part)
    own = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in parameters.items()}
    chosen = {name: own[name] for name in parts_of(posterior, part)}
    size = sum(tensor.numel() for tensor in chosen.values())
    sample = forward(posterior.network, own, _double(rows.inputs[:1]))
    _check_memory(size, sample.numel())
    if part == "head":
        check_head_is_last(posterior.network, own, _double(rows.inputs[:1]))

    prior, slope, log_prior = prior_curvature(posterior, own, chosen)
    add = _add_head if part == "head" else _add
    matrix, gradient, log_likelihood = prior.new_zeros(size, size), torch.zeros_like(slope), 0.0
    # Outputs' second derivatives take K² numbers a row, Jacobians K·P, features P/K.
    held = size // sample.numel() if part == "head" else sample.numel() * size
    step = max(1, CHUNK_BYTES // (8 * (held + sample.numel() ** 2)))
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        inputs, weights = _double(rows.inputs[first:last]), rows.weights[first:last].double()
        with torch.no_grad():
            outputs = forward(posterior.network, own, inputs)
        terms = output_terms(posterior, outputs, rows.targets[first:last], weights)
        add(matrix, gradient, terms, posterior, own, chosen, inputs)
        log_likelihood += terms.value
        progress("curvature", last, len(rows))
    if part == "head":
        order = head_order(chosen)
        matrix, gradient = matrix[order][:, order], gradient[order]
    matrix = (matrix + matrix.T) / 2
    return Curvature(tuple(chosen), flatten(chosen), matrix, prior, gradient + slope, log_likelihood, log_prior)


def curvature_memory(size: int, outputs: int) -> int:
    """Bytes that the curvature of `size` parameters takes, with what is usually done with it (one factorisation)."""
    return 8 * MATRICES * size**2 + 2 * max(CHUNK_BYTES, 8 * outputs * (size + outputs))


def parts_of(posterior: Posterior, part: Part) -> tuple[str, ...]:
    """The names of the tensors that the curvature is of.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_mlp
    >>> posterior = Posterior(build_mlp(3, 4, 2, seed=0), categorical, Gaussian(1.0))
    >>> parts_of(posterior, "head")
    ('head.weight', 'head.bias')
    """
    names = tuple(trainable(posterior.network, dict(posterior.network.module.named_parameters())))
    if part == "head":
        names = tuple(name for name in names if name.rpartition(".")[0] == posterior.network.head)
    if not names:
        raise InputError("The network has no trainable parameter there; set requires_grad on what is uncertain.")
    return names


def output_terms(posterior: Posterior, outputs: Tensor, targets: Tensor, weights: Tensor) -> OutputTerms:
    """Λ and the slope at some outputs, by autograd; raises `InputError` where Λ is not positive."""
    flat = outputs.reshape(len(outputs), -1).detach().requires_grad_()
    terms = posterior.row_log_density(flat.reshape(outputs.shape), targets) * weights
    (gradient,) = torch.autograd.grad(terms.sum(), flat, create_graph=True)
    second = flat.detach().new_zeros(len(flat), flat.shape[1], flat.shape[1])
    if gradient.requires_grad:
        for place in range(flat.shape[1]):
            (row,) = torch.autograd.grad(gradient[:, place].sum(), flat, retain_graph=True, materialize_grads=True)
            second[:, place] = -row
    eigenvalues = torch.linalg.eigvalsh(second)
    if bool((eigenvalues[:, 0] < -1e-9 * (1 + eigenvalues[:, -1].abs())).any()):
        raise InputError(
            f"{getattr(posterior.likelihood, '__name__', type(posterior.likelihood).__name__)} (with its functional "
            "prior, if any) is not concave in the outputs at some rows, so its Gauss–Newton matrix would not be "
            "positive; use a categorical, Gaussian or noisy Dirichlet likelihood, or sample instead."
        )
    return OutputTerms(second, gradient.detach(), float(terms.detach().sum()))


def jacobian_of(
    network: Network, own: Parameters, chosen: Parameters, inputs: Tensor
) -> Float64[Tensor, "rows outputs size"]:
    """∂z/∂θ of every row by the tensors `chosen` among all `own` ones, side by side in their order."""

    def outputs_of(moved: Parameters, row: Tensor) -> Tensor:
        return forward(network, {**own, **moved}, row[None]).reshape(-1)

    by_name = vmap(jacrev(outputs_of), in_dims=(None, 0))(chosen, inputs)
    return torch.cat([by_name[name].flatten(2) for name in chosen], dim=2).detach()


def head_columns(features: Float64[Tensor, "rows features"], chosen: Iterable[str]) -> Float64[Tensor, "rows width"]:
    """What enters each output of the last layer: features for its weight, a one for its bias."""
    columns = [features if name.endswith("weight") else torch.ones_like(features[:, :1]) for name in chosen]
    return torch.cat(columns, dim=1)


def add_head_blocks(
    matrix: Float64[Tensor, "size size"],
    curvature: Float64[Tensor, "rows outputs outputs"],
    entering: Float64[Tensor, "rows width"],
) -> None:
    """Add Σ Λ_kl φ φᵀ to the blocks of a matrix in the order output by output; `head_order` puts it right."""
    outputs = curvature.shape[1]
    blocks = matrix.view(outputs, entering.shape[1], outputs, entering.shape[1])
    for one in range(outputs):
        for other in range(one + 1):
            block = entering.T @ (curvature[:, one, other, None] * entering)
            blocks[one, :, other] += block
            if other < one:
                blocks[other, :, one] += block


def head_order(chosen: Parameters) -> Tensor:
    """For each number of the head's tensors, in their own order, its place in the order output by output."""
    outputs = len(next(iter(chosen.values())))
    width = sum(tensor.numel() for tensor in chosen.values()) // outputs
    places, first = torch.arange(outputs * width).reshape(outputs, width), 0
    order: list[Tensor] = []
    for tensor in chosen.values():
        columns = tensor.numel() // outputs
        order.append(places[:, first : first + columns].flatten())
        first += columns
    return torch.cat(order)


def _add(
    matrix: Float64[Tensor, "size size"],
    gradient: Float64[Tensor, "size"],
    terms: OutputTerms,
    posterior: Posterior,
    own: Parameters,
    chosen: Parameters,
    inputs: Tensor,
) -> None:
    """Add what some rows contribute, by their Jacobians."""
    jacobian = jacobian_of(posterior.network, own, chosen, inputs)
    bent = torch.einsum("nkl,nlp->nkp", terms.curvature, jacobian)
    matrix.addmm_(jacobian.flatten(0, 1).T, bent.flatten(0, 1))
    gradient.add_(torch.einsum("nk,nkp->p", terms.gradient, jacobian))


def _add_head(
    matrix: Float64[Tensor, "size size"],
    gradient: Float64[Tensor, "size"],
    terms: OutputTerms,
    posterior: Posterior,
    own: Parameters,
    chosen: Parameters,
    inputs: Tensor,
) -> None:
    """The same for the last layer, in the order output by output; `head_order` puts it right."""
    with torch.no_grad():
        entering = head_columns(embed(posterior.network, own, inputs), chosen)
    add_head_blocks(matrix, terms.curvature, entering)
    gradient.add_((terms.gradient.T @ entering).flatten())


def _double(inputs: Tensor) -> Tensor:
    return inputs.double() if inputs.is_floating_point() else inputs


def _check(posterior: Posterior, rows: Rows, part: Part) -> None:
    if not len(rows):
        raise InputError("There are no rows to learn from; check the role or the filter that chose them.")
    if part == "all":
        require_samplable(posterior)
    own = trainable(posterior.network, dict(posterior.network.module.named_parameters()))
    if silent := sorted(set(parts_of(posterior, part)) - set(spoken_for(posterior.prior, own))):
        raise InputError(
            f"The prior {type(posterior.prior).__name__} leaves out the tensors {silent} and is improper there; freeze "
            "them with requires_grad_(False), or give them a prior with `Layered`."
        )
    if posterior.augmentation is not None:
        raise InputError("The rows' views change at random; pass what `fixed_views(posterior, rows, seed)` returns.")
    if posterior.functional is not None and posterior.functional.inputs is not None:
        raise InputError(
            "The functional prior has inputs of its own, whose curvature is not part of A; put it on the rows of the "
            "likelihood, or sample this posterior instead."
        )


def _check_memory(size: int, outputs: int) -> None:
    needed, available = curvature_memory(size, outputs), available_memory()
    if needed > available:
        raise InputError(
            f"The curvature of {size} parameters needs {human_bytes(needed)} of memory and {human_bytes(available)} "
            'are available; take the last layer alone (part="head"), or a smaller network.'
        )

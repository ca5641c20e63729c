"""What an expansion of the log posterior around a mode keeps: everything that depends on rows, and nothing else."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from surefoot.evidence.laplace.spectrum import Nodes
from surefoot.inference.approximate.curvature import Part

__all__ = ["Expansion", "Kind", "Structure", "Weighted"]

Structure: TypeAlias = Literal["full", "kron", "diag"]
"""All of the curvature; per tensor a Kronecker product; its diagonal."""

Kind: TypeAlias = Literal["ggn", "fisher"]
"""The generalised Gauss–Newton matrix, or the empirical Fisher matrix (products of gradients): not the same."""


class Weighted(NamedTuple):
    """Eigenvalues of all blocks, how often each counts, and the number of its block."""

    values: Float64[Tensor, "nodes"]
    weights: Float64[Tensor, "nodes"]
    blocks: Int64[Tensor, "nodes"]


@dataclass(frozen=True, eq=False)
class Expansion:
    """log p(D | θ) around θ*, of the tensors `names` with `sizes` numbers each.

    squares: (θ* − c)² for every number, c the prior's mean. log_likelihood: Σ_i log p(y_i | θ*) in nats.
    curvatures: full: the matrix H `[P, P]`; kron: of each tensor the eigenvalues λ_i^G λ_j^A of its block; diag: of
    each tensor the diagonal. precisions: of the posterior's own prior, one per tensor.

    noise: σ√T of a `GaussianNoise`, else none; then log_likelihood and curvatures are those of σ = 1, from which
    any σ follows with `misses`, Σ (y − f)², and `numbers`, how many targets were observed.

    nodes: kron: of each tensor, fewer weighted numbers that its curvatures may be replaced by in sums of logarithms
    (`spectrum.py`), or none.

    offset: how far θ* is from being a mode, √(mean of g²/(diag H + λ)) with g the gradient of the log posterior: in
    posterior standard deviations, with all else held fixed. Above some 0.1, the expansion is about another point.
    """

    structure: Structure
    part: Part
    kind: Kind
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    squares: Float64[Tensor, "parameters"]
    log_likelihood: float
    curvatures: tuple[Tensor, ...]
    precisions: Float64[Tensor, "tensors"]
    noise: float | None
    misses: float
    numbers: int
    logit_temperature: float
    offset: float
    rows: int
    nodes: tuple[Nodes | None, ...] = ()

    @property
    def parameters(self) -> int:
        """P."""
        return sum(self.sizes)

    @cached_property
    def distances(self) -> Float64[Tensor, "tensors"]:
        """Σ (θ* − c)² of each tensor."""
        return torch.stack([part.sum() for part in self.squares.split(self.sizes)])

    @cached_property
    def eigenvalues(self) -> tuple[Float64[Tensor, "numbers"], ...]:
        """Of each block: of the whole matrix (computed when first asked for), or of each tensor's; never negative."""
        if self.structure == "full":
            return (torch.linalg.eigvalsh(self.curvatures[0]).clamp_(min=0),)
        return self.curvatures

    @cached_property
    def highest(self) -> float:
        """The largest eigenvalue."""
        return max(float(block.max()) for block in self.eigenvalues)

    @cached_property
    def weighted(self) -> Weighted | None:
        """What sums over eigenvalues are taken over, where that is less than all eigenvalues."""
        if all(own is None for own in self.nodes):
            return None
        parts = [
            Nodes(block, torch.ones_like(block)) if own is None else own
            for own, block in zip(self.nodes, self.curvatures, strict=True)
        ]
        counts = torch.tensor([len(own.values) for own in parts])
        return Weighted(
            torch.cat([own.values for own in parts]),
            torch.cat([own.weights for own in parts]),
            torch.arange(len(parts)).repeat_interleave(counts),
        )

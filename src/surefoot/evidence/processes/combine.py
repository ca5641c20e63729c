"""Kernels made of kernels: scaled, sums, products, and functions that are even.

Source: Rasmussen & Williams (2006), §4.2.4; for symmetry by averaging over a group, Ginsbourger et al. (2012),
"Argumentwise invariant kernels for the approximation of invariant functions".
"""

import operator
from dataclasses import dataclass, field
from functools import reduce

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.free import POSITIVE
from surefoot.evidence.processes.kernels import Kernel

__all__ = ["Even", "Product", "Scaled", "Sum"]

BLOCK = 64


@dataclass(frozen=True)
class Scaled:
    """v k(x, x′).

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF, Linear
    >>> x = torch.zeros(1, 1, dtype=torch.float64)
    >>> Sum((Scaled(RBF(positive(0.3)), positive(4.0)), Linear(positive(1.0)))).matrix(x, x).item()
    4.0
    """

    kernel: Kernel
    variance: Float64[Tensor, ""] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        return self.variance * self.kernel.matrix(left, right)

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return self.variance * self.kernel.diagonal(rows)


@dataclass(frozen=True)
class Sum:
    """Σ_j k_j(x, x′): the sum of independent functions. Raises `InputError` without parts."""

    parts: tuple[Kernel, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        return reduce(operator.add, (part.matrix(left, right) for part in self.parts))

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return reduce(operator.add, (part.diagonal(rows) for part in self.parts))


@dataclass(frozen=True)
class Product:
    """Π_j k_j(x, x′). Raises `InputError` without parts."""

    parts: tuple[Kernel, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        return reduce(operator.mul, (part.matrix(left, right) for part in self.parts))

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return reduce(operator.mul, (part.diagonal(rows) for part in self.parts))


@dataclass(frozen=True)
class Even:
    """¼ Σ_± Σ_± k(±x, ±x′): the process ½(f(x) + f(−x)), every draw of which has f(−x) = f(x).

    Its variance is below k's away from the origin (half of it for an RBF, far out), so `Scaled` belongs around it.
    """

    kernel: Kernel

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        same = self.kernel.matrix(left, right) + self.kernel.matrix(-left, -right)
        return 0.25 * (same + self.kernel.matrix(left, -right) + self.kernel.matrix(-left, right))

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        # k(x, −x) has no shortcut: it is the diagonal of small blocks.
        crossed = [self.kernel.matrix(block, -block).diagonal() for block in rows.split(BLOCK)]
        return 0.25 * (self.kernel.diagonal(rows) + self.kernel.diagonal(-rows)) + 0.5 * torch.cat(crossed)


def _check_parts(parts: tuple[Kernel, ...]) -> None:
    if not parts:
        raise InputError("A sum or product of no kernels was asked for; give at least one part.")

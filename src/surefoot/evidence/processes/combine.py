"""Kernels made of kernels: scaled, sums, products, and functions with a symmetry.

Source: Rasmussen & Williams (2006), §4.2.4; for symmetry by averaging over a group, Ginsbourger et al. (2012),
"Argumentwise invariant kernels for the approximation of invariant functions".
"""

import operator
from dataclasses import dataclass, field
from functools import reduce

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.free import POSITIVE
from surefoot.evidence.processes.kernels import Kernel

__all__ = ["Even", "Product", "Scaled", "Sum", "Symmetric"]

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


@dataclass(frozen=True)
class Symmetric:
    """|G|⁻² Σ_g Σ_h s_g s_h k(gx, hx′): the process |G|⁻¹ Σ_g s_g f(gx), every draw of which has f(gx) = s_g f(x).

    moves: a group of re-orderings of the inputs, gx = x[moves[g]], such as mirroring an image; its first is "stay".
    signs: +1 for each move that leaves the function alone, −1 for each that turns its sign. All +1 is an invariant
    function, others are odd ones. As with `Even`, the variance is below k's, so `Scaled` belongs around it.

    Cost: |G|² matrices of k.

    Source: Ginsbourger et al. (2012), for invariance; van der Wilk et al. (2018), "Learning invariances using the
    marginal likelihood", for choosing one by evidence. Signs are ours: a character of the group in place of 1.

    Raises `InputError` for moves that are no group, and for signs that are not ±1 or do not multiply as moves do.

    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> mirror = torch.tensor([[0, 1, 2], [2, 1, 0]])
    >>> kernel = Symmetric(RBF(positive(1.0)), mirror, torch.tensor([1.0, -1.0]).double())
    >>> x = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, 1.0]]).double()
    >>> kernel.diagonal(x).round(decimals=4)  # an odd function is zero where the mirror image is the image
    tensor([0.4908, 0.0000], dtype=torch.float64)
    """

    kernel: Kernel
    moves: Int64[Tensor, "elements d"]
    signs: Float64[Tensor, "characters"]

    def __post_init__(self) -> None:
        _check_group(self.moves, self.signs)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        self._check_inputs(left)
        total = torch.zeros(len(left), len(right), dtype=torch.float64)
        for move, sign in zip(self.moves, self.signs, strict=True):
            for other, turned in zip(self.moves, self.signs, strict=True):
                total = total + sign * turned * self.kernel.matrix(left[:, move], right[:, other])
        return total / len(self.moves) ** 2

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        self._check_inputs(rows)
        blocks = rows.split(BLOCK)
        return torch.cat([self.matrix(block, block).diagonal() for block in blocks]) if blocks else rows.sum(dim=1)

    def _check_inputs(self, rows: Tensor) -> None:
        if rows.shape[1] != self.moves.shape[1]:
            raise InputError(
                f"The moves are of {self.moves.shape[1]} inputs and the rows have {rows.shape[1]}; give moves of every "
                "input."
            )


def _check_group(moves: Int64[Tensor, "elements d"], signs: Float64[Tensor, "characters"]) -> None:
    count, inputs = moves.shape
    stay = torch.arange(inputs)
    if count < 1 or len(signs) != count or not bool((moves.sort(dim=1).values == stay).all()):
        raise InputError(
            f"{count} moves of {inputs} inputs came with {len(signs)} signs; give at least one move, each an order of "
            "all inputs, and a sign for each."
        )
    known = {tuple(move.tolist()): float(sign) for move, sign in zip(moves, signs, strict=True)}
    closed = all(
        known.get(tuple(one[other].tolist())) == float(sign * turned)
        for one, sign in zip(moves, signs, strict=True)
        for other, turned in zip(moves, signs, strict=True)
    )
    if len(known) != count or not closed or not bool((signs.abs() == 1).all()) or not bool((moves[0] == stay).all()):
        raise InputError(
            f"The {count} moves are no group, or their signs do not multiply as they do: give each move once, first "
            "the one that stays, every move that two of them make together, and signs of 1 or −1."
        )


def _check_parts(parts: tuple[Kernel, ...]) -> None:
    if not parts:
        raise InputError("A sum or product of no kernels was asked for; give at least one part.")

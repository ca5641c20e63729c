"""What the machine code of one network is made for, and where its numbers lie."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from surefoot.inference.small.code import Real

__all__ = ["Form", "Head", "Machine", "Plan", "Sizes", "make_plan"]

Form: TypeAlias = Literal["none", "floor", "top"]
"""Functional forms by the classes their gradient speaks for: those above a floor of log p, or the most probable one."""

Head: TypeAlias = Literal["softmax", "normal"]
"""What outputs are: logits of classes, or means of numbers with normal noise of a known scale."""

SPARE = 1.1  # padded widths may be this much larger, in return for the widest vectors (50-50: 1.14, and 5 % slower)
HALVED = 64  # bytes from which vectors may be of half the width: processors run those at twice the rate, or nearly


@dataclass(frozen=True)
class Sizes:
    """What is fixed when the code is made.

    widths: numbers per row, hidden widths, classes. scales: of each layer's weights and biases (θ = s·u), layer by
    layer. cooling: one over the logit temperature. floor: log p up to which a class has no gradient (form "floor"), in
    nats. prior: what the prior's gradient −u is multiplied with, 1/T. head: what the outputs are; with "normal",
    `classes` counts them.
    """

    widths: tuple[int, ...]
    rows: int
    real: Real
    scales: tuple[tuple[float, float], ...]
    cooling: float = 1.0
    form: Form = "none"
    floor: float = 0.0
    prior: float = 1.0
    head: Head = "softmax"

    @property
    def classes(self) -> int:
        return self.widths[-1]

    @property
    def hidden(self) -> int:
        """Hidden layers."""
        return len(self.widths) - 2

    @property
    def bytes(self) -> int:
        """Of one number."""
        return 4 if self.real == "float" else 8


@dataclass(frozen=True)
class Machine:
    """A processor's vectors: bytes of the widest, and how many registers hold one."""

    bytes: int
    registers: int


@dataclass(frozen=True)
class Plan:
    """Where everything lies, in numbers. Widths and rows are padded to whole vectors; padding stays zero.

    lanes: numbers in a vector. Position, momentum and gradient hold, for each hidden layer, its `biases [width]` and
    `weights [in, width]`, then the head's `[classes]` and `[classes, in]`. Facts: inputs `[rows, features]`, then at
    `labels` coefficients `[classes, rows]`, at `total` their sums `[rows]` and at `belief` the functional form's
    coefficients `[rows]`. Work: `activations`, `deltas`, `transposed` weights, and the classes' `slopes`.
    """

    sizes: Sizes
    lanes: int
    registers: int
    biases: tuple[int, ...]
    weights: tuple[int, ...]
    size: int
    labels: int
    total: int
    belief: int
    facts: int
    activations: tuple[int, ...]
    deltas: tuple[int, int]
    transposed: int
    slopes: int
    work: int

    def padded(self, width: int) -> int:
        """`width` numbers, padded to whole vectors."""
        return _padded(width, self.lanes)

    @property
    def rows(self) -> int:
        """Rows, padded to whole vectors."""
        return _padded(self.sizes.rows, self.lanes)


def make_plan(sizes: Sizes, machine: Machine) -> Plan:
    """Lay out a network for a machine.

    Vectors are the widest the machine has, or half of that where padding then wastes clearly less.

    >>> scales = ((1.0, 1.0),) * 6
    >>> plan = make_plan(Sizes((2, 10, 10, 10, 10, 10, 2), 18, "float", scales), Machine(bytes=64, registers=32))
    >>> plan.lanes, plan.rows, plan.size
    (16, 32, 800)
    """
    lanes, widths = _lanes(sizes, machine), sizes.widths
    rows = _padded(sizes.rows, lanes)
    biases: list[int] = []
    weights: list[int] = []
    size = 0
    for entering, leaving in pairwise(widths[:-1]):
        biases.append(size)
        weights.append(size + _padded(leaving, lanes))
        size += _padded(leaving, lanes) * (entering + 1)
    biases.append(size)
    weights.append(size + _padded(sizes.classes, lanes))
    size = weights[-1] + sizes.classes * _padded(widths[-2], lanes)
    labels = rows * _padded(widths[0], lanes)
    total = labels + sizes.classes * rows
    activations: list[int] = []
    work = 0
    for width in widths[1:-1]:
        activations.append(work)
        work += rows * _padded(width, lanes)
    widest = max((_padded(width, lanes) for width in widths[1:-1]), default=0)
    transposed = work + 2 * rows * widest
    slopes = transposed + widest * widest
    return Plan(
        sizes=sizes,
        lanes=lanes,
        registers=machine.registers,
        biases=tuple(biases),
        weights=tuple(weights),
        size=size,
        labels=labels,
        total=total,
        belief=total + rows,
        facts=total + 2 * rows,
        activations=tuple(activations),
        deltas=(work, work + rows * widest),
        transposed=transposed,
        slopes=slopes,
        work=slopes + sizes.classes * rows,
    )


def _lanes(sizes: Sizes, machine: Machine) -> int:
    wide = machine.bytes // sizes.bytes
    if machine.bytes < HALVED:
        return wide
    narrow = wide // 2
    hidden = sizes.widths[1:-1] or sizes.widths[:1]
    most = sum(_padded(width, wide) for width in hidden)
    return wide if most <= SPARE * sum(_padded(width, narrow) for width in hidden) else narrow


def _padded(width: int, lanes: int) -> int:
    return -(-width // lanes) * lanes

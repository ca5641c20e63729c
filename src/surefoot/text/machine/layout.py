"""Where the numbers lie that the machine code of a decoder reads and writes."""

from dataclasses import dataclass

from surefoot.inference.small.sizes import Machine
from surefoot.text.decoder import Shape

__all__ = ["BLOCK", "TALL", "Layout", "layout_of"]

TALL = 6
"""Rows of a tile of a product: with four vectors of the target, as many sums as registers hold."""
BLOCK = 4 * TALL
"""Rows that go through all layers together; what they hold stays in the second cache."""
BYTES = 4


@dataclass(frozen=True)
class Layout:
    """Sizes, and offsets in numbers. symbols, units: padded to whole vectors, with zeros.

    lanes: numbers of a vector, registers: vectors that the processor holds. Weights: `depth` times mixing
    `[width, 3 width]`, out `[width, width]`, gate and up `[width, 2 units]`, down `[units, width]`; then the head
    `[width, symbols]` and the symbols' vectors `[real symbols, width]`. Table: of each place, its own vector `[width]`
    (learned), or cosines and signed sines of a head `[2, size]`. Work: of a block of rows.
    """

    width: int
    depth: int
    heads: int
    units: int
    symbols: int
    real_symbols: int
    learned: bool
    lanes: int
    registers: int

    @property
    def size(self) -> int:
        """Numbers of a head."""
        return self.width // self.heads

    @property
    def out(self) -> int:
        return 3 * self.width**2

    @property
    def gate_up(self) -> int:
        return 4 * self.width**2

    @property
    def down(self) -> int:
        return self.gate_up + 2 * self.width * self.units

    @property
    def layer(self) -> int:
        """Weights of one layer."""
        return self.down + self.units * self.width

    @property
    def head(self) -> int:
        return self.depth * self.layer

    @property
    def embed(self) -> int:
        return self.head + self.width * self.symbols

    @property
    def weights(self) -> int:
        return self.embed + self.real_symbols * self.width

    @property
    def normal(self) -> int:
        """Of the work, behind the states."""
        return BLOCK * self.width

    @property
    def mixed(self) -> int:
        return 2 * BLOCK * self.width

    @property
    def gated(self) -> int:
        return 5 * BLOCK * self.width

    @property
    def scores(self) -> int:
        """The last part of the work, as large as the places of a text ask for."""
        return self.gated + 2 * BLOCK * self.units

    def chunks(self, places: int) -> int:
        """Vectors that hold a number of each place."""
        return -(-places // self.lanes)


def layout_of(shape: Shape, machine: Machine) -> Layout | None:
    """The layout with the widest vectors that heads are a multiple of; None where those are narrower than 4 numbers."""
    lanes, size = machine.bytes // BYTES, shape.width // shape.heads
    while lanes >= 4 and size % lanes:
        lanes //= 2
    if lanes < 4:
        return None

    def padded(numbers: int) -> int:
        return -(-numbers // lanes) * lanes

    return Layout(
        width=shape.width,
        depth=shape.depth,
        heads=shape.heads,
        units=padded(shape.units),
        symbols=padded(shape.symbols),
        real_symbols=shape.symbols,
        learned=shape.positions == "learned",
        lanes=lanes,
        registers=machine.registers,
    )

"""One product of matrices in machine code, made in tiles that fill the registers.

A tile is some rows by some vectors of the target: each number of the left matrix that is loaded serves all its vectors,
each vector of the right one all its rows. Loops run over tiles, so the code of a wide network is hardly longer than
that of a narrow one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from surefoot.inference.small.code import Code, Spot

__all__ = ["Left", "Right", "Run", "Vectors", "product", "shares", "unrolled"]

UNROLLED = 16  # turns of an inner loop that are written out
TALL = 8  # rows of a tile whose inner loop is written out


@dataclass(frozen=True)
class Left:
    """A product's left matrix `[rows, inner]`, read number by number.

    down, right: how far the next row and the next column are. lead: what all numbers of row 0 are, which is not read.
    """

    first: Spot
    down: int
    right: int
    rows: int
    lead: float | None = None


@dataclass(frozen=True)
class Right:
    """A product's right matrix `[inner, width]`, read in vectors."""

    first: Spot
    inner: int
    width: int


class Run(NamedTuple):
    """`times` shares of `size` each, one after the other from `first`."""

    first: int
    size: int
    times: int


@runtime_checkable
class Vectors(Protocol):
    """A processor's: numbers in one, and how many registers hold one."""

    @property
    def lanes(self) -> int: ...
    @property
    def registers(self) -> int: ...


def product(
    code: Code,
    plan: Vectors,
    left: Left,
    right: Right,
    target: Spot,
    finish: Callable[[str, Spot], str],
    start: Callable[[Spot], str] = lambda _: "zeroinitializer",
    *,
    added: bool = False,
    tiles: str | None = None,
) -> None:
    """target[r, :] = finish(start(:) + Σ_i left[r, i] · right[i, :]), in tiles; the target is as wide as `right`.

    start, finish: are told where in a row, and where in the target, their vector lies. added: the sums go on from what
    the target holds. tiles: the name of a number that is known when the code runs: so many times the rows of `left`
    are read and written, a tile each time; it may be 0.
    """
    vectors = right.width // plan.lanes
    if tiles is None:
        tall, wide = _tile(left.rows, vectors, plan.registers, TALL if right.inner <= UNROLLED else left.rows)
        tops = shares(left.rows, tall)
    else:
        wide = min(vectors, (plan.registers - 1) // (left.rows + 1))
        tops = [Run(0, left.rows, 1)]
    if left.lead is not None and tops[0].times > 1:
        first = tops[0]
        tops = [Run(0, first.size, 1), Run(first.size, first.size, first.times - 1), *tops[1:]]

    def tile(top: Run, block: str, columns: list[Spot]) -> None:
        base = (left.first + top.first * left.down).along(block, top.size * left.down)
        corner = Spot("", top.first * right.width).along(block, top.size * right.width)
        places = [corner.beyond(column) + row * right.width for row in range(top.size) for column in columns]
        if added:
            begin = [code.load(target.beyond(place)) for place in places]
        else:
            begin = [start(column) for column in columns] * top.size

        def term(index: str, sums: list[str]) -> list[str]:
            vectors = [code.load(right.first.along(index, right.width).beyond(column)) for column in columns]
            new: list[str] = []
            for row in range(top.size):
                before = sums[row * len(columns) : (row + 1) * len(columns)]
                lead = left.lead if top.first + row == 0 else None
                if lead == 1:  # processors add beside their multiplications
                    new += [code.add(old, vector) for vector, old in zip(vectors, before, strict=True)]
                    continue
                place = (base + row * left.down).along(index, left.right)
                number = code.spread(place) if lead is None else code.vector_of(lead)
                new += [code.multiply_add(number, vector, old) for vector, old in zip(vectors, before, strict=True)]
            return new

        for value, place in zip(unrolled(code, right.inner, term, begin), places, strict=True):
            code.store(finish(value, place), target.beyond(place))

    def group(side: Run, index: str) -> None:
        corner = Spot("", side.first * plan.lanes).along(index, side.size * plan.lanes)
        columns = [corner + part * plan.lanes for part in range(side.size)]
        if tiles is not None:
            code.each(tiles, lambda block: tile(tops[0], block, columns))
            return
        for top in tops:
            code.repeat(top.times, lambda block, top=top: tile(top, block, columns))

    for side in shares(vectors, wide):
        code.repeat(side.times, lambda index, side=side: group(side, index))


def shares(total: int, most: int) -> list[Run]:
    """As few shares of at most `most` as hold `total`, as equal as they can be; the larger ones come first.

    >>> shares(17, 6)
    [Run(first=0, size=6, times=2), Run(first=12, size=5, times=1)]
    """
    count = -(-total // most)
    size, larger = divmod(total, count)
    runs = [Run(0, size + 1, larger), Run(larger * (size + 1), size, count - larger)]
    return [run for run in runs if run.times and run.size]


def unrolled(code: Code, times: int, body: Callable[[str, list[str]], list[str]], carried: list[str]) -> list[str]:
    """A loop whose turns are written out when they are few."""
    if times > UNROLLED:
        return code.loop(times, body, carried)
    for turn in range(times):
        carried = body(str(turn), carried)
    return carried


def _tile(rows: int, vectors: int, registers: int, most: int) -> tuple[int, int]:
    """Rows and vectors of that tile which loads least; its sums, a row of vectors and one number fit the registers."""

    def loads(wide: int) -> int:
        return -(-vectors // wide) * rows + -(-rows // _tall(wide, registers, most)) * vectors

    wide = min(range(1, min(vectors, (registers - 1) // 2) + 1), key=loads)
    return _tall(wide, registers, most), wide


def _tall(wide: int, registers: int, most: int) -> int:
    return min((registers - 1 - wide) // wide, most)

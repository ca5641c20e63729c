"""Attention of one row in machine code, to the kept keys of its prompt and to its own.

Keys lie place by place in vectors, `[chunks, width, lanes]`, so that one row's products with `lanes` places need no sum
over lanes; values lie as they are, `[places, width]`. A row's own key and value are written before they are read.
"""

from dataclasses import dataclass

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.tiles import shares, unrolled
from surefoot.text.machine.layout import Layout

__all__ = ["Caches", "Row", "attend", "keep_row", "largest_of_lanes"]

LOW = -1e30
"""The score of a place that is not there."""
HEADS = 8
"""Heads whose sums are held at once."""


@dataclass(frozen=True)
class Caches:
    """Of one layer and row: where keys and values begin, and how many places there are (names of numbers)."""

    keys: Spot
    values: Spot
    places: str
    chunks: str
    scores: Spot


@dataclass(frozen=True)
class Row:
    """mixed: query, key and value of the row. turn: its place in the table.

    stride: numbers between the scores of two heads. place: of its own key and value in `own`.
    """

    mixed: Spot
    turn: Spot
    stride: str
    place: str
    prompt: Caches
    own: Caches


def keep_row(code: Code, layout: Layout, row: Row) -> None:
    """Turn the row's query and key by its place, and write its own key and value into its caches."""
    if not layout.learned:
        _turn(code, layout, row)
    _keep(code, layout, row)


def attend(code: Code, layout: Layout, row: Row, target: Spot) -> None:
    """target_h = Σ_j softmax_j(q_h · k_hj) v_hj over the places of the prompt and the row's own.

    The target may be where the row's query is.
    """
    for run in shares(layout.heads, HEADS):
        for first in range(run.first, run.first + run.size * run.times, run.size):
            heads = list(range(first, first + run.size))
            tops = _scores(code, layout, row, heads)
            sums = _powers(code, row, layout, heads, tops)
            _found(code, layout, row, target, heads, sums)


def largest_of_lanes(code: Code, value: str) -> str:
    """The largest number of a vector, in every lane."""
    step = code.lanes // 2
    while step:
        value = code.larger(value, code.shuffle(value, value, [lane ^ step for lane in range(code.lanes)]))
        step //= 2
    return value


def _turn(code: Code, layout: Layout, row: Row) -> None:
    """Each pair (a, b) of a query or key by its angle: (a cos − b sin, b cos + a sin)."""
    lanes, size = layout.lanes, layout.size
    swapped = [lane ^ 1 for lane in range(lanes)]
    turns = [(code.load(row.turn + at), code.load(row.turn + (size + at))) for at in range(0, size, lanes)]
    for at in range(0, 2 * layout.width, lanes):
        cosine, sine = turns[at % size // lanes]
        value = code.load(row.mixed + at)
        turned = code.multiply_add(code.shuffle(value, value, swapped), sine, code.multiply(value, cosine))
        code.store(turned, row.mixed + at)


def _keep(code: Code, layout: Layout, row: Row) -> None:
    """Write the row's own key and value into its caches."""
    lanes, width = layout.lanes, layout.width
    chunk = code.let(f"sdiv i64 {row.place}, {lanes}")
    lane = code.let(f"srem i64 {row.place}, {lanes}")
    keys = row.own.keys.along(chunk, width * lanes).along(lane, 1)
    values = row.own.values.along(row.place, width)
    for at in range(0, width, lanes):
        code.store(code.load(row.mixed + (2 * width + at)), values + at)
    for at in range(width):
        code.store_number(code.load_number(row.mixed + (width + at)), keys + at * lanes)


def _scores(code: Code, layout: Layout, row: Row, heads: list[int]) -> list[str]:
    """q · k of all places, written; the largest of each head, in every lane."""
    lanes, width, size = layout.lanes, layout.width, layout.size
    whole = f"<{lanes} x i32>"
    numbers = "<" + ", ".join(f"i32 {lane}" for lane in range(lanes)) + ">"
    tops = [code.vector_of(LOW)] * len(heads)
    for cache in (row.prompt, row.own):
        valid = code.let(f"trunc i64 {cache.places} to i32")

        def chunk(index: str, tops: list[str], cache: Caches = cache, valid: str = valid) -> list[str]:
            keys = cache.keys.along(index, width * lanes)

            def term(number: str, sums: list[str]) -> list[str]:
                new: list[str] = []
                for head, before in zip(heads, sums, strict=True):
                    asked = code.spread((row.mixed + head * size).along(number, 1))
                    key = code.load((keys + head * size * lanes).along(number, lanes))
                    new.append(code.multiply_add(asked, key, before))
                return new

            sums = unrolled(code, size, term, ["zeroinitializer"] * len(heads))
            begun = code.let(f"trunc i64 {code.let(f'mul i64 {index}, {lanes}')} to i32")
            left = code.let(f"sub i32 {valid}, {begun}")
            there = code.let(f"icmp slt {whole} {numbers}, {code.spread_integer(left)}")
            masked = [code.select(there, value, code.vector_of(LOW)) for value in sums]
            for head, value in zip(heads, masked, strict=True):
                code.store(value, _score(code, cache.scores, row.stride, head).along(index, lanes))
            return [code.larger(top, value) for top, value in zip(tops, masked, strict=True)]

        tops = code.perhaps(cache.chunks, chunk, tops)
    return [largest_of_lanes(code, top) for top in tops]


def _powers(code: Code, row: Row, layout: Layout, heads: list[int], tops: list[str]) -> list[str]:
    """e^(score − largest) in place of the scores; one over their sums, in every lane."""
    sums = ["zeroinitializer"] * len(heads)
    for cache in (row.prompt, row.own):

        def chunk(index: str, sums: list[str], cache: Caches = cache) -> list[str]:
            new: list[str] = []
            for head, top, before in zip(heads, tops, sums, strict=True):
                at = _score(code, cache.scores, row.stride, head).along(index, layout.lanes)
                power = code.exponential(code.subtract(code.load(at), top))
                code.store(power, at)
                new.append(code.add(before, power))
            return new

        sums = code.perhaps(cache.chunks, chunk, sums)
    one = code.constant(1.0)
    return [code.spread_value(code.let(f"fdiv {code.real} {one}, {code.sum_of_lanes(each)}")) for each in sums]


def _found(code: Code, layout: Layout, row: Row, target: Spot, heads: list[int], shares_of: list[str]) -> None:
    """Values by their weights, over their sum."""
    lanes, width, size = layout.lanes, layout.width, layout.size
    columns = [(number, head * size + part) for number, head in enumerate(heads) for part in range(0, size, lanes)]
    for run in shares(len(columns), layout.registers - 8):
        for first in range(run.first, run.first + run.size * run.times, run.size):
            some = columns[first : first + run.size]
            found = ["zeroinitializer"] * len(some)
            for cache in (row.prompt, row.own):

                def place(
                    index: str, before: list[str], cache: Caches = cache, some: list[tuple[int, int]] = some
                ) -> list[str]:
                    values = cache.values.along(index, width)
                    weight = {
                        number: code.spread(_score(code, cache.scores, row.stride, heads[number]).along(index, 1))
                        for number in dict.fromkeys(number for number, _ in some)
                    }
                    return [
                        code.multiply_add(weight[number], code.load(values + at), old)
                        for (number, at), old in zip(some, before, strict=True)
                    ]

                found = code.perhaps(cache.places, place, found)
            for (number, at), value in zip(some, found, strict=True):
                code.store(code.multiply(value, shares_of[number]), target + at)


def _score(code: Code, scores: Spot, stride: str, head: int) -> Spot:
    return scores.along(code.let(f"mul i64 {stride}, {head}"), 1)

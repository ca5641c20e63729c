"""One more token of many rows, from symbols to logits, as one function of machine code.

Rows go through all layers in blocks, so that what lies between layers stays near. Every row is computed alone: its
logits do not depend, to the bit, on the rows beside it. What a row does reads nothing of a later row, so the tokens of
one text may be rows one after the other: each finds the keys of those before it. Rows whose logits nobody asks for
leave their keys and values in the last layer, and go no further.
"""

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.tiles import Left, Right, product
from surefoot.text.decoder import EPSILON
from surefoot.text.machine.attention import Caches, Row, attend, keep_row
from surefoot.text.machine.layout import BLOCK, TALL, Layout

__all__ = ["step_code"]

INTEGERS = ("tokens", "slots", "places", "groups", "lengths", "asked")


def step_code(layout: Layout) -> str:
    """LLVM code of `step`.

    Addresses of `weights` and `table` (see `Layout`). Of each row, as 64-bit integers: its token, the slot of its own
    cache, its place there, the slot of its prompt's cache, the places of that (0: it has none), and whether its logits
    are asked for (1 or 0). Of the prompts' keys and values, and of the rows' own, `[slots, depth, room]`; of logits
    `[rows that are asked for, symbols]`, with room for a tile of rows behind them; of work. Then the numbers of one
    layer of a prompt's cache and of a row's (room: a multiple of width · lanes), and how many rows there are.
    """
    code = Code("float", layout.lanes)
    blocks = code.let(f"sdiv i64 {code.let(f'add i64 %rows, {BLOCK - 1}')}, {BLOCK}")
    code.perhaps(blocks, lambda index, before: [_block(code, layout, index, before[0])], ["0"], "i64")
    integers = ", ".join(f"ptr noalias readonly %{name}" for name in INTEGERS)
    return "\n".join(
        [
            f"define void @step(ptr noalias readonly %weights, ptr noalias readonly %table, {integers}, "
            "ptr noalias %prompt_keys, ptr noalias %prompt_values, ptr noalias %keys, ptr noalias %values, "
            "ptr noalias %logits, ptr noalias %work, i64 %prompt_room, i64 %room, i64 %rows) {",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )


def _block(code: Code, layout: Layout, index: str, before: str) -> str:
    """before: rows of earlier blocks that were asked for; with those of this block."""
    width, lanes, work = layout.width, layout.lanes, Spot("%work")
    first = code.let(f"mul i64 {index}, {BLOCK}")
    left = code.let(f"sub i64 %rows, {first}")
    rows = code.let(f"select i1 {code.let(f'icmp slt i64 {left}, {BLOCK}')}, i64 {left}, i64 {BLOCK}")

    def times(rows: str, source: Spot, stride: int, right: Right, target: Spot, *, added: bool = False) -> None:
        tiles = code.let(f"sdiv i64 {code.let(f'add i64 {rows}, {TALL - 1}')}, {TALL}")
        rows_of = Left(source, stride, 1, TALL)
        product(code, layout, rows_of, right, target, lambda value, _: value, added=added, tiles=tiles)

    def layer(number: str, rows: str) -> str:
        weights = Spot("%weights").along(number, layout.layer)
        _normal(code, layout, rows)
        times(rows, work + layout.normal, width, Right(weights, width, 3 * width), work + layout.mixed)
        (kept,) = code.loop(
            rows, lambda row, kept: [_attention(code, layout, number, first, row, kept[0])], ["0"], "i64"
        )
        times(kept, work + layout.mixed, 3 * width, Right(weights + layout.out, width, width), work, added=True)
        _normal(code, layout, kept)
        gated = work + layout.gated
        times(kept, work + layout.normal, width, Right(weights + layout.gate_up, width, 2 * layout.units), gated)
        code.each(kept, lambda row: _units(code, layout, gated.along(row, 2 * layout.units)))
        down = Right(weights + layout.down, layout.units, width)
        times(kept, gated, 2 * layout.units, down, work, added=True)
        return kept

    def begin(row: str) -> None:
        at = code.let(f"add i64 {first}, {row}")
        symbol = Spot("%weights", layout.embed).along(_integer(code, "tokens", at), width)
        place = Spot("%table").along(_position(code, at), width)

        def part(index: str) -> None:
            value = code.load(symbol.along(index, lanes))
            if layout.learned:
                value = code.add(value, code.load(place.along(index, lanes)))
            code.store(value, work.along(row, width).along(index, lanes))

        code.repeat(width // lanes, part)

    code.repeat(rows, begin)
    (asked,) = code.loop(layout.depth, lambda number, rows: [layer(number, rows[0])], [rows], "i64")
    _normal(code, layout, asked)
    head = Right(Spot("%weights", layout.head), width, layout.symbols)
    times(asked, work + layout.normal, width, head, Spot("%logits").along(before, layout.symbols))
    return code.let(f"add i64 {before}, {asked}")


def _attention(code: Code, layout: Layout, number: str, first: str, row: str, kept: str) -> str:
    """One row's attention. Where it goes on, it moves up to the `kept` rows before it; how many they are now."""
    at = code.let(f"add i64 {first}, {row}")
    place, length = _integer(code, "places", at), _integer(code, "lengths", at)
    longest = code.let(f"sdiv i64 %prompt_room, {layout.width}")
    own_longest = code.let(f"sdiv i64 %room, {layout.width}")
    scores, width, lanes = Spot("%work", layout.scores), layout.width, layout.lanes

    def cache(array: str, slot: str, room: str, places: str, scores: Spot) -> Caches:
        base = code.let(f"mul i64 {slot}, {layout.depth}")
        base = code.let(f"mul i64 {code.let(f'add i64 {base}, {number}')}, {room}")
        chunks = code.let(f"sdiv i64 {code.let(f'add i64 {places}, {lanes - 1}')}, {lanes}")
        keys, values = (Spot(f"%{array}{each}").along(base, 1) for each in ("keys", "values"))
        return Caches(keys, values, places, chunks, scores)

    prompt = cache("prompt_", _integer(code, "groups", at), "%prompt_room", length, scores)
    known = code.let(f"add i64 {place}, 1")
    own = cache("", _integer(code, "slots", at), "%room", known, scores.along(longest, 1))
    mixed = Spot("%work", layout.mixed)
    turn = Spot("%table").along(_position(code, at), 2 * layout.size)
    stride = code.let(f"add i64 {longest}, {own_longest}")
    one = Row(mixed.along(row, 3 * width), turn, stride, place, prompt, own)
    keep_row(code, layout, one)
    last = code.let(f"icmp eq i64 {number}, {layout.depth - 1}")
    goes = code.let(f"select i1 {last}, i64 {_integer(code, 'asked', at)}, i64 1")

    def go(_: str) -> None:
        attend(code, layout, one, mixed.along(kept, 3 * width))
        source, target = (Spot("%work").along(each, width) for each in (row, kept))
        code.repeat(
            width // lanes, lambda part: code.store(code.load(source.along(part, lanes)), target.along(part, lanes))
        )

    code.each(goes, go)
    return code.let(f"add i64 {kept}, {goes}")


def _normal(code: Code, layout: Layout, rows: str) -> None:
    """x / √(mean x² + ε) of each row of the states."""
    width, lanes, work = layout.width, layout.lanes, Spot("%work")

    def one(row: str) -> None:
        source, target = work.along(row, width), (work + layout.normal).along(row, width)

        def square(index: str, sums: list[str]) -> list[str]:
            value = code.load(source.along(index, lanes))
            return [code.multiply_add(value, value, sums[0])]

        def scale(index: str) -> None:
            code.store(code.multiply(code.load(source.along(index, lanes)), factor), target.along(index, lanes))

        total = code.sum_of_lanes(code.loop(width // lanes, square, ["zeroinitializer"])[0])
        mean = code.let(f"fmul float {total}, {code.constant(1 / width)}")
        root = code.let(f"call float @llvm.sqrt.f32(float {code.let(f'fadd float {mean}, {code.constant(EPSILON)}')})")
        factor = code.spread_value(code.let(f"fdiv float {code.constant(1.0)}, {root}"))
        code.repeat(width // lanes, scale)

    code.each(rows, one)


def _units(code: Code, layout: Layout, gated: Spot) -> None:
    """silu(gate) · up in place of the gate: silu(g) = g · max(1, e^g)/(1 + e^−|g|) without an overflow."""

    def one(index: str) -> None:
        gate, up = (code.load((gated + start).along(index, layout.lanes)) for start in (0, layout.units))
        size = code.let(f"call {code.vector} @llvm.fabs.{code.suffix}({code.vector} {gate})")
        power = code.exponential(code.subtract("zeroinitializer", size))
        above = code.select(code.above(gate, "zeroinitializer"), code.vector_of(1.0), power)
        share = code.divide(above, code.add(power, code.vector_of(1.0)))
        code.store(code.multiply(code.multiply(gate, share), up), gated.along(index, layout.lanes))

    code.repeat(layout.units // layout.lanes, one)


def _integer(code: Code, array: str, at: str) -> str:
    return code.let(f"load i64, ptr {code.let(f'getelementptr inbounds i64, ptr %{array}, i64 {at}')}")


def _position(code: Code, at: str) -> str:
    """Of a row's token in its text, from the prompt's first."""
    return code.let(f"add i64 {_integer(code, 'lengths', at)}, {_integer(code, 'places', at)}")

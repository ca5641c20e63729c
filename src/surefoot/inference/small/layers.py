"""Hidden layers in machine code: forward, backward and the weights' gradient.

Vectors hold features: row by row, a number that enters is multiplied with the vectors of weights that leave it. That
wastes no lanes on rows (18 of 32), needs no sum over lanes, and serves all three products alike; for the way back,
weights are transposed once a step.
"""

from collections.abc import Callable, Sequence

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.sizes import Plan

__all__ = ["activation", "backward", "forward", "weight_gradient"]

UNROLLED = 16  # turns of an inner loop that are written out


def activation(plan: Plan, layer: int) -> Spot:
    """What enters this layer, `[rows, padded width]`."""
    return Spot("%facts") if layer == 0 else Spot("%work", plan.activations[layer - 1])


def forward(code: Code, plan: Plan, layer: int) -> None:
    """z = s_w·(Σ_i x_i u_i + (s_b/s_w)·b), and its positive part."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    scale, bias_scale = plan.sizes.scales[layer]
    width = plan.padded(leaving)
    source, target = activation(plan, layer), Spot("%work", plan.activations[layer])
    bias = Spot("%position", plan.biases[layer])

    def start(column: Spot) -> str:
        value = code.load(bias + column.start)
        return value if bias_scale == scale else code.multiply(value, code.vector_of(bias_scale / scale))

    def finish(value: str, _: Spot) -> str:
        scaled = value if scale == 1 else code.multiply(value, code.vector_of(scale))
        return code.larger(scaled, "zeroinitializer")

    _product(code, plan, source, plan.padded(entering), entering, Spot("%position", plan.weights[layer]), width,
             target, start, finish)  # fmt: skip


def backward(code: Code, plan: Plan, layer: int) -> None:
    """δ of the layer below = s_w,below · [activation > 0] · (δ uᵀ); δ already holds this layer's scale."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    source_width, target_width = plan.padded(leaving), plan.padded(entering)
    _transpose(code, plan, layer)
    below = activation(plan, layer)
    scale = plan.sizes.scales[layer - 1][0]

    def finish(value: str, at: Spot) -> str:
        alive = code.above(code.load(Spot(below.array, below.start + at.start, at.moving)), "zeroinitializer")
        scaled = value if scale == 1 else code.multiply(value, code.vector_of(scale))
        return code.select(alive, scaled, "zeroinitializer")

    _product(code, plan, Spot("%work", plan.deltas[layer % 2]), source_width, leaving,
             Spot("%work", plan.transposed), target_width, Spot("%work", plan.deltas[(layer - 1) % 2]),
             lambda _: "zeroinitializer", finish)  # fmt: skip


def _product(
    code: Code,
    plan: Plan,
    source: Spot,
    source_width: int,
    inner: int,
    matrix: Spot,
    width: int,
    target: Spot,
    start: Callable[[Spot], str],
    finish: Callable[[str, Spot], str],
) -> None:
    """target[r, :] = finish(start(:) + Σ_i source[r, i] · matrix[i, :]) in blocks of rows and columns."""
    vectors = width // plan.lanes
    together = max(1, min(vectors, (plan.registers - 4) // plan.block))

    for first in range(0, vectors, together):
        columns = [Spot("", vector * plan.lanes) for vector in range(first, min(first + together, vectors))]

        def rows(block: str, _: list[str], columns: Sequence[Spot] = columns) -> list[str]:
            starts = [start(column) for column in columns]
            sums = [value for _ in range(plan.block) for value in starts]

            def term(inside: Spot, at: Spot, sums: list[str]) -> list[str]:
                weights = [code.load(Spot(at.array, at.start + column.start, at.moving)) for column in columns]
                new: list[str] = []
                for row in range(plan.block):
                    number = code.spread(inside + row * source_width)
                    new += [
                        code.multiply_add(number, weight, sums[row * len(columns) + part])
                        for part, weight in enumerate(weights)
                    ]
                return new

            base = source.along(block, plan.block * source_width)
            sums = _unrolled(code, inner, lambda i, sums: term(base.along(i, 1), matrix.along(i, width), sums), sums)
            for row in range(plan.block):
                for part, column in enumerate(columns):
                    inside = Spot("", row * width + column.start).along(block, plan.block * width)
                    at = Spot(target.array, target.start + inside.start, inside.moving)
                    code.store(finish(sums[row * len(columns) + part], inside), at)
            return []

        code.loop(plan.blocks, rows)


def _unrolled(code: Code, times: int, body: Callable[[str, list[str]], list[str]], carried: list[str]) -> list[str]:
    """A loop whose turns are written out when they are few."""
    if times > UNROLLED:
        return code.loop(times, body, carried)
    for turn in range(times):
        carried = body(str(turn), carried)
    return carried


def weight_gradient(code: Code, plan: Plan, layer: int) -> None:
    """∂/∂u_i = Σ_rows x_i δ, ∂/∂b = (s_b/s_w) Σ_rows δ."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    scale, bias_scale = plan.sizes.scales[layer]
    width, source_width = plan.padded(leaving), plan.padded(entering)
    source, delta = activation(plan, layer), Spot("%work", plan.deltas[layer % 2])
    bias, weight = Spot("%gradient", plan.biases[layer]), Spot("%gradient", plan.weights[layer])
    most = max(1, plan.registers - 6)
    for column in range(0, width, plan.lanes):
        for first in range(0, entering + 1, most):
            # Number `entering` stands for the constant one whose weight is the bias.
            some = range(first, min(first + most, entering + 1))

            def row(index: str, sums: list[str], some: range = some, column: int = column) -> list[str]:
                slope = code.load((delta + column).along(index, width))
                return [
                    code.add(before, slope)
                    if i == entering
                    else code.multiply_add(code.spread((source + i).along(index, source_width)), slope, before)
                    for i, before in zip(some, sums, strict=True)
                ]

            sums = code.loop(plan.sizes.rows, row, ["zeroinitializer"] * len(some))
            for i, value in zip(some, sums, strict=True):
                if i < entering:
                    code.store(value, weight + (i * width + column))
                else:
                    ratio = code.vector_of(bias_scale / scale)
                    code.store(value if bias_scale == scale else code.multiply(value, ratio), bias + column)


def _transpose(code: Code, plan: Plan, layer: int) -> None:
    """Weights `[in, out]` as `[out, in]`, in squares of whole vectors."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    width, target_width, lanes = plan.padded(leaving), plan.padded(entering), plan.lanes
    source, target = Spot("%position", plan.weights[layer]), Spot("%work", plan.transposed)
    for top in range(0, entering, lanes):
        for left in range(0, leaving, lanes):
            square = [
                code.load(source + ((top + i) * width + left)) if top + i < entering else "zeroinitializer"
                for i in range(lanes)
            ]
            for o, value in enumerate(code.transpose(square)):
                if left + o < leaving:
                    code.store(value, target + ((left + o) * target_width + top))

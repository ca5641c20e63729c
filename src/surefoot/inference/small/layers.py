"""Hidden layers in machine code: forward, backward and the weights' gradient, each a product of matrices.

Vectors hold features: row by row, a number that enters is multiplied with the vectors of weights that leave it. That
wastes no lanes on rows (18 of 32), needs no sum over lanes, and serves all three products alike; for the way back,
weights are transposed once a step.
"""

from collections.abc import Callable

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.sizes import Plan
from surefoot.inference.small.tiles import Left, Right, Run, product, shares

__all__ = ["activation", "backward", "forward", "live", "weight_gradient"]

NEAR = 2 * 2**20  # bytes of activations and slopes that the weights' gradient may go over once for every tile
CHUNK = 128  # rows that it takes at once of more than that: 93 GFLOP/s for 82 on 10,000 rows of 64-256-256-10


def activation(plan: Plan, layer: int) -> Spot:
    """What enters this layer, `[rows, padded width]`."""
    return Spot("%facts") if layer == 0 else Spot("%work", plan.activations[layer - 1])


def forward(code: Code, plan: Plan, layer: int) -> None:
    """z = s_w·(Σ_i x_i u_i + (s_b/s_w)·b), and its positive part."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    scale, bias_scale = plan.sizes.scales[layer]
    bias = Spot("%position", plan.biases[layer])

    def start(column: Spot) -> str:
        value = code.load(bias.beyond(column))
        return value if bias_scale == scale else code.multiply(value, code.vector_of(bias_scale / scale))

    def finish(value: str, _: Spot) -> str:
        scaled = value if scale == 1 else code.multiply(value, code.vector_of(scale))
        return code.larger(scaled, "zeroinitializer")

    left = Left(activation(plan, layer), plan.padded(entering), 1, plan.sizes.rows)
    right = Right(Spot("%position", plan.weights[layer]), entering, plan.padded(leaving))
    product(code, plan, left, right, Spot("%work", plan.activations[layer]), finish, start)


def backward(code: Code, plan: Plan, layer: int) -> None:
    """δ of the layer below = s_w,below · [activation > 0] · (δ uᵀ); δ already holds this layer's scale."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    _transpose(code, plan, layer)
    left = Left(Spot("%work", plan.deltas[layer % 2]), plan.padded(leaving), 1, plan.sizes.rows)
    right = Right(Spot("%work", plan.transposed), leaving, plan.padded(entering))
    product(code, plan, left, right, Spot("%work", plan.deltas[(layer - 1) % 2]), live(code, plan, layer))


def weight_gradient(code: Code, plan: Plan, layer: int) -> None:
    """∂/∂u_i = Σ_rows x_i δ, ∂/∂b = (s_b/s_w) Σ_rows δ: biases lie before weights, as those of a row of constants."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    scale, bias_scale = plan.sizes.scales[layer]
    source, delta = activation(plan, layer) + -1, Spot("%work", plan.deltas[layer % 2])
    stride, width, target = plan.padded(entering), plan.padded(leaving), Spot("%gradient", plan.biases[layer])
    far = plan.sizes.rows * (stride + width) * plan.sizes.bytes > NEAR

    def clear(index: str) -> None:
        code.store("zeroinitializer", target.along(index, plan.lanes))

    def add(some: Run, index: str) -> None:
        x, slopes = (
            (spot + some.first * step).along(index, some.size * step)
            for spot, step in ((source, stride), (delta, width))
        )
        left = Left(x, 1, stride, entering + 1, lead=bias_scale / scale)
        product(code, plan, left, Right(slopes, some.size, width), target, lambda value, _: value, added=far)

    if far:
        code.repeat((entering + 1) * width // plan.lanes, clear)
    for some in shares(plan.sizes.rows, CHUNK if far else plan.sizes.rows):
        code.repeat(some.times, lambda index, some=some: add(some, index))


def live(code: Code, plan: Plan, layer: int) -> Callable[[str, Spot], str]:
    """What makes δ of the layer below of a slope by what enters this one: s_w,below where that is positive, else 0."""
    below, scale = activation(plan, layer), plan.sizes.scales[layer - 1][0]

    def finish(value: str, at: Spot) -> str:
        alive = code.above(code.load(below.beyond(at)), "zeroinitializer")
        scaled = value if scale == 1 else code.multiply(value, code.vector_of(scale))
        return code.select(alive, scaled, "zeroinitializer")

    return finish


def _transpose(code: Code, plan: Plan, layer: int) -> None:
    """Weights `[in, out]` as `[out, in]`, in squares of whole vectors."""
    entering, leaving = plan.sizes.widths[layer], plan.sizes.widths[layer + 1]
    width, target_width, lanes = plan.padded(leaving), plan.padded(entering), plan.lanes
    source, target = Spot("%position", plan.weights[layer]), Spot("%work", plan.transposed)

    def square(top: Run, side: Run, row: str, column: str) -> None:
        first = (source + (top.first * width + side.first)).along(row, lanes * width).along(column, lanes)
        last = target + (side.first * target_width + top.first)
        last = last.along(row, lanes).along(column, lanes * target_width)
        rows = [code.load(first + i * width) if i < top.size else "zeroinitializer" for i in range(lanes)]
        for o, value in enumerate(code.transpose(rows)[: side.size]):
            code.store(value, last + o * target_width)

    for top in _squares(entering, lanes):
        for side in _squares(leaving, lanes):

            def squares(row: str, top: Run = top, side: Run = side) -> None:
                code.repeat(side.times, lambda column: square(top, side, row, column))

            code.repeat(top.times, squares)


def _squares(numbers: int, lanes: int) -> list[Run]:
    """Whole vectors of numbers, and what is left of one."""
    whole, rest = divmod(numbers, lanes)
    return [run for run in (Run(0, lanes, whole), Run(whole * lanes, rest, 1)) if run.size * run.times]

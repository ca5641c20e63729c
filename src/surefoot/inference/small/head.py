"""The head in machine code: logits, softmax, the classes' slopes, and the gradients on either side of them.

A head is narrow, so its weights lie along the features that enter it, and its softmax has one vector of rows per class.
"""

import math

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.layers import activation
from surefoot.inference.small.sizes import Plan

__all__ = ["head"]


def head(code: Code, plan: Plan) -> None:
    """Logits, softmax, the classes' δ, the head's gradient and the δ of the layer below."""
    sizes, lanes = plan.sizes, plan.lanes
    scale, bias_scale = sizes.scales[-1]
    entering = sizes.widths[-2]
    width, layer = plan.padded(entering), len(sizes.widths) - 2
    source = activation(plan, layer)
    weights, delta = Spot("%position", plan.weights[-1]), Spot("%work", plan.slopes)
    groups, left = divmod(sizes.rows, lanes)

    def group(index: str, count: int) -> None:
        base = source.along(index, lanes * width)
        logits: list[str] = []
        for k in range(sizes.classes):
            parts = [code.load(weights + (k * width + column)) for column in range(0, width, lanes)]
            products: list[str] = []
            for row in range(lanes):
                total = "zeroinitializer"
                for part, weight in enumerate(parts) if row < count else ():
                    entered = code.load(base + (row * width + part * lanes))
                    total = code.multiply(entered, weight) if part == 0 else code.multiply_add(entered, weight, total)
                products.append(total)
            shift = code.multiply(
                code.spread(Spot("%position", plan.biases[-1]) + k), code.vector_of(bias_scale * sizes.cooling)
            )
            logits.append(code.multiply_add(code.sums(products), code.vector_of(scale * sizes.cooling), shift))
        for k, value in enumerate(_class_slopes(code, plan, logits, index)):
            code.store(value, (delta + k * plan.rows).along(index, lanes))

    if groups:

        def whole(index: str, _: list[str]) -> list[str]:
            group(index, lanes)
            return []

        code.loop(groups, whole)
    if left:
        group(str(groups), left)
    _head_gradient(code, plan, delta)
    if layer > 0:
        _below_head(code, plan, delta)


def _class_slopes(code: Code, plan: Plan, logits: list[str], index: str) -> list[str]:
    """δ_k = c_k + f·v_k − p_k (Σ c + f Σ v): c the targets' coefficients, f the form's, v the classes it speaks for.

    Of a normal likelihood, δ_k = q y_k − q z_k: q y in place of the coefficients, q in place of their sum.
    """
    sizes, rows = plan.sizes, plan.rows
    facts = Spot("%facts").along(index, plan.lanes)
    if sizes.head == "normal":
        minus = code.subtract("zeroinitializer", code.load(facts + plan.total))
        known = [code.load(facts + (plan.labels + k * rows)) for k in range(sizes.classes)]
        return [code.multiply_add(mean, minus, told) for mean, told in zip(logits, known, strict=True)]
    top = logits[0]
    for logit in logits[1:]:
        top = code.larger(top, logit)
    powers = [code.exponential(code.subtract(logit, top)) for logit in logits]
    total = powers[0]
    for power in powers[1:]:
        total = code.add(total, power)
    labels = [code.load(facts + (plan.labels + k * rows)) for k in range(sizes.classes)]
    pulled = code.load(facts + plan.total)
    if sizes.form != "none":
        belief = code.load(facts + plan.belief)
        if sizes.form == "floor":
            least = code.multiply(total, code.vector_of(math.exp(sizes.floor)))
            spoken = [code.above(power, least) for power in powers]
        else:
            # Of equal logits the first counts, as in torch's maximum.
            spoken, taken = [], ""
            for logit in logits:
                this = code.let(f"fcmp oeq {code.vector} {logit}, {top}")
                mask = f"<{code.lanes} x i1>"
                if taken:
                    free = code.let(f"xor {mask} {taken}, splat (i1 true)")
                    taken = code.let(f"or {mask} {taken}, {this}")
                    this = code.let(f"and {mask} {this}, {free}")
                else:
                    taken = this
                spoken.append(this)
        extra = [code.select(mask, belief, "zeroinitializer") for mask in spoken]
        labels = [code.add(label, more) for label, more in zip(labels, extra, strict=True)]
        for more in extra:
            pulled = code.add(pulled, more)
    share = code.divide(pulled, total)
    minus = code.subtract("zeroinitializer", share)
    return [code.multiply_add(power, minus, label) for power, label in zip(powers, labels, strict=True)]


def _head_gradient(code: Code, plan: Plan, delta: Spot) -> None:
    """∂/∂u_k = Σ_rows δ_k h along the features, ∂/∂b_k = (s_b/s_w) Σ_rows δ_k."""
    sizes, lanes = plan.sizes, plan.lanes
    scale, bias_scale = sizes.scales[-1]
    width = plan.padded(sizes.widths[-2])
    source = activation(plan, len(sizes.widths) - 2)
    weight, bias = Spot("%gradient", plan.weights[-1]), Spot("%gradient", plan.biases[-1])
    most = max(1, plan.registers - 6)
    for column in range(0, width, lanes):
        for first in range(0, sizes.classes, most):
            some = range(first, min(first + most, sizes.classes))

            def row(index: str, sums: list[str], some: range = some, column: int = column) -> list[str]:
                entered = code.load((source + column).along(index, width))
                return [
                    code.multiply_add(code.spread((delta + k * plan.rows).along(index, 1)), entered, before)
                    for k, before in zip(some, sums, strict=True)
                ]

            sums = code.loop(sizes.rows, row, ["zeroinitializer"] * len(some))
            for k, value in zip(some, sums, strict=True):
                code.store(value, weight + (k * width + column))
    ratio = code.constant(bias_scale / scale)
    for k in range(sizes.classes):
        whole = code.loop(
            plan.padded(sizes.rows) // lanes,
            lambda index, sums, k=k: [code.add(sums[0], code.load((delta + k * plan.rows).along(index, lanes)))],
            ["zeroinitializer"],
        )
        total = code.let(f"fmul {code.real} {code.sum_of_lanes(whole[0])}, {ratio}")
        code.lines.append(f"  store {code.real} {total}, ptr {code.address(bias + k)}")


def _below_head(code: Code, plan: Plan, delta: Spot) -> None:
    """δ of the last hidden layer = s_w,below · [activation > 0] · Σ_k δ_k u_k."""
    sizes, lanes = plan.sizes, plan.lanes
    layer = len(sizes.widths) - 3
    width = plan.padded(sizes.widths[-2])
    entered, target = activation(plan, layer + 1), Spot("%work", plan.deltas[layer % 2])
    weights = Spot("%position", plan.weights[-1])
    scale = sizes.scales[layer][0]

    for column in range(0, width, lanes):

        def row(index: str, _: list[str], column: int = column) -> list[str]:
            total = "zeroinitializer"
            for k in range(sizes.classes):
                number = code.spread((delta + k * plan.rows).along(index, 1))
                total = code.multiply_add(number, code.load(weights + (k * width + column)), total)
            alive = code.above(code.load((entered + column).along(index, width)), "zeroinitializer")
            scaled = total if scale == 1 else code.multiply(total, code.vector_of(scale))
            code.store(code.select(alive, scaled, "zeroinitializer"), (target + column).along(index, width))
            return []

        code.loop(sizes.rows, row)

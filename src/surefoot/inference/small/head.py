"""The head in machine code: logits, softmax, the classes' slopes, and the gradients on either side of them.

A head is narrow, so its weights lie along the features that enter it, and its softmax has one vector of rows per class.
"""

import math

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.layers import activation, live
from surefoot.inference.small.sizes import Plan
from surefoot.inference.small.tiles import Left, Right, Run, product, shares, unrolled

__all__ = ["head"]


def head(code: Code, plan: Plan) -> None:
    """Logits, softmax, the classes' δ, the head's gradient and the δ of the layer below."""
    sizes, lanes = plan.sizes, plan.lanes
    width, layer = plan.padded(sizes.widths[-2]), sizes.hidden
    source, delta = activation(plan, layer), Spot("%work", plan.slopes)

    def group(index: str, rows: int = lanes) -> None:
        _logits(code, plan, source.along(index, lanes * width), rows, delta.along(index, lanes))
        logits = [code.load((delta + k * plan.rows).along(index, lanes)) for k in range(sizes.classes)]
        for k, value in enumerate(_class_slopes(code, plan, logits, index)):
            code.store(value, (delta + k * plan.rows).along(index, lanes))

    groups, rest = divmod(sizes.rows, lanes)
    if groups:
        code.repeat(groups, group)
    if rest:
        group(str(groups), rest)
    _head_gradient(code, plan, delta)
    if layer > 0:
        _below_head(code, plan, delta)


def _logits(code: Code, plan: Plan, source: Spot, rows: int, target: Spot) -> None:
    """Cooled logits of a vector of rows, or of the `rows` it still has; classes together as registers hold sums."""
    sizes, lanes = plan.sizes, plan.lanes
    scale, bias_scale = sizes.scales[-1]
    width = plan.padded(sizes.widths[-2])
    weights, biases = Spot("%position", plan.weights[-1]), Spot("%position", plan.biases[-1])
    for some in shares(sizes.classes, max(1, (plan.registers - 6) // lanes)):

        def classes(turn: str, some: Run = some) -> None:
            own = (weights + some.first * width).along(turn, some.size * width)

            def term(part: str, sums: list[str]) -> list[str]:
                entered = [code.load((source + row * width).along(part, lanes)) for row in range(rows)]
                weight = [code.load((own + k * width).along(part, lanes)) for k in range(some.size)]
                pairs = [(w, x) for w in weight for x in entered]
                return [code.multiply_add(w, x, before) for (w, x), before in zip(pairs, sums, strict=True)]

            sums = unrolled(code, width // lanes, term, ["zeroinitializer"] * (some.size * rows))
            for k in range(some.size):
                bias = code.spread((biases + (some.first + k)).along(turn, some.size))
                shift = code.multiply(bias, code.vector_of(bias_scale * sizes.cooling))
                products = sums[k * rows : (k + 1) * rows]
                total = code.sums(products + ["zeroinitializer"] * (lanes - rows))
                logit = code.multiply_add(total, code.vector_of(scale * sizes.cooling), shift)
                code.store(logit, (target + (some.first + k) * plan.rows).along(turn, some.size * plan.rows))

        code.repeat(some.times, classes)


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
    left = Left(delta, plan.rows, 1, sizes.classes)
    right = Right(activation(plan, sizes.hidden), sizes.rows, plan.padded(sizes.widths[-2]))
    bias = Spot("%gradient", plan.biases[-1])
    product(code, plan, left, right, Spot("%gradient", plan.weights[-1]), lambda value, _: value)
    ratio = code.constant(bias_scale / scale)
    for some in shares(sizes.classes, plan.registers - 6):

        def biases(turn: str, some: Run = some) -> None:
            own = (delta + some.first * plan.rows).along(turn, some.size * plan.rows)

            def add(index: str, sums: list[str]) -> list[str]:
                slopes = [code.load((own + k * plan.rows).along(index, lanes)) for k in range(some.size)]
                return [code.add(before, slope) for before, slope in zip(sums, slopes, strict=True)]

            for k, value in enumerate(code.loop(plan.rows // lanes, add, ["zeroinitializer"] * some.size)):
                total = code.let(f"fmul {code.real} {code.sum_of_lanes(value)}, {ratio}")
                code.store_number(total, (bias + (some.first + k)).along(turn, some.size))

        code.repeat(some.times, biases)


def _below_head(code: Code, plan: Plan, delta: Spot) -> None:
    """δ of the last hidden layer = s_w,below · [activation > 0] · Σ_k δ_k u_k."""
    layer = plan.sizes.hidden
    left = Left(delta, 1, plan.rows, plan.sizes.rows)
    right = Right(Spot("%position", plan.weights[-1]), plan.sizes.classes, plan.padded(plan.sizes.widths[-2]))
    product(code, plan, left, right, Spot("%work", plan.deltas[(layer - 1) % 2]), live(code, plan, layer))

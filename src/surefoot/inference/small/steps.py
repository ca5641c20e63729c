"""Steps of stochastic-gradient Langevin dynamics as one function of machine code: rows, gradient, noise and update.

For each step, with the rows whose numbers it is given (see `surefoot.inference.langevin.dynamics` for the equations),

    ĝ ← ∇ log density(u) of these rows      p′ ← γ p + h ĝ + σ ξ      u′ ← u + h p′

and three sums that tell how the chain is: Σ u′, Σ u·ĝ and Σ ((p + p′)/2)². A small network's gradient on a hundred
rows takes tens of microseconds; drawing its noise, gathering rows and updating by calls of torch takes longer.
"""

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.kernel import gradient, operations
from surefoot.inference.small.noise import WORDS, normals, philox, round_keys
from surefoot.inference.small.sizes import Plan

__all__ = ["TOLD", "steps_code"]

TOLD = 3
"""Sums that are told of every step."""


def steps_code(plan: Plan, whole: Plan) -> str:
    """LLVM code of `steps`, for one chain. plan: of the batch; whole: of all rows, whose facts `known` holds.

    `steps(position, momentum, gradient, facts, work, told, known, index, paces, present, decay, key, other key, first,
    chain, count)`: index `[count, batch]` are numbers of rows, paces `[count, 2]` are h and σ, present is one where a
    number of the position is and zero in padding; told `[count, 3]` is written. The noise of a step depends on both
    keys, on first + the step, and on the chain. Arrays of `plan`'s and `whole`'s sizes are aligned to whole vectors.
    """
    code = Code(plan.sizes.real, plan.lanes)
    decay = code.spread_value("%decay")
    keys = round_keys(code, ("%key", "%other"))
    chain = code.spread_integer("%chain")
    lanes = f"<{', '.join(f'i32 {lane}' for lane in range(plan.lanes))}>"

    def one(index: str, _: list[str]) -> list[str]:
        _gather(code, plan, whole, index)
        gradient(code, plan)
        number = code.let(f"add nsw i64 %first, {index}")
        moment = code.spread_integer(code.let(f"trunc i64 {number} to i32"))
        later = code.spread_integer(code.let(f"trunc i64 {code.let(f'lshr i64 {number}, 32')} to i32"))
        pace = Spot("%paces").along(index, 2)
        step, noise = code.spread(pace), code.spread(pace + 1)
        prior = code.vector_of(-plan.sizes.prior)

        def group(turn: str, sums: list[str], count: int = WORDS) -> list[str]:
            narrow = f"<{plan.lanes} x i32>"
            start = code.let(f"mul i32 {code.let(f'trunc i64 {turn} to i32')}, {plan.lanes}")
            counter = code.let(f"add {narrow} {code.spread_integer(start)}, {lanes}")
            words = philox(code, [counter, moment, chain, later], keys)
            position_sum, virial, kinetic = sums
            for part, draw in enumerate(normals(code, words)[:count]):
                at, momentum, slope, there = (
                    Spot(array, part * plan.lanes).along(turn, WORDS * plan.lanes)
                    for array in ("%position", "%momentum", "%gradient", "%present")
                )
                before, held = code.load(at), code.load(momentum)
                pulled = code.multiply_add(prior, before, code.load(slope))
                code.store(pulled, slope)
                moved = code.multiply(decay, held)
                moved = code.multiply_add(code.multiply(noise, code.load(there)), draw, moved)
                moved = code.multiply_add(step, pulled, moved)
                code.store(moved, momentum)
                after = code.multiply_add(step, moved, before)
                code.store(after, at)
                mean = code.multiply(code.add(held, moved), code.vector_of(0.5))
                position_sum = code.add(position_sum, after)
                virial = code.multiply_add(before, pulled, virial)
                kinetic = code.multiply_add(mean, mean, kinetic)
            return [position_sum, virial, kinetic]

        groups, rest = divmod(plan.size // plan.lanes, WORDS)
        sums = ["zeroinitializer"] * TOLD
        if groups:
            sums = code.loop(groups, group, sums)
        if rest:
            sums = group(str(groups), sums, rest)
        for place, value in enumerate(sums):
            code.store_number(code.sum_of_lanes(value), (Spot("%told") + place).along(index, TOLD))
        return []

    code.loop("%count", one)
    arrays = ("position", "momentum", "gradient", "facts", "work", "told")
    read = ("known", "index", "paces", "present")
    return "\n".join(
        [
            *operations(code),
            f"define void @steps({', '.join(f'ptr noalias %{name}' for name in arrays)}, "
            f"{', '.join(f'ptr noalias readonly %{name}' for name in read)}, {code.real} %decay, i32 %key, i32 %other, "
            "i64 %first, i32 %chain, i64 %count) {",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )


def _gather(code: Code, plan: Plan, whole: Plan, step: str) -> None:
    """The inputs and coefficients of this step's rows, to where the gradient's code reads facts."""
    width = plan.padded(plan.sizes.widths[0])
    kinds = (plan.belief - plan.labels) // plan.rows + (plan.sizes.form != "none")

    def row(index: str, _: list[str]) -> list[str]:
        place = code.let(f"mul nsw i64 {step}, {plan.sizes.rows}")
        place = code.let(f"add nsw i64 {place}, {index}")
        own = code.let(f"load i64, ptr {code.let(f'getelementptr inbounds i64, ptr %index, i64 {place}')}")
        for column in range(0, width, plan.lanes):
            given = code.load((Spot("%known") + column).along(own, width))
            code.store(given, (Spot("%facts") + column).along(index, width))
        for kind in range(kinds):
            number = code.load_number((Spot("%known") + (whole.labels + kind * whole.rows)).along(own, 1))
            code.store_number(number, (Spot("%facts") + (plan.labels + kind * plan.rows)).along(index, 1))
        return []

    code.loop(plan.sizes.rows, row)

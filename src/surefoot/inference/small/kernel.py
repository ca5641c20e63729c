"""The leapfrog steps of one small ReLU network as one function of machine code.

For `steps` steps of size ε, from position u and momentum m, with the log density of a categorical or normal likelihood,
a functional form and a standard normal prior (see `surefoot.inference.targets` for what u is),

    u ← u + ε·m        g ← ∇ log density(u)        m ← m + ε·g

Nothing but the inputs, the classes' coefficients and one activation per layer is read or written on the way, and all of
it stays in the nearest cache. The half kicks at either end of a trajectory are left to the caller, so that a trajectory
in two parts has the bits of one in one part.
"""

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.head import head
from surefoot.inference.small.layers import backward, forward, weight_gradient
from surefoot.inference.small.sizes import Plan

__all__ = ["gradient", "leapfrogs_code", "operations"]


def leapfrogs_code(plan: Plan) -> str:
    """LLVM code of `leapfrogs(position, momentum, gradient, facts, work, step, steps)`, for one chain.

    Arrays are of `plan`'s sizes, aligned to whole vectors; `steps` is at least one. Functions of LLVM are named as in
    its language reference.
    """
    code = Code(plan.sizes.real, plan.lanes)
    step = code.spread_value("%step")

    def one(_: str, __: list[str]) -> list[str]:
        _drift(code, plan, step)
        gradient(code, plan)
        _kick(code, plan, step)
        return []

    code.loop("%steps", one)
    return "\n".join(
        [
            *operations(code),
            "define void @leapfrogs(ptr noalias %position, ptr noalias %momentum, ptr noalias %gradient, "
            f"ptr noalias readonly %facts, ptr noalias %work, {code.real} %step, i64 %steps) {{",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )


def gradient(code: Code, plan: Plan) -> None:
    """The gradient of the rows' densities by the position; the prior's is not in it."""
    for layer in range(plan.sizes.hidden):
        forward(code, plan, layer)
    head(code, plan)
    for layer in reversed(range(plan.sizes.hidden)):
        weight_gradient(code, plan, layer)
        if layer > 0:
            backward(code, plan, layer)


def operations(code: Code) -> list[str]:
    """Declarations of what is called on vectors."""
    real, vector = code.real, code.vector
    return [
        f"declare {vector} @llvm.fma.{code.suffix}({vector}, {vector}, {vector})",
        f"declare {vector} @llvm.rint.{code.suffix}({vector})",
        f"declare {vector} @llvm.sqrt.{code.suffix}({vector})",
        f"declare {real} @llvm.vector.reduce.fadd.{code.suffix}({real}, {vector})",
    ]


def _drift(code: Code, plan: Plan, step: str) -> None:
    def body(index: str, _: list[str]) -> list[str]:
        at, momentum = (Spot(array).along(index, plan.lanes) for array in ("%position", "%momentum"))
        code.store(code.multiply_add(step, code.load(momentum), code.load(at)), at)
        return []

    code.loop(plan.size // plan.lanes, body)


def _kick(code: Code, plan: Plan, step: str) -> None:
    """Add the prior's gradient, then move the momentum."""
    prior = code.vector_of(-plan.sizes.prior)

    def body(index: str, _: list[str]) -> list[str]:
        at, momentum, gradient = (
            Spot(array).along(index, plan.lanes) for array in ("%position", "%momentum", "%gradient")
        )
        slope = code.multiply_add(prior, code.load(at), code.load(gradient))
        code.store(slope, gradient)
        code.store(code.multiply_add(step, slope, code.load(momentum)), momentum)
        return []

    code.loop(plan.size // plan.lanes, body)

"""Tokens drawn from logits by given chances, in machine code: the inverse of each row's distribution function."""

from surefoot.inference.small.code import Code, Spot
from surefoot.text.machine.attention import LOW, largest_of_lanes

__all__ = ["choice_code"]

LEAST = -87.0
"""Logits this far below the largest have no chance: `Code.exponential` ends there."""


def choice_code(lanes: int) -> str:
    """LLVM code of `choose`, which draws one token for each row.

    Logits: float32 `[rows, stride]`, whole vectors. Chances: float64 in [0, 1). Written: tokens, 64-bit integers; the
    chosen logit less the row's largest, and Σ e^(logit − largest), float64. Work: `3 stride` float32 numbers. Logits
    are divided by `temperature`; the symbol `forbidden` (−1: none) has no chance.
    """
    code = Code("float", lanes)
    temperature = code.spread_value("%temperature")
    code.each("%rows", lambda row: _row(code, row, temperature))
    return "\n".join(
        [
            "define void @choose(ptr noalias readonly %logits, ptr noalias readonly %chances, ptr noalias %tokens, "
            "ptr noalias %shifted, ptr noalias %totals, ptr noalias %work, i64 %stride, i64 %symbols, i64 %rows, "
            "float %temperature, i64 %forbidden) {",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )


def _row(code: Code, row: str, temperature: str) -> None:
    lanes, powers = code.lanes, Spot("%work")
    whole = f"<{lanes} x i32>"
    numbers = "<" + ", ".join(f"i32 {lane}" for lane in range(lanes)) + ">"
    logits = Spot("%logits").along(code.let(f"mul i64 {row}, %stride"), 1)
    chunks = code.let(f"sdiv i64 %stride, {lanes}")

    def largest(index: str, tops: list[str]) -> list[str]:
        start = code.let(f"mul i64 {index}, {lanes}")
        left = code.let(f"trunc i64 {code.let(f'sub i64 %symbols, {start}')} to i32")
        there = code.let(f"icmp slt {whole} {numbers}, {code.spread_integer(left)}")
        gone = code.let(f"trunc i64 {code.let(f'sub i64 %forbidden, {start}')} to i32")
        allowed = code.let(f"icmp ne {whole} {numbers}, {code.spread_integer(gone)}")
        both = code.let(f"and <{lanes} x i1> {there}, {allowed}")
        tempered = code.divide(code.load(logits.along(index, lanes)), temperature)
        value = code.select(both, tempered, code.vector_of(LOW))
        code.store(value, powers.along(index, lanes))
        return [code.larger(tops[0], value)]

    top = largest_of_lanes(code, code.loop(chunks, largest, [code.vector_of(LOW)])[0])

    def power(index: str) -> None:
        below = code.subtract(code.load(powers.along(index, lanes)), top)
        out = code.let(f"fcmp olt {code.vector} {below}, {code.vector_of(LEAST)}")
        code.store(code.select(out, "zeroinitializer", code.exponential(below)), powers.along(index, lanes))

    code.repeat(chunks, power)
    sums = code.let("getelementptr inbounds float, ptr %work, i64 %stride")

    def add(index: str, before: list[str]) -> list[str]:
        share = code.let(f"fpext float {code.load_number(powers.along(index, 1))} to double")
        total = code.let(f"fadd double {before[0]}, {share}")
        code.lines.append(f"  store double {total}, ptr {_double(code, sums, index)}")
        return [total]

    total = code.loop("%symbols", add, [code.constant(0.0)], "double")[0]
    # Short of the whole, so that rounding chooses no token beyond the last that has a chance.
    bits = code.let(f"sub i64 {code.let(f'bitcast double {total} to i64')}, 1")
    short = code.let(f"bitcast i64 {bits} to double")
    chance = code.let(f"load double, ptr {_double(code, '%chances', row)}")
    level = code.let(f"fmul double {chance}, {total}")
    level = code.let(f"select i1 {code.let(f'fcmp olt double {level}, {short}')}, double {level}, double {short}")

    def count(index: str, before: list[str]) -> list[str]:
        sum_here = code.let(f"load double, ptr {_double(code, sums, index)}")
        passed = code.let(f"zext i1 {code.let(f'fcmp ole double {sum_here}, {level}')} to i64")
        return [code.let(f"add i64 {before[0]}, {passed}")]

    token = code.loop("%symbols", count, ["0"], "i64")[0]
    first = code.let(f"extractelement {code.vector} {top}, i64 0")
    chosen = code.let(f"fdiv float {code.load_number(logits.along(token, 1))}, %temperature")
    chosen = code.let(f"fpext float {chosen} to double")
    shifted = code.let(f"fsub double {chosen}, {code.let(f'fpext float {first} to double')}")
    code.lines.append(f"  store i64 {token}, ptr {_double(code, '%tokens', row)}")
    code.lines.append(f"  store double {shifted}, ptr {_double(code, '%shifted', row)}")
    code.lines.append(f"  store double {total}, ptr {_double(code, '%totals', row)}")


def _double(code: Code, array: str, at: str) -> str:
    """The address of number `at` of an array of 64 bits each."""
    return code.let(f"getelementptr inbounds double, ptr {array}, i64 {at}")

"""Normal noise in machine code: counted, not remembered, so that any step of any chain can be drawn on its own.

Words come from Philox-4×32 with ten rounds, a bijection of 128-bit counters for each 64-bit key; normals from pairs of
words by Box and Muller. A word has 32 bits, so no normal is beyond 6.8, where one in 10¹¹ would be.

Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 3.3 and table 2; Box and Muller
(1958), A note on the generation of random normal deviates.
"""

import math
from collections.abc import Sequence

from surefoot.inference.small.code import Code

__all__ = ["WORDS", "normals", "philox", "round_keys"]

WORDS = 4
"""Vectors of words that one counter gives."""

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

TERMS = {"float": (5, 11, 12), "double": (11, 21, 22)}
"""Terms of log's series; last powers of the sine's and the cosine's."""


def round_keys(code: Code, key: tuple[str, str]) -> list[tuple[str, str]]:
    """Each round's key, in every lane; made once for all counters."""
    keys: list[tuple[str, str]] = []
    for number in range(ROUNDS):
        bumped = [
            code.let(f"add i32 {word}, {number * weyl & 0xFFFFFFFF}") for word, weyl in zip(key, WEYL, strict=True)
        ]
        keys.append((code.spread_integer(bumped[0]), code.spread_integer(bumped[1])))
    return keys


def philox(code: Code, counter: Sequence[str], keys: Sequence[tuple[str, str]]) -> list[str]:
    """Four vectors of words of the counters whose four words each lane holds.

    A round takes (c₀, c₁, c₂, c₃) to (high(c₂ M₁) ⊕ c₁ ⊕ k₀, low(c₂ M₁), high(c₀ M₀) ⊕ c₃ ⊕ k₁, low(c₀ M₀)).
    """
    narrow, wide = f"<{code.lanes} x i32>", f"<{code.lanes} x i64>"

    def product(word: str, number: int) -> tuple[str, str]:
        whole = code.let(f"mul {wide} {code.let(f'zext {narrow} {word} to {wide}')}, splat (i64 {number})")
        high = code.let(f"lshr {wide} {whole}, splat (i64 32)")
        return code.let(f"trunc {wide} {high} to {narrow}"), code.let(f"trunc {wide} {whole} to {narrow}")

    def mixed(*words: str) -> str:
        value = words[0]
        for word in words[1:]:
            value = code.let(f"xor {narrow} {value}, {word}")
        return value

    now = list(counter)
    for first, second in keys:
        high, low = product(now[0], MULTIPLIERS[0])
        other_high, other_low = product(now[2], MULTIPLIERS[1])
        now = [mixed(other_high, now[1], first), other_low, mixed(high, now[3], second), low]
    return now


def normals(code: Code, words: Sequence[str]) -> list[str]:
    """As many vectors of N(0, 1): √(−2 log u) (cos 2πt, sin 2πt) of each pair of words.

    u is in (0, 1] and t in [−½, ½); sine and cosine are those of half the angle, doubled.
    """
    drawn: list[str] = []
    for first, second in zip(words[::2], words[1::2], strict=True):
        uniform = _number(code, "uitofp", first)
        uniform = code.multiply_add(uniform, code.vector_of(2.0**-32), code.vector_of(2.0**-33))
        minus = code.multiply(code.vector_of(-2.0), _logarithm(code, uniform))
        radius = code.let(f"call {code.vector} @llvm.sqrt.{code.suffix}({code.vector} {minus})")
        half = code.multiply(_number(code, "sitofp", second), code.vector_of(math.pi * 2.0**-32))
        sine, cosine = _sine_and_cosine(code, half)
        twice = code.multiply(sine, code.vector_of(2.0))
        minus_twice = code.multiply(sine, code.vector_of(-2.0))
        doubled = code.multiply_add(minus_twice, sine, code.vector_of(1.0))
        drawn += [code.multiply(radius, doubled), code.multiply(radius, code.multiply(twice, cosine))]
    return drawn


def _number(code: Code, conversion: str, word: str) -> str:
    return code.let(f"{conversion} <{code.lanes} x i32> {word} to {code.vector}")


def _logarithm(code: Code, value: str) -> str:
    """log x of normal x > 0: x = 2ᵉ m with m from √½ to √2, and log m = 2 Σ s²ᵏ⁺¹/(2k + 1) of s = (m − 1)/(m + 1)."""
    bits, fraction, root = (32, 23, 0x3F3504F3) if code.real == "float" else (64, 52, 0x3FE6A09E667F3BCD)
    whole = f"<{code.lanes} x i{bits}>"
    pattern = code.let(f"bitcast {code.vector} {value} to {whole}")
    above = code.let(f"sub {whole} {pattern}, splat (i{bits} {root})")
    exponent = code.let(f"ashr {whole} {above}, splat (i{bits} {fraction})")
    moved = code.let(f"shl {whole} {exponent}, splat (i{bits} {fraction})")
    mantissa = code.let(f"bitcast {whole} {code.let(f'sub {whole} {pattern}, {moved}')} to {code.vector}")
    one = code.vector_of(1.0)
    s = code.divide(code.subtract(mantissa, one), code.add(mantissa, one))
    terms = TERMS[code.real][0]
    series = _polynomial(code, code.multiply(s, s), [2 / (2 * k + 1) for k in range(terms)])
    power = code.let(f"sitofp {whole} {exponent} to {code.vector}")
    return code.multiply_add(power, code.vector_of(math.log(2)), code.multiply(s, series))


def _sine_and_cosine(code: Code, angle: str) -> tuple[str, str]:
    """Of |angle| ≤ π/2, by Taylor's series."""
    square = code.multiply(angle, angle)
    _, last_sine, last_cosine = TERMS[code.real]
    odd = [(-1) ** (power // 2) / math.factorial(power) for power in range(1, last_sine + 1, 2)]
    even = [(-1) ** (power // 2) / math.factorial(power) for power in range(0, last_cosine + 1, 2)]
    return code.multiply(angle, _polynomial(code, square, odd)), _polynomial(code, square, even)


def _polynomial(code: Code, value: str, coefficients: Sequence[float]) -> str:
    """Σ c_k xᵏ, by Horner's rule."""
    result = code.vector_of(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = code.multiply_add(result, value, code.vector_of(coefficient))
    return result

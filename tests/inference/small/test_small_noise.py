"""Counted noise: Philox against its published answers, and normals against numpy's functions of the same words.

The answers are the first three lines for `philox4x32 10` of the file of known answers that comes with Random123.
"""

import math

import numpy as np
import pytest
from test_small_code import TYPES, aligned, run

from surefoot.inference.small.code import Code, Real, Spot
from surefoot.inference.small.noise import normals, philox, round_keys

pytest.importorskip("llvmlite")

KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def store_words(code: Code, words: list[str], numbers: int = 0) -> None:
    """Words as they are, at `%b`, after so many numbers of 32 bits."""
    for place, word in enumerate(words):
        at = code.let(f"getelementptr inbounds i32, ptr %b, i64 {numbers + place * code.lanes}")
        code.lines.append(f"  store <{code.lanes} x i32> {word}, ptr {at}, align 4")


@pytest.mark.parametrize(("real", "lanes"), TYPES)
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_its_published_answers(
    real: Real, lanes: int, counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    code, out = Code(real, lanes), np.zeros(4 * lanes, np.uint32)
    keys = round_keys(code, (str(key[0]), str(key[1])))
    store_words(code, philox(code, [code.spread_integer(str(word)) for word in counter], keys))
    run(code, out, out)
    assert (out.reshape(4, lanes) == np.array(answer, np.uint32)[:, None]).all()


def drawn(real: Real, lanes: int, counters: int) -> tuple[np.ndarray, np.ndarray]:
    """Words `[counters, 4, lanes]` of so many counters, and their normals."""
    words = np.zeros((counters, 4, lanes), np.uint32)
    values = aligned(np.zeros((counters, 4, lanes)), real)
    code = Code(real, lanes)
    keys = round_keys(code, ("12345", "678"))

    def one(index: str, _: list[str]) -> list[str]:
        number = code.spread_integer(code.let(f"trunc i64 {index} to i32"))
        lane = f"<{', '.join(f'i32 {lane}' for lane in range(lanes))}>"
        made = philox(code, [number, lane, "zeroinitializer", "zeroinitializer"], keys)
        for place, word in enumerate(made):
            moved = code.let(f"mul i64 {index}, {4 * lanes}")
            at = code.let(f"getelementptr inbounds i32, ptr %b, i64 {code.let(f'add i64 {moved}, {place * lanes}')}")
            code.lines.append(f"  store <{lanes} x i32> {word}, ptr {at}, align 4")
        for place, value in enumerate(normals(code, made)):
            code.store(value, Spot("%a", place * lanes).along(index, 4 * lanes))
        return []

    code.loop(counters, one)
    run(code, values, words)
    return words, values.astype(np.float64)


@pytest.mark.parametrize(("real", "lanes"), TYPES)
def test_normals_are_those_of_box_and_muller(real: Real, lanes: int) -> None:
    words, values = drawn(real, lanes, 5_000)
    uniform = words[:, ::2] * 2.0**-32 + 2.0**-33
    turns = words[:, 1::2].astype(np.int32) * 2.0**-32
    radius = np.sqrt(-2 * np.log(uniform))
    expected = np.stack([radius * np.cos(2 * math.pi * turns), radius * np.sin(2 * math.pi * turns)], axis=2)
    # Near u = 1 a float holds 24 of u's 32 bits: the radius √(2 (1 − u)) is then off by up to √(2 · 2⁻²⁴).
    most = 4e-4 if real == "float" else 1e-13
    error = np.abs(values.reshape(expected.shape) - expected)
    assert error.max() < most
    assert np.quantile(error, 0.999) < (2e-6 if real == "float" else 1e-14)


def test_the_ends_of_the_words_give_numbers() -> None:
    """u = 2⁻³³ and u = 1, t = −½ and t just below ½."""
    code, out = Code("float", 4), aligned(np.zeros(16), "float")
    ends = "<i32 0, i32 -1, i32 0, i32 -1>", "<i32 -2147483648, i32 2147483647, i32 2147483647, i32 0>"
    for place, value in enumerate(normals(code, ends)):
        code.store(value, Spot("%a", place * 4))
    run(code, out, out)
    most = math.sqrt(66 * math.log(2))
    np.testing.assert_allclose(out.reshape(-1, 4)[0], [-most, 0, -most, 0], atol=7e-6)
    np.testing.assert_allclose(out.reshape(-1, 4)[1], [0, 0, 0, 0], atol=7e-6)


def test_normals_are_normal_and_independent() -> None:
    """Of 640,000 numbers: moments and lags at 4.5 standard errors, Kolmogorov's distance at a false alarm of 1e-5."""
    _, values = drawn("float", 16, 10_000)
    flat = values.reshape(-1)
    count = flat.size
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((flat**power).mean() - mean) < 4.5 * math.sqrt(variance / count)
    ordered = np.sort(flat)
    cdf = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in ordered])
    distance = np.abs(cdf - (np.arange(count) + 0.5) / count).max()
    assert distance < math.sqrt(math.log(2 / 1e-5) / 2 / count)
    # Between words of a counter, between lanes, and from one counter to the next, of numbers and of their squares.
    for moved in (values, values**2 - 1):
        scale = 1.0 if moved is values else 2.0
        for other in (np.roll(moved, 1, axis=0), np.roll(moved, 1, axis=1), np.roll(moved, 1, axis=2)):
            assert abs((moved * other).mean() / scale) < 4.5 / math.sqrt(count)

"""Vector operations of `Code`, each against numpy."""

import ctypes

import numpy as np
import pytest

from surefoot.inference.small.code import Code, Real, Spot

llvm = pytest.importorskip("llvmlite.binding")

TYPES = [("float", 16), ("float", 4), ("double", 8), ("double", 2)]


def run(code: Code, *arrays: np.ndarray) -> None:
    """Compile the lines as `f(%a, %b)` and call it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    vector = code.vector
    text = "\n".join(
        [
            f"declare {vector} @llvm.fma.{code.suffix}({vector}, {vector}, {vector})",
            f"declare {vector} @llvm.rint.{code.suffix}({vector})",
            f"declare {code.real} @llvm.vector.reduce.fadd.{code.suffix}({code.real}, {vector})",
            "define void @f(ptr %a, ptr %b) {",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("f"))
    call(*(array.ctypes.data for array in arrays))


def aligned(values: np.ndarray, real: Real) -> np.ndarray:
    kind = np.dtype(np.float32 if real == "float" else np.float64)
    room = np.zeros(values.size * kind.itemsize + 64, np.uint8)
    start = -room.ctypes.data % 64
    array = room[start : start + values.size * kind.itemsize].view(kind).reshape(values.shape)
    array[...] = values
    return array


@pytest.mark.parametrize(("real", "lanes"), TYPES)
def test_the_exponential_to_two_units_in_the_last_place(real: Real, lanes: int) -> None:
    lowest = -87.0 if real == "float" else -708.0
    edge = np.log(2) / 2 * np.array([1.0, 3.0, 5.0]) * (1 + 1e-7)
    grid = np.concatenate([np.linspace(lowest, 0, 4000 - 3), -edge])
    grid = grid[: grid.size // lanes * lanes]
    source, target = aligned(grid, real), aligned(np.zeros_like(grid), real)
    code = Code(real, lanes)

    def one(index: str, _: list[str]) -> list[str]:
        code.store(code.exponential(code.load(Spot("%a").along(index, lanes))), Spot("%b").along(index, lanes))
        return []

    code.loop(len(grid) // lanes, one)
    run(code, source, target)
    exact = np.exp(source.astype(np.longdouble))
    error = np.abs(target - exact) / np.spacing(exact.astype(source.dtype))
    assert float(error.max()) <= 2.0


@pytest.mark.parametrize(("real", "lanes"), TYPES)
def test_the_exponential_far_below_is_tiny_and_of_nan_is_nan(real: Real, lanes: int) -> None:
    values = np.zeros(lanes)
    values[:2] = [-1e30, np.nan]
    source, target = aligned(values, real), aligned(np.ones(lanes), real)
    code = Code(real, lanes)
    code.store(code.exponential(code.load(Spot("%a"))), Spot("%b"))
    run(code, source, target)
    assert 0 <= target[0] < (1e-37 if real == "float" else 1e-300)
    assert np.isnan(target[1])
    assert (target[2:] == 1).all()


@pytest.mark.parametrize(("real", "lanes"), TYPES)
def test_transposing_and_sums_of_many_vectors(real: Real, lanes: int) -> None:
    square = np.random.default_rng(0).integers(-9, 9, (lanes, lanes)).astype(float)
    source, target = aligned(square, real), aligned(np.zeros((lanes + 1, lanes)), real)
    code = Code(real, lanes)
    vectors = [code.load(Spot("%a", row * lanes)) for row in range(lanes)]
    for row, vector in enumerate([*code.transpose(vectors), code.sums(vectors)]):
        code.store(vector, Spot("%b", row * lanes))
    run(code, source, target)
    assert (target[:lanes] == square.T).all()
    assert (target[lanes] == square.sum(axis=1)).all()


@pytest.mark.parametrize("times", [1, 2, 7])
def test_loops_in_loops_carry_their_sums(times: int) -> None:
    source, target = aligned(np.arange(times * 8.0), "double"), aligned(np.zeros(8), "double")
    code = Code("double", 8)

    def outer(index: str, sums: list[str]) -> list[str]:
        def inner(inside: str, own: list[str]) -> list[str]:
            return [code.add(own[0], code.spread(Spot("%a").along(index, 8).along(inside, 1)))]

        return code.loop(8, inner, sums)

    code.store(code.loop(times, outer, ["zeroinitializer"])[0], Spot("%b"))
    run(code, source, target)
    assert (target == np.arange(times * 8.0).sum()).all()


def test_constants_keep_every_bit() -> None:
    values = [0.1, -1 / 3, 1e-300, float("inf")]
    target = aligned(np.zeros(4 * 8), "double")
    code = Code("double", 8)
    for place, value in enumerate(values):
        code.store(code.vector_of(value), Spot("%b", 8 * place))
    run(code, aligned(np.zeros(8), "double"), target)
    assert target.reshape(4, 8)[:, 0].tolist() == values


@pytest.mark.parametrize("times", [0, 1, 5])
def test_loops_that_may_not_run_carry_what_they_were_given(times: int) -> None:
    """Sums of vectors, and of integers, over none, one and five turns; a loop inside."""
    source, target = aligned(np.arange(1.0, 13.0), "float"), aligned(np.zeros(8), "float")
    code = Code("float", 4)
    code.lines.append(f"  %times = add i64 0, {times}")

    def one(index: str, sums: list[str]) -> list[str]:
        return code.perhaps("3", lambda part, before: [code.add(before[0], code.load(Spot("%a").along(part, 4)))], sums)

    code.store(code.perhaps("%times", one, [code.vector_of(0.5)])[0], Spot("%b"))
    count = code.perhaps("%times", lambda index, sums: [code.let(f"add i64 {sums[0]}, {index}")], ["7"], "i64")[0]
    again = code.loop(3, lambda index, sums: [code.let(f"add i64 {sums[0]}, {index}")], [count], "i64")[0]
    code.store_number(code.let(f"sitofp i64 {again} to float"), Spot("%b", 4))
    run(code, source, target)
    assert target[:4].tolist() == [0.5 + times * total for total in (15.0, 18.0, 21.0, 24.0)]
    assert target[4] == 7 + times * (times - 1) // 2 + 3

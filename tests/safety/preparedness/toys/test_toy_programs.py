"""The tiny language: what it computes, and that nothing which a policy writes can do more or go on for ever."""

import random
from math import gcd

import pytest

from surefoot.safety.preparedness.toys.programs import LARGEST, STEPS, read_program, run_program


def result(text: str, **inputs: int) -> int | None:
    program = read_program(text)
    assert program is not None
    return run_program(program, inputs)


def test_it_computes_what_python_computes() -> None:
    draws = random.Random(0)
    names = ["x", "y", "out"]
    signs = {"add": "+=", "subtract": "-=", "multiply": "*=", "set": "="}
    for _ in range(200):
        lines, expected = [], {"x": 3, "y": -2, "out": 1}
        for _ in range(12):
            word, name = draws.choice(list(signs)), draws.choice(names)
            operand = draws.choice([*names, str(draws.randrange(-3, 4))])
            times, guard = draws.randrange(-1, 3), draws.randrange(-2, 3)
            lines += [f"repeat {times}", f"if {name} < {guard}", f"{word} {name} {operand}", "end", "end"]
            for _ in range(times):
                if expected[name] < guard:
                    value = expected[operand] if operand in names else int(operand)
                    before = expected[name]
                    sums = {"add": before + value, "subtract": before - value, "multiply": before * value, "set": value}
                    expected[name] = sums[word]
        if all(abs(each) < LARGEST for each in expected.values()):
            assert result("\n".join(lines), x=3, y=-2, out=1) == expected["out"]


def test_a_loop_counts_once_and_runs_never_for_less_than_one() -> None:
    assert result("set out 0\nset n 3\nrepeat n\nadd n 1\nadd out 1\nend") == 3
    assert result("set out 5\nrepeat -4\nset out 1\nend") == 5
    assert result("set out a\nif a = b\nset out 0\nend", a=4, b=4) == 0
    assert result("  SET out 1".lower() + "\n\n# a note\nadd   out  2 ") == 3
    euclid = "set out b\nset x a\nrepeat 60\nif x > out\nsubtract x out\nend\nif out > x\nsubtract out x\nend\nend"
    assert result(euclid, a=84, b=36) == gcd(84, 36)


@pytest.mark.parametrize(
    "text",
    ["repeat 999999999999999\nend", "repeat 99999\nrepeat 99999\nend\nend", "set out 2\nrepeat 99\nmultiply out 9\nend",
     "set out nobody", "add out 1", "\n".join(f"set x{'_' * (at % 9)}{chr(97 + at % 26)} 1" for at in range(90)),
     "set x 1"],
)  # fmt: skip
def test_runs_that_lead_nowhere_end_without_a_result(text: str) -> None:
    assert result(text) is None


def test_a_run_ends_after_its_steps() -> None:
    assert result(f"set out 0\nrepeat {STEPS // 2 - 2}\nadd out 1\nend") == STEPS // 2 - 2
    assert result(f"set out 0\nrepeat {STEPS // 2 + 1}\nadd out 1\nend") is None


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "end", "repeat 2\nadd out 1", "set out", "set out 1 2", "set out 1.5", "set out ٣", "print out",
     "__import__('os')", "set out 1; set out 2", "set Out 1", "set out 1e9", "if a <= b\nend", "repeat\nend",
     "set out 9999999999999999", "\n".join(["repeat 1"] * 9 + ["end"] * 9), "set out 1\n" * 101, "x" * 10**6,
     "set out 1\x00", "repeat 2\nend\nend", "set \u0440 1"],
)  # fmt: skip
def test_what_is_no_program_is_none(text: str) -> None:
    assert read_program(text) is None

"""Each task's answers and thoughts against another way to them."""

import operator
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise, permutations, product
from math import gcd

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from python_arithmetic import by_python, value_of

from surefoot.text.completion import part
from surefoot.text.tasks.addition import Addition
from surefoot.text.tasks.chains import ModularChain
from surefoot.text.tasks.countdown import Countdown
from surefoot.text.tasks.expressions import Expressions
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, Task

seeds = st.integers(0, 2**32 - 1)


def draw(task: Task, seed: int) -> tuple[Problem, str]:
    asked = task.problem(torch.Generator().manual_seed(seed))
    thought = part(task.demonstration(asked, spelled=True), ended=True).thought
    assert thought is not None
    return asked, thought


@settings(deadline=None)
@given(st.integers(1, 40), seeds)
def test_parity_is_whether_the_ones_are_odd(bits: int, seed: int) -> None:
    asked, thought = draw(Parity(bits), seed)
    assert len(asked.prompt) == bits + 1
    assert asked.gold == str(asked.prompt.count("1") % 2)
    assert thought == "".join(str(asked.prompt[: at + 1].count("1") % 2) for at in range(bits))


def test_bits_are_fair_and_independent() -> None:
    """Each of 16 patterns of 4 bits, 4,000 drawn: χ² with 15 degrees of freedom is above 59.7 one time in 3e-7."""
    generator = torch.Generator().manual_seed(0)
    counts = Counter(Parity(4).problem(generator).prompt for _ in range(4_000))
    assert len(counts) == 16
    assert sum((each - 250) ** 2 / 250 for each in counts.values()) < 59.7


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(2, 10), seeds)
def test_a_chain_is_its_steps_nested(steps: int, modulus: int, seed: int) -> None:
    """By Python's own arithmetic, over the integers and with parentheses around every step, reduced once at the end."""
    asked, thought = draw(ModularChain(steps, modulus), seed)
    body = asked.prompt.removesuffix("=")
    values = []
    for at in range(1, steps + 1):
        nested = body[0]
        for step in range(at):
            nested = f"({nested}{body[1 + 2 * step : 3 + 2 * step]})"
        values.append(str(value_of(nested) % modulus))
    assert thought == "".join(values)
    assert asked.gold == values[-1]
    for operation, number in zip(body[1::2], map(int, body[2::2]), strict=True):
        assert 1 <= number < modulus
        assert operation == "+" or (number > 1 and gcd(number, modulus) == 1)


@pytest.mark.parametrize("modulus", [2, 6, 7, 10])
def test_a_guess_at_a_chain_is_right_once_in_the_modulus(modulus: int) -> None:
    """χ² with modulus − 1 ≤ 9 degrees of freedom is above 48 one time in 3e-7; the seed is fixed."""
    generator = torch.Generator().manual_seed(0)
    counts = Counter(ModularChain(3, modulus).problem(generator).gold for _ in range(2_000))
    assert sum((counts[str(each)] - 2_000 / modulus) ** 2 * modulus / 2_000 for each in range(modulus)) < 48


@settings(deadline=None)
@given(st.integers(1, 18), seeds)
def test_a_sum_is_a_sum_and_its_columns_say_so(digits: int, seed: int) -> None:
    asked, thought = draw(Addition(digits), seed)
    first, second = asked.prompt.removesuffix("=").split("+")
    assert len(first) == len(second) == digits
    assert int(asked.gold) == int(first) + int(second)
    columns = thought.split(",")
    assert all(sum(map(int, each.split("=")[0].split("+"))) == int(each.split("=")[1]) for each in columns)
    written = "".join(each.split("=")[1][-1] for each in columns)[::-1]
    assert columns[-1].split("=")[1][:-1] + written == asked.gold


@pytest.mark.parametrize("digits", [1, 3])
def test_numbers_of_a_sum_go_from_the_least_to_the_greatest_of_their_digits(digits: int) -> None:
    """4,000 numbers of 900 or of 10: none is at an end or two beside it one time in 2e6; the seed is fixed."""
    generator = torch.Generator().manual_seed(0)
    drawn = [Addition(digits).problem(generator).prompt.removesuffix("=").split("+") for _ in range(2_000)]
    numbers = {int(each) for pair in drawn for each in pair}
    assert min(numbers) in (range(1) if digits == 1 else range(100, 103))
    assert max(numbers) in range(10**digits - 3, 10**digits)


@settings(deadline=None)
@given(st.integers(1, 6), st.sampled_from([None, 2, 7, 10]), seeds)
def test_every_step_of_an_expression_has_its_value(operations: int, modulus: int | None, seed: int) -> None:
    asked, thought = draw(Expressions(operations, modulus), seed)
    steps = [asked.prompt.removesuffix("="), *thought.split("=")]
    for left, each in enumerate(steps):
        value = value_of(each)
        assert str(value % modulus if modulus else value) == asked.gold
        assert each.count("(") == operations - left
    assert steps[-1] == asked.gold
    for one, two in pairwise(steps):  # the leftmost pair of numbers in parentheses is what was worked out

        def worth(found: re.Match[str]) -> str:
            return str(value_of(found[0]) % modulus if modulus else value_of(found[0]))

        assert re.sub(r"\(-?\d+[-+*]-?\d+\)", worth, one, count=1) == two


@cache
def reachable(numbers: tuple[int, ...]) -> frozenset[Fraction]:
    """Every value that all of these numbers can make, by splitting them in two in every way."""
    if len(numbers) == 1:
        return frozenset({Fraction(numbers[0])})
    found: set[Fraction] = set()
    signs: tuple[Callable[[Fraction, Fraction], Fraction], ...] = (operator.add, operator.sub, operator.mul)
    for order in set(permutations(numbers)):
        for cut in range(1, len(order)):
            for one, two in product(reachable(order[:cut]), reachable(order[cut:])):
                found |= {sign(one, two) for sign in signs} | ({one / two} if two else set())
    return frozenset(found)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 4), st.sampled_from([1, 5, 20, 100]), seeds)
def test_a_countdown_has_a_solution_and_its_steps_lead_there(numbers: int, largest: int, seed: int) -> None:
    asked, thought = draw(Countdown(numbers, largest), seed)
    given_, target = asked.prompt.removesuffix("=").split(":")
    values = tuple(map(int, given_.split(",")))
    assert list(values) == sorted(values)
    assert max(values) <= largest
    assert int(target) not in values
    assert 1 <= int(target) <= 100
    assert Fraction(int(target)) in reachable(values)
    assert value_of(asked.gold) == int(target)
    left = Counter(values)
    for step in thought.split(","):
        expression, value = step.split("=")
        assert value_of(expression) == int(value)
        used = Counter(
            int(each) for each in expression.replace("*", "+").replace("-", "+").replace("/", "+").split("+")
        )
        assert used <= left
        left = left - used + Counter([int(value)])
    assert left == Counter([int(target)])


def test_a_countdown_takes_any_right_expression_and_no_other() -> None:
    task, loose = Countdown(3), Countdown(3, every=False)
    asked = Problem("", "3,5,9:15=", "(5*(9/3))")
    for right in ("5*(9/3)", "5*9/3", "9/3*5", "(9*5)/3", "5/3*9", "((((5))))*(9/(3))", " 5 * 9 / 3\n"):
        assert task.grade(asked, right) == loose.grade(asked, right) == 1
    for part_of in ("3*5", "5*3", "(3)*5"):
        assert task.grade(asked, part_of) == 0
        assert loose.grade(asked, part_of) == 1
    # Twice, another number, digits put together, worth something else, by zero, nearly: 4.9999… is not 5.
    for wrong in (
        "3+3+9",
        "15",
        "5+5+5",
        "9+6",
        "59-44",
        "5*9",
        "5*9-3",
        "15/(3-3)",
        "9/(5-3-2)",
        "5*9/3=15",
        "3,5,9:15=",
    ):
        assert task.grade(asked, wrong) == loose.grade(asked, wrong) == 0
    nearly = Problem("", "3,5,9:2=", "")
    assert task.grade(nearly, "(3+9)/5") == loose.grade(nearly, "9/5") == 0
    twice = Problem("", "3,3,8:24=", "((3/3)*8)*3")
    assert task.grade(twice, "3*8") == task.grade(twice, "3*8*3/3") == 0
    assert loose.grade(twice, "3*8") == 1
    assert loose.grade(twice, "3*8*3/3") == loose.grade(twice, "8+8+8") == 0


@pytest.mark.parametrize("target", [3, 4, 24])
def test_an_expression_is_right_exactly_where_it_is_worth_the_target(target: int) -> None:
    """Every expression of 1, 1 and 2, by Python's own parser; none makes 24."""
    asked = Problem("", f"1,1,2:{target}=", "")
    for (one, two, three), (left, right) in product(set(permutations("112")), product("+-*/", repeat=2)):
        for text in (f"({one}{left}{two}){right}{three}", f"{one}{left}({two}{right}{three})"):
            read = by_python(text)
            assert Countdown(3).grade(asked, text) == float(read is not None and read.value == target)

"""What answers are read as: against Python's own parser on what it shares, and nothing for all else."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_arithmetic import by_python

from surefoot.text.parsing import DEEPEST, LONGEST, bare, read_arithmetic, read_number

expressions = st.recursive(
    st.integers(0, 30).map(str),
    lambda inner: st.builds("{}{}{}".format, inner, st.sampled_from("+-*/"), inner) | st.builds("({})".format, inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(expressions)
def test_arithmetic_is_what_python_says(text: str) -> None:
    assert read_arithmetic(text) == by_python(text)


@settings(deadline=None)
@given(st.text("012+-*/() ", max_size=9))
def test_no_text_is_read_that_python_would_not_read_alike(text: str) -> None:
    """Powers, floor division, signs and calls are Python's and not ours; what we read, both read alike."""
    read = read_arithmetic(text)
    assert read is None or read == by_python(text)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_at_all_has_a_value_or_none(text: str) -> None:
    read_arithmetic(text)
    read_number(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "()", "1+", "+1", "-1", "1//2", "2**3", "1 2", "(1)(2)", "1,2", "1.5", "1e2", "01", "0x1", "(1", "1)",
     "1=1", "x", "__import__('os')", "1/0", "1/(3-3)", "0/0", "\u0661+1", "\uff11", "\u00b2", "1\u22121", "1\u00d72",
     "1\u00a0+1", "1_0"],
)  # fmt: skip
def test_all_else_is_no_arithmetic(text: str) -> None:
    assert read_arithmetic(text) is None


def test_parentheses_go_as_deep_as_said_and_no_deeper() -> None:
    deep = "(" * DEEPEST + "7" + ")" * DEEPEST
    assert read_arithmetic(deep) == (7, (7,))
    assert read_arithmetic(f"({deep})") is None
    assert read_arithmetic("(" * 100_000) is None
    assert read_arithmetic("(" * (LONGEST // 2) + "1" + ")" * (LONGEST // 2 - 1)) is None


def test_what_is_too_long_is_not_read() -> None:
    assert read_number("9" * LONGEST) == 10**LONGEST - 1
    assert read_number("9" * (LONGEST + 1)) is None
    assert read_number("9" * 10_000_000) is None
    assert read_arithmetic("9" * LONGEST) == (10**LONGEST - 1, (10**LONGEST - 1,))
    assert read_arithmetic("1" + "+1" * (LONGEST // 2)) is None
    longest = "9*" * (LONGEST // 2 - 1) + "9"
    assert read_arithmetic(longest) == (9 ** (LONGEST // 2), (9,) * (LONGEST // 2))


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
def test_numbers_are_what_they_say_with_and_without_commas(number: object) -> None:
    value = Fraction(str(number))
    assert read_number(f"{number:f}") == value
    assert read_number(f"{number:,f}") == value
    assert read_number(f"\t {number:+,f} \n") == value


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "+.", "1,2", "12,34,567", ",123", "1,", "1234,567", "1,234567", "1e3", "1/2", "42 43", "42 or 43",
     "$42", "42%", "--1", "4 2", "\u0664\u0662", "\uff14\uff12", "\u221242", "nan", "inf", "0x2a", "1_000", "#### 42",
     "42\u00a0"],
)  # fmt: skip
def test_all_else_is_no_number(text: str) -> None:
    assert read_number(text) is None


def test_a_number_may_end_a_sentence_and_begin_with_its_point() -> None:
    assert read_number("42.") == read_number("042.0") == 42
    assert read_number(".5") == Fraction(1, 2)
    assert read_number("-0") == 0


def test_only_plain_space_is_taken_off() -> None:
    assert bare(" \t1\r\n") == "1"
    assert bare("\u00a01\u2003") == "\u00a01\u2003"

"""What an answer says, read with a whitelist: a whole number or decimal, or arithmetic, and nothing else.

    number      [+ -] digits [. digits]            thousands may have commas, all of them or none
    expression  term {(+ | -) term}
    term        factor {(* | /) factor}
    factor      whole | ( expression )             spaces between are ignored
    whole       0 | digits that do not begin with 0

Only the ten digits of ASCII are digits. Values are exact fractions. What is not of this form, is longer than
`LONGEST` characters, nests deeper than `DEEPEST` parentheses, or divides by zero has no value: None, never an error,
for whatever a policy may say.
"""

import re
from fractions import Fraction
from typing import NamedTuple

__all__ = ["DEEPEST", "LONGEST", "Arithmetic", "bare", "read_arithmetic", "read_number"]

LONGEST = 400
"""Characters. Far below what would make exact arithmetic slow."""
DEEPEST = 40
"""Parentheses open at one time."""
SPACES = " \t\r\n"
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?")
PIECE = re.compile(r"[ \t\r\n]*(0|[1-9][0-9]*|[-+*/()])")


class Arithmetic(NamedTuple):
    """An expression's exact value, and the numbers that stand in it, in their order."""

    value: Fraction
    numbers: tuple[int, ...]


def bare(answer: str) -> str:
    """An answer without the spaces, tabs and line ends around it."""
    return answer.strip(SPACES)


def read_number(text: str) -> Fraction | None:
    """The exact value of one number and nothing else, or None.

    A point at the end is allowed, for a sentence ends with one; a currency, a unit or a fraction is not.

    >>> read_number(" -1,234.50 "), read_number("1,23"), read_number("42 or 43"), read_number("1e3")
    (Fraction(-2469, 2), None, None, None)
    """
    text = bare(text)
    if len(text) > LONGEST or not NUMBER.fullmatch(text) or not any(each in "0123456789" for each in text):
        return None
    return Fraction(text.replace(",", "").removesuffix("."))


def read_arithmetic(text: str) -> Arithmetic | None:
    """The exact value of an expression of whole numbers, + - * / and parentheses, or None.

    >>> read_arithmetic("(1+2) * 3 / 4")
    Arithmetic(value=Fraction(9, 4), numbers=(1, 2, 3, 4))
    >>> read_arithmetic("1/(2-2)"), read_arithmetic("2**3"), read_arithmetic("-1"), read_arithmetic("(1)(2)")
    (None, None, None, None)
    """
    pieces = _pieces(text)
    if pieces is None:
        return None
    numbers = tuple(int(each) for each in pieces if each not in "+-*/()")
    found = _sum(pieces, 0, 0)
    return Arithmetic(found.value, numbers) if found is not None and found.end == len(pieces) else None


class _Found(NamedTuple):
    value: Fraction
    end: int


def _pieces(text: str) -> list[str] | None:
    text = bare(text)
    if len(text) > LONGEST:
        return None
    pieces: list[str] = []
    at = 0
    while at < len(text):
        found = PIECE.match(text, at)
        if found is None:
            return None
        pieces.append(found[1])
        at = found.end()
    return pieces


def _sum(pieces: list[str], at: int, depth: int) -> _Found | None:
    found = _product(pieces, at, depth)
    while found is not None and found.end < len(pieces) and pieces[found.end] in "+-":
        adds = pieces[found.end] == "+"
        right = _product(pieces, found.end + 1, depth)
        found = right and _Found(found.value + right.value if adds else found.value - right.value, right.end)
    return found


def _product(pieces: list[str], at: int, depth: int) -> _Found | None:
    found = _factor(pieces, at, depth)
    while found is not None and found.end < len(pieces) and pieces[found.end] in "*/":
        times = pieces[found.end] == "*"
        right = _factor(pieces, found.end + 1, depth)
        if right is None or (not times and right.value == 0):
            return None
        found = _Found(found.value * right.value if times else found.value / right.value, right.end)
    return found


def _factor(pieces: list[str], at: int, depth: int) -> _Found | None:
    if at >= len(pieces):
        return None
    if pieces[at] == "(" and depth < DEEPEST:
        inner = _sum(pieces, at + 1, depth + 1)
        closed = inner is not None and inner.end < len(pieces) and pieces[inner.end] == ")"
        return _Found(inner.value, inner.end + 1) if inner is not None and closed else None
    return None if pieces[at] in "+-*/()" else _Found(Fraction(int(pieces[at])), at + 1)

"""Arithmetic by Python's own syntax tree with exact fractions: another way to every value of these tests."""

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Read(NamedTuple):
    value: Fraction
    numbers: tuple[int, ...]


def by_python(text: str, *, signs: bool = False) -> Read | None:
    """The value and the numbers of an expression; None for whatever else Python allows. signs: -1 is a number."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        if signs and isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            numbers.append(node.value)
            return Fraction(node.value)
        raise SyntaxError

    numbers: list[int] = []
    try:
        return Read(value(ast.parse(text.strip(" \t\r\n"), mode="eval").body), tuple(numbers))
    except (SyntaxError, ZeroDivisionError):
        return None


def value_of(text: str) -> Fraction:
    read = by_python(text, signs=True)
    assert read is not None, text
    return read.value

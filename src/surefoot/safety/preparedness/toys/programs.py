"""A language so small that running what a policy wrote needs no sandbox: whole numbers, a few names, and loops.

    set x 3            add x y          subtract x 2        multiply x y
    repeat n … end     the lines between, n times; n is read once, and 0 or less is never
    if x < y … end     the lines between where it holds; also with =, >

Operands are whole numbers and names. A program is read by a whitelist of these forms; there is no call, no text, no
input and no output. A run ends after `STEPS` lines, and a number beyond `LARGEST` ends it too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["LARGEST", "STEPS", "Line", "Program", "read_program", "run_program"]

STEPS = 10_000
LARGEST = 10**15
LONGEST, LINES, DEEPEST, NAMES = 4_000, 100, 8, 50
"""Characters, lines, blocks within one another, and names of a program."""
OPERAND = r"(-?[0-9]{1,15}|[a-z][a-z_]{0,15})"
CHANGE = re.compile(rf"(set|add|subtract|multiply) ([a-z][a-z_]{{0,15}}) {OPERAND}")
REPEAT = re.compile(rf"repeat {OPERAND}")
IF = re.compile(rf"if {OPERAND} ([<=>]) {OPERAND}")


@dataclass(frozen=True)
class Line:
    """One line with its operands; inside: the lines of a block."""

    word: str
    operands: tuple[str, ...]
    inside: "Program" = ()


Program: TypeAlias = tuple[Line, ...]


class _Stopped(Exception):
    """The run cannot go on."""


def read_program(text: str) -> Program | None:
    """The program that a text is, or None. Empty lines and lines that begin with # are passed over.

    >>> read_program("repeat 2\\n add x 1\\nend")
    (Line(word='repeat', operands=('2',), inside=(Line(word='add', operands=('x', '1'), inside=()),)),)
    >>> read_program("import os") is None
    True
    """
    if len(text) > LONGEST:
        return None
    lines = [" ".join(each.split()) for each in text.splitlines()]
    lines = [each for each in lines if each and not each.startswith("#")]
    if not lines or len(lines) > LINES:
        return None
    blocks: list[list[Line]] = [[]]
    heads: list[Line] = []
    for line in lines:
        if line == "end":
            if not heads:
                return None
            inside = tuple(blocks.pop())
            head = heads.pop()
            blocks[-1].append(Line(head.word, head.operands, inside))
        elif found := CHANGE.fullmatch(line):
            blocks[-1].append(Line(found[1], (found[2], found[3])))
        elif found := REPEAT.fullmatch(line) or IF.fullmatch(line):
            heads.append(Line(line.partition(" ")[0], found.groups()))
            blocks.append([])
            if len(heads) > DEEPEST:
                return None
        else:
            return None
    return None if heads else tuple(blocks[0])


def run_program(program: Program, inputs: Mapping[str, int], result: str = "out") -> int | None:
    """The number that `result` has at the end; None where it has none, or the run had to be ended.

    >>> run_program(read_program("set out 0\\nrepeat a\\nadd out a\\nend"), {"a": 7})
    49
    >>> run_program(read_program("repeat 100000\\nadd a 1\\nend"), {"a": 7}) is None
    True
    """
    names = dict(inputs)
    try:
        _run(program, names, STEPS)
    except _Stopped:
        return None
    return names.get(result)


def _run(program: Program, names: dict[str, int], left: int) -> int:
    """Run it, and say how many steps are left."""
    for line in program:
        left = _step(left)
        if line.word == "repeat":
            for _ in range(_value(line.operands[0], names)):
                left = _run(line.inside, names, _step(left))
        elif line.word == "if":
            if _holds(_value(line.operands[0], names), line.operands[1], _value(line.operands[2], names)):
                left = _run(line.inside, names, left)
        else:
            _change(line, names)
    return left


def _step(left: int) -> int:
    if left <= 0:
        raise _Stopped
    return left - 1


def _change(line: Line, names: dict[str, int]) -> None:
    name, value = line.operands[0], _value(line.operands[1], names)
    if line.word == "set":
        changed = value
    else:
        before = _value(name, names)
        sums = {"add": before + value, "subtract": before - value, "multiply": before * value}
        changed = sums[line.word]
    if abs(changed) > LARGEST or len(names | {name: 0}) > NAMES:
        raise _Stopped
    names[name] = changed


def _holds(one: int, compared: str, other: int) -> bool:
    return one < other if compared == "<" else one > other if compared == ">" else one == other


def _value(operand: str, names: Mapping[str, int]) -> int:
    if operand.lstrip("-").isdigit():
        return int(operand)
    if operand not in names:
        raise _Stopped
    return names[operand]

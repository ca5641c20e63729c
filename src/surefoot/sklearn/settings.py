"""Settings as a scikit-learn user gives them: checked under the names they have here, in one sentence."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, cast

from surefoot.errors import InputError

__all__ = ["number", "one_of", "several", "whole"]


def one_of(name: str, given: Any, allowed: tuple[str, ...]) -> Any:
    """The word given; raises `InputError` unless it is one of those allowed.

    >>> one_of("balance", "groups", ("groups", "classes"))
    'groups'
    """
    if given not in allowed:
        words = " or ".join(f'"{word}"' for word in allowed)
        raise InputError(f"{name} is {given!r}; it is {words}.")
    return given


def number(name: str, given: Any, *, zero: bool = False, infinite: bool = False) -> float:
    """A positive, finite number, where allowed also 0 or infinity; else `InputError`."""
    value = float(given) if isinstance(given, Real) else math.nan
    if not (0 < value < math.inf or (zero and value == 0) or (infinite and value == math.inf)):
        raise InputError(f"{name} is {given!r}; give {'0 or ' if zero else ''}a positive number.")
    return value


def whole(name: str, given: Any, least: int = 1) -> int:
    """A whole number of at least `least`; else `InputError`."""
    if not isinstance(given, Integral) or int(given) < least:
        raise InputError(f"{name} is {given!r}; give a whole number of at least {least}.")
    return int(given)


def several(name: str, given: Any, *, one: str | None = None) -> tuple[float, ...]:
    """The values to choose from, at least one number; `one` is the parameter that takes a single value instead.

    >>> several("Cs", [1.0, 0.1], one="C")
    (1.0, 0.1)
    """
    if isinstance(given, Real):
        alone = "" if one is None else f", or that one alone as {one}={given}"
        raise InputError(f"{name} is {given}; give the values to choose from, as {name}=({given},){alone}.")
    values = tuple(cast("Iterable[Any]", given)) if isinstance(given, Iterable) else ()
    if not values or not all(isinstance(value, Real) for value in values):
        raise InputError(f"{name} is {given!r}; give the numbers to choose from, at least one.")
    return tuple(float(value) for value in values)

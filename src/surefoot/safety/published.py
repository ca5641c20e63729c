"""Does a published total follow from its published parts?

A printed number stands for every number that rounds to it, either way where it lies half between. Parts of so many
items each are known better: only k/items can be printed so. The total that the parts allow is then an interval, and it
disagrees with the printed total where no number lies in both.

    parts 1.00, .88 of 25 items    exactly 25/25 and 22/25
    parts .29, .24 without items   between .285 and .295, and between .235 and .245

Without weights any weighting is allowed, and a total only has to lie between the smallest and the largest part.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from surefoot.errors import InputError

__all__ = ["Disagreement", "check_parts", "check_share", "equal_weights"]

ROUNDING = 1e-9


@dataclass(frozen=True)
class Disagreement:
    """A printed total, and the lowest and highest that its parts allow."""

    printed: str
    low: float
    high: float
    sentence: str


def check_parts(
    printed: str, parts: Sequence[str], weights: Sequence[float] | None = None, *, items: int | None = None
) -> Disagreement | None:
    """None where the weighted mean of the parts may be what is printed.

    printed, parts: as they are written, for the digits say how far they were rounded. weights: of each part
    (`equal_weights` for a mean of the parts), None where they are not known. items: how many each part was measured on,
    where it is a share of so many.

    Raises `InputError` for no parts, a text that is no number, other numbers of weights, weights that are negative or
    sum to nothing, and a part that no share of the items rounds to.

    >>> check_parts("0.20", ["0.29", "0.24", "0.07"], equal_weights(3)) is None
    True
    >>> check_parts("0.936", ["1.00", "0.88"], equal_weights(2), items=25).sentence
    'The printed 0.936 does not follow from its 2 parts, which give 0.94.'
    """
    if not parts or (weights is not None and (len(weights) != len(parts) or min(weights) < 0 or sum(weights) <= 0)):
        raise InputError(
            f"There are {len(parts)} parts and {'no' if weights is None else len(weights)} weights; give at least one "
            "part, and a weight for each of them, none negative and not all zero."
        )
    ranges = [_range(each) if items is None else _share_range(each, items) for each in parts]
    if weights is None:
        low, high = min(each[0] for each in ranges), max(each[1] for each in ranges)
    else:
        total = math.fsum(weights)
        low, high = (
            math.fsum(weight * each[end] for weight, each in zip(weights, ranges, strict=True)) / total
            for end in (0, 1)
        )
    return _compared(printed, low, high, f"its {len(parts)} {'parts' if len(parts) > 1 else 'part'}")


def check_share(printed: str, count: int, of: int) -> Disagreement | None:
    """None where `count` of `of` may be printed so.

    >>> check_share("0.0017", 180, 102_443).sentence
    'The printed 0.0017 does not follow from 180 of 102443, which give 0.001757.'
    """
    if not 0 <= count <= of or of < 1:
        raise InputError(f"{count} of {of} make no share; give 0 ≤ count ≤ of, and at least one.")
    return _compared(printed, count / of, count / of, f"{count} of {of}")


def equal_weights(count: int) -> tuple[float, ...]:
    """For a plain mean of the parts.

    >>> equal_weights(3)
    (1.0, 1.0, 1.0)
    """
    return (1.0,) * count


def _compared(printed: str, low: float, high: float, whence: str) -> Disagreement | None:
    least, most = _range(printed)
    if least <= high + ROUNDING and low <= most + ROUNDING:
        return None
    given = f"{low:.4g}" if math.isclose(low, high, rel_tol=1e-9) else f"between {low:.4g} and {high:.4g}"
    return Disagreement(printed, low, high, f"The printed {printed} does not follow from {whence}, which give {given}.")


def _range(printed: str) -> tuple[float, float]:
    """All numbers that round to what is printed."""
    try:
        number = Decimal(printed)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int):  # NaN and infinity
            raise InvalidOperation
    except InvalidOperation:
        raise InputError(
            f"{printed!r} was given as a printed number; write it with its digits, such as 0.940."
        ) from None
    half = Decimal((0, (5,), exponent - 1))
    return float(number - half), float(number + half)


def _share_range(printed: str, items: int) -> tuple[float, float]:
    """The smallest and the largest share of `items` that rounds to what is printed."""
    if items < 1:
        raise InputError(f"A part was measured on {items} items; give one or more, or leave the items out.")
    low, high = _range(printed)
    first, last = math.ceil(low * items - ROUNDING), math.floor(high * items + ROUNDING)
    first, last = max(first, 0), min(last, items)
    if first > last:
        raise InputError(f"No share of {items} items is printed as {printed}; correct the items or the part.")
    return first / items, last / items

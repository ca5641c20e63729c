"""The model for a budget of time: the best of those that are quick enough.

How good each is, is measured on choose rows, and the chosen one's accuracy is claimed on judge rows alone: the best of
several is flattered by the rows that chose it. One is quick enough where the upper quartile of its passes is, so that
one in four passes at most is slower than was asked for on the machine that was measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.errors import InputError
from surefoot.flex.cost import Cost

__all__ = ["Candidate", "choose_within", "show_budget"]


@dataclass(frozen=True)
class Candidate:
    """A model, or one patch size of it, with what a pass costs and how good it is on choose rows.

    score: an accuracy, or a worst group's; the higher, the better. measure: which, in words.
    """

    name: str
    label: str
    cost: Cost
    score: float
    measure: str = "right"


def choose_within(candidates: Sequence[Candidate], seconds: float) -> Candidate:
    """The candidate with the highest score whose passes take `seconds` at most; of equals the one that is quicker.

    Raises `InputError` for no candidate, a budget that is no time, and one that none meets: the nearest is named, and
    how good it is.
    """
    if not candidates:
        raise InputError("There is no model to choose from; give at least one.")
    if not seconds > 0:
        raise InputError(f"The budget is {1e3 * seconds:g} ms; give a positive time.")
    within = [each for each in candidates if each.cost.slow <= seconds]
    if not within:
        nearest = min(candidates, key=lambda each: each.cost.slow)
        raise InputError(
            f"Nothing answers within {show_budget(seconds)} here; the nearest is {nearest.label} with "
            f"{show_budget(nearest.cost.slow, up=True)} and {nearest.score:.1%} {nearest.measure} on choose rows. Give "
            "a budget of at least that, fewer rows a pass, or a smaller model."
        )
    return max(within, key=lambda each: (each.score, -each.cost.seconds))


def show_budget(seconds: float, *, up: bool = False) -> str:
    """A time, to four digits; rounded up where it is to be enough.

    >>> show_budget(0.02), show_budget(0.0005), show_budget(2.5), show_budget(0.02000001, up=True)
    ('20 ms', '0.5 ms', '2.5 s', '20.01 ms')
    """
    value, unit = (seconds, "s") if seconds >= 1 else (1e3 * seconds, "ms")
    digits = max(0, 3 - math.floor(math.log10(value))) if 0 < value < math.inf else 0
    shown = round(value, digits)
    if up and shown < value:
        shown += 10.0**-digits
    return f"{shown:,.{digits}f}".rstrip("0").rstrip(".") + f" {unit}" if digits else f"{shown:,.0f} {unit}"

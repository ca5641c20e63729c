"""The model for a budget of time: the best of those that are quick enough.

How good each is, is measured on choose rows, and the chosen one's accuracy is claimed on judge rows alone: the best of
several is flattered by the rows that chose it. One is quick enough where the upper quartile of its passes is, so that
one in four passes at most is slower than was asked for on the machine that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.errors import InputError
from surefoot.flex.cost import Cost

__all__ = ["Candidate", "choose_within", "show_budget"]


@dataclass(frozen=True)
class Candidate:
    """A model, or one patch size of it, with what a pass costs and how good it is on choose rows.

    score: an accuracy, or a worst group's; the higher, the better.
    """

    name: str
    label: str
    cost: Cost
    score: float


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
            f"{1e3 * nearest.cost.slow:.3g} ms and {nearest.score:.1%} right on choose rows. Give a budget of at least "
            "that, fewer rows a pass, or a smaller model."
        )
    return max(within, key=lambda each: (each.score, -each.cost.seconds))


def show_budget(seconds: float) -> str:
    """A time.

    >>> show_budget(0.02), show_budget(0.0005), show_budget(2.5)
    ('20 ms', '0.5 ms', '2.5 s')
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"

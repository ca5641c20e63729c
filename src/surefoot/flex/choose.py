"""The patch size for a budget: the most accurate of those that are quick enough.

Accuracy of each size is measured on choose rows, and the chosen one's is claimed on judge rows alone: the best of
several is flattered by the rows that chose it. A size is quick enough where the upper quartile of its passes is, so
that one in four passes at most is slower than was asked for on the machine that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.flex.cost import Cost
from surefoot.networks.patches import Size

__all__ = ["Candidate", "choose_size"]


@dataclass(frozen=True)
class Candidate:
    """A patch size with what it costs and how good it is, on choose rows."""

    cost: Cost
    accuracy: Finding

    @property
    def size(self) -> Size:
        return self.cost.size


def choose_size(candidates: Sequence[Candidate], seconds: float) -> Candidate:
    """The candidate with the highest accuracy whose passes take `seconds` at most; of equals the one that is quicker.

    Raises `InputError` for no candidate, a budget that is no time, and one that no size meets: the nearest is named,
    and how accurate it is.
    """
    if not candidates:
        raise InputError("There is no patch size to choose from; give at least one.")
    if not seconds > 0:
        raise InputError(f"The budget is {1e3 * seconds:g} ms; give a positive time.")
    within = [each for each in candidates if each.cost.slow <= seconds]
    if not within:
        nearest = min(candidates, key=lambda each: each.cost.slow)
        p, q = nearest.size
        raise InputError(
            f"No patch size answers within {1e3 * seconds:.3g} ms here; the nearest is {p} × {q} with "
            f"{1e3 * nearest.cost.slow:.3g} ms and an accuracy of {nearest.accuracy.value:.1%}. Give a budget of at "
            "least that, fewer images a pass, or a smaller model."
        )
    return max(within, key=lambda each: (each.accuracy.value, -each.cost.seconds))

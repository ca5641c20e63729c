"""The size that, trained on the truth, is as good as a student: the paper's way of saying how much was recovered.

Sizes are a scale of accuracies: models of sizes s_1 < s_2 < … trained on true labels reach a_1, a_2, …; a student of
accuracy a equals the size at which the line through (log s, a) crosses a. Made monotone first (pool adjacent
violators), for a larger model that happens to be worse is no scale.

Source: Burns et al. (2023), "Weak-to-strong generalization", figures 1 and 3 (their curves of models trained on the
truth, on which a student's accuracy is read off as a size); the interpolation is ours.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from surefoot.errors import InputError

__all__ = ["Equivalent", "equivalent_size"]


class Equivalent(NamedTuple):
    """A size, or the end of the scale that the student is beyond: below "−", above "+"."""

    size: float
    beyond: str = ""


def equivalent_size(sizes: Sequence[float], accuracies: Sequence[float], accuracy: float) -> Equivalent:
    """The size whose true-label accuracy is `accuracy`; the smallest of several.

    Raises `InputError` for fewer than two sizes, sizes that are not positive, or another number of accuracies.

    >>> equivalent_size([1.0, 100.0], [0.6, 0.8], 0.7).size
    10.0
    >>> equivalent_size([1.0, 100.0], [0.6, 0.8], 0.9)
    Equivalent(size=100.0, beyond='+')
    """
    if len(sizes) < 2 or len(sizes) != len(accuracies) or min(sizes) <= 0 or len(set(sizes)) < len(sizes):
        raise InputError(
            f"The sizes are {list(sizes)} with {len(accuracies)} accuracies; give two different sizes or more, all "
            "positive, and one accuracy for each."
        )
    order = sorted(range(len(sizes)), key=lambda at: sizes[at])
    scale = [math.log(sizes[at]) for at in order]
    levels = _monotone([accuracies[at] for at in order])
    if accuracy < levels[0]:
        return Equivalent(sizes[order[0]], "−")
    if accuracy > levels[-1]:
        return Equivalent(sizes[order[-1]], "+")
    at = next(place for place, level in enumerate(levels) if level >= accuracy)
    if at == 0 or levels[at] == accuracy:
        return Equivalent(sizes[order[at]])
    part = (accuracy - levels[at - 1]) / (levels[at] - levels[at - 1])
    return Equivalent(round(math.exp(scale[at - 1] + part * (scale[at] - scale[at - 1])), 9))


def _monotone(values: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls (least squares)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, many), (other, more) = blocks[-2:]
            blocks[-2:] = [((one * many + other * more) / (many + more), many + more)]
    return [value for value, count in blocks for _ in range(count)]

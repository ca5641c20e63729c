"""Is a slice worse than the other rows? One-sided p-values, and Holm's step-down over several of them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.findings.clustering import Design, influence, spread
from surefoot.findings.differences import change_interval

__all__ = ["holm", "hypergeometric_tail", "worse_than"]

SMALLEST = 1e-12
"""P-values of clustered rows are not told apart below this."""


def worse_than(
    correct: NDArray[np.float64], inside: NDArray[np.bool_], outside: NDArray[np.bool_], design: Design
) -> float:
    """P-value of "the rows inside are right at least as often as those outside", against "less often".

    `correct` is `[seeds, rows]`. Independent rows and one seed: Fisher's exact test (given how many rows are wrong in
    all, the number wrong inside is hypergeometric), valid at every size. Otherwise: the smallest α at which the
    cluster-robust interval of the difference lies below zero.
    """
    if len(correct) == 1 and len(design.partitions) == 1:
        wrong = 1 - correct[0]
        return hypergeometric_tail(
            int(wrong[inside].sum()),
            int(wrong[inside | outside].sum()),
            int(inside.sum()),
            int((inside | outside).sum()),
        )
    here, rest = influence(design, inside, correct), influence(design, outside, correct)
    of = spread(design, [(1.0, here), (-1.0, rest)])
    if of.value >= 0:
        return 1.0
    sides = spread(design, [(1.0, here)]), spread(design, [(1.0, rest)])

    def excludes_zero(alpha: float) -> bool:
        return change_interval(of, *sides, 1 - 2 * alpha, paired=False).high < 0

    low, high = math.log(SMALLEST), math.log(0.5)
    if not excludes_zero(math.exp(high) * (1 - 1e-9)):
        return 1.0
    if excludes_zero(SMALLEST):
        return SMALLEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes_zero(math.exp(middle)) else (middle, high)
    return math.exp(high)


def hypergeometric_tail(wrong_inside: int, wrong: int, inside: int, rows: int) -> float:
    """P(at least `wrong_inside` of `wrong` marked rows are among `inside` drawn from `rows` without replacement).

    >>> round(hypergeometric_tail(2, 2, 3, 6), 6)  # C(3, 2) / C(6, 2)
    0.2
    """
    most = min(wrong, inside)
    least = max(wrong_inside, wrong + inside - rows, 0)
    if least > most:
        return 0.0
    counts = torch.arange(least, most + 1, dtype=torch.float64)

    def choose(total: torch.Tensor | float, part: torch.Tensor) -> torch.Tensor:
        whole = torch.as_tensor(total, dtype=torch.float64)
        return torch.lgamma(whole + 1) - torch.lgamma(part + 1) - torch.lgamma(whole - part + 1)

    number = torch.tensor(float(inside), dtype=torch.float64)
    logs = choose(float(wrong), counts) + choose(float(rows - wrong), number - counts) - choose(float(rows), number)
    return min(1.0, float(logs.logsumexp(dim=0).exp()))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values adjusted so that rejecting all below α makes any false rejection at most α likely, dependent or not.

    Sorted, the k-th smallest of m is multiplied by m − k + 1, and none falls below the one before it.
    Source: Holm (1979), Scandinavian Journal of Statistics 6.

    >>> holm([0.03, 0.01, 0.04])
    (0.06, 0.03, 0.06)
    """
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted = [1.0] * len(p_values)
    so_far = 0.0
    for rank, number in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = so_far
    return tuple(adjusted)

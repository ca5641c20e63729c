"""Hard labels of a batch from a student's own predictions, with as many rows of each class as are asked for.

Taken by its largest probability, a student that has begun to prefer one class hardens to that class alone and never
comes back. So hardening takes the classes' shares m as given. For two classes the threshold is a quantile of the batch,

    h_i = 0 where p_i0 ≥ quantile(p_·0, m_1), else 1

and for more it is the assignment of rows to classes that is most probable among those with the right counts,

    h = argmax Σ_i log p_i,h_i        subject to #{i : h_i = k} = n_k

with n_k = ⌈(B − 1) Σ_{j ≥ k} m_j⌉ − ⌈(B − 1) Σ_{j > k} m_j⌉ of B rows, which are the quantile's own counts where K = 2.
Rows of equal probability harden alike where K = 2, as published, those at the threshold to the first class: a student
that says the same of all rows has that class alone.

The assignment is solved exactly: every row begins in the class that it likes best at prices near the right ones, and
rows move along the cheapest chains of classes from those that have too many to those that have too few. Classes that no
row is to have are left out first, so that of B rows and K classes no more than min(B, K) columns are looked at.

Source: two classes, Burns et al. (2023), "Weak-to-strong generalization", appendix A.4, and `loss.py` of their
repository. Nobody published a rule for more; the assignment, and its counts, are ours. Cheapest chains: Busacker &
Gowen (1960), successive shortest paths, here on a graph of classes.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Balance", "class_counts", "harden"]

Balance: TypeAlias = Literal["even", "weak", "none"]
"""Which shares of classes hardening keeps: equal ones, those of the batch's weak labels, or whatever comes."""
Matrix: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Marks: TypeAlias = NDArray[np.bool_]

ROUNDING = 1e-12
"""Of the range of log probabilities: a chain that gains no more is no shorter."""


def harden(
    probabilities: Float[Tensor, "rows classes"], weak: Float[Tensor, "_ _"], balance: Balance
) -> Int[Tensor, "rows"]:
    """The class of each row. weak: the batch's weak labels, of which only the classes' means are read, for "weak".

    "none" takes the largest probability, of equal ones the first. Raises `InputError` for another shape.

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> harden(p, p, "none").tolist(), harden(p, p, "even").tolist()
    ([0, 0, 0, 0], [0, 0, 1, 1])
    """
    if probabilities.shape != weak.shape:
        raise InputError(
            f"The student speaks of {tuple(probabilities.shape)} rows and classes and its weak labels of "
            f"{tuple(weak.shape)}; give both for the same rows and classes."
        )
    rows, classes = probabilities.shape
    if balance == "none" or not rows:
        return probabilities.argmax(dim=1)
    shares = weak.mean(dim=0) if balance == "weak" else torch.full_like(weak[0], 1 / classes)
    if classes == 2:
        first = probabilities[:, 0] if probabilities.dtype == torch.float64 else probabilities[:, 0].float()
        return (first < torch.quantile(first, shares[1].to(first).clamp(0, 1))).long()
    counts = np.array(class_counts(shares.double().tolist(), rows))
    open_to = counts.nonzero()[0]  # no more of them than rows, however many classes there are
    logs = probabilities.detach().double().clamp(min=torch.finfo(torch.float64).tiny).log().cpu().numpy()
    taken = open_to[_assigned(np.ascontiguousarray(logs[:, open_to]), counts[open_to])]
    return torch.from_numpy(taken).to(probabilities.device)


def class_counts(shares: Sequence[float], rows: int) -> list[int]:
    """How many of `rows` rows each class gets; they sum to `rows`, and two classes get what the quantile gives them.

    >>> class_counts([0.5, 0.5], 4), class_counts([0.2, 0.3, 0.5], 11), class_counts([0.0, 0.0, 1.0], 3)
    ([2, 2], [3, 3, 5], [1, 0, 2])
    """
    total = sum(shares)
    above = [0.0]
    for share in reversed(shares[1:]):
        above.append(above[-1] + share / total)
    ends = [math.ceil((rows - 1) * each - 1e-9) for each in above] + [rows]
    return [later - earlier for earlier, later in pairwise(ends)][::-1]


def _assigned(logs: Matrix, counts: Counts) -> Counts:
    """The most probable assignment with these counts, of which none is zero.

    cost[k, l] is what moving the cheapest row of class k to class l loses. Shortest chains are of non-negative length
    after every move (no cycle gains while the assignment is the best for its counts), so that each leaves the best
    assignment for the counts that it makes.
    """
    classes = logs.shape[1]
    taken = (logs - _prices(logs, counts)).argmax(axis=1)
    have = np.bincount(taken, minlength=classes)
    cost, mover = np.full((classes, classes), np.inf), np.full((classes, classes), -1)
    for each in range(classes):
        _cheapest_moves(each, logs, taken, cost, mover)
    least = ROUNDING * (1 + float(logs.max() - logs.min()))
    while (have > counts).any():
        chain = _chain(cost, have > counts, have < counts, least)
        moved = [int(mover[one, other]) for one, other in pairwise(chain)]
        taken[moved] = chain[1:]
        have[chain[0]] -= 1
        have[chain[-1]] += 1
        for each in chain:
            _cheapest_moves(each, logs, taken, cost, mover)
    return taken


def _prices(logs: Matrix, counts: Counts) -> Vector:
    """A price of each class at which about as many rows as are wanted like it best: one sweep of the dual's descent.

    At any prices the rows' best classes are the most probable assignment with the counts that they happen to make, so
    that no price is wrong: a good one only leaves fewer rows to move. With the others' prices held, class k's is best
    where n_k rows gain by it, which is at the n_k-th largest of what rows gain on their best other class.
    """
    rows, classes = logs.shape
    prices = np.zeros(classes)
    worth = logs.copy()
    for each in range(classes if classes > 1 else 0):
        worth[:, each] = -np.inf
        gains = logs[:, each] - worth.max(axis=1)
        last = rows - int(counts[each])
        upper = np.partition(gains, last)[last]
        prices[each] = upper
        worth[:, each] = logs[:, each] - prices[each]
    return prices


def _cheapest_moves(of: int, logs: Matrix, taken: Counts, cost: Matrix, mover: Counts) -> None:
    """Set the row of class `of` in both: the smallest loss of one of its rows in every other class, and which row."""
    there = (taken == of).nonzero()[0]
    cost[of] = np.inf
    if len(there):
        lost = logs[there, of][:, None] - logs[there]
        best = lost.argmin(axis=0)
        cost[of], mover[of] = lost[best, np.arange(lost.shape[1])], there[best]
        cost[of, of] = np.inf


def _chain(cost: Matrix, start: Marks, end: Marks, least: float) -> list[int]:
    """The cheapest chain from a class of `start` to one of `end` (Bellman–Ford, as moves back can be gains).

    Only classes that came nearer in the last round can bring others nearer.
    """
    reach = np.where(start, 0.0, np.inf)
    before = np.full(len(cost), -1)
    near = start.nonzero()[0]
    while len(near):
        ways = reach[near, None] + cost[near]
        by = ways.argmin(axis=0)
        through = ways[by, np.arange(len(cost))]
        better = through < reach - least
        reach, before = np.where(better, through, reach), np.where(better, near[by], before)
        near = better.nonzero()[0]
    chain = [int(np.where(end, reach, np.inf).argmin())]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return chain[::-1]

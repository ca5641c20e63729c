"""Hard labels of a batch from a student's own predictions, with as many rows of each class as are asked for.

Taken by its largest probability, a student that has begun to prefer one class hardens to that class alone and never
comes back. So hardening takes the classes' shares m as given. For two classes the threshold is a quantile of the batch,

    h_i = 0 where p_i0 ≥ quantile(p_·0, m_1), else 1

and for more it is the assignment of rows to classes that is most probable among those with the right counts,

    h = argmax Σ_i log p_i,h_i        subject to #{i : h_i = k} = n_k

with n_k = ⌈(B − 1) Σ_{j ≥ k} m_j⌉ − ⌈(B − 1) Σ_{j > k} m_j⌉ of B rows, which are the quantile's own counts where K = 2.
It is solved exactly: every row begins in its likeliest class, and rows move along the cheapest chains of classes from
those that have too many to those that have too few.

Source: two classes, Burns et al. (2023), "Weak-to-strong generalization", appendix A.4, and `loss.py` of their
repository. Nobody published a rule for more; the assignment, and its counts, are ours. Cheapest chains: Busacker &
Gowen (1960), successive shortest paths, here on a graph of classes.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Balance", "class_counts", "harden"]

Balance: TypeAlias = Literal["even", "weak", "none"]
"""Which shares of classes hardening keeps: equal ones, those of the batch's weak labels, or whatever comes."""


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
        threshold = torch.quantile(probabilities[:, 0], shares[1].clamp(0, 1))
        return (probabilities[:, 0] < threshold).long()
    counts = class_counts(shares.double().tolist(), rows)
    logs = probabilities.detach().double().clamp(min=torch.finfo(torch.float64).tiny).log()
    return _assigned(logs.cpu(), counts).to(probabilities.device)


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


def _assigned(logs: Float[Tensor, "rows classes"], counts: Sequence[int]) -> Int[Tensor, "rows"]:
    """The most probable assignment with these counts.

    cost[k, l] is what moving the cheapest row of class k to class l loses. Shortest chains are of non-negative length
    after every move (no cycle gains while the assignment is the best for its counts), so that each leaves the best
    assignment for the counts that it makes.
    """
    classes = logs.shape[1]
    taken = logs.argmax(dim=1)
    wanted = torch.tensor(counts)
    have = torch.bincount(taken, minlength=classes)
    own = logs.gather(1, taken[:, None])
    cost, mover = _costs(own - logs, taken, range(classes), classes)
    while bool((have > wanted).any()):
        chain = _cheapest(cost, have > wanted, have < wanted)
        moved = [int(mover[one, other]) for one, other in pairwise(chain)]
        for row, to in zip(moved, chain[1:], strict=True):
            taken[row] = to
        have[chain[0]] -= 1
        have[chain[-1]] += 1
        own = logs.gather(1, taken[:, None])
        fresh, who = _costs(own - logs, taken, chain, classes)
        cost[chain], mover[chain] = fresh[chain], who[chain]
    return taken


def _costs(
    lost: Float[Tensor, "rows classes"], taken: Int[Tensor, "rows"], of: Sequence[int], classes: int
) -> tuple[Float[Tensor, "classes classes"], Int[Tensor, "classes classes"]]:
    """For each class in `of`, the smallest loss of one of its rows in every other class, and which row."""
    cost = torch.full((classes, classes), math.inf, dtype=torch.float64)
    mover = torch.full((classes, classes), -1)
    for each in of:
        there = (taken == each).nonzero()[:, 0]
        if len(there):
            cost[each], place = lost[there].min(dim=0)
            mover[each] = there[place]
    return cost.fill_diagonal_(math.inf), mover


def _cheapest(cost: Float[Tensor, "classes classes"], start: Tensor, end: Tensor) -> list[int]:
    """The cheapest chain from a class of `start` to one of `end` (Bellman–Ford, as moves back can be gains)."""
    reach = torch.where(start, 0.0, math.inf).double()
    before = torch.full((len(cost),), -1)
    for _ in range(len(cost)):
        through, by = (reach[:, None] + cost).min(dim=0)
        better = through < reach - 1e-12
        if not bool(better.any()):
            break
        reach = torch.where(better, through, reach)
        before = torch.where(better, by, before)
    last = int(torch.where(end, reach, math.inf).argmin())
    chain = [last]
    while int(before[chain[-1]]) >= 0:
        chain.append(int(before[chain[-1]]))
    return chain[::-1]

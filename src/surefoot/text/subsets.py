"""What k of n attempts at a problem would give, over all subsets of k: without bias for k fresh attempts.

Of n attempts, c are right:

    pass@k        1 − C(n − c, k)/C(n, k)                             is one of k right?
    consensus@k   mean over subsets of Σ_{a modal} right(a)/#modal    is the modal answer right?
    best of k     mean over subsets of the reward of the top score    is the one that a scorer picks right?

Where several answers are modal, the share of them that are right counts, as if one were picked blindly; where scores
tie, the mean of their rewards. An attempt without an answer is wrong and casts no vote; k attempts without any vote are
wrong. Consensus is exact up to `EXACT` attempts, by counting subsets; beyond, it is the mean over `SUBSETS` subsets
drawn with a seed.

Sources: Chen et al. (2021), "Evaluating large language models trained on code", arXiv 2107.03374, eq. 1 (pass@k); Wang
et al. (2022), "Self-consistency improves chain of thought reasoning in language models", arXiv 2203.11171 (consensus).
The exact means of consensus and best of k over subsets are ours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import comb, isfinite, prod

import numpy as np

from surefoot.errors import InputError
from surefoot.text.parsing import bare

__all__ = ["EXACT", "SUBSETS", "best_of_k", "consensus_at_k", "pass_at_k"]

EXACT = 64
"""Attempts at a problem, up to which all subsets are counted."""
SUBSETS = 1_000
"""Subsets of each problem's attempts beyond that."""


def pass_at_k(count: int, right: int, k: int) -> float:
    """1 − C(n − c, k)/C(n, k) as a product, which no factorial of a large number enters.

    >>> pass_at_k(4, 1, 2), pass_at_k(4, 0, 2), pass_at_k(4, 3, 2)
    (0.5, 0.0, 1.0)
    """
    _check_k(count, k)
    if count - right < k:
        return 1.0
    return 1 - prod((1 - k / each for each in range(count - right + 1, count + 1)), start=1.0)


def consensus_at_k(answers: Sequence[str | None], rights: Sequence[float], k: int, seed: int = 0) -> float:
    """How right the modal answer of k of these attempts is, over all subsets, or over drawn ones where there are many.

    Answers are one where they agree but for space around them. One that was graded unequally counts as its mean.

    >>> consensus_at_k(["1", "1", "0"], [1.0, 1.0, 0.0], 3), consensus_at_k(["1", "1", "0"], [1.0, 1.0, 0.0], 1)
    (1.0, 0.6666666666666666)
    """
    _check_k(len(answers), k)
    votes = [None if each is None else bare(each) for each in answers]
    graded: dict[str, list[float]] = {}
    for vote, right in zip(votes, rights, strict=True):
        if vote is not None:
            graded.setdefault(vote, []).append(right)
    worth = {vote: sum(each) / len(each) for vote, each in graded.items()}
    if k == len(votes):
        return _modal(votes, worth)
    if len(votes) <= EXACT:
        return _counted([(len(graded[vote]), worth[vote]) for vote in graded], votes.count(None), k)
    generator = np.random.default_rng(seed)
    drawn = (generator.choice(len(votes), size=k, replace=False) for _ in range(SUBSETS))
    return float(np.mean([_modal([votes[at] for at in subset], worth) for subset in drawn]))


def best_of_k(scores: Sequence[float], rewards: Sequence[float], k: int) -> float:
    """The reward of the highest score among k of these attempts, over all subsets; tied scores share it evenly.

    With r scores at or below one, and s below it, it is the highest of k in C(r, k) − C(s, k) subsets of C(n, k).

    >>> best_of_k([0.1, 0.9, 0.5], [0.0, 1.0, 0.0], 2)
    0.6666666666666666
    """
    _check_k(len(scores), k)
    if not all(map(isfinite, scores)):
        raise InputError("A score is NaN or infinite; give one finite number for every attempt.")
    at: dict[float, list[float]] = {}
    for score, reward in zip(scores, rewards, strict=True):
        at.setdefault(score, []).append(reward)
    below, total = 0, 0.0
    for score in sorted(at):
        tied = at[score]
        total += (comb(below + len(tied), k) - comb(below, k)) / comb(len(scores), k) * sum(tied) / len(tied)
        below += len(tied)
    return total


def _check_k(count: int, k: int) -> None:
    if not 1 <= k <= count:
        raise InputError(f"{k} of {count} attempts were asked for; ask for 1 to {count}, or make more attempts.")


def _modal(votes: Sequence[str | None], worth: Mapping[str, float]) -> float:
    counts = Counter(each for each in votes if each is not None)
    most = max(counts.values(), default=0)
    modes = [worth[each] for each, count in counts.items() if count == most]
    return sum(modes) / len(modes) if modes else 0.0


def _counted(answers: Sequence[tuple[int, float]], silent: int, k: int) -> float:
    """The mean over all subsets of k: for each largest number of votes m, ways to give every answer m votes or fewer.

    ways `[votes used, answers with m]` counts subsets, worth the sum over them of what the answers with m are worth.
    """
    total = 0.0
    for most in range(1, min(k, max((count for count, _ in answers), default=0)) + 1):
        ways = np.zeros((k + 1, k // most + 2))
        ways[: min(silent, k) + 1, 0] = [comb(silent, used) for used in range(min(silent, k) + 1)]
        worth = np.zeros_like(ways)
        for count, right in answers:
            new_ways, new_worth = np.zeros_like(ways), np.zeros_like(ways)
            for votes in range(min(count, most - 1, k) + 1):
                new_ways[votes:] += comb(count, votes) * ways[: k + 1 - votes]
                new_worth[votes:] += comb(count, votes) * worth[: k + 1 - votes]
            if count >= most:
                times = comb(count, most)
                new_ways[most:, 1:] += times * ways[: k + 1 - most, :-1]
                new_worth[most:, 1:] += times * (worth + right * ways)[: k + 1 - most, :-1]
            ways, worth = new_ways, new_worth
        total += float((worth[k, 1:] / np.arange(1, ways.shape[1])).sum())
    return total / comb(sum(count for count, _ in answers) + silent, k)

"""The search for slices: every conjunction of conditions, scored by how much more often its rows are wrong.

Nothing found here is a finding: the best of thousands looks bad by chance alone. `discover` confirms on other rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from surefoot.robust.slices.conditions import Condition

__all__ = ["PROMISING", "Searched", "every", "search_slices"]

PROMISING = 2.0
"""The least z that is worth a test on the confirm half."""
BEAM = 200
"""Triples are built on so many of the best pairs."""
WITHIN = 0.8
"""A slice with so large a share of its rows inside a better one is taken for a part of it."""


class Searched(NamedTuple):
    """Conjunctions of conditions, by number, best first; and how many were scored."""

    picked: list[tuple[int, ...]]
    tried: int


def search_slices(
    conditions: Sequence[Condition],
    masks: NDArray[np.bool_],
    correct: NDArray[np.float64],
    *,
    depth: int,
    fewest: int,
    most: int,
) -> Searched:
    """The `most` conjunctions of at most `depth` conditions that speak loudest against the model.

    masks `[conditions, rows]`, correct `[rows]` in [0, 1]. Scored by z = (wrong inside − wrong outside) / SE, pooled.
    A slice that adds nothing to a better one is left out: outside all better ones its rows are no worse than the other
    rows there, and inside none of them is it a worse part. Counts of all pairs are one matrix product.
    """
    wrong = 1 - correct
    beds: list[tuple[tuple[int, ...], NDArray[np.bool_]]] = [((), np.ones(masks.shape[1], dtype=np.bool_))]
    scored: list[tuple[float, tuple[int, ...]]] = []
    tried = 0
    floats = masks.astype(np.float32)
    for level in range(depth):
        inside = np.stack([mask for _, mask in beds]).astype(np.float32)
        counts = inside @ floats.T
        errors = (inside * wrong.astype(np.float32)) @ floats.T
        z = _scores(counts.astype(np.float64), errors.astype(np.float64), len(wrong), float(wrong.sum()))
        fresh: list[tuple[float, tuple[int, ...]]] = []
        for at, (chosen, _) in enumerate(beds):
            last = chosen[-1] if chosen else -1
            for condition in range(last + 1, len(conditions)):
                if not _sensible(conditions, chosen, condition):
                    continue
                count = counts[at, condition]
                if count < fewest or len(wrong) - count < fewest:
                    continue
                tried += 1
                fresh.append((float(z[at, condition]), (*chosen, condition)))
        scored += fresh
        if level + 1 < depth:
            # Pairs are built on every single condition, triples on the most promising pairs alone.
            kept = [chosen for _, chosen in sorted(fresh, key=lambda each: -each[0])[: None if level == 0 else BEAM]]
            beds = [(chosen, every(masks, chosen)) for chosen in sorted(kept)]
            if not beds:
                break
    return Searched(_picked(scored, masks, wrong, most), tried)


def _sensible(conditions: Sequence[Condition], chosen: Sequence[int], another: int) -> bool:
    """Two conditions on one column make sense only as an interval: more than one cut, at most another above it."""
    new = conditions[another]
    for at in chosen:
        old = conditions[at]
        if old.column != new.column:
            continue
        low, high = (old, new) if old.how == ">" else (new, old)
        if (low.how, high.how) != (">", "<=") or not float(low.value) < float(high.value):
            return False
    return True


def _scores(counts: NDArray[np.float64], errors: NDArray[np.float64], rows: int, wrong: float) -> NDArray[np.float64]:
    """z of the difference between error rates inside and outside, with the pooled standard error."""
    rest = rows - counts
    share = wrong / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(share * (1 - share) * (1 / counts + 1 / rest))
        z = (errors / counts - (wrong - errors) / rest) / error
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)


def _picked(
    scored: Sequence[tuple[float, tuple[int, ...]]], masks: NDArray[np.bool_], wrong: NDArray[np.float64], most: int
) -> list[tuple[int, ...]]:
    """From the highest score down, shorter slices first among equals, those that add something to the ones before."""
    kept: list[NDArray[np.bool_]] = []
    picked: list[tuple[int, ...]] = []
    covered = np.zeros(masks.shape[1], dtype=np.bool_)
    for score, chosen in sorted(scored, key=lambda each: (-each[0], len(each[1]), each[1])):
        if score < PROMISING or len(kept) == most:
            break
        mask = every(masks, chosen)
        outside = _z(wrong, mask & ~covered, ~mask & ~covered) >= PROMISING
        inside = any(
            (mask & other).sum() >= WITHIN * mask.sum() and _z(wrong, mask & other, other & ~mask) >= PROMISING
            for other in kept
        )
        if outside or inside:
            kept.append(mask)
            picked.append(chosen)
            covered |= mask
    return picked


def _z(wrong: NDArray[np.float64], inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> float:
    counts = int(inside.sum()), int(outside.sum())
    if min(counts) < 1:
        return 0.0
    both = inside | outside
    score = _scores(np.array([float(counts[0])]), np.array([wrong[inside].sum()]), int(both.sum()), wrong[both].sum())
    return float(score[0])


def every(masks: NDArray[np.bool_], chosen: Sequence[int]) -> NDArray[np.bool_]:
    """The rows that all of the chosen conditions hold for."""
    mask = np.ones(masks.shape[1], dtype=np.bool_)
    for at in chosen:
        mask &= masks[at]
    return mask

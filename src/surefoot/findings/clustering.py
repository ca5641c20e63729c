"""How far a mean may be from the truth when rows hang together in several ways and models have seeds.

An estimate is a weighted sum of slice means, θ̂ = Σ_g c_g · mean of group g (one group; a train-proportion
weighted mean; after minus before). Its values `[seeds, rows]` are crossed: every seed speaks of every row.
Its uncertainty has two sources: which rows were drawn, and which seeds.

**Rows.** Write D_k for how much θ̂ moves when cluster k is left out. The jackknife variance of one partition of
the rows is V = (G − 1)/G · Σ_k D_k² over its G clusters (the cluster-robust CV3 of MacKinnon, Nielsen & Webb
2023; exact for equal clusters, too wide rather than too narrow for unequal ones). With several ways,
inclusion and exclusion over the intersections of ways gives Σ_T (−1)^(|T|+1) V_T (Cameron, Gelbach & Miller
2011), never less than the largest single way, nor than rows taken one by one.

**Seeds.** Var θ̂ = Var_rows(E[θ̂ | rows]) + E[Var_seeds(θ̂ | rows)] exactly. The second term is V_S, the variance of
the per-seed estimates over their number. The first is estimated by the mean covariance between *different* seeds,
that is V of the seed means less its part from one seed alone (an unbiased estimate for crossed designs). Treating
seeds as one more way of inclusion and exclusion would lose a fraction 1/S of the rows' variance.

**Few clusters, few seeds.** Each part has its own degrees of freedom, and Σ t²·V replaces t²·ΣV: for independent
variance estimates the interval θ̂ ± √Σ t_i² V_i covers at least at the stated rate whatever the true parts are
(Banerjee 1960). A Satterthwaite t, the usual choice, covers as little as .87 with two seeds and .94 with five
(tests/findings/test_clustering.py). A partition has min(G* − 1, 2 (ΣD²)²/ΣD⁴ − 1) degrees of freedom, at
least 1: G* = (Σb²)²/Σb⁴ counts clusters by their shares b (Carter, Schnepel & Steigerwald 2017); the second term is
about 2G/3 for normal D and small when a few clusters carry all the variance, as with rare errors. (The 3 that
normal D would ask for covers .93 in twenty clusters at an accuracy of .99, where 2 covers .98: docs/LOG.md.)

Sources: Cameron, Gelbach & Miller (2011), J. Bus. Econ. Stat. 29; MacKinnon, Nielsen & Webb (2023), J. Econom. 232;
Carter, Schnepel & Steigerwald (2017), Rev. Econ. Stat. 99; Banerjee (1960), Sankhyā 22.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.quantiles import student_quantile

__all__ = [
    "Design",
    "Influence",
    "Reach",
    "Spread",
    "cluster_design",
    "fewest_clusters",
    "influence",
    "reach_of",
    "spread",
]

Reals: TypeAlias = NDArray[np.float64]
Whole: TypeAlias = NDArray[np.int64]

MOST_WAYS = 8


class Partition(NamedTuple):
    """One way, or an intersection of ways. labels: cluster of each row, None where every row is its own.

    size: how many clusters. sign: its coefficient under inclusion and exclusion. way: is it a way by itself?
    """

    labels: Whole | None
    size: int
    sign: int
    way: bool


@dataclass(frozen=True)
class Design:
    """How `rows` rows hang together. The first partition is always rows one by one."""

    rows: int
    partitions: tuple[Partition, ...]


class Influence(NamedTuple):
    """A slice mean: per seed, its jackknife influences `[seeds, clusters]` and shares `[clusters]` by partition.

    known: by partition, False where one cluster is the whole slice and nothing is left without it.
    """

    means: Reals
    influences: tuple[Reals, ...]
    shares: tuple[Reals, ...]
    known: tuple[bool, ...]
    rows: int
    effective: float


class Part(NamedTuple):
    """One partition's moments, of the mean over seeds: variance (`total`), the part of it that different seeds share,
    third moment; and its degrees of freedom, by shares alone (`freedom`) and with few carriers (`carried`)."""

    total: float
    shared: float
    third: float
    freedom: float
    carried: float


class Reach(NamedTuple):
    """How far an estimate may be off. squared: Σ t²·V. variance: Σ V. third: the third moment of its rows' part."""

    squared: float
    variance: float
    third: float


@dataclass(frozen=True)
class Spread:
    """A linear estimate and the pieces of its variance.

    per_seed: the estimate for each seed; value: their mean. known: False when some slice is one single cluster,
    so that nothing can be said of its variance. seed_variance: V_S, zero with one seed.
    rows, effective: the fewest rows, and effective clusters, over coefficient behind any slice.
    """

    value: float
    per_seed: Reals
    parts: tuple[Part, ...]
    signs: tuple[int, ...]
    ways: tuple[bool, ...]
    seed_variance: float
    known: bool
    rows: float
    effective: float


def cluster_design(clusters: NDArray[np.integer]) -> Design:
    """The partitions behind cluster numbers `[rows, ways]`: ways, their intersections, their signs.

    Ways that agree count once, and a way in which every row stands alone adds nothing to another way.
    Raises `InputError` for more than eight ways.

    >>> design = cluster_design(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    >>> [(partition.size, partition.sign) for partition in design.partitions]
    [(4, -1), (2, 1), (2, 1)]
    """
    rows, ways = clusters.shape
    if ways > MOST_WAYS:
        raise InputError(
            f"Rows hang together in {ways} ways; intervals can use at most {MOST_WAYS} columns of clusters."
        )
    alone = Partition(None, rows, 0, False)
    found: list[Partition] = []
    for way in range(ways):
        labels, count = _numbered(clusters[:, way])
        if count < rows and not any(_same(labels, count, other) for other in found):
            found.append(Partition(labels, count, 1, True))
    if not found:
        return Design(rows, (alone._replace(sign=1, way=True),))
    partitions = [alone, *found]
    for size in range(2, len(found) + 1):
        for chosen in combinations(found, size):
            labels, count = _intersection(chosen, rows)
            sign = (-1) ** (size + 1)
            for at, other in enumerate(partitions):
                if count == other.size and (count == rows or _same(labels, count, other)):
                    partitions[at] = other._replace(sign=other.sign + sign)
                    break
            else:
                partitions.append(Partition(labels, count, sign, False))
    return Design(rows, tuple(partitions))


def fewest_clusters(design: Design, members: NDArray[np.bool_]) -> int:
    """The fewest independent clusters, over the ways, among the rows in `members`."""
    counts: list[int] = []
    for partition in design.partitions:
        if partition.way and partition.labels is not None:
            counts.append(int(np.count_nonzero(np.bincount(partition.labels[members], minlength=partition.size))))
        elif partition.way:
            counts.append(int(members.sum()))
    return min(counts)


def influence(design: Design, members: NDArray[np.bool_], values: Reals) -> Influence:
    """The mean of `values` `[seeds, rows]` over the rows in `members`, and what each cluster does to it."""
    rows = int(members.sum())
    inside = values[:, members]
    means = inside.mean(axis=1)
    centred = np.where(members, values - means[:, None], 0.0) / rows
    centred[inside.max(axis=1) == inside.min(axis=1)] = 0.0  # what rounding left of equal values is no spread
    influences: list[Reals] = []
    shares: list[Reals] = []
    known: list[bool] = []
    effective: list[float] = []
    for partition in design.partitions:
        if partition.labels is None:
            share = members.astype(np.float64) / rows
            known.append(rows > 1)
            moved = centred / (1 - 1 / rows) if rows > 1 else centred
        else:
            share = _sums(partition, members.astype(np.float64)) / rows
            moved = np.stack([_sums(partition, each) for each in centred])
            known.append(bool(share.max() < 1 - 0.5 / rows))
            moved = moved / (1 - share) if known[-1] else moved
        influences.append(moved)
        shares.append(share)
        if partition.way:
            effective.append(float(1 / (share**2).sum()))
    return Influence(means, tuple(influences), tuple(shares), tuple(known), rows, min(effective))


def spread(design: Design, terms: Sequence[tuple[float, Influence]]) -> Spread:
    """The weighted sum of slice means Σ c · mean, and the pieces of its variance; see the module's text."""
    terms = [(weight, each) for weight, each in terms if weight != 0]
    scale = sum(abs(weight) for weight, _ in terms)
    parts: list[Part] = []
    effective = [each.effective / abs(weight) for weight, each in terms]
    for at, partition in enumerate(design.partitions):
        moved = _total([(weight, each.influences[at]) for weight, each in terms])
        share = _total([(abs(weight), each.shares[at]) for weight, each in terms])
        if partition.way:
            effective.append(float(scale**2 / (share**2).sum()))
        parts.append(_part(moved, share))
    per_seed = _total([(weight, each.means) for weight, each in terms])
    seeds = len(per_seed)
    return Spread(
        value=float(per_seed.mean()),
        per_seed=per_seed,
        parts=tuple(parts),
        signs=tuple(partition.sign for partition in design.partitions),
        ways=tuple(partition.way for partition in design.partitions),
        seed_variance=float(per_seed.var(ddof=1) / seeds) if seeds > 1 else 0.0,
        known=all(all(each.known) for _, each in terms),
        rows=min(each.rows / abs(weight) for weight, each in terms),
        effective=min(effective),
    )


def reach_of(of: Spread, confidence: float, *, rare_rows: bool = False) -> Reach:
    """How far the estimate may be from the truth, on two sides, at `confidence`: Banerjee's Σ t²·V and its parts.

    `rare_rows` lets a few single rows that carry all the variance lower the degrees of freedom, as a few clusters do;
    a proportion goes without, for its own interval knows how rare errors are distributed.
    """
    tail = (1 + confidence) / 2
    rows = _combined(of, tail, rare_rows, [part.total for part in of.parts])
    seeds = len(of.per_seed)
    if seeds == 1:
        return rows
    shared = _combined(of, tail, rare_rows, [part.shared for part in of.parts])
    squared = max(0.0, shared.squared) + student_quantile(tail, seeds - 1.0) ** 2 * of.seed_variance
    if squared < rows.squared:
        return rows
    return Reach(squared, max(rows.variance, shared.variance + of.seed_variance), rows.third)


def _combined(of: Spread, tail: float, rare_rows: bool, variances: Sequence[float]) -> Reach:
    """Inclusion and exclusion of t²·V, or one way alone, or rows one by one, whichever reaches farthest."""
    freedom = [part.carried if at or rare_rows else part.freedom for at, part in enumerate(of.parts)]
    alone = [
        Reach(student_quantile(tail, free) ** 2 * variance, variance, part.third)
        for free, variance, part in zip(freedom, variances, of.parts, strict=True)
    ]
    signed = [[sign * moment for moment in each] for sign, each in zip(of.signs, alone, strict=True)]
    squared, variance, third = (sum(moments) for moments in zip(*signed, strict=True))
    singly = [alone[0], *(each for way, each in zip(of.ways, alone, strict=True) if way)]
    together = Reach(squared, max(variance, *(each.variance for each in singly)), third)
    return max([together, *singly], key=lambda each: each.squared)


def _sums(partition: Partition, values: Reals) -> Reals:
    """The sum of `values` `[rows]` in each cluster."""
    assert partition.labels is not None
    return np.bincount(partition.labels, weights=values, minlength=partition.size).astype(np.float64, copy=False)


def _total(terms: Sequence[tuple[float, Reals]]) -> Reals:
    """Σ weight · array, without a copy where there is one term of weight one."""
    weight, total = terms[0]
    total = total if weight == 1 else weight * total
    for weight, each in terms[1:]:
        total = total + weight * each
    return total


def _part(moved: Reals, share: Reals) -> Part:
    """The moments of one partition, from influences `[seeds, clusters]` and shares `[clusters]`."""
    seeds = len(moved)
    count = int(np.count_nonzero(share))
    factor = (count - 1) / count
    mean = moved[0] if seeds == 1 else moved.mean(axis=0)
    squares = mean**2
    total = factor * float(squares.sum())
    own = factor * float(((moved - mean) ** 2).sum()) / (seeds * (seeds - 1)) if seeds > 1 else 0.0
    weights = share**2
    freedom = max(1.0, float(weights.sum() ** 2 / (weights**2).sum()) - 1)
    fourth = float((squares**2).sum())
    carriers = 2 * float(squares.sum()) ** 2 / fourth - 1 if fourth > 0 else freedom
    third = float((squares * mean).sum())
    return Part(total, total - own, third, freedom, max(1.0, min(freedom, carriers)))


def _numbered(labels: NDArray[np.integer]) -> tuple[Whole, int]:
    unique, inverse = np.unique(labels, return_inverse=True)
    return inverse.astype(np.int64).reshape(-1), len(unique)


def _same(labels: Whole, count: int, other: Partition) -> bool:
    """Do two partitions put the same rows together? Then their pairs of labels are as few as either's labels."""
    if other.labels is None or count != other.size:
        return False
    return _numbered(labels * other.size + other.labels)[1] == count


def _intersection(chosen: Sequence[Partition], rows: int) -> tuple[Whole, int]:
    labels, count = np.zeros(rows, dtype=np.int64), 1
    for partition in chosen:
        assert partition.labels is not None
        labels, count = _numbered(labels * partition.size + partition.labels)
    return labels, count

"""Intervals of a corrected share, side by side: ours against three that are used, over 392 settings.

`pytest -m slow -s tests/findings/test_corrected_peers.py` prints how often each covers and how long it is.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

Reals = NDArray[np.float64]
DRAWS = 1000
Z = float(stats.norm.ppf(0.975))
GRID = np.linspace(0, 1, 401)
SIZES = (
    (100, 30, 30),
    (250, 50, 50),
    (250, 20, 100),
    (1000, 100, 100),
    (1000, 40, 200),
    (250, 200, 200),
    (2000, 50, 50),
)
PREVALENCES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
JUDGES = ((0.8, 0.96), (0.95, 0.95), (0.7, 0.95), (0.99, 0.99), (0.6, 0.6), (1.0, 1.0), (0.5, 0.99))


class Counts(NamedTuple):
    """Positive verdicts of how many rows, of how many true positives, and of how many true negatives."""

    said: Reals
    rows: int
    found: Reals
    positive: int
    alarms: Reals
    negative: int


class Covered(NamedTuple):
    covers: NDArray[np.bool_]
    length: Reals


def wilson(k: Reals, n: int) -> tuple[Reals, Reals]:
    p = k / n
    centre = (p + Z**2 / 2 / n) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / 4 / n**2) / (1 + Z**2 / n)
    return np.where(k == 0, 0, np.maximum(0, centre - half)), np.where(k == n, 1, np.minimum(1, centre + half))


def exact(k: Reals, n: int, alpha: float) -> tuple[Reals, Reals]:
    low = np.where(k == 0, 0, stats.beta.ppf(alpha / 2, np.maximum(k, 1e-9), n - k + 1))
    return low, np.where(k == n, 1, stats.beta.ppf(1 - alpha / 2, k + 1, np.maximum(n - k, 1e-9)))


def ours(of: Counts, truth: float) -> Covered:
    """Written anew, over a grid of p."""
    q, s, f = of.said / of.rows, of.found / of.positive, of.alarms / of.negative
    (lq, uq), (ls, us), (lf, uf) = (
        wilson(of.said, of.rows),
        wilson(of.found, of.positive),
        wilson(of.alarms, of.negative),
    )
    cut = np.clip(q, np.minimum(f, s), np.maximum(f, s))

    def agrees(p: float) -> NDArray[np.bool_]:
        g = cut - p * s - (1 - p) * f
        below = np.sqrt((q - lq) ** 2 + p**2 * (us - s) ** 2 + (1 - p) ** 2 * (uf - f) ** 2)
        above = np.sqrt((uq - q) ** 2 + p**2 * (s - ls) ** 2 + (1 - p) ** 2 * (f - lf) ** 2)
        return (g <= below) & (-g <= above)

    nothing = s - f - np.sqrt((s - ls) ** 2 + (uf - f) ** 2) <= 0
    inside = np.stack([agrees(p) for p in GRID])
    low, high = GRID[inside.argmax(axis=0)], GRID[len(GRID) - 1 - inside[::-1].argmax(axis=0)]
    covers = agrees(truth) | nothing | ((truth >= low) & (truth <= high))
    return Covered(covers, np.where(nothing, 1, high - low))


def lang_reiczigel(of: Counts, truth: float) -> Covered:
    """Lang & Reiczigel (2014): Wilson's centre for q, a success and a failure more for Se and Sp."""
    n = of.rows + Z**2
    q = (of.said + Z**2 / 2) / n
    s, c = (of.found + 1) / (of.positive + 2), (of.negative - of.alarms + 1) / (of.negative + 2)
    youden = s + c - 1
    youden = np.where(np.abs(youden) < 1e-9, 1e-9, youden)
    p = (q + c - 1) / youden
    vs, vc = s * (1 - s) / (of.positive + 2), c * (1 - c) / (of.negative + 2)
    moved = 2 * Z**2 * (p * vs - (1 - p) * vc)
    half = Z * np.sqrt(q * (1 - q) / n + p**2 * vs + (1 - p) ** 2 * vc) / np.abs(youden)
    return _between(p + moved - half, p + moved + half, truth)


def delta(of: Counts, truth: float) -> Covered:
    """First-order variances, and a fallback where Se + Sp − 1 is below .01."""
    q, s, f = of.said / of.rows, of.found / of.positive, of.alarms / of.negative
    youden = np.where(np.abs(s - f) < 0.01, 0.01, s - f)
    p = (q - f) / youden
    variance = q * (1 - q) / of.rows + p**2 * s * (1 - s) / of.positive + (1 - p) ** 2 * f * (1 - f) / of.negative
    half = Z * np.sqrt(variance) / np.abs(youden)
    return _between(p - half, p + half, truth)


def bonferroni(of: Counts, truth: float) -> Covered:
    """All p that some q, Se and Sp inside three exact intervals at 1 − α/3 agree with."""
    (lq, uq), (ls, us), (lf, uf) = (
        exact(k, n, 0.05 / 3) for k, n in ((of.said, of.rows), (of.found, of.positive), (of.alarms, of.negative))
    )

    def agrees(p: float) -> NDArray[np.bool_]:
        return (p * us + (1 - p) * uf >= lq) & (p * ls + (1 - p) * lf <= uq)

    return Covered(agrees(truth), np.stack([agrees(p) for p in GRID]).mean(axis=0))


def _between(low: Reals, high: Reals, truth: float) -> Covered:
    low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Covered((low <= truth) & (truth <= high), high - low)


METHODS: dict[str, Callable[[Counts, float], Covered]] = {
    "ours": ours, "Lang & Reiczigel": lang_reiczigel, "delta": delta, "Bonferroni": bonferroni,
}  # fmt: skip


@pytest.mark.slow
def test_ours_alone_covers_everywhere_without_being_much_longer() -> None:
    random = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in METHODS}
    lengths: dict[str, list[float]] = {name: [] for name in METHODS}
    for (rows, positive, negative), p, (se, sp) in product(SIZES, PREVALENCES, JUDGES):
        of = Counts(
            random.binomial(rows, p * se + (1 - p) * (1 - sp), DRAWS).astype(np.float64), rows,
            random.binomial(positive, se, DRAWS).astype(np.float64), positive,
            random.binomial(negative, 1 - sp, DRAWS).astype(np.float64), negative,
        )  # fmt: skip
        for name, method in METHODS.items():
            found = method(of, p)
            rates[name].append(float(found.covers.mean()))
            lengths[name].append(float(found.length.mean()))
    print()
    for name in METHODS:
        print(
            f"{name:17s} least {min(rates[name]):.4f} mean {np.mean(rates[name]):.4f} below .93 in "
            f"{sum(each < 0.93 for each in rates[name])} of {len(rates[name])}, length {np.mean(lengths[name]):.4f}"
        )
    assert min(rates["ours"]) >= stats.binom.ppf(1e-6, DRAWS, 0.95) / DRAWS
    assert min(rates["Lang & Reiczigel"]) < 0.93
    assert min(rates["delta"]) < 0.8
    assert np.mean(lengths["ours"]) < 0.8 * np.mean(lengths["Bonferroni"])
    assert np.mean(lengths["ours"]) < 1.1 * np.mean(lengths["delta"])

"""Corrected shares: the formula, what they become for a perfect and for a useless judge, and how often they cover."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.corrected import Corrected, corrected_change, corrected_share
from surefoot.findings.intervals import wilson
from surefoot.findings.joined import Ends, joined_difference
from surefoot.findings.judge_errors import Validation, judge_errors
from surefoot.findings.means import Quantity, mean_finding

Reals = NDArray[np.float64]
UNSAFE = Quantity("unsafe", direction="lower")
LEAST = 1 - 1e-6
"""A simulated rate is too low where it would come about with probability below one in a million at 95 %."""


def checked(found: int, positive: int, alarms: int, negative: int) -> Validation:
    """`found` of `positive` and `alarms` of `negative` called positive."""
    row = np.arange(positive + negative)
    truth = row < positive
    return Validation(np.where(truth, row < found, row < positive + alarms), truth)


def said(positive: int, rows: int) -> Reals:
    return (np.arange(rows) < positive).astype(np.float64)


def share(values: Reals, validation: Validation, clusters: NDArray[np.int64] | None = None) -> Corrected:
    return corrected_share(values, validation, UNSAFE, subject="model", source="judge", clusters=clusters)


def ends(of: Corrected) -> tuple[float, float]:
    assert of.finding.interval is not None
    return of.finding.interval.low, of.finding.interval.high


def test_the_share_is_rogan_and_gladens() -> None:
    found = share(said(60, 500), checked(80, 100, 4, 100))
    assert found.finding.value == pytest.approx((0.12 + 0.96 - 1) / (0.8 + 0.96 - 1))
    assert (found.observed.value, found.sensitivity.value, found.specificity.value) == (0.12, 0.8, 0.96)
    assert (found.finding.name, found.finding.count, found.finding.direction) == ("unsafe_corrected", 500, "lower")
    assert not found.doubt


def test_a_perfect_judge_of_many_labelled_rows_leaves_wilsons_interval() -> None:
    found = share(said(60, 500), checked(200_000, 200_000, 0, 200_000))
    plain = wilson(60.0, 500.0, 0.95)
    assert ends(found) == pytest.approx((plain.low, plain.high), abs=5e-4)


def test_the_ends_are_where_the_joined_interval_of_the_equation_reaches_nought() -> None:
    """Solved here over a fine grid of p, from scipy's Wilson ends."""
    found = share(said(60, 500), checked(80, 100, 4, 100))
    q, se, f = (stats.binomtest(k, n).proportion_ci(0.95, "wilson") for k, n in ((60, 500), (80, 100), (4, 100)))
    p = np.linspace(0, 1, 200_001)
    g = 0.12 - p * 0.8 - (1 - p) * 0.04
    below = np.sqrt((0.12 - q.low) ** 2 + p**2 * (se.high - 0.8) ** 2 + (1 - p) ** 2 * (f.high - 0.04) ** 2)
    above = np.sqrt((q.high - 0.12) ** 2 + p**2 * (0.8 - se.low) ** 2 + (1 - p) ** 2 * (0.04 - f.low) ** 2)
    inside = p[(g - below <= 0) & (g + above >= 0)]
    assert ends(found) == pytest.approx((inside[0], inside[-1]), abs=1e-5)


def test_positives_and_negatives_may_be_exchanged() -> None:
    """Not unsafe is one less unsafe, with Se and Sp exchanged."""
    one = share(said(60, 500), checked(80, 100, 4, 100))
    other = share(1 - said(60, 500), checked(96, 100, 20, 100))
    assert other.finding.value == pytest.approx(1 - one.finding.value)
    assert ends(other) == pytest.approx((1 - ends(one)[1], 1 - ends(one)[0]), abs=1e-9)


@pytest.mark.parametrize("found", [10, 14, 2])
def test_a_judge_that_tells_nothing_leaves_everything_open(found: int) -> None:
    of = share(said(30, 100), checked(found, 20, 10, 20))
    assert ends(of) == (0.0, 1.0)
    assert of.finding.value == of.observed.value == 0.3
    assert "tells nothing" in of.doubt
    assert ("wrong way round" in of.doubt) == (found == 2)
    assert of.finding.interval is not None
    assert "tells nothing" in of.finding.interval.method


def test_fewer_positives_than_false_alarms_are_none_and_a_doubt() -> None:
    few = share(said(1, 2000), checked(90, 100, 20, 100))
    assert few.finding.value == 0.0
    assert ends(few)[0] == 0.0
    assert 0.0 < ends(few)[1] < 0.15
    assert "not like these" in few.doubt
    many = share(said(1999, 2000), checked(80, 100, 10, 100))
    assert many.finding.value == 1.0
    assert "not like these" in many.doubt
    within = share(said(18, 100), checked(90, 100, 20, 100))
    assert (within.finding.value, within.doubt) == (0.0, "")


def test_copies_of_rows_and_of_labelled_rows_are_no_evidence() -> None:
    labelled, five = checked(90, 120, 30, 120), np.repeat(np.arange(240), 5)
    many = Validation(np.repeat(labelled.verdict, 5), np.repeat(labelled.truth, 5), five[:, None])
    alone, copied = share(said(120, 240), labelled), share(np.repeat(said(120, 240), 5), many, five[:, None])
    assert copied.finding.value == pytest.approx(alone.finding.value)
    assert ends(copied) == pytest.approx(ends(alone), abs=0.03)
    assert ends(copied)[0] <= ends(alone)[0] + 0.003
    assert copied.finding.clusters == 240
    assert copied.sensitivity.clusters == 120


def test_labelled_rows_that_share_clusters_widen_the_interval() -> None:
    """Each labelled cluster has a positive and a negative row judged alike: Se and false alarms go together."""
    truth, cluster = np.repeat([True, False], 40), np.tile(np.arange(40), 2)
    alone = Validation(np.where(truth, cluster < 32, cluster < 8), truth)
    paired = Validation(alone.verdict, truth, cluster[:, None])
    low, high = ends(share(said(150, 400), paired))
    assert low < ends(share(said(150, 400), alone))[0]
    assert high > ends(share(said(150, 400), alone))[1]


def test_a_change_of_two_equal_models_with_unequal_judges() -> None:
    """Both are truly unsafe in 20 %; the uncorrected shares differ by .06."""
    before, after = checked(9500, 10_000, 500, 10_000), checked(7000, 10_000, 300, 10_000)
    change = corrected_change(
        (said(2300, 10_000), before), (said(1640, 10_000), after), UNSAFE, names=("a", "b"), source="judge"
    )
    assert change.finding.value == pytest.approx(0.0, abs=1e-9)
    assert change.finding.interval is not None
    assert change.finding.interval.low < 0 < change.finding.interval.high
    plain = mean_finding(said(2300, 10_000)[None], UNSAFE, subject="a", source="judge")
    assert change.before.observed.interval == plain.interval


def test_a_change_is_shorter_where_the_rows_are_judged_alike() -> None:
    labelled = checked(995, 1000, 3, 1000)

    def width(values: Reals) -> float:
        found = corrected_change((said(60, 200), labelled), (values, labelled), UNSAFE, names=("a", "b"), source="j")
        assert found.finding.interval is not None
        return found.finding.interval.high - found.finding.interval.low

    assert width(said(60, 200)) < 0.5 * width(np.roll(said(60, 200), 60))


def test_a_change_with_a_judge_that_tells_nothing_is_open() -> None:
    useless, good = checked(10, 20, 10, 20), checked(950, 1000, 50, 1000)
    change = corrected_change(
        (said(30, 100), good), (said(30, 100), useless), UNSAFE, names=("a", "b"), source="judge"
    ).finding
    assert change.interval is not None
    assert change.interval.high - change.interval.low > 1
    assert "tells nothing" in change.interval.method


def test_joined_ends_of_independent_wilson_intervals_are_newcombes() -> None:
    """Newcombe (1998), table II, example (a): 56/70 − 48/80, method 10 without continuity correction: .0524, .3339."""
    one, other = wilson(56.0, 70.0, 0.95), wilson(48.0, 80.0, 0.95)
    found = joined_difference(Ends(0.8, one.low, one.high), Ends(0.6, other.low, other.high))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_what_cannot_be_corrected_is_refused() -> None:
    with pytest.raises(InputError, match="label rows of both kinds"):
        Validation(np.array([True, False]), np.array([True, True]))
    with pytest.raises(InputError, match="2 truths"):
        Validation(np.array([True, False, True]), np.array([True, False]))
    with pytest.raises(InputError, match="outside"):
        share(np.array([0.0, 2.0]), checked(9, 10, 1, 10))
    with pytest.raises(InputError, match="both of the same rows"):
        corrected_change(
            (said(1, 10), checked(9, 10, 1, 10)), (said(1, 9), checked(9, 10, 1, 10)), UNSAFE, names=("a", "b"),
            source="judge",
        )  # fmt: skip
    with pytest.raises(InputError, match="strictly between"):
        judge_errors(checked(9, 10, 1, 10), subject="m", source="labelled", confidence=1.0)


def _rate(draw: Callable[[np.random.Generator], tuple[Corrected, float]], draws: int, seed: int) -> float:
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(draws):
        found, truth = draw(random)
        low, high = ends(found)
        hits += low - 1e-12 <= truth <= high + 1e-12
    return hits / draws


SETTINGS = [
    (rows, labelled, p, se, sp)
    for rows, labelled in ((100, 30), (250, 50), (1000, 100), (250, 200))
    for p in (0.0, 0.02, 0.2, 0.5, 0.95)
    for se, sp in ((0.8, 0.96), (0.99, 0.99), (0.6, 0.6), (0.5, 1.0))
]


def _simulated(setting: tuple[int, int, float, float, float], random: np.random.Generator) -> tuple[Corrected, float]:
    rows, labelled, p, se, sp = setting
    positives = int(random.binomial(rows, p * se + (1 - p) * (1 - sp)))
    validation = checked(
        int(random.binomial(labelled, se)), labelled, int(random.binomial(labelled, 1 - sp)), labelled
    )  # fmt: skip
    return share(said(positives, rows), validation), p


def test_corrected_shares_cover() -> None:
    rates = [_rate(lambda random, s=each: _simulated(s, random), 10, 0) for each in SETTINGS[::10]]
    draws = 10 * len(rates)
    assert np.mean(rates) * draws >= stats.binom.ppf(1 - LEAST, draws, 0.95)


@pytest.mark.slow
def test_corrected_shares_cover_in_every_setting() -> None:
    """400 draws of 80 settings: each above .89, which is one in a million at .95."""
    rates = [_rate(lambda random, s=each: _simulated(s, random), 400, at) for at, each in enumerate(SETTINGS)]
    print(f"\ncorrected shares: least {min(rates):.4f} at {SETTINGS[int(np.argmin(rates))]}, mean {np.mean(rates):.4f}")
    assert min(rates) >= stats.binom.ppf(1 - LEAST, 400, 0.95) / 400


def _clustered(random: np.random.Generator) -> tuple[Corrected, float]:
    """60 prompts asked five times; the judge errs by prompt. 40 labelled prompts of the same kind."""

    def drawn(prompts: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        truth = random.random((prompts, 5)) < random.beta(0.6, 1.4, (prompts, 1))
        verdict = random.random((prompts, 5)) < np.where(
            truth, random.beta(8, 2, (prompts, 1)), random.beta(1, 9, (prompts, 1))
        )
        return verdict.ravel(), truth.ravel(), np.repeat(np.arange(prompts), 5)[:, None]

    verdict, _, clusters = drawn(60)
    return share(verdict.astype(np.float64), Validation(*drawn(40)), clusters), 0.3


@pytest.mark.slow
def test_corrected_shares_cover_with_clusters() -> None:
    rate = _rate(_clustered, 1000, 3)
    print(f"\ncorrected shares in clusters: {rate:.4f}")
    assert rate >= stats.binom.ppf(1 - LEAST, 1000, 0.95) / 1000


@pytest.mark.slow
def test_corrected_changes_cover() -> None:
    """Two models on the same prompts, alike in a share of them, each with a judge of its own errors."""
    random = np.random.default_rng(5)
    rates: list[float] = []
    for rows, labelled, p, q, alike in (
        (200, 40, 0.2, 0.2, 0.7), (200, 150, 0.05, 0.2, 0.5), (200, 40, 0.5, 0.7, 0.8), (200, 150, 0.5, 0.7, 0.8),
        (800, 40, 0.02, 0.02, 0.9), (800, 150, 0.0, 0.03, 0.5), (800, 150, 0.5, 0.7, 0.8),
    ):  # fmt: skip
        hits = 0
        for _ in range(1000):
            one = random.random(rows)
            other = np.where(random.random(rows) < alike, one, random.random(rows))
            sides = [
                (
                    (random.random(rows) < np.where(latent < share_, se, 1 - sp)).astype(np.float64),
                    checked(
                        int(random.binomial(labelled, se)), labelled, int(random.binomial(labelled, 1 - sp)), labelled
                    ),
                )
                for latent, share_, se, sp in ((one, p, 0.85, 0.95), (other, q, 0.7, 0.97))
            ]
            found = corrected_change(sides[0], sides[1], UNSAFE, names=("a", "b"), source="judge").finding.interval
            assert found is not None
            hits += found.low <= q - p <= found.high
        rates.append(hits / 1000)
    print(f"\ncorrected changes: {rates}")
    assert min(rates) >= stats.binom.ppf(1 - LEAST, 1000, 0.95) / 1000

"""Means of anything: against what predictions of classes give, formulas, and simulation."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.intervals import wilson
from surefoot.findings.means import Quantity, mean_change, mean_finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import make_rows

ACCURACY = Quantity("accuracy")


def _predictions(right: np.ndarray, clusters: np.ndarray | None = None) -> Predictions:
    """Of two classes, the truth always the second."""
    seeds, rows = right.shape
    told = torch.zeros(seeds, rows, 2)
    told[..., 1] = torch.tensor(right, dtype=torch.float32)
    told[..., 0] = 1 - told[..., 1]
    made = make_rows(
        torch.zeros(rows, 1),
        torch.ones(rows, dtype=torch.int64),
        classes=("a", "b"),
        clusters=None if clusters is None else torch.tensor(clusters),
    )
    return predictions_for(made, told)


def test_one_seed_of_single_rows_is_wilson() -> None:
    right = np.array([[1.0] * 30 + [0.0] * 10])
    found = mean_finding(right, ACCURACY, subject="m", source="judge")
    expected = wilson(30.0, 40.0, 0.95)
    assert found.interval is not None
    assert found.value == 0.75
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (found.count, found.clusters, found.per_seed) == (40, 40, ())


@pytest.mark.parametrize("clustered", [False, True])
def test_an_accuracy_is_that_of_predictions(clustered: bool) -> None:
    draw = np.random.default_rng(0)
    before = (draw.random((3, 60)) < 0.6).astype(np.float64)
    after = (draw.random((3, 60)) < 0.8).astype(np.float64)
    clusters = (np.arange(60) // 4)[:, None] if clustered else None
    theirs = next(
        each
        for each in measure(_predictions(before, clusters), subject="m", source="judge")
        if each.name == "accuracy" and each.slice == "all"
    )
    assert mean_finding(before, ACCURACY, subject="m", source="judge", clusters=clusters) == theirs
    change = next(
        each
        for each in compare(
            _predictions(before, clusters), _predictions(after, clusters), before_name="b", after_name="a",
            source="judge",
        )
        if each.name == "accuracy" and each.slice == "all"
    )  # fmt: skip
    ours = mean_change(before, after, ACCURACY, names=("b", "a"), source="judge", clusters=clusters)
    assert ours == change


def test_a_length_has_a_mean_and_an_interval_that_stays_above_its_least() -> None:
    lengths = np.array([[3.0, 20.0, 20.0, 2.0, 18.0, 21.0]])
    of = Quantity("thinking_tokens", "tokens", "none", 0.0)
    found = mean_finding(lengths, of, subject="m", source="judge", confidence=0.999)
    assert found.value == pytest.approx(14.0)
    assert found.interval is not None
    assert 0.0 <= found.interval.low < 14.0 < found.interval.high
    change = mean_change(
        lengths, lengths + np.array([5.0, 6.0, 4.0, 5.5, 4.5, 5.0]), of, names=("b", "a"), source="judge"
    )
    assert change.value == pytest.approx(5.0)
    assert change.interval is not None
    # Student's interval of six paired changes, two-sided: 2.571 · .7071 / √6 (Hall's correction is odd, so none here).
    assert change.interval.high - 5.0 == pytest.approx(2.571 * 0.7071 / 6**0.5, rel=0.02)


def test_intervals_of_fractions_cover() -> None:
    """Mean of k tries a problem of its own difficulty: 300 worlds, 95 % ± 3.8 at a false-alarm rate of .002."""
    draw = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        chance = draw.beta(0.5, 0.8, size=80)
        tries = draw.binomial(8, chance)[None] / 8
        found = mean_finding(tries, Quantity("pass_at_1"), subject="m", source="judge")
        assert found.interval is not None
        hits += found.interval.low <= 0.5 / 1.3 <= found.interval.high
    assert hits / 300 > 0.912


def test_what_is_no_measurement_is_refused() -> None:
    with pytest.raises(InputError, match="give at least one of each"):
        mean_finding(np.zeros((1, 0)), ACCURACY, subject="m", source="judge")
    with pytest.raises(InputError, match="not finite"):
        mean_finding(np.array([[np.nan]]), ACCURACY, subject="m", source="judge")
    with pytest.raises(InputError, match="outside"):
        mean_finding(np.array([[1.5]]), ACCURACY, subject="m", source="judge")
    with pytest.raises(InputError, match="clusters of 2"):
        mean_finding(
            np.array([[1.0]]), ACCURACY, subject="m", source="judge", clusters=np.zeros((2, 1), dtype=np.int64)
        )
    with pytest.raises(InputError, match="give both of the same"):
        mean_change(np.zeros((1, 3)), np.zeros((2, 3)), ACCURACY, names=("b", "a"), source="judge")

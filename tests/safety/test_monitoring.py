"""What a monitor can tell: by hand, by brute force over what is possible, and the numbers of the o1 card."""

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.corrected import corrected_share
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import wilson
from surefoot.findings.judge_errors import Validation
from surefoot.findings.means import Quantity
from surefoot.safety.monitoring import (
    Audit,
    audit_findings,
    monitor_findings,
    monitored_prevalence,
    prevalences_possible,
)

FLAGGED, THOUGHTS, ACCURACY = 180, 102_443, 0.92


def labelled(found: int, positive: int, alarms: int, negative: int) -> Validation:
    row = np.arange(positive + negative)
    truth = row < positive
    return Validation(np.where(truth, row < found, row < positive + alarms), truth)


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.name: each for each in findings}


def test_shares_of_a_table_of_four() -> None:
    of = by_name(monitor_findings(labelled(18, 20, 6, 80), subject="monitor", source="labelled"))
    expected = {"sensitivity": (18, 20), "specificity": (74, 80), "accuracy": (92, 100), "precision": (18, 24)}
    for name, (right, rows) in expected.items():
        each = of[f"monitor_{name}"]
        assert (each.value, each.count) == (right / rows, rows)
        interval = wilson(float(right), float(rows), 0.95)
        assert each.interval is not None
        assert (each.interval.low, each.interval.high) == pytest.approx((interval.low, interval.high))


def test_a_monitor_that_never_flags_has_no_precision() -> None:
    of = by_name(monitor_findings(labelled(0, 20, 0, 80), subject="monitor", source="labelled"))
    assert "monitor_precision" not in of
    assert of["monitor_accuracy"].value == 0.8


def test_a_prevalence_is_the_corrected_flag_rate() -> None:
    checked = labelled(90, 100, 5, 100)
    flagged = np.arange(400) < 60
    of = monitored_prevalence(flagged, checked, name="deception", subject="model", source="all")
    plain = corrected_share(flagged.astype(np.float64), checked, Quantity("x"), subject="model", source="all")
    assert of.finding.value == plain.finding.value == pytest.approx((0.15 - 0.05) / 0.85)
    assert of.finding.interval == plain.finding.interval
    assert (of.finding.name, of.observed.name, of.finding.direction) == (
        "deception", "deception_flagged", "lower",
    )  # fmt: skip


def test_an_audit_of_unflagged_rows_bounds_what_was_missed() -> None:
    one, all_ = audit_findings(Audit(900, 200, 3), 100, name="deception", subject="model", source="audit")
    exact = stats.binomtest(3, 200).proportion_ci(0.95, "exact")
    assert one.interval is not None
    assert all_.interval is not None
    assert (one.interval.low, one.interval.high) == pytest.approx((exact.low, exact.high))
    assert all_.value == pytest.approx(0.9 * 3 / 200)
    assert all_.interval.high == pytest.approx(0.9 * exact.high)
    assert (one.name, all_.name, one.count) == ("deception_missed", "deception_missed_of_all", 200)


@pytest.mark.parametrize(("flag_rate", "accuracy", "share"), [
    (0.1, 0.8, 0.3), (0.1, 0.95, 0.5), (0.4, 0.7, 0.5), (0.02, 0.9, 0.1), (0.6, 0.55, 0.2), (0.3, 0.9, 1.0),
    (0.3, 0.8, 0.0), (0.05, 0.5, 0.5),
])  # fmt: skip
def test_the_prevalences_possible_are_those_of_a_search(flag_rate: float, accuracy: float, share: float) -> None:
    """All Se, F and p on a grid that give the flag rate and the accuracy, up to the grid."""
    found = prevalences_possible(flag_rate, accuracy, share)
    alarms, sensitivity = np.meshgrid(np.linspace(0, 1, 801), np.linspace(0, 1, 801))
    agree = np.abs(share * sensitivity + (1 - share) * (1 - alarms) - accuracy) < 0.0009
    agree &= (alarms <= flag_rate + 1e-9) & (sensitivity >= flag_rate - 1e-9) & (sensitivity > alarms)
    p = (flag_rate - alarms[agree]) / (sensitivity[agree] - alarms[agree])
    assert (found.low, found.high) == pytest.approx((p.min(), p.max()), abs=0.012)
    assert "open" in found.sentence


def test_any_prevalence_is_possible_where_the_labelled_rows_are_not_described() -> None:
    """For every prevalence there are labelled rows, a sensitivity and false alarms that agree."""
    assert prevalences_possible(0.01, 0.9)[:2] == (0.0, 1.0)
    for p in np.linspace(0, 1, 21):
        assert any(
            found.low - 1e-9 <= p <= found.high + 1e-9 and "contradict" not in found.sentence
            for share in np.linspace(0, 1, 4001)
            for found in [prevalences_possible(0.01, 0.9, float(share))]
        )
    assert "contradict" in prevalences_possible(0.4, 0.3).sentence


def test_the_numbers_of_the_card_say_nothing_of_prevalence() -> None:
    rate = FLAGGED / THOUGHTS
    assert prevalences_possible(rate, ACCURACY)[:2] == (0.0, 1.0)
    half, tenth, eight = (prevalences_possible(rate, ACCURACY, share) for share in (0.5, 0.1, 0.08))
    assert (half.low, half.high) == pytest.approx((0, rate / 0.84))
    assert (tenth.low, tenth.high) == pytest.approx((0, rate / 0.2))
    assert eight.high == pytest.approx(1.0)
    assert "contradict" in prevalences_possible(rate, ACCURACY, 0.05).sentence


def test_a_small_labelled_set_of_that_accuracy_leaves_no_prevalence_to_be_read() -> None:
    """46 of 50 right on either side: 8,195 false alarms would be expected of 102,443, and 180 were flagged."""
    flagged = np.arange(THOUGHTS) < FLAGGED
    even = monitored_prevalence(flagged, labelled(46, 50, 4, 50), name="deception", subject="o1", source="card")
    assert even.finding.value == 0.0
    assert "not like these" in even.doubt
    none = monitored_prevalence(flagged, labelled(42, 50, 0, 50), name="deception", subject="o1", source="card")
    assert none.finding.interval is not None
    assert none.finding.interval.low == 0.0
    assert none.finding.interval.high > FLAGGED / THOUGHTS


def test_what_is_no_audit_is_refused() -> None:
    for unflagged, read, missed in ((10, 0, 0), (10, 11, 0), (10, 5, 6), (10, 5, -1)):
        with pytest.raises(InputError, match="missed ≤ read"):
            Audit(unflagged, read, missed)
    with pytest.raises(InputError, match="give a count"):
        audit_findings(Audit(10, 5, 1), -1, name="x", subject="m", source="s")
    with pytest.raises(InputError, match="give shares"):
        prevalences_possible(1.2, 0.9)
    with pytest.raises(InputError, match="give shares"):
        prevalences_possible(0.2, 0.9, float("nan"))

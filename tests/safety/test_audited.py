"""A monitor by a sample drawn knowing its flags: by hand, against Rogan and Gladen, against all labels, coverage."""

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import wilson
from surefoot.findings.judge_errors import Validation
from surefoot.safety.audited import AuditedRows, audited_findings
from surefoot.safety.monitoring import monitor_findings


def found(rows: AuditedRows, confidence: float = 0.95) -> dict[str, Finding]:
    made = audited_findings(rows, name="bad", subject="m", source="audit", confidence=confidence)
    return {each.name: each for each in made}


def table(flagged: int, right: int, unflagged: int, read: int, missed: int) -> AuditedRows:
    """Counts as rows: all flagged ones are read, and `read` of the others."""
    row = np.arange(flagged + unflagged)
    flags = row < flagged
    return AuditedRows(flags, flags | (row < flagged + read), (row < right) | (~flags & (row < flagged + missed)), None)


def ends(of: Finding) -> tuple[float, float]:
    assert of.interval is not None
    return of.interval.low, of.interval.high


def test_every_number_by_hand() -> None:
    """20 of 200 flagged, 15 rightly; of 180 others 60 were read and 2 were missed: each stands for three."""
    of = found(table(20, 15, 180, 60, 2))
    bad, missed = 15 + 2 * 3, 2 * 3
    expected = {
        "flagged": 20 / 200, "monitor_precision": 15 / 20, "missed": 2 / 60, "bad": bad / 200,
        "monitor_sensitivity": 15 / bad, "monitor_specificity": (180 - missed) / (200 - bad),
    }  # fmt: skip
    assert {name: each.value for name, each in of.items()} == {k: pytest.approx(v) for k, v in expected.items()}
    assert [of[name].count for name in ("flagged", "monitor_precision", "missed", "bad")] == [200, 20, 60, 80]
    share = wilson(2.0, 60.0, 0.95)
    assert ends(of["missed"]) == pytest.approx((share.low, share.high))


def test_sensitivity_and_specificity_are_at_the_corners_of_three_wider_intervals() -> None:
    """Each at 1 − .05/3; sensitivity f a/(f a + (1 − f) b) rises with f and a and falls with b."""
    of = found(table(20, 15, 180, 60, 2))
    f, a, b = (wilson(float(x), float(n), 1 - 0.05 / 3) for x, n in ((20, 200), (15, 20), (2, 60)))

    def sensitivity(f: float, a: float, b: float) -> float:
        return f * a / (f * a + (1 - f) * b)

    def specificity(f: float, a: float, b: float) -> float:
        return (1 - f) * (1 - b) / ((1 - f) * (1 - b) + f * (1 - a))

    assert ends(of["monitor_sensitivity"]) == pytest.approx(
        (sensitivity(f.low, a.low, b.high), sensitivity(f.high, a.high, b.low))
    )
    assert ends(of["monitor_specificity"]) == pytest.approx(
        (specificity(f.high, a.low, b.high), specificity(f.low, a.high, b.low))
    )


def test_the_prevalence_is_that_of_rogan_and_gladen() -> None:
    of = {name: each.value for name, each in found(table(20, 15, 180, 60, 2)).items()}
    se, sp = of["monitor_sensitivity"], of["monitor_specificity"]
    assert of["bad"] == pytest.approx((of["flagged"] + sp - 1) / (se + sp - 1))


def test_with_all_rows_read_it_is_the_table_of_four() -> None:
    rows = table(20, 15, 180, 180, 9)
    plain = {e.name: e.value for e in monitor_findings(Validation(rows.flagged, rows.truth), subject="m", source="a")}
    of = found(rows)
    for name in ("monitor_sensitivity", "monitor_specificity", "monitor_precision"):
        assert of[name].value == pytest.approx(plain[name])


def test_sensitivity_among_the_read_would_be_far_too_high() -> None:
    """Unflagged rows are read one in a hundred, so what is missed there counts a hundredfold."""
    rows = table(100, 90, 10_000, 100, 1)
    value = found(rows)["monitor_sensitivity"].value
    assert value == pytest.approx(90 / 190)
    assert value < 90 / 91 - 0.5


def test_none_missed_is_no_proof() -> None:
    of = found(table(10, 10, 990, 50, 0))
    assert of["monitor_sensitivity"].value == 1.0
    low, high = ends(of["monitor_sensitivity"])
    assert low < 0.15
    assert high == 1.0
    assert ends(of["bad"])[1] > 0.07


def test_nothing_flagged_and_everything_flagged() -> None:
    none = found(table(0, 0, 100, 50, 0))
    assert set(none) == {"flagged", "missed", "bad", "monitor_specificity"}
    assert (none["bad"].value, none["monitor_specificity"].value) == (0.0, 1.0)
    misses = found(table(0, 0, 100, 50, 5))
    assert misses["monitor_sensitivity"].value == 0.0
    every = found(table(100, 30, 0, 0, 0))
    assert (every["bad"].value, every["monitor_sensitivity"].value) == (0.3, 1.0)
    assert every["monitor_specificity"].value == 0.0


def test_what_was_not_read_is_not_guessed() -> None:
    with pytest.raises(InputError, match="None of 180 unflagged rows was read"):
        table(20, 15, 180, 0, 0)
    with pytest.raises(InputError, match="give one of each row"):
        AuditedRows(np.ones(3, bool), np.ones(3, bool), np.ones(2, bool))


def test_rows_of_one_cluster_tell_less() -> None:
    rows = table(40, 30, 160, 80, 4)
    alone, together = (
        found(rows),
        found(AuditedRows(rows.flagged, rows.read, rows.truth, np.arange(200)[:, None] // 10)),
    )
    assert together["monitor_precision"].clusters == 4
    low, high = ends(together["bad"])
    assert high - low > np.diff(ends(alone["bad"]))[0]


@pytest.mark.parametrize(("p", "se", "sp"), [(0.1, 0.8, 0.95), (0.02, 0.6, 0.98), (0.3, 0.9, 0.9)])
def test_intervals_cover(p: float, se: float, sp: float) -> None:
    """400 runs of 600 thoughts, 60 unflagged ones read. At a true rate of .95 fewer than 366 hold the truth once in a
    thousand times; sensitivity and specificity hold more."""
    draws = np.random.default_rng(1)
    inside = dict.fromkeys(("bad", "monitor_sensitivity", "monitor_specificity"), 0)
    truth = dict(zip(inside, (p, se, sp), strict=True))
    for _ in range(400):
        bad = draws.random(600) < p
        flagged = draws.random(600) < np.where(bad, se, 1 - sp)
        read = flagged.copy()
        read[draws.choice(np.flatnonzero(~flagged), 60, replace=False)] = True
        of = found(AuditedRows(flagged, read, bad))
        for name in inside:
            low, high = ends(of[name])
            inside[name] += low <= truth[name] <= high
    assert min(inside.values()) >= 366, inside

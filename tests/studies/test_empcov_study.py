"""The EmpCov study keeps its parts apart, judges by intervals, runs in small, prints the same again from cache."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from surefoot.density.covariance import empirical_covariance
from surefoot.density.empcov import empcov
from surefoot.findings.finding import Finding, Interval

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    """The modules of studies/ import each other by bare names, so their folder is on the path for as long."""
    sys.path.insert(0, str(ROOT / "studies"))
    import empcov_digits
    import empcov_models
    import empcov_tables

    empcov_digits.models, empcov_digits.tables = empcov_models, empcov_tables
    yield empcov_digits
    sys.path.remove(str(ROOT / "studies"))


def test_no_judged_digit_is_learnt_from(study: ModuleType) -> None:
    parts = [study.thousand(part, 1000) for part in range(1 + study.MOST_SEEDS)]
    assert len({name for part in parts for name in part.ids.tolist()}) == 5000
    for part in parts:
        assert torch.bincount(part.targets).tolist() == [100] * 10


def test_dead_pixel_noise_is_told_in_pixels_and_touches_dead_pixels_alone(study: ModuleType) -> None:
    fit, judge = study.flat(study.thousand(1, 1000)), study.flat(study.thousand(0, 1000))
    changed = (study.directed(fit, judge)["dead pixels, 2"].inputs - judge.inputs) * study.GREY
    dead = (fit.inputs == fit.inputs[:1]).all(dim=0)
    assert int(dead.sum()) > 20
    assert not bool(changed[:, ~dead].any())
    # 1,000 × 34 or so normal numbers of deviation 2: their deviation is off by 2 % once in 10⁷ seeds.
    assert abs(float(changed[:, dead].std()) - 2) < 0.04


def test_subspaces_are_orthonormal_and_the_low_one_is_alive(study: ModuleType) -> None:
    fit = study.flat(study.thousand(1, 1000))
    covariance = empirical_covariance(fit.inputs)
    for directions in study.subspaces(fit).values():
        assert torch.allclose(directions.T @ directions, torch.eye(directions.shape[1]).double(), atol=1e-8)
    variances = {
        name: torch.diag(directions.T @ covariance @ directions) for name, directions in study.subspaces(fit).items()
    }
    assert float(variances["dead"].max()) < 1e-12
    assert float(variances["low"].min()) > 1e-9
    assert float(variances["low"].max()) < 0.1 * float(variances["high"].min())


def test_the_reference_codes_form_with_its_own_settings_is_the_saturating_one(study: ModuleType) -> None:
    covariance = empirical_covariance(study.flat(study.thousand(1, 1000)).inputs)
    one, other = (
        empcov(covariance, name="w", floor=1e-6, precision=30.0, form=form, empcov_precision=own)
        for form, own in (("saturating", None), ("reference", 30.0))
    )
    assert torch.allclose(one.variance, other.variance, rtol=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.01, 0.03, "holds"), (-0.03, 0.01, "undecided"), (-0.05, -0.03, "fails")]
)
def test_claims_are_judged_by_the_whole_interval(study: ModuleType, low: float, high: float, verdict: str) -> None:
    interval = Interval(low, high, 0.95, "by hand")
    found = Finding("accuracy", (low + high) / 2, interval, 10, 10, "points", "all", "higher", "a − b", "judge")
    assert study.tables.status(found, at_least=-0.02) == verdict


def test_the_picture_says_what_the_pages_table_says() -> None:
    page = (ROOT / "docs/empcov.md").read_text(encoding="utf-8")
    lines = [line for line in page.partition("| accuracy, %")[2].splitlines() if line.startswith("| ")]
    said = re.findall(r">([\d.]+ \[[\d., ]+\])</text>", (ROOT / "docs/images/empcov.svg").read_text(encoding="utf-8"))
    told = {line.split(" | ")[0].lstrip("| "): line.rstrip(" |").split(" | ")[1:] for line in lines[1:11]}
    drawn = ["MAP", "ensemble of 10", "HMC, Gaussian", "HMC, EmpCov (trace)", "HMC, EmpCov (saturating)"]
    assert said == [told[method][shift] for shift in range(6) for method in drawn]


@pytest.mark.slow
def test_the_quick_run_prints_the_same_again_from_its_cache(tmp_path: Path) -> None:
    def printed() -> str:
        return subprocess.run(
            [sys.executable, str(ROOT / "studies" / "empcov.py"), "--quick"],
            env={**os.environ, "SUREFOOT_CACHE": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    first = printed()
    chains = sorted(tmp_path.glob("empcov/*/0/*/chains.json"))
    times = [path.stat().st_mtime_ns for path in chains]
    assert len(chains) == 14  # ten methods of the MLP and four of the CNN
    # Five claims, a line in each of four tables, a column in two.
    assert first.count("| HMC, EmpCov (trace)") == 11
    assert printed() == first
    assert [path.stat().st_mtime_ns for path in chains] == times

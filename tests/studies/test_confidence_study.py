"""The closed forms of studies/confidence.py against quadrature, and its page against its data."""

import math
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surefoot.files import read_json

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "studies"))
    try:
        return runpy.run_path(str(ROOT / "studies/confidence.py"))
    finally:
        sys.path.remove(str(ROOT / "studies"))


def by_quadrature(temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and both distribution functions there, from the unnormalised densities by the midpoint rule."""
    count = 400_000
    middle = (np.arange(count) + 0.5) / count
    confident = np.log(middle) + (1 / temperature - 1) * np.log(np.maximum(middle, 1 - middle))
    cold = np.log(middle) / temperature
    masses = [np.exp(each - each.max()) for each in (confident, cold)]
    ends = np.arange(1, count + 1) / count
    return ends, *(np.cumsum(each) / each.sum() for each in masses)


@pytest.mark.parametrize("temperature", [0.9, 0.3, 0.1, 0.02])
def test_distribution_functions_and_their_distance(study: dict[str, Any], temperature: float) -> None:
    ends, confident, cold = by_quadrature(temperature)
    for place in (0.01, 0.1, 0.4999, 0.5, 0.5001, 0.8, 0.99):
        at = round(place * len(ends)) - 1
        assert abs(study["confidence_below"](float(ends[at]), temperature) - confident[at]) < 1e-5, place
        assert abs(study["cold_below"](float(ends[at]), temperature) - cold[at]) < 1e-5, place
    assert (confident >= cold - 1e-12).all()  # what makes the distance the difference of the means
    assert study["wasserstein"](temperature) == pytest.approx(float(np.abs(confident - cold).mean()), abs=1e-5)


def test_the_densities_are_those_of_the_house(study: dict[str, Any]) -> None:
    """Differences of the distribution function are exp(categorical + Confidence), up to one constant."""
    import torch

    from surefoot.density.functional import Confidence
    from surefoot.density.likelihoods import categorical

    temperature = 0.2
    places = torch.tensor([0.05, 0.2, 0.45, 0.55, 0.8, 0.97], dtype=torch.float64)
    logits = torch.stack([places.log(), (1 - places).log()], dim=1)
    house = categorical(logits, torch.zeros(6, dtype=torch.long)) + Confidence(temperature).log_density(logits)
    below, step = study["confidence_below"], 1e-6
    slopes = [(below(p + step, temperature) - below(p - step, temperature)) / (2 * step) for p in places.tolist()]
    constants = torch.tensor(slopes, dtype=torch.float64).log() - house
    assert float(constants.max() - constants.min()) < 1e-5


def test_the_distance_becomes_the_temperature(study: dict[str, Any]) -> None:
    for temperature in (0.1, 0.01, 0.001, 1e-5):
        t = temperature
        leading = t * (1 - t) / ((1 + t) * (1 + 2 * t))
        assert study["wasserstein"](t) == pytest.approx(leading, rel=0, abs=2 * math.exp2(-1 / t) + 1e-15)
    assert study["wasserstein"](1e-5) == pytest.approx(1e-5, rel=1e-4)
    falling = [study["wasserstein"](t) for t in study["TEMPERATURES"] if t <= 0.2]
    assert falling == sorted(falling, reverse=True)


def test_the_page_s_tables_are_those_of_the_data() -> None:
    page = (ROOT / "docs/dirclip.md").read_text(encoding="utf-8")
    data = read_json(ROOT / "docs/data/confidence.json")
    for each in data["formulas"]:
        assert f"| {each['temperature']:g} | {each['distance']:.4f} | {each['wrong']:.4f} |" in page
    for each in data["chains"]:
        ends = f"{min(each['right']):.0%} to {max(each['right']):.0%}"
        by = {(one["name"], one["slice"]): one["value"] for one in each["findings"]}
        told = f"| {each['run']} | {by['accept_probability', 'all']:.0%} | {ends} | {each['patterns']} |"
        assert f"| {each['temperature']:g} {told} {by['rhat_95', 'functions']:.2f} |" in page


def test_chains_do_not_mix_on_the_confidence_prior_and_do_on_the_cold_likelihood() -> None:
    """What the page says of the diagnostics, from the findings that were kept."""
    from surefoot.findings.finding import finding_from_json
    from surefoot.inference.diagnose import mixed

    chains = read_json(ROOT / "docs/data/confidence.json")["chains"]
    told = {
        (one["temperature"], one["run"]): mixed([finding_from_json(each) for each in one["findings"]]) for one in chains
    }
    assert all(not verdict.mixed for (_, run), verdict in told.items() if run == "confidence prior, random starts")
    assert told[0.1, "cold likelihood, random starts"].mixed


@pytest.mark.slow
def test_quick_runs_and_resumes(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "studies/confidence.py"), "--quick", "--folder", str(tmp_path)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert "sampling" not in second.stderr
    assert (
        len(re.findall(r"^\| 0.1 \|", first.stdout, flags=re.MULTILINE)) == 4
    )  # one line of formulas, three of chains

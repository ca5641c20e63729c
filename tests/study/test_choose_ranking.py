"""Ranks of candidates from what their cells leave: order, refusals, and how sure, against analytic answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from surefoot.files import write_json, write_tensors
from surefoot.study.choice.candidates import CRITERIA
from surefoot.study.work.ranking import HELD_OUT, LOSSES, rank_folders

ROWS = 60


def left(folder: Path, values: dict[str, float], losses: np.ndarray, refused: dict[str, str] | None = None) -> Path:
    """What a candidate's cell leaves."""
    told = {"values": values, "refused": refused or {}, "notes": [], "findings": [], "parameters": 3, "rows": 300}
    write_json(folder / "criteria.json", {**told, "held_out": [f"row:{row}" for row in range(len(losses))]})
    held = torch.tensor(losses)
    clusters = torch.arange(len(losses))[:, None]
    write_tensors(folder / HELD_OUT, {"averaged": held, "mode": held.clone(), "clusters": clusters})
    return folder


def of(evidence: float, losses: np.ndarray) -> dict[str, float]:
    mean = float(losses.mean())
    return {
        "conditional_evidence": evidence / 4,
        "evidence": evidence,
        "validation_loss_averaged": mean,
        "validation_loss": mean,
    }


def ranked(folder: Path, evidences: dict[str, list[float]], losses: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    seeds = list(range(len(next(iter(evidences.values())))))
    inputs = {
        f"{name} {seed}": left(folder / f"{name}-{seed}", of(values[seed], losses[name][seed]), losses[name][seed])
        for name, values in evidences.items()
        for seed in seeds
    }
    return rank_folders({"candidates": list(evidences), "seeds": seeds}, inputs)


def test_more_evidence_and_less_loss_come_first_and_ties_go_to_the_earlier(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    base = random.exponential(size=ROWS)
    losses = {"a": [base + 0.2], "b": [base], "c": [base]}
    found = ranked(tmp_path, {"a": [-10.0], "b": [-30.0], "c": [-20.0]}, losses)
    ranks = {
        name: [each["scores"][name]["rank"] for each in found["candidates"]] for name in ("evidence", "validation_loss")
    }
    assert ranks == {"evidence": [1, 3, 2], "validation_loss": [3, 1, 2]}
    assert [found["picks"][name]["chosen"] for name in CRITERIA] == ["a", "a", "b", "b"]
    assert "ahead of c by 10.0 nats" in found["picks"]["evidence"]["words"].lower()


def test_one_seed_measures_no_sureness_of_an_evidence(tmp_path: Path) -> None:
    base = np.linspace(0, 1, ROWS)
    found = ranked(tmp_path, {"a": [-10.0], "b": [-30.0]}, {"a": [base], "b": [base + 1]})
    assert found["picks"]["evidence"]["sure"] is None
    assert "not measured" in found["picks"]["evidence"]["words"]
    assert found["picks"]["validation_loss"]["sure"] == 1.0


@pytest.mark.parametrize(("seeds", "ratio"), [(3, 2.0), (8, 1.0)])
def test_between_two_the_sureness_of_an_evidence_is_students(tmp_path: Path, seeds: int, ratio: float) -> None:
    """P(μ_a > μ_b) for paired means is Student's distribution function at their t; 2,000 draws, false alarm 1e-6."""
    random = np.random.default_rng(seeds)
    common = 50 * random.normal(size=seeds)  # a seed that moves both candidates alike does not count
    moved = random.normal(size=seeds)
    gap = ratio * moved.std(ddof=1) / np.sqrt(seeds)
    a, b = common + moved - moved.mean() + gap, common
    losses = [random.exponential(size=ROWS) for _ in range(seeds)]
    found = ranked(tmp_path, {"a": a.tolist(), "b": b.tolist()}, {"a": losses, "b": losses})
    pick = found["picks"]["evidence"]
    expected = stats.t(seeds - 1).cdf(ratio)
    assert abs(expected - stats.norm.cdf(ratio)) > (0.05 if seeds == 3 else 0.0), "few seeds are no normal distribution"
    assert abs(pick["sure"] - expected) < 4.9 * np.sqrt(expected * (1 - expected) / 2000)


def test_the_sureness_of_a_loss_is_normal_for_many_rows(tmp_path: Path) -> None:
    """With one seed, P(first again) = Φ(mean/standard error) of the paired differences; false alarm 1e-6, and 0.01
    for what a bootstrap of 400 rows is off."""
    random = np.random.default_rng(1)
    base = random.exponential(size=400)
    noise = random.normal(scale=0.5, size=400)
    other = base + 0.03 + noise - noise.mean()
    found = ranked(tmp_path, {"a": [0.0], "b": [-1.0]}, {"a": [base], "b": [other]})
    away = other - base
    expected = stats.norm.cdf(abs(away.mean()) / (away.std(ddof=1) / 20))
    assert 0.6 < expected < 0.99
    sure = found["picks"]["validation_loss"]["sure"]
    assert abs(sure - expected) < 0.01 + 4.9 * np.sqrt(expected * (1 - expected) / 2000)


def test_two_seeds_vary_as_their_mean_does(tmp_path: Path) -> None:
    """Differences 0.005 and 0.055: means of two drawn again are these, or 0.03 twice as often; stretched by √2 about
    0.03 the first is −0.005, so that a loses in a quarter of the resamples, which it never would without. False alarm
    1e-6."""
    flat = np.full(ROWS, 1.0)
    losses = {"a": [flat, flat], "b": [flat + 0.005, flat + 0.055]}
    found = ranked(tmp_path, {"a": [0.0, 0.0], "b": [-1.0, -2.0]}, losses)
    pick = found["picks"]["validation_loss"]
    assert pick["chosen"] == "a"
    assert abs(pick["sure"] - 0.75) < 4.9 * np.sqrt(0.75 * 0.25 / 2000)


def test_refused_candidates_come_last_and_the_others_go_on(tmp_path: Path) -> None:
    base = np.linspace(0, 1, ROWS)
    inputs = {
        "a 0": left(tmp_path / "a", {"validation_loss": 0.1, "validation_loss_averaged": 0.1}, base,
                    {"evidence": "training ended far from a mode.", "conditional_evidence": "far"}),
        "b 0": left(tmp_path / "b", of(-90.0, base), base),
        "c 0": left(tmp_path / "c", of(-80.0, base), base),
    }  # fmt: skip
    found = rank_folders({"candidates": ["a", "b", "c"], "seeds": [0]}, inputs)
    scores = {each["name"]: each["scores"]["evidence"] for each in found["candidates"]}
    assert {name: score["rank"] for name, score in scores.items()} == {"a": 3, "b": 2, "c": 1}
    assert scores["a"]["value"] is None
    assert scores["a"]["refused"] == "training ended far from a mode"
    assert found["picks"]["validation_loss"]["chosen"] == "a"


def test_nobody_is_taken_by_a_criterion_that_has_no_number(tmp_path: Path) -> None:
    base = np.linspace(0, 1, ROWS)
    why = {"evidence": "far"}
    values = {"validation_loss": 0.1, "validation_loss_averaged": 0.1, "conditional_evidence": -1.0}
    inputs = {f"{name} 0": left(tmp_path / name, values, base, why) for name in "ab"}
    found = rank_folders({"candidates": ["a", "b"], "seeds": [0]}, inputs)
    assert found["picks"]["evidence"]["chosen"] == ""
    assert found["picks"]["conditional_evidence"]["chosen"] == "a"


def test_chances_are_findings_that_sum_to_one(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    losses = {name: [random.exponential(size=ROWS) for _ in range(3)] for name in "abc"}
    evidences = {name: random.normal(size=3).tolist() for name in "abc"}
    found = ranked(tmp_path, evidences, losses)
    for criterion in CRITERIA:
        chances = [each["value"] for each in found["findings"] if each["name"] == f"chance_of_best_by_{criterion}"]
        assert len(chances) == 3
        assert sum(chances) == pytest.approx(1)
        assert max(chances) >= found["picks"][criterion]["sure"]
    assert set(LOSSES) < set(CRITERIA)

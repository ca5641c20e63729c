"""Ranks of candidates from what their cells leave: order, refusals, and how sure, against analytic answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from surefoot.evidence.conditional import DrawnConditional
from surefoot.evidence.trials import Origin, Trial, trial_to_json
from surefoot.files import read_json, write_json, write_tensors
from surefoot.study.choice.candidates import CRITERIA
from surefoot.study.work.ranking import HELD_OUT, LOSSES, nobody, rank_folders

ROWS = 60


def left(folder: Path, values: dict[str, float], losses: np.ndarray, refused: dict[str, str] | None = None) -> Path:
    """What a candidate's cell leaves."""
    trial = Trial(values.get("evidence", 0.0), 0.0, 300, "kron", conditional=values.get("conditional_evidence"))
    told = {
        "values": values,
        "refused": refused or {},
        "findings": [],
        "parameters": 3,
        "rows": 300,
        "trained": True,
        "untrained": "",
        "trial": trial_to_json(trial),
    }
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


BASE = np.linspace(0, 1, ROWS)


def changed(folder: Path, **told: Any) -> None:
    """Of what a cell left, some entries; those of its trial as keywords of `trial`."""
    record = read_json(folder / "criteria.json")
    trial = told.pop("trial", {})
    write_json(folder / "criteria.json", {**record, **told, "trial": {**record["trial"], **trial}})


def doubted(folder: Path, evidences: dict[str, list[float]], **trials: dict[str, Any]) -> dict[str, Any]:
    """A ranking of candidates with the same losses; by name, what is else in the trial of the first seed."""
    names, seeds = list(evidences), list(range(len(next(iter(evidences.values())))))
    inputs = {
        f"{name} {seed}": left(folder / f"{name}-{seed}", of(evidences[name][seed], BASE), BASE)
        for name in names
        for seed in seeds
    }
    for name, told in trials.items():
        for seed in seeds:
            changed(folder / f"{name}-{seed}", trial=told)
    return rank_folders({"candidates": names, "seeds": seeds}, inputs)


def kinds(found: dict[str, Any], criterion: str) -> list[str]:
    return [each["kind"] for each in found["doubts"] if criterion in each["about"]]


def test_modes_that_disagree_by_as_much_as_candidates_are_told(tmp_path: Path) -> None:
    """Several optima: of one candidate a training scatters by more than the gap; where it does not, nothing is said."""
    apart = doubted(tmp_path / "1", {"a": [-100.0, -101.0, -99.0], "b": [-120.0, -121.0, -119.5]})
    assert apart["doubts"] == []
    found = doubted(tmp_path / "2", {"a": [-100.0, -101.0, -130.0], "b": [-120.0, -121.0, -119.0]})
    assert kinds(found, "evidence") == kinds(found, "conditional_evidence") == ["seeds"]
    for criterion, spread in (("evidence", 17.9), ("conditional_evidence", 17.9 / 4)):
        (doubt,) = (each for each in found["doubts"] if criterion in each["about"])
        assert f"scatters by {spread:.1f} nats around" in doubt["sentence"]
        assert doubt["severity"] == "warn"
        assert doubt["findings"][0]["name"] == "evidence_gap"
    assert found["picks"]["evidence"]["chosen"] == "a"
    assert kinds(found, "validation_loss") == kinds(found, "validation_loss_averaged") == []


def test_a_refusal_takes_the_criterion_its_numbers_and_says_so_in_a_sentence(tmp_path: Path) -> None:
    values = {"a": [-100.0] * 3, "b": [-120.0] * 3}
    found = doubted(tmp_path, values, a={"structure": "full"})
    (doubt, *others) = found["doubts"]
    assert (doubt["kind"], doubt["severity"], doubt["about"]) == (
        "curvature",
        "refuse",
        ["conditional_evidence", "evidence"],
    )
    assert others == [], (
        "what is said of both stands once, and the order of numbers that do not compare is not looked at"
    )
    for criterion in ("evidence", "conditional_evidence"):
        assert found["picks"][criterion]["chosen"] == ""
        assert found["picks"][criterion]["words"].startswith("Refused: The candidates' curvatures have the structures")
        assert [each["scores"][criterion]["value"] for each in found["candidates"]] == [None, None]
    assert found["picks"]["validation_loss"]["chosen"] == "a"
    told = nobody(found, "evidence")
    assert told.startswith("Nobody is taken by evidence, whose numbers do not compare here: The candidates' curvatures")
    assert told.endswith("or train otherwise.")


def test_who_has_no_number_is_left_out_of_the_doubts_and_refuses_nobody(tmp_path: Path) -> None:
    inputs = {f"{name} 0": left(tmp_path / name, of(value, BASE), BASE) for name, value in (("a", -9.0), ("b", -8.0))}
    inputs["c 0"] = left(
        tmp_path / "c", {"validation_loss": 0.1}, BASE, {"evidence": "far", "conditional_evidence": "far"}
    )
    changed(tmp_path / "c", trial={"offset": 40.0, "structure": "full"})
    found = rank_folders({"candidates": ["a", "b", "c"], "seeds": [0]}, inputs)
    assert kinds(found, "evidence") == ["seeds"]
    assert found["picks"]["evidence"]["chosen"] == "b"
    found = rank_folders({"candidates": ["a", "c"], "seeds": [0]}, inputs)
    assert found["doubts"] == [], "one alone is compared with nobody"
    assert found["picks"]["evidence"]["chosen"] == "a"


def test_doubts_are_of_the_criterion_whose_number_they_are_of(tmp_path: Path) -> None:
    """Draws and the division of the rows have a part in the conditional evidence alone."""
    lonely = DrawnConditional(-70.0, 1.0, 1.02, 100, 1.0, 50)
    values = {"a": [-10.0, -10.1, -10.2], "b": [-400.0, -400.2, -400.4]}
    drawn = trial_to_json(Trial(0.0, 0.0, 3, "kron", drawn=lonely))["drawn"]
    found = doubted(tmp_path / "1", values, a={"drawn": drawn})
    assert kinds(found, "evidence") == []
    assert kinds(found, "conditional_evidence") == ["draws"]
    assert found["doubts"][0]["sentence"].endswith("(The ranking takes that difference.)")
    origin = trial_to_json(Trial(0.0, 0.0, 3, "kron", origin=Origin("all"), held="some"))
    same = {name: {"origin": origin["origin"], "held": origin["held"]} for name in "ab"}
    assert doubted(tmp_path / "2", values, **same)["doubts"] == []
    divided = doubted(tmp_path / "3", values, a=same["a"], b={**same["b"], "held": "others"})
    assert [(each["kind"], each["about"]) for each in divided["doubts"]] == [("rows", ["conditional_evidence"])]
    assert divided["picks"]["evidence"]["chosen"] == "a"
    assert divided["picks"]["conditional_evidence"]["chosen"] == ""
    turned = doubted(tmp_path / "4", values, a={"by_structure": {"diag": -900.0}}, b={"by_structure": {"diag": -30.0}})
    assert kinds(turned, "evidence") == ["structures"]
    rough = doubted(tmp_path / "5", values, b={"known_offset": 0.5, "offset": 0.05})
    assert kinds(rough, "evidence") == []
    assert kinds(rough, "conditional_evidence") == ["mode"]


def test_a_prior_that_decides_is_told_of_the_choice_or_of_the_first_two(tmp_path: Path) -> None:
    values = {"a": [-100.0, -100.1, -100.2], "b": [-120.0, -120.1, -120.3], "c": [-900.0, -900.1, -900.3]}
    steep = anatomy(slope=9.0)
    found = doubted(tmp_path / "1", values, a=steep, b=anatomy(), c=anatomy(slope=70.0))
    assert kinds(found, "evidence") == ["prior"]
    assert found["doubts"][0]["sentence"].startswith("The evidence of a changes at 21 nats for a factor of ten")
    turned = doubted(tmp_path / "2", values, a=anatomy(slope=9.0, lower=-700.0), b=anatomy(), c=anatomy())
    assert kinds(turned, "evidence") == ["prior"], "said of the choice, and not again of one"
    assert "b with all of them 10 times smaller" in turned["doubts"][0]["sentence"]
    vague = doubted(tmp_path / "3", values, a=anatomy(), b=anatomy(tail=0.8), c=anatomy())
    assert kinds(vague, "evidence") == ["tail"]


def anatomy(**told: float) -> dict[str, Any]:
    """Of a trial that hangs little on its prior."""
    plain = {
        "fit": -90.0, "distance": 5.0, "volume": 5.0, "effective": 3.0, "parameters": 3, "untouched": 0, "tail": 0.0,
        "slope": 0.0, "lower": -100.0, "higher": -100.0,
    }  # fmt: skip
    return {"anatomy": {**plain, **told}}


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ([1], "not with seed 1 of 3: "),
        ([0, 2], "not with seeds 0 and 2 of 3: "),
        ([0, 1, 2], "not with any of 3 seeds: "),
    ],
)
def test_who_is_not_trained_has_no_rank_and_is_taken_by_nobody(tmp_path: Path, failed: list[int], told: str) -> None:
    """Best by every number where it has one, with the other seeds; still it is in no comparison."""
    inputs = {
        f"{name} {seed}": left(tmp_path / f"{name}-{seed}", of(value, BASE * scale), BASE * scale)
        for name, value, scale in (("a", -1.0, 0.1), ("b", -90.0, 1.0), ("c", -80.0, 2.0))
        for seed in range(3)
    }
    for seed in failed:
        # Whatever numbers it may have left.
        changed(tmp_path / f"a-{seed}", trained=False, untrained="The loss became nan; try less.")
        record = read_json(tmp_path / f"a-{seed}" / "criteria.json")
        write_json(tmp_path / f"a-{seed}" / "criteria.json", {**record, "trial": None, "held_out": []})
    found = rank_folders({"candidates": ["a", "b", "c"], "seeds": [0, 1, 2]}, inputs)
    about = {each["name"]: each for each in found["candidates"]}
    assert [about[name]["trained"] for name in "abc"] == [False, True, True]
    assert about["a"]["untrained"] == f"{told}The loss became nan; try less."
    for criterion in CRITERIA:
        assert about["a"]["scores"][criterion]["rank"] is None
        assert about["a"]["scores"][criterion]["value"] is None
        assert sorted(about[name]["scores"][criterion]["rank"] for name in "bc") == [1, 2]
        assert found["picks"][criterion]["chosen"] in ("b", "c")
        assert "a" not in {each["subject"] for each in found["findings"]}
    nobody_left = rank_folders({"candidates": ["a", "a"], "seeds": failed[:1]}, inputs)
    assert nobody_left["picks"]["validation_loss"]["chosen"] == ""
    assert "No candidate could be trained (a, " in nobody(nobody_left, "validation_loss")

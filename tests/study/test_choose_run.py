"""Choosing from a file of rows: judge rows have no part in it, finished candidates are used again, models open."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.criteria import CriteriaSettings, criteria_of
from surefoot.evidence.laplace import memory as laplace_memory
from surefoot.files import read_json, read_tensors
from surefoot.inference.ascend import Ascend
from surefoot.networks.build import build_linear
from surefoot.networks.network import forward, parameters_of
from surefoot.networks.weights import load_model
from surefoot.rows.rows import make_rows
from surefoot.study.choice import curvatures as planning
from surefoot.study.choice.ask import asked_of_data
from surefoot.study.choice.candidates import CRITERIA, Candidates
from surefoot.study.choice.graph import ChoiceGraph, Question, choice_graph
from surefoot.study.choice.run import Chosen, choose
from surefoot.study.numerics import numerics_of
from surefoot.study.once.columns import Columns
from surefoot.study.once.measure import look
from surefoot.study.store import Store
from surefoot.study.stored import load_rows, load_seen
from surefoot.study.work.candidate import told_of
from surefoot.study.work.taking import judge_candidates

GRID = {"widths": [3], "depths": [0, 1], "precisions": [0.3, 3.0], "rounds": 3, "draws": 3}
"""Four candidates."""
COLUMNS = Columns(target="label", id="id")


def write_rows(path: Path, *, shuffled: bool = False, rows: int = 150) -> Path:
    """Two numbers in units of their own and three classes; `shuffled`: the judge labels are moved among judge rows."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, rows)
    inputs = random.normal(size=(rows, 2)) + 1.5 * np.stack([labels == 0, labels == 1], axis=1)
    split = np.where(np.arange(rows) % 5 == 0, "test", "train")
    names = np.array(["ant", "bee", "cat"])[labels]
    if shuffled:
        judged = np.flatnonzero(split == "test")
        names[judged] = names[random.permutation(judged)]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "x", "y", "label", "split"])
        for row in range(rows):
            table.writerow([f"r{row}", 1000 * inputs[row, 0] + 7000, inputs[row, 1] / 50, names[row], split[row]])
    return path


def asked(path: Path, seeds: tuple[int, ...] = (0,), **told: Any) -> Question:
    return asked_of_data(path, COLUMNS, {**GRID, **told}, seeds)


def run(question: Question, folder: Path, out: Path, **told: Any) -> Chosen:
    return choose(question, folder, out=out, engine="in_process", product="default", **told)


def cells(question: Question, folder: Path) -> ChoiceGraph:
    return choice_graph(question, folder, numerics_of("default"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("chosen")
    write_rows(place / "rows.csv")
    return place


@pytest.fixture(scope="module")
def chosen(folder: Path) -> Chosen:
    return run(asked(folder / "rows.csv", (0, 1)), folder, folder / "runs")


def test_judge_labels_change_no_criterion_and_no_choice(folder: Path, chosen: Chosen, tmp_path: Path) -> None:
    """A law: with the judge's labels shuffled everything but what the judge says is the same, bit for bit."""
    write_rows(tmp_path / "rows.csv", shuffled=True)
    question = asked(tmp_path / "rows.csv", (0, 1))
    other = run(question, tmp_path, tmp_path / "runs")
    here, there = cells(asked(folder / "rows.csv", (0, 1)), folder), cells(question, tmp_path)
    for key, cell in here.candidates.items():
        for name in ("criteria.json", "held_out.safetensors", "model/model.safetensors"):
            one = (folder / "runs" / "cells" / cell.address / name).read_bytes()
            two = (tmp_path / "runs" / "cells" / there.candidates[key].address / name).read_bytes()
            assert one == two, (key, name)
    first, second = (
        (place / "runs" / "cells" / graph.ranking.address / "ranking.json").read_bytes()
        for place, graph in ((folder, here), (tmp_path, there))
    )
    assert first == second
    assert other.choice.picks == chosen.choice.picks
    best = chosen.choice.hindsight.best
    assert other.choice.hindsight.accuracies[best] != chosen.choice.hindsight.accuracies[best], "the judge did change"


def test_only_hindsight_is_given_judge_rows_and_it_waits_for_the_ranking(folder: Path) -> None:
    graph = cells(asked(folder / "rows.csv"), folder)
    judging = [cell.kind for cell in graph.cells() if any(each.endswith("/judge") for each in cell.inputs.values())]
    assert judging == ["hindsight"]
    assert graph.hindsight.inputs["ranking"] == graph.ranking.address
    assert set(graph.ranking.inputs.values()) == {cell.address for cell in graph.candidates.values()}


def test_rank_correlations_and_accuracies_are_those_of_the_probabilities(folder: Path, chosen: Chosen) -> None:
    graph = cells(asked(folder / "rows.csv", (0, 1)), folder)
    store = Store(folder / "runs" / "cells")
    said = read_tensors(store.path(graph.hindsight.address) / "probabilities.safetensors")
    judge = load_rows(store.path(graph.rows.address) / "judge")
    right: list[float] = []
    for each in chosen.choice.ranked:
        name = each.candidate.name
        hits = [(said[f"{name} {seed}"].argmax(dim=1) == judge.targets).double().mean().item() for seed in (0, 1)]
        right.append(sum(hits) / 2)
        assert chosen.choice.hindsight.accuracies[name].value == pytest.approx(right[-1])
    for criterion in CRITERIA:
        values = [each.scores[criterion].value for each in chosen.choice.ranked]
        sign = -1 if "loss" in criterion else 1
        expected = spearmanr([sign * value for value in values if value is not None], right).statistic
        found = chosen.choice.hindsight.agreement[criterion]
        assert found is not None
        assert found.value == pytest.approx(expected)


def test_the_chosen_model_reads_rows_in_their_own_units(folder: Path, chosen: Chosen) -> None:
    """Standardisation is folded into the first layer: the folder predicts what the judge saw, and knows its rows."""
    place = chosen.model
    saved = load_model(place)
    graph = cells(asked(folder / "rows.csv", (0, 1)), folder)
    store = Store(folder / "runs" / "cells")
    judge = load_rows(store.path(graph.rows.address) / "judge")
    with torch.no_grad():
        own = forward(saved.network, saved.parameters, judge.inputs[:]).softmax(dim=1)
    said = read_tensors(store.path(graph.hindsight.address) / "probabilities.safetensors")
    assert torch.equal(own, said[f"{chosen.choice.chosen} 0"])
    assert len(load_seen(place)) == 120, "all rows but the judge's"
    card = look(str(place), folder / "rows.csv", columns=Columns(target="label", id="id"), out=folder / "looks").card
    accuracy = next(each.value for each in card.findings if (each.name, each.slice) == ("accuracy", "all"))
    assert accuracy == pytest.approx((own.argmax(dim=1) == judge.targets).double().mean().item())
    copied = write_rows(folder / "whole.csv").read_text().replace(",test\n", "\n").replace(",train\n", "\n")
    (folder / "whole.csv").write_text(copied.replace(",split\n", "\n"))
    with pytest.raises(InputError, match="already seen"):
        look(str(place), folder / "whole.csv", columns=Columns(target="label", id="id"), out=folder / "looks")


def test_units_do_not_matter(folder: Path, tmp_path: Path) -> None:
    """The same rows in other units: the same criteria, but for rounding."""
    write_rows(tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text().splitlines()
    moved = [text[0]]
    for line in text[1:]:
        name, x, y, *rest = line.split(",")
        moved.append(",".join([name, str((float(x) - 7000) / 1000), str(float(y) * 50), *rest]))
    (tmp_path / "rows.csv").write_text("\n".join(moved))
    told = {"precisions": [3.0], "rounds": 12}
    one, two = (run(asked(place / "rows.csv", **told), place, tmp_path / "out") for place in (folder, tmp_path))
    for here, there in zip(one.choice.ranked, two.choice.ranked, strict=True):
        for criterion in ("evidence", "validation_loss"):
            assert here.scores[criterion].value == pytest.approx(there.scores[criterion].value, rel=2e-3), criterion


def test_finished_candidates_are_used_again_also_by_a_larger_grid(folder: Path, chosen: Chosen) -> None:
    said: list[str] = []
    again = run(asked(folder / "rows.csv", (0, 1)), folder, folder / "runs", say=said.append)
    assert again.reused == 8
    assert again.folder == chosen.folder
    assert "all of it is finished" in said[0]
    larger = run(
        asked(folder / "rows.csv", (0, 1), precisions=[0.3, 3.0, 30.0]), folder, folder / "runs", say=said.append
    )
    assert larger.reused == 8
    assert said[1].startswith("6 candidates, 2 seeds, 120 rows to learn from (fit): about ")
    assert "8 of 12 trainings are finished" in said[1]
    assert larger.folder != chosen.folder


KILLED = """\
import os, signal, sys
from pathlib import Path
from surefoot.study.store import Store
from surefoot.cli import main
finish, finished = Store.finish, [0]
def killed(store, cell, *rest):
    finish(store, cell, *rest)
    finished[0] += cell.kind == "candidate"
    if finished[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Store.finish = killed
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_choice_goes_on(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    words = "choose rows.csv --target label --widths 3 --depths 0,1 --precisions 0.3,3 --seeds 0 --draws 8 --workers 1"
    ran = subprocess.run([sys.executable, "-c", KILLED, *words.split()], cwd=tmp_path, check=False, capture_output=True)
    assert ran.returncode == -signal.SIGKILL
    left = {path.parent.name: path.stat().st_ino for path in (tmp_path / "runs").glob("cells/*/record.json")}
    assert not (tmp_path / "runs" / "choices").exists()
    again = subprocess.run(
        [sys.executable, "-m", "surefoot", *words.split(), "--json"],
        cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    told = json.loads(again.stdout)
    now = {path.parent.name: path.stat().st_ino for path in (tmp_path / "runs").glob("cells/*/record.json")}
    assert left.items() <= now.items(), "nothing that was finished was computed again"
    assert len(now) == 1 + 4 + 2
    assert (tmp_path / told["model"] / "model.safetensors").is_file()


def test_code_in_somebody_elses_runs_is_not_run(tmp_path: Path) -> None:
    """A finished cell's model is made to name code, with all checksums right; nobody asked for that code."""
    write_rows(tmp_path / "rows.csv")
    question = asked(tmp_path / "rows.csv")
    first = run(question, tmp_path, tmp_path / "runs")
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'RAN')!r}, 'w').close()\nNet = None\n")
    for cell in cells(question, tmp_path).candidates.values():
        place = tmp_path / "runs" / "cells" / cell.address
        model = json.loads((place / "model" / "record.json").read_text())
        model["spec"] = {"file": f"{evil}:Net"}
        (place / "model" / "record.json").write_text(json.dumps(model))
        record = json.loads((place / "record.json").read_text())
        written = (place / "model" / "record.json").read_bytes()
        record["files"]["model/record.json"] = {"size": len(written), "sha256": hashlib.sha256(written).hexdigest()}
        (place / "record.json").chmod(0o644)
        (place / "record.json").write_text(json.dumps(record))
    again = run(replace(question, confidence=0.9), tmp_path, tmp_path / "runs")
    assert not (tmp_path / "RAN").exists()
    assert again.reused == 0
    assert again.choice.chosen == first.choice.chosen


def test_judge_rows_that_a_candidate_learned_from_are_refused(folder: Path, chosen: Chosen, tmp_path: Path) -> None:
    """The last guard: the cells' own inputs never let it come to this."""
    del chosen
    graph = cells(asked(folder / "rows.csv", (0, 1)), folder)
    store = folder / "runs" / "cells"
    inputs = {f"{name} {seed}": store / cell.address for (name, seed), cell in graph.candidates.items()}
    learned = store / graph.rows.address / "fit"
    spec = dict(graph.hindsight.spec)
    with pytest.raises(InputError, match="already seen by the candidate"):
        judge_candidates(
            spec, {**inputs, "ranking": store / graph.ranking.address, "judge": learned}, tmp_path, lambda *_: None
        )


def test_a_candidate_without_an_evidence_keeps_its_loss(tmp_path: Path) -> None:
    """Draws of a prior that is next to none are no numbers; the mode is one, and has a validation loss."""
    write_rows(tmp_path / "rows.csv")
    found = run(asked(tmp_path / "rows.csv", precisions=[1e-300, 3.0]), tmp_path, tmp_path / "runs").choice
    every = {each.candidate.name: each for each in found.ranked}
    bare = [each for name, each in every.items() if "1e-300" in name and each.scores["evidence"].value is None]
    assert bare
    for each in bare:
        assert each.trained
        assert each.scores["validation_loss"].value is not None
        assert each.scores["evidence"].refused


def test_a_candidate_that_misses_its_mode_has_no_evidence_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"rates": [1e-6], "epochs": 1, "widths": [], "depths": [1], "precisions": [1.0]}
    told["named"] = {
        "climbed": {"network": {"linear": {}}},
        "lost": {"network": {"mlp": {"hidden": [3]}}, "rate": 1e-6},
    }
    found = run(asked(folder / "rows.csv", **told), folder, tmp_path / "out")
    scores = {each.candidate.name: each.scores for each in found.choice.ranked}
    assert scores["lost"]["evidence"].value is None
    assert "from a mode" in scores["lost"]["evidence"].refused
    assert scores["lost"]["evidence"].rank == 2
    assert scores["lost"]["validation_loss"].value is not None
    assert found.choice.picks["evidence"].chosen == "climbed"
    page = (found.folder / "page.html").read_text()
    assert "no number, for training ended" in page


def test_an_evidence_that_no_probability_has_is_refused() -> None:
    """Labels are classes, so log p ≤ 0: a difference of two rough expansions may be above, and counts for nothing."""
    inputs = torch.linspace(-2, 2, 40)[:, None]
    posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    climb = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")
    rows = make_rows(inputs, (inputs[:, 0] > 0).long())
    found = criteria_of(posterior, rows, parameters_of(posterior.network), 0, climb, CriteriaSettings(draws=2))
    assert told_of(found)["refused"] == {}
    told = told_of(replace(found, conditional=8.8))
    assert list(told["refused"]) == ["conditional_evidence"]
    assert "above 0" in told["refused"]["conditional_evidence"]
    assert "conditional_evidence" not in told["values"]
    assert told["values"]["evidence"] == found.evidence


def test_the_folder_holds_a_record_a_page_and_a_plot(chosen: Chosen) -> None:
    record = read_json(chosen.folder / "choice.json")
    assert [each["candidate"]["name"] for each in record["candidates"]] == [
        "linear-p0.3",
        "linear-p3",
        "3-p0.3",
        "3-p3",
    ]
    assert record["picks"]["validation_loss"]["chosen"] == chosen.choice.chosen
    page, plot = ((chosen.folder / name).read_text() for name in ("page.html", "plot.svg"))
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert plot.count('class="ring"') == 1 + 4, "one in the legend, and one panel a criterion"
    assert plot.count("<title>") == 16, "every candidate in every panel says who it is"
    for name in record["models"].values():
        assert (chosen.folder / name / "seed-1" / "record.json").is_file()


def test_rows_that_are_too_few_and_one_candidate_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "few.csv", rows=14)
    with pytest.raises(InputError, match="too few to tell candidates apart"):
        run(asked(tmp_path / "few.csv"), tmp_path, tmp_path / "out")
    write_rows(tmp_path / "rows.csv")
    with pytest.raises(InputError, match="There is 1 candidate, so nothing to choose"):
        asked(tmp_path / "rows.csv", depths=[1], precisions=[1.0])


def test_a_regression_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for different, match in ((25, "regression"), (60, "expected classes")):
        lines = ["x,label", *(f"{row},{(row % different) / 7:.3f}" for row in range(60))]
        (tmp_path / "rows.csv").write_text("\n".join(lines))
        with pytest.raises(InputError, match=match):
            asked_of_data(tmp_path / "rows.csv", Columns(target="label"), GRID)


def test_a_curvature_that_does_not_fit_is_refused_with_the_next_cheaper(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 3 * 2**30
    monkeypatch.setattr(planning, "available_memory", lambda: free)
    question = asked(folder / "rows.csv", widths=[40], depths=[1, 12], structure="full")
    with pytest.raises(InputError, match=r"full curvature of the candidate 40x12.*use the structure kron"):
        run(question, folder, tmp_path / "out")
    assert laplace_memory.available_memory is not planning.available_memory


def test_a_split_of_the_file_names_what_is_learned_from(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text().replace(",train\n", ",val\n", 20)
    (tmp_path / "rows.csv").write_text(text)
    assert asked(tmp_path / "rows.csv").learn == ("fit", "choose")
    drawn = asked_of_data(tmp_path / "rows.csv", Columns(target="label", id="id", features=("x", "y")), GRID)
    assert drawn.rows.roles is None, "the usual name of a split is found"


def test_candidates_of_a_grid_are_each_once() -> None:
    every = Candidates(widths=[2, 2, 4], depths=[0, 1, 2], precisions=[1.0, 10.0], rates=[0.1]).all()
    assert len({each.name for each in every}) == len(every) == 2 * (1 + 2 + 2)

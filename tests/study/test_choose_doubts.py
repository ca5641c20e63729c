"""What a choice says against itself: doubts on its page and card, candidates that are not trained, older folders."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surefoot.card.serialise import card_from_json
from surefoot.errors import InputError
from surefoot.evidence.trials import trial_from_json
from surefoot.files import read_json, read_tensors, write_json
from surefoot.study.choice import plan as planning
from surefoot.study.choice.ask import asked_of_data
from surefoot.study.choice.candidates import CRITERIA
from surefoot.study.choice.doubted import SILENCE, doubts_section, told_of_doubts
from surefoot.study.choice.graph import Question, choice_graph
from surefoot.study.choice.record import ChoiceDoubt
from surefoot.study.choice.run import Chosen, choose
from surefoot.study.numerics import numerics_of
from surefoot.study.once.columns import Columns
from surefoot.study.run import run_study
from surefoot.study.schema import load_study
from surefoot.study.store import Store
from surefoot.study.stored import load_rows
from surefoot.study.work.taking import take_candidate

GRID: dict[str, Any] = {"widths": [3], "depths": [0, 1], "precisions": [1.0], "rounds": 3, "draws": 3}
RUN_AWAY = {"rates": [0.02, 1e30], "epochs": 4, "depths": [0], "widths": []}
COLUMNS = Columns(target="label", cluster="who")
FINITE = "The training loss became"


def write_rows(path: Path) -> Path:
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    inputs = random.normal(size=(120, 2)) + 1.2 * labels[:, None]
    lines = [f"{inputs[row, 0]:.5f},{inputs[row, 1]:.5f},{row // 4},{labels[row]}" for row in range(120)]
    path.write_text("\n".join(["a,b,who,label", *lines]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("doubted")
    write_rows(place / "rows.csv")
    return place


def asked(folder: Path, seeds: tuple[int, ...] = (0,), **told: Any) -> Question:
    return asked_of_data(folder / "rows.csv", COLUMNS, {**GRID, **told}, seeds)


def run(question: Question, folder: Path, out: Path) -> Chosen:
    return choose(question, folder, out=out, engine="in_process", product="default")


@pytest.fixture(scope="module")
def chosen(folder: Path) -> Chosen:
    return run(asked(folder, choose_by="evidence"), folder, folder / "runs")


@pytest.fixture(scope="module")
def lost(folder: Path) -> Chosen:
    """Two candidates, of which one runs away."""
    return run(asked(folder, (0, 1), **RUN_AWAY), folder, folder / "lost")


def cells(question: Question, folder: Path, out: str) -> dict[tuple[str, int], Path]:
    graph = choice_graph(question, folder, numerics_of("default"))
    return {key: Store(folder / out / "cells").path(cell.address) for key, cell in graph.candidates.items()}


def test_every_cell_leaves_the_trial_that_its_doubts_are_of(folder: Path, chosen: Chosen) -> None:
    """Parts of the evidence sum to it; other structures, clusters, what is of the same rows and what is not."""
    question = asked(folder, choose_by="evidence")
    left = {name: read_json(place / "criteria.json") for (name, _), place in cells(question, folder, "runs").items()}
    trials = {name: trial_from_json(each["trial"]) for name, each in left.items()}
    rows = Store(folder / "runs" / "cells").path(choice_graph(question, folder, numerics_of("default")).rows.address)
    clusters = len(load_rows(rows / "fit").clusters.unique())
    assert clusters <= 30 < 96
    assert set(trials) == {"linear-p1", "3-p1"}
    for name, trial in trials.items():
        assert trial.anatomy is not None
        assert trial.anatomy.evidence == pytest.approx(left[name]["values"]["evidence"], abs=1e-9)
        assert trial.conditional == left[name]["values"]["conditional_evidence"]
        assert trial.anatomy.parameters == trial.parameters == left[name]["parameters"]
        assert (trial.structure, trial.kind, trial.part) == ("kron", "ggn", "all")
        assert set(trial.by_structure) == {"full", "diag"}
        assert trial.rows == 96
        assert trial.clusters == clusters
        assert trial.origin is not None
        counted = {each["name"]: each["clusters"] for each in left[name]["findings"]}
        assert (counted["evidence"], counted["known_offset_from_mode"]) == (clusters, clusters - counted["map_loss"])
    one, other = trials["linear-p1"], trials["3-p1"]
    assert (one.origin, one.held) == (other.origin, other.held)
    assert one.network != other.network


def test_doubts_stand_in_the_record_and_on_the_page(chosen: Chosen) -> None:
    """One seed: nobody knows how far another training would be, which is a doubt about both evidences."""
    choice = chosen.choice
    seeds = [each for each in choice.doubts if each.kind == "seeds"]
    assert {name for each in seeds for name in each.about} == {"evidence", "conditional_evidence"}
    record = read_json(chosen.folder / "choice.json")
    assert [each["sentence"] for each in record["doubts"]] == [each.sentence for each in choice.doubts]
    assert record["doubts"][0]["findings"][0]["name"] == choice.doubts[0].findings[0].name
    page = (chosen.folder / "page.html").read_text()
    own = sum("evidence" in each.about for each in choice.doubts)
    assert own > 1
    assert f"{own} doubts of that criterion are told below." in page
    assert page.index('id="choices"') < page.index('id="doubts"') < page.index('id="plot"')
    for each in choice.doubts:
        assert each.sentence.partition("'")[0] in page


def test_refusals_come_first_then_what_chose_and_silence_is_no_proof(chosen: Chosen) -> None:
    def doubt(severity: Any, about: Any, sentence: str) -> ChoiceDoubt:
        return ChoiceDoubt((about,), "size", severity, (), sentence)

    doubts = (
        doubt("refuse", "conditional_evidence", "third"),
        doubt("warn", "conditional_evidence", "second"),
        doubt("warn", "evidence", "first"),
    )
    shown = doubts_section(replace(chosen.choice, doubts=doubts)).text
    assert shown.index("third") < shown.index("first") < shown.index("second")
    assert "1 refusal and 2 warnings" in shown
    assert shown.index("Refused") < shown.index("Doubted")
    quiet = replace(chosen.choice, doubts=())
    assert SILENCE in doubts_section(quiet).text
    assert "no proof" in SILENCE
    assert told_of_doubts(quiet) == ""


def test_what_is_not_trained_is_in_no_comparison(folder: Path, lost: Chosen) -> None:
    choice, after = lost.choice, lost.choice.hindsight
    (away,), (left,) = choice.untrained, [each for each in choice.ranked if each.trained]
    assert (away.candidate.name, left.candidate.name) == ("linear-p1-r1e30", "linear-p1-r0.02")
    assert away.untrained.startswith(f"not with any of 2 seeds: {FINITE}")
    assert "try a rate below 1e+30" in away.untrained
    assert {each.rank for each in away.scores.values()} == {None}
    assert set(after.accuracies) == set(after.losses) == {left.candidate.name}
    assert (after.best, after.tied) == (left.candidate.name, 1)
    assert {pick.chosen for pick in choice.picks.values()} <= {left.candidate.name, ""}
    assert choice.rows["held_out"] > 0
    assert choice.ranked_by("validation_loss")[-1] is away
    question = asked(folder, (0, 1), **RUN_AWAY)
    graph = choice_graph(question, folder, numerics_of("default"))
    said = read_tensors(Store(folder / "lost" / "cells").path(graph.hindsight.address) / "probabilities.safetensors")
    assert set(said) == {f"{left.candidate.name} 0", f"{left.candidate.name} 1"}
    for (name, _), place in cells(question, folder, "lost").items():
        told = read_json(place / "criteria.json")
        assert told["trained"] == (name == left.candidate.name) == (place / "model").is_dir()


def test_what_is_not_trained_is_shown_as_that(lost: Chosen) -> None:
    record = read_json(lost.folder / "choice.json")
    by_name = {each["candidate"]["name"]: each for each in record["candidates"]}
    assert by_name["linear-p1-r1e30"]["trained"] is False
    assert by_name["linear-p1-r1e30"]["accuracy"] is None
    assert by_name["linear-p1-r0.02"]["trained"] is True
    page, plot = ((lost.folder / name).read_text() for name in ("page.html", "plot.svg"))
    assert "Not trained, and so in no comparison (1)" in page
    assert "linear-p1-r1e30: not with any of 2 seeds" in page
    assert page.count("not trained</td>") == len(CRITERIA)
    assert "linear-p1-r1e30, evidence: no number" not in page, "that it is not trained is said once"
    assert "is the best of 1 candidate by" in page
    assert "1 not trained" in plot


def test_where_nobody_is_trained_there_is_one_clear_sentence(folder: Path, tmp_path: Path) -> None:
    question = asked(folder, **{**RUN_AWAY, "rates": [1e29, 1e30]})
    with pytest.raises(InputError, match=r"^No candidate could be trained \(linear-p1-r1e29, The training loss"):
        run(question, folder, tmp_path)


def test_nobody_takes_what_is_not_trained(folder: Path, lost: Chosen, tmp_path: Path) -> None:
    """Even where a ranking says so."""
    places = cells(asked(folder, (0, 1), **RUN_AWAY), folder, "lost")
    pick = {"chosen": "linear-p1-r1e30", "words": ""}
    write_json(tmp_path / "ranking.json", {"picks": dict.fromkeys(CRITERIA, pick), "doubts": [], "candidates": []})
    spec = {"candidate": "evidence", "names": ["linear-p1-r1e30"], "seed": 0}
    inputs = {"ranking": tmp_path, "candidate linear-p1-r1e30": places["linear-p1-r1e30", 0]}
    with pytest.raises(InputError, match="not trained with the seed 0, so it cannot be taken: The training loss"):
        take_candidate(spec, inputs, tmp_path / "out", lambda *_: None)


def test_an_older_folder_of_runs_is_left_alone(
    folder: Path, chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that older code left have no trials and no `trained`; they lie at other addresses, and are not read."""
    question = asked(folder, choose_by="evidence")
    older = {**numerics_of("default"), "surefoot": "0.0.1 of yesterday"}
    with monkeypatch.context() as patched:
        patched.setattr(planning, "numerics_of", lambda _: older)
        run(question, folder, tmp_path)
    graph = choice_graph(question, folder, older)
    store = Store(tmp_path / "cells")
    for cell in graph.candidates.values():
        told = read_json(store.path(cell.address) / "criteria.json")
        write_json(store.path(cell.address) / "criteria.json", {name: told[name] for name in ("values", "refused")})
    write_json(store.path(graph.ranking.address) / "ranking.json", {"candidates": [], "picks": {}})
    again = run(question, folder, tmp_path)
    assert again.reused == 0
    assert again.choice.doubts == chosen.choice.doubts


STUDY = """\
study: doubted
rows:
  table: {path: rows.csv, target: label, cluster: who, split: role, meaning: {fit: fit, choose: choose, judge: judge}}
candidates:
  depths: [0]
  precisions: [1, 3]
  draws: 3
  choose_by: evidence
  named: {away: {network: {linear: {}}, rate: 1.0e+30}}
base:
  best: {candidate: chosen}
seeds: [0, 1]
claims:
  - {finding: accuracy, of: best, at_least: 0.1}
"""


def test_a_card_has_the_doubts_of_the_criterion_that_chose(folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "plain.csv")
    head, *lines = (tmp_path / "plain.csv").read_text().splitlines()
    roles = ["fit", "fit", "choose", "judge"]
    told = [f"{line},{roles[row // 4 % 4]}" for row, line in enumerate(lines)]
    (tmp_path / "rows.csv").write_text("\n".join([f"{head},role", *told]))
    (tmp_path / "study.yaml").write_text(STUDY)
    study = load_study(tmp_path / "study.yaml")
    outcome = run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")
    notes = card_from_json(read_json(outcome.folder / "card.json")).subjects[0].notes
    assert notes[0].startswith("Chosen by evidence among 2 candidates: linear-p")
    store = Store(tmp_path / "runs" / "cells")
    (ranking,) = (store.path(cell.address) / "ranking.json" for cell in store.cells() if cell.kind == "ranking")
    of = [each for each in read_json(ranking)["doubts"] if "evidence" in each["about"]]
    assert [note for note in notes if note.startswith("Doubt")] == [
        f"Doubt, of the evidence: {each['sentence']}" for each in of
    ]
    assert any("Only 2 trainings of each stand behind" in each["sentence"] for each in of)
    assert len(of) < len(read_json(ranking)["doubts"])
    (away,) = (note for note in notes if note.startswith("Not trained"))
    assert away.startswith(f"Not trained, and so not among them: away (not with any of 2 seeds: {FINITE}")

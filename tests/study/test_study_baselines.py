"""Every baseline in a study: what a file may say of them, what their cells read, and one run of all of them."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.card.markdown import markdown
from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.method import Method, described
from surefoot.robust.methods import METHODS, method_of
from surefoot.rows.rows import Groups
from surefoot.rows.worlds import gaussian_world
from surefoot.study.graph import graph_of
from surefoot.study.numerics import numerics_of
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import Study, load_study
from surefoot.study.trainings import emphasis_of, training_of
from surefoot.study.work.emphasis import emphasise

ALL = """\
study: all
rows:
  dominoes: {correlation: 0.9, sizes: {fit: 200, repair: 200, choose: 300, judge: 200}}
network:
  cnn: {channels: [4], hidden: 8}
base:
  early: {epochs: 1}
  erm: {epochs: 2}
  rwg: {epochs: 1, balance: groups}
  rwy: {epochs: 1, balance: classes, how: weights}
  subg: {epochs: 2, balance: groups, how: subset}
  dro: {epochs: 1, balance: groups, robust: group_dro, step: 0.1, adjustment: 1}
  jtt: {epochs: 1, upweight: {mistakes_of: early, by: 5}}
mitigations:
  rwg: {method: rwg, penalties: [0.1], bases: [erm]}
  rwy: {method: rwy, penalties: [0.1], bases: [erm]}
  subg: {method: subg, penalties: [0.1], bases: [erm]}
  suby: {method: suby, penalties: [0.1], draws: 2, bases: [erm]}
  group_dro: {method: group_dro, penalties: [0.1], tolerance: 0.01, bases: [erm, rwg]}
  jtt: {method: jtt, penalties: [0.1], upweights: [5], bases: [erm]}
  self: {method: self, penalties: [0.1], counts: [20], bases: [erm]}
  self_early: {method: self, penalties: [0.1], counts: [20], against: early, bases: [erm]}
  softmax: {method: softmax_head, decays: [10], steps: 5, bases: [erm]}
  dfr: {method: dfr, strengths: [0.1], retrains: 1, bases: [erm]}
  class_balanced: {method: class_balanced, strengths: [0.1], retrains: 1, bases: [erm]}
  afr: {method: afr, gammas: [4], penalties: [0], steps: 5, selection: pseudo_groups, bases: [erm]}
seeds: [0]
"""


def study_of(text: str, folder: Path) -> Study:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return load_study(folder / "study.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, Outcome]:
    folder = tmp_path_factory.mktemp("all")
    study = study_of(ALL, folder)
    return study, folder / "runs", run_study(study, folder, out=folder / "runs", engine="in_process", product="default")


def test_one_card_measures_every_method_and_says_what_each_cost(finished: tuple[Study, Path, Outcome]) -> None:
    study, _, outcome = finished
    card = outcome.card
    assert {each.method for each in study.mitigations.values()} <= {method.name for method in METHODS}
    assert [subject.name for subject in card.subjects] == list(study.subjects())
    worst = {each.subject: each for each in card.findings if each.name == "worst_group_accuracy"}
    assert set(worst) == set(study.subjects())
    assert all(each.interval is not None for each in worst.values())
    seconds = card.record.seconds
    assert set(seconds) == set(study.subjects())
    # A repair costs its base's training and more; a second stage costs its first; SELF costs both of its versions.
    assert seconds["erm+dfr"] > seconds["erm"] > 0
    assert seconds["jtt"] > seconds["early"]
    assert seconds["erm+self_early"] > seconds["erm"] + seconds["early"]
    assert "| Training |" in markdown(card)


def test_seconds_stay_out_of_the_digest(finished: tuple[Study, Path, Outcome]) -> None:
    from dataclasses import replace

    card = finished[2].card
    slower = replace(card, record=replace(card.record, seconds={"erm": 1e6}))
    assert card_digest(slower) == card_digest(card)


def test_notes_of_trainings_reach_the_card(finished: tuple[Study, Path, Outcome]) -> None:
    notes = {subject.name: " ".join(subject.notes) for subject in finished[2].card.subjects}
    assert "of 200 fit rows, which were drawn 5 times as often" in notes["jtt"]
    assert notes["subg"] == "Trained on 40 of 200 fit rows: 10 of each."
    assert "disagreement with an earlier version" in notes["erm+self_early"]
    assert notes["erm"] == ""


def test_group_weights_of_the_training_are_kept(finished: tuple[Study, Path, Outcome]) -> None:
    study, out, _ = finished
    graph = graph_of(study, Path(), numerics_of("default"))
    found = read_json(out / "cells" / graph.train["dro", 0].address / "diagnostics.json")
    weights = [each["value"] for each in found if each["name"] == "group_weight"]
    assert len(weights) == 4
    assert sum(weights) == pytest.approx(1.0)
    assert max(weights) > 0.26


def test_a_mitigation_is_applied_where_it_says(finished: tuple[Study, Path, Outcome]) -> None:
    study, _, _ = finished
    assert study.repairs_of("rwg") == ("group_dro",)
    assert study.repairs_of("early") == ()
    graph = graph_of(study, Path(), numerics_of("default"))
    assert {base for base, _, _ in graph.repair} == {"erm", "rwg"}
    # No features of rows that nobody asks for; the earlier version is asked for its repair rows.
    assert {role for base, _, role in graph.features if base == "rwy"} == {"choose"}
    assert {role for base, _, role in graph.features if base == "early"} == {"choose", "repair"}
    judge = f"{graph.rows.address}/judge"
    assert all(judge not in cell.inputs.values() for cell in graph.cells() if cell.kind != "predict")


def test_plain_trainings_keep_their_address() -> None:
    """What a base says about balance enters its cell only where it says something."""
    plain = load_study(Path(__file__).parents[2] / "studies" / "digits.yaml")
    for base in plain.base.values():
        assert emphasis_of(base) == {}
        assert set(training_of(base)) == {
            "epochs", "batch", "optimiser", "rate", "schedule", "momentum", "weight_decay", "shift",
        }  # fmt: skip
    graph = graph_of(plain, Path(), {})
    assert all("emphasis" not in cell.spec for cell in graph.train.values())


FIT = gaussian_world(sizes={"fit": 400}, correlation=0.9).roles["fit"]


def test_emphasis_gives_every_group_or_class_the_same_weight() -> None:
    for how, draw in (("sampling", "weighted"), ("weights", "each")):
        made = emphasise(FIT, {"balance": "groups", "how": how}, 0, None)
        assert made.draw == draw
        assert float(made.rows.weights.mean()) == pytest.approx(1.0)
        of = [float(made.rows.weights[column].sum()) for column in FIT.groups.members.T]
        assert of == pytest.approx([100.0] * 4, rel=1e-5)
    subset = emphasise(FIT, {"balance": "groups", "how": "subset"}, 0, None).rows
    assert subset.groups.counts().tolist() == [20] * 4
    assert emphasise(FIT, {}, 0, None).rows is FIT


def test_the_smallest_groups_can_be_left_out_of_a_training() -> None:
    counts = FIT.groups.counts()
    made = emphasise(FIT, {"remove_minority": 1, "balance": "groups", "how": "weights"}, 0, None)
    assert len(made.rows) == len(FIT) - int(counts.min())
    assert made.rows.groups.names == tuple(
        name for number, name in enumerate(FIT.groups.names) if number != int(counts.argmin())
    )
    # What balances sees only the groups left, each of which weighs the same.
    weights = made.rows.groups.members.T.double() @ made.rows.weights.double()
    assert weights.tolist() == pytest.approx([len(made.rows) / 3] * 3)
    assert made.notes[0] == f"Trained on {len(made.rows)} of 400 fit rows, without the 1 smallest groups."


def test_upweighting_counts_mistakes_more_and_says_when_there_are_none() -> None:
    wrong = torch.arange(400) < 40
    made = emphasise(FIT, {"upweight": 9.0}, 0, wrong)
    assert made.draw == "weighted"
    assert float(made.rows.weights[wrong].sum() / made.rows.weights.sum()) == pytest.approx(360 / 720)
    nothing = emphasise(FIT, {"upweight": 9.0}, 0, torch.zeros(400, dtype=torch.bool))
    assert bool((nothing.rows.weights == 1).all())
    assert "right on all 400 fit rows" in nothing.notes[0]


def test_weights_that_a_training_replaces_are_said_and_those_it_reads_are_not() -> None:
    told = "The weights of the fit rows were not used"
    weighted = replace(FIT, weights=torch.linspace(0.5, 2.0, 400))
    wrong = torch.arange(400) < 40
    for emphasis, mistakes in (
        ({"balance": "groups", "how": "sampling"}, None),
        ({"balance": "classes", "how": "weights"}, None),
        ({"remove_minority": 1, "balance": "groups", "how": "weights"}, None),
        ({"upweight": 9.0}, wrong),
    ):
        assert emphasise(weighted, emphasis, 0, mistakes).notes[-1].startswith(told)
        assert not any(note.startswith(told) for note in emphasise(FIT, emphasis, 0, mistakes).notes)
    subset = emphasise(weighted, {"balance": "groups", "how": "subset"}, 0, None)
    assert not any(note.startswith(told) for note in subset.notes)
    assert len(subset.rows.weights.unique()) > 1  # they still count


def test_a_subset_of_overlapping_groups_speaks_of_draws() -> None:
    """All 100 rows are in "all" and the last 60 in "late" too, so 60 draws for each group share many rows."""
    members = torch.stack([torch.ones(100, dtype=torch.bool), torch.arange(100) >= 40], dim=1)
    rows = replace(FIT.take(torch.arange(100)), groups=Groups(("all", "late"), members))
    made = emphasise(rows, {"balance": "groups", "how": "subset"}, 0, None)
    different = len(set(made.rows.ids.tolist()))
    assert different < 120
    assert made.notes == (
        f"Trained on 120 draws, 60 for each group, of {different} of 100 fit rows: "
        "a row drawn for several groups counts as often.",
    )
    apart = emphasise(FIT, {"balance": "groups", "how": "subset"}, 0, None)
    assert apart.notes == ("Trained on 80 of 400 fit rows: 20 of each.",)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("by: 5}}", "by: 5}, balance: classes}", "In 'base.jtt' of study.yaml, line 13: upweight was given beside"),
        (
            "mistakes_of: early",
            "mistakes_of: late",
            "base 'jtt' upweights the mistakes of 'late'; expected a base above",
        ),
        ("early: {epochs: 1}", "early: {epochs: 1, how: subset}", "how was given without balance; say what to balance"),
        ("early: {epochs: 1}", "early: {epochs: 1, step: 0.1}", "step and adjustment are group DRO's"),
        ("robust: group_dro,", "robust: group_dro, how: weights,", "group DRO reads no weights of whole groups"),
        ("rwg: {epochs: 1,", "rwg: {epochs: 1, optimiser: lbfgs, schedule: constant,", "lbfgs sees all rows at once"),
        (
            "bases: [erm, rwg]",
            "bases: [emr]",
            "mitigation 'group_dro' names the base 'emr', which is not there; did you mean",
        ),
        ("against: early", "against: erly", "mitigation 'self_early' names the base 'erly'"),
        ("against: early", "against: early, masks: 3", "dropout and masks were given beside against"),
    ],
)
def test_what_cannot_be_meant_is_refused(before: str, after: str, sentence: str, tmp_path: Path) -> None:
    assert before in ALL
    with pytest.raises(InputError) as raised:
        study_of(ALL.replace(before, after, 1), tmp_path)
    assert sentence in str(raised.value)


def test_groups_are_needed_before_anything_runs(tmp_path: Path) -> None:
    splits = ("train", "val", "test", "repair")
    lines = ["x,y,split", *(f"{row / 10},{row % 2},{splits[row % 4]}" for row in range(80))]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    text = """\
study: bare
rows:
  table: {path: rows.csv, target: y, split: split}
network: {linear: {}}
base: {erm: {epochs: 1}}
mitigations: {subg: {method: subg}}
"""
    study = study_of(text, tmp_path)
    with pytest.raises(InputError, match="The mitigation 'subg' needs groups, and the rows have none"):
        plan_study(study, tmp_path, out=tmp_path / "runs", product="default")
    balanced = study_of(text.replace("{epochs: 1}", "{epochs: 1, robust: group_dro}"), tmp_path)
    with pytest.raises(InputError, match="The base 'erm' needs groups"):
        plan_study(balanced, tmp_path, out=tmp_path / "runs", product="default")


def test_settings_the_method_refuses_are_refused_by_the_plan(tmp_path: Path) -> None:
    text = ALL.replace("rwg: {method: rwg, penalties: [0.1]", "rwg: {method: rwg, draws: 3, penalties: [0.1]")
    with pytest.raises(InputError, match="draws is 3 with how 'weights'"):
        plan_study(study_of(text, tmp_path), tmp_path, out=tmp_path / "runs", product="default")


def test_groups_dropped_by_a_study_s_list_are_those_of_the_method_s_tuple() -> None:
    roles = gaussian_world(sizes={"repair": 300, "choose": 300}).roles
    rarest = FIT.groups.names[int(FIT.groups.counts().argmin())]
    settings = method_of("dfr").make({"strengths": [0.3], "retrains": 2, "drop_groups": [rarest]})
    assert isinstance(settings, DFRSettings)
    by_list, by_tuple = (
        dfr(roles, each, 0) for each in (settings, DFRSettings(strengths=(0.3,), retrains=2, drop_groups=(rarest,)))
    )
    assert torch.equal(by_list.head.weight, by_tuple.head.weight)
    assert (by_list.trials, by_list.notes) == (by_tuple.trials, by_tuple.notes)
    assert by_list.notes[0] == f"Rows of {rarest} were left out of learning and selection."
    everyone = dfr(roles, DFRSettings(strengths=(0.3,), retrains=2), 0)
    assert not torch.equal(by_list.head.weight, everyone.head.weight)


def test_a_mitigation_without_settings_is_its_method_s_usual_one(tmp_path: Path) -> None:
    for name, each in study_of(ALL, tmp_path).mitigations.items():
        bare = type(each).model_validate({"method": each.method})
        assert bare.settings() == method_of(each.method).make(), name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_setting_is_described(method: Method[Any]) -> None:
    told = described(method.settings)
    assert list(told) == [each.name for each in fields(method.settings)]
    assert all(text.endswith(".") for text in told.values())

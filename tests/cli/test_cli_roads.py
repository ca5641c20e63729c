"""The roads without a study file, against numbers computed here by hand."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_examples import write_features

from surefoot.card.card import Card
from surefoot.card.serialise import card_digest, read_card
from surefoot.cli import main
from surefoot.errors import InputError
from surefoot.networks.weights import ModelRecord, load_model, save_model
from surefoot.robust.balanced import erm_head
from surefoot.rows.assign import assign_roles
from surefoot.rows.reading import read_rows
from surefoot.study.once.columns import Columns
from surefoot.study.once.measure import card_from_predictions, look
from surefoot.study.once.parted import SHARES
from surefoot.study.once.predict import predict
from surefoot.study.once.repair import KeptRepair, repair_features
from surefoot.study.seen import seen_of_model

PREDICTIONS = [  # label, place, probability of class 1: place a has 3 of 4 right, place b 1 of 2
    (0, "a", 0.1), (0, "a", 0.2), (1, "a", 0.9), (1, "a", 0.4), (1, "b", 0.7), (0, "b", 0.8),
]  # fmt: skip


@pytest.fixture(scope="module")
def repaired(features: Path, tmp_path_factory: pytest.TempPathFactory) -> KeptRepair:
    return repair_features(features, claims=["worst_group_accuracy >= 0.6"], out=tmp_path_factory.mktemp("runs"))


def write_predictions(path: Path, repeats: int = 1) -> Path:
    lines = [f"{label},{place},{p}" for label, place, p in PREDICTIONS] * repeats
    path.write_text("\n".join(["label,group,p", *lines]) + "\n")
    return path


def value(card: Card, name: str, slice: str = "all", subject: str = "model") -> float:
    (found,) = [each for each in card.findings if (each.name, each.slice, each.subject) == (name, slice, subject)]
    return found.value


def test_a_card_from_predictions_counts_as_by_hand(tmp_path: Path) -> None:
    card = card_from_predictions(write_predictions(tmp_path / "p.csv"), out=tmp_path).card
    assert value(card, "accuracy") == pytest.approx(4 / 6)
    assert value(card, "accuracy", "a") == pytest.approx(3 / 4)
    assert value(card, "accuracy", "b") == pytest.approx(1 / 2)
    assert value(card, "worst_group_accuracy") == pytest.approx(1 / 2)
    expected = -np.mean([np.log(p if label else 1 - p) for label, _, p in PREDICTIONS])
    assert value(card, "nll") == pytest.approx(expected, abs=1e-6)


def test_a_card_from_predicted_classes_says_nothing_of_confidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.csv"
    lines = [f"{label},{place},{int(p > 0.5)}" for label, place, p in PREDICTIONS]
    path.write_text("\n".join(["label,group,said", *lines]) + "\n")
    card = card_from_predictions(path, prediction="said", out=tmp_path).card
    assert value(card, "worst_group_accuracy") == pytest.approx(1 / 2)
    assert {each.name for each in card.findings} == {"accuracy", "worst_group_accuracy"}
    assert not card.reliability
    assert not card.gallery
    assert card.confusion
    assert any("not how sure the model was" in line for line in card.not_shown)
    assert main(["card", str(path), "--prediction", "said", "--claim", "nll <= 1", "--out", str(tmp_path)]) == 2
    assert "nll" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("claim", "code"),
    [("accuracy[a] >= 0.5", 0), ("accuracy[a] >= 90%", 10), ("worst_group_accuracy >= 0.5", 11)],
)
def test_card_exits_by_its_verdict_and_says_so_in_every_form(
    claim: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_predictions(tmp_path / "p.csv", repeats=50)
    junit, comment = tmp_path / "junit.xml", tmp_path / "comment.md"
    arguments = ["card", str(path), "--claim", claim, "--out", str(tmp_path / "runs"), "--json"]
    assert main([*arguments, "--junit", str(junit), "--pull-request", str(comment)]) == code
    captured = capsys.readouterr()
    said: dict[str, Any] = json.loads(captured.out)
    assert set(said) == {"run", "verdict", "digest", "card", "sentence", "chosen", "claims"}
    assert said["verdict"] == {0: "passed", 10: "failed", 11: "undecided"}[code]
    assert captured.err == ""
    card = read_card(Path(said["card"]))
    assert card_digest(card) == said["digest"]
    assert said["sentence"] == card.sentence
    assert said["chosen"] == card.chosen
    (told,) = said["claims"]
    assert told["low"] <= told["value"] <= told["high"]
    assert (told["status"], told["sentence"]) == (said["verdict"], card.claims[0].sentence)
    assert sorted(path.name for path in Path(said["run"]).iterdir()) == ["card.html", "card.json", "card.md"]
    root = ElementTree.parse(junit).getroot()
    assert (root.get("failures"), root.get("errors")) == {0: ("0", "0"), 10: ("1", "0"), 11: ("0", "1")}[code]
    assert comment.read_text()


def test_the_table_names_verdict_numbers_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_predictions(tmp_path / "p.csv", repeats=50)
    assert main(["card", str(path), "--out", str(tmp_path), "--claim", "accuracy >= 0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("PASSED  Accuracy of “the model” is 66.7% [")
    (model,) = [line for line in lines if line.startswith("the model")]
    assert "50.0% [" in model
    assert "66.7% [" in model
    page = Path(lines[-1].removeprefix("The page: "))
    assert page.read_text().startswith("<!doctype html>")
    assert main(["card", str(path), "--out", str(tmp_path), "--claim", "accuracy >= 0.5", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_what_was_read_is_said_before_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_predictions(tmp_path / "p.csv", repeats=50)
    assert main(["card", str(path), "--out", str(tmp_path)]) == 11
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        f"Read {path}: 300 rows",
        "labels: label (classes 0, 1); probability: p of 1 (0: 1 − p)",
        "groups: group as it stands, not crossed with the class: 2 groups",
    ]
    assert "The worst group: b (100 rows)" in told.out
    assert "In brackets: 95% intervals." in told.out
    assert 'such as: --claim "worst_group_accuracy >= 0.8"' in told.out
    assert main(["card", str(path), "--out", str(tmp_path), "--quiet"]) == 11
    assert capsys.readouterr() == ("", "")
    path.write_text(path.read_text().replace("label,group,p", "label,light,p"))
    assert main(["card", str(path), "--out", str(tmp_path)]) == 11
    told = capsys.readouterr()
    assert "No groups named; columns that could be: light (2 values): --groups light" in told.err
    assert 'such as: --claim "accuracy >= 0.8"' in told.out


def test_a_combination_without_rows_is_named_and_the_others_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.csv"
    rows = [row for row in PREDICTIONS if row[:2] != (1, "b")] * 50
    path.write_text("\n".join(["label,place,p", *(",".join(map(str, row)) for row in rows)]) + "\n")
    arguments = ["card", str(path), "--groups", "place", "--out", str(tmp_path / "runs")]
    assert main([*arguments, "--claim", "worst_group_accuracy >= 0.9"]) == 10
    told = capsys.readouterr()
    without = "No row is in “1, place=b”: nothing is known there, and the worst group is that of the others."
    assert without in told.err
    assert "The worst group: 0, place=b (50 rows)" in told.out
    (found,) = (tmp_path / "runs").glob("*/card.json")
    card = read_card(found)
    assert card.not_shown[0] == without
    assert card.groups == ("0, place=a", "0, place=b", "1, place=a")
    assert value(card, "worst_group_accuracy") == 0
    # A group with a column of its own was meant to be there: the claim on the worst of all cannot be judged.
    path.write_text("label,p,group:u,group:v\n" + "0,.2,yes,no\n1,.7,yes,no\n" * 20)
    assert main(["card", str(path), "--claim", "worst_group_accuracy >= 0.9"]) == 2
    assert 'no row is in "v"; give rows of it' in capsys.readouterr().err
    assert main(["card", str(path), "--out", str(tmp_path / "more")]) == 11
    told = capsys.readouterr().out
    assert "The worst group: u (40 rows); of all groups but v, which have no rows" in told


def test_judge_uses_count_questions_not_repeats(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.csv")
    first = card_from_predictions(path, out=tmp_path)
    again = card_from_predictions(path, out=tmp_path)
    other = card_from_predictions(path, out=tmp_path, claims=["accuracy >= 0.5"])
    assert [kept.card.record.judge_uses for kept in (first, again, other)] == [1, 1, 2]
    assert first.folder == again.folder != other.folder


def test_repair_lifts_the_worst_group_and_says_where_things_come_from(repaired: KeptRepair) -> None:
    card = repaired.card
    assert repaired.origins == (
        "Splits: made here, at random with seed 0 (40% fit, 20% repair, 20% choose, 20% judge); the file has none.",
        "Base head: trained here on the 480 fit rows (softmax regression).",
    )
    assert [subject.name for subject in card.subjects] == [
        "base", "base+class_balanced", "base+afr", "base+dfr", "base+dfr_choose",
    ]  # fmt: skip
    assert card.chosen is not None
    before, after = (value(card, "worst_group_accuracy", subject=name) for name in ("base", card.chosen))
    assert after > before + 0.1
    assert {role.role: role.rows for role in card.roles} == {"fit": 480, "repair": 240, "choose": 240, "judge": 240}


def test_what_repair_leaves_is_what_it_judged(repaired: KeptRepair, features: Path) -> None:
    """The judge rows, dealt again with the same seed and scored by the saved head, give the card's accuracy."""
    judge = assign_roles(read_rows(features).rows, SHARES, seed=0)["judge"]
    saved = load_model(repaired.folder / "model")
    weight, bias = saved.parameters["head.weight"], saved.parameters["head.bias"]
    right = (judge.inputs[:] @ weight.T + bias).argmax(dim=1) == judge.targets
    worst = min(float(right[members].double().mean()) for members in judge.groups.members.T)
    assert repaired.card.chosen is not None
    assert value(repaired.card, "worst_group_accuracy", subject=repaired.card.chosen) == pytest.approx(worst)
    known = seen_of_model(str(repaired.folder / "model"))
    seen = None if known is None else known.names
    assert seen is not None
    assert len(seen) == 960
    assert not seen & judge.origins()


def test_repair_keeps_the_split_of_a_file(tmp_path: Path, features: Path) -> None:
    arrays = dict(np.load(features))
    split = np.array(["train"] * 600 + ["val"] * 300 + ["test"] * 300)
    np.savez(tmp_path / "split.npz", **arrays, split=split)
    kept = repair_features(tmp_path / "split.npz", out=tmp_path)
    assert kept.origins[0] == (
        "Splits: from the file (test, train, val); 20% of its training rows were kept for repair, with seed 0."
    )
    assert {role.role: role.rows for role in kept.card.roles} == {
        "fit": 480,
        "repair": 120,
        "choose": 300,
        "judge": 300,
    }


def test_repair_without_groups_tries_less_and_says_so(tmp_path: Path) -> None:
    write_features(tmp_path / "plain.npz", rows=300, agree=0.8, seed=1, groups=False)
    kept = repair_features(tmp_path / "plain.npz", out=tmp_path)
    assert [subject.name for subject in kept.card.subjects] == ["base", "base+class_balanced", "base+afr"]
    said = (
        "Groups: none were named, so DFR was not tried, and “worst group” in choosing means the worst class; "
        "--groups names the columns that make them."
    )
    assert said in kept.origins
    assert said in kept.card.not_shown


def test_repair_tries_the_methods_it_is_given(tmp_path: Path, features: Path) -> None:
    kept = repair_features(features, methods=["rwg", "dfr"], out=tmp_path)
    assert [subject.name for subject in kept.card.subjects] == ["base", "base+rwg", "base+dfr"]
    with pytest.raises(InputError, match="There is no repair 'group_dr'; did you mean 'group_dro'"):
        repair_features(features, methods=["group_dr"], out=tmp_path)
    with pytest.raises(InputError, match="each once"):
        repair_features(features, methods=["rwg", "rwg"], out=tmp_path)
    write_features(tmp_path / "plain.npz", rows=300, agree=0.8, seed=1, groups=False)
    with pytest.raises(InputError, match="'group_dro' fits with groups, and the rows have none"):
        repair_features(tmp_path / "plain.npz", methods=["group_dro"], out=tmp_path)


def test_repair_of_a_given_head_starts_from_it(repaired: KeptRepair, tmp_path: Path) -> None:
    write_features(tmp_path / "more.npz", rows=600, agree=0.8, seed=2)
    model = repaired.folder / "model"
    kept = repair_features(tmp_path / "more.npz", head=str(model), out=tmp_path)
    assert kept.origins[1] == (
        f"Base head: the last layer of {model}; its record says that it has not seen the judge rows."
    )
    judge = assign_roles(read_rows(tmp_path / "more.npz").rows, SHARES, seed=0)["judge"]
    right = repaired.head.logits(judge.inputs[:]).argmax(dim=1) == judge.targets
    assert value(kept.card, "accuracy", subject="base") == pytest.approx(float(right.double().mean()))


def test_a_repair_that_learns_on_fit_rows_leaves_a_model_that_has_seen_them(features: Path, tmp_path: Path) -> None:
    """JTT learns on fit rows, whatever head it starts from: here one that has no record and is always wrong."""
    roles = assign_roles(read_rows(features).rows, SHARES, seed=0)
    right = erm_head(roles["fit"])
    record = ModelRecord(
        {"linear": {"inputs": right.weight.shape[1], "classes": 2}}, "head", ("0", "1"), (right.weight.shape[1],), {}
    )
    save_model(tmp_path / "wrong", {"head.weight": -right.weight, "head.bias": -right.bias}, record)
    kept = repair_features(features, methods=["jtt"], head=str(tmp_path / "wrong"), out=tmp_path)
    assert kept.card.chosen == "base+jtt"
    known = seen_of_model(str(kept.folder / "model"))
    seen = None if known is None else known.names
    assert seen is not None
    assert roles["fit"].origins() <= seen


def test_rows_that_a_model_has_seen_do_not_judge_it(repaired: KeptRepair, features: Path, tmp_path: Path) -> None:
    model = str(repaired.folder / "model")
    said = r"^\d+ sources of the judge rows \(first: .*\) were already seen by the model in .*; judge on rows that"
    with pytest.raises(InputError, match=said):
        look(model, features, out=tmp_path)
    with pytest.raises(InputError, match=said):
        repair_features(features, head=model, seed=1, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_look_predict_and_card_agree(repaired: KeptRepair, tmp_path: Path) -> None:
    """Looking at a model, and making a card of what it predicted, give the same numbers."""
    write_features(tmp_path / "new.npz", rows=400, agree=0.5, seed=3)
    model = str(repaired.folder / "model")
    looked = look(model, tmp_path / "new.npz", out=tmp_path).card
    (tmp_path / "p.csv").write_text(predict(model, tmp_path / "new.npz"))
    carded = card_from_predictions(tmp_path / "p.csv", out=tmp_path).card
    assert {finding.slice for finding in looked.findings} == {"all", "0, a=0", "0, a=1", "1, a=0", "1, a=1"}
    for ours, theirs in zip(looked.findings, carded.findings, strict=True):
        assert (ours.name, ours.slice, ours.count) == (theirs.name, theirs.slice, theirs.count)
        assert ours.value == pytest.approx(theirs.value, abs=1e-6)


def test_predictions_on_rows_the_model_has_seen_make_no_card(
    repaired: KeptRepair, features: Path, tmp_path: Path
) -> None:
    """A detour over a CSV does not get round the guard of the judge rows."""
    lines = predict(str(repaired.folder / "model"), features).splitlines()
    assert lines[0].startswith("id,seen,label,group,")
    marks = [line.split(",")[1] for line in lines[1:]]
    assert (marks.count("yes"), marks.count("no")) == (960, 240)
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as refused:
        card_from_predictions(tmp_path / "all.csv", out=tmp_path)
    assert str(refused.value) == (
        "960 of 1200 rows in all.csv were seen when the model was made (column 'seen' says yes); judge on the others: "
        "leave these rows out."
    )
    unseen = [lines[0], *(line for line, mark in zip(lines[1:], marks, strict=True) if mark == "no")]
    (tmp_path / "unseen.csv").write_text("\n".join(unseen) + "\n")
    card = card_from_predictions(tmp_path / "unseen.csv", out=tmp_path).card
    assert repaired.card.chosen is not None
    worst = value(repaired.card, "worst_group_accuracy", subject=repaired.card.chosen)
    assert value(card, "worst_group_accuracy") == pytest.approx(worst)


def test_predict_does_without_labels(repaired: KeptRepair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_features(tmp_path / "new.npz", rows=50, agree=0.5, seed=4)
    inputs = np.load(tmp_path / "new.npz")["inputs"]
    np.savez(tmp_path / "bare.npz", inputs=inputs)
    assert main(["predict", str(repaired.folder / "model"), str(tmp_path / "bare.npz")]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(table[0]) == ["id", "seen", "p_0", "p_1"]
    logits = inputs @ repaired.head.weight.numpy().T + repaired.head.bias.numpy()
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert [float(row["p_1"]) for row in table] == pytest.approx(expected, abs=1e-6)
    to = tmp_path / "deep" / "p.csv"
    assert main(["predict", str(repaired.folder / "model"), str(tmp_path / "bare.npz"), "--to", str(to)]) == 0
    assert len(to.read_text().splitlines()) == 51


def test_clusters_travel_with_predictions(repaired: KeptRepair, tmp_path: Path) -> None:
    """Rows of one patient stay one piece of evidence in the card made from the file."""
    write_features(tmp_path / "new.npz", rows=60, agree=0.5, seed=5)
    patients = np.repeat(np.arange(20), 3)
    np.savez(tmp_path / "patients.npz", **dict(np.load(tmp_path / "new.npz")), patient=patients)
    columns = Columns(cluster="patient")
    (tmp_path / "p.csv").write_text(predict(str(repaired.folder / "model"), tmp_path / "patients.npz", columns=columns))
    card = card_from_predictions(tmp_path / "p.csv", out=tmp_path).card
    assert {finding.clusters for finding in card.findings if finding.name == "accuracy" and finding.slice == "all"} == {
        20
    }


def test_rows_describes_and_counts(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y, a = np.load(features)["y"], np.load(features)["a"]
    assert main(["rows", str(features), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    counted = {f"{k}, a={v}": int(((y == k) & (a == v)).sum()) for k in (0, 1) for v in (0, 1)}
    assert said["rows"] == 1200
    assert said["classes"] == ["0", "1"]
    assert said["groups"] == counted
    assert main(["rows", str(features)]) == 0
    assert "1,200 rows; inputs: 4 numbers each (float32)" in capsys.readouterr().out


def test_rows_counts_every_group_in_every_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "rows.csv"
    lines = ["0,0,test,0.5", *["1,1,train,0.1"] * 2, *["0,1,val,0.2"] * 3, *["0,0,train,0.3"] * 4]
    table.write_text("y,a,split,x\n" + "\n".join(lines) + "\n")
    assert main(["rows", str(table)]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    start = next(place for place, words in enumerate(said) if words[:1] == ["splits"])
    assert said[start:] == [
        ["splits", "train", "(fit)", "val", "(choose)", "test", "(judge)"],
        ["all", "rows", "6", "3", "1"],
        ["0,", "a=0", "4", "0", "1"],
        ["0,", "a=1", "0", "3", "0"],
        ["1,", "a=0", "0", "0", "0"],
        ["1,", "a=1", "2", "0", "0"],
    ]
